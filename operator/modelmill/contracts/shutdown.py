"""How long a server takes to end after SIGTERM: it keeps to this, and its pod is given the time."""

from __future__ import annotations

from typing import Final

FINISH_SECONDS: Final = 10
"""Least time for what runs when no more requests are taken: bodies that have begun to arrive are among that."""
STOP_SECONDS: Final = 5
"""For closing connections, once nothing runs."""


def finish_seconds(request_seconds: int) -> int:
    """Return how long requests that run are waited for; request_seconds: the longest that one may take."""
    return max(FINISH_SECONDS, request_seconds)


def ending_seconds(drain_seconds: int, request_seconds: int) -> int:
    """Return the time from SIGTERM until whatever still runs is ended by force, in seconds.

    drain_seconds: longest time in which requests are still taken.
    """
    return drain_seconds + finish_seconds(request_seconds) + STOP_SECONDS
