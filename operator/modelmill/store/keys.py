"""The keys of a store stay with the process that was given them."""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_DUMPABLE = 4  # Source: prctl(2)


def hide_keys() -> None:
    """Make the environment and the memory of this process unreadable below /proc, for itself too. Linux only.

    A model runs in a child with the same user id, which would otherwise read the parent's keys at /proc/PID/environ, or write
    to its memory. Raises OSError.
    """
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
