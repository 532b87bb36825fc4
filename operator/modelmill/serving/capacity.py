"""How many pods each track has. Pure arithmetic."""

from __future__ import annotations

FULL = 100
"""Weight of all traffic, percent."""


def candidate_pods(replicas: int, weight: int) -> int:
    """Return the candidate's pods for a weight: rounded to the nearest, at least one, all at 100, none at 0."""
    if weight == 0:
        return 0
    return replicas if weight == FULL else max(1, min(replicas, (replicas * weight + 50) // FULL))


def stable_pods(replicas: int, weight: int, *, candidate_ready: int, has: int) -> int:
    """Return the stable track's pods: it gives up one for each ready pod of the candidate, and keeps at least one.

    At weight 100 it keeps the pods that it `has`: the candidate is about to take their place.
    """
    if weight == FULL:
        return has
    return max(1, replicas - min(candidate_ready, candidate_pods(replicas, weight)))
