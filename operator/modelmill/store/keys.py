"""The keys of a store stay with the process that was given them."""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_DUMPABLE = 4  # Source: prctl(2)


def hide_keys() -> None:
    """Make the environment and the memory of this process unreadable below /proc, for itself too. Linux only.

    A model that a tenant left is run where the keys of the store are in the environment: an estimator that opens files would
    otherwise read them at /proc/self/environ. Raises OSError.
    """
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
