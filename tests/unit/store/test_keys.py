"""What /proc tells a process of an ordinary user about itself."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

from modelmill.store.keys import hide_keys

READABLE, HIDDEN = 10, 11
NOBODY = 65532


def environment() -> int:
    try:
        with open("/proc/self/environ", "rb") as stream:
            return READABLE if stream.read() else HIDDEN
    except PermissionError:
        return HIDDEN


def as_nobody(hidden: bool) -> int:
    """Return what a process of an ordinary user sees of its own environment."""
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after the start of a program; a change of the user hides as well
        if hidden:
            hide_keys()
        os._exit(environment())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_the_environment_cannot_be_read_below_proc() -> None:
    assert as_nobody(hidden=False) == READABLE
    assert as_nobody(hidden=True) == HIDDEN
