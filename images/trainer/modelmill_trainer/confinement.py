"""A process that runs somebody's model: what it may use, told by itself before it loads anything."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelmill_trainer.syscalls import close_the_way_out

OPEN_FILES: Final = 256
MAX_FILE: Final = 2 << 30  # of one file that is written; no ONNX file can be larger (protobuf)
KEPT_FREE: Final = 64 << 20  # of the container's memory, for the stage that watches
CGROUP_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)  # v2, v1
_PR_SET_PDEATHSIG: Final = 1  # Source: prctl(2)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the process may use. memory: bytes, by `bound_memory`; cpu_seconds: over all its threads."""

    memory: int
    cpu_seconds: int


def confine(limits: Limits, parent: int) -> None:
    """Bound this process, and end it with its parent (the process id). Raises OSError.

    RLIMIT_NPROC would be of no use: it counts every process of the same user on the node. Processes are refused by a filter.
    """
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_NOFILE, OPEN_FILES)
    _bound(resource.RLIMIT_FSIZE, MAX_FILE)
    _bound(resource.RLIMIT_CPU, limits.cpu_seconds)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            raise ProcessLookupError("the stage that watches the evaluation is gone")
    close_the_way_out()


def bound_memory(most: int) -> None:
    """Let this process use `most` bytes, with what it uses already.

    What it may write to is bounded (RLIMIT_DATA), since address space is only reserved and mapped files can be dropped. Parts
    of libraries and of stacks that were never touched count there and use nothing: so much is allowed on top.
    """
    if not sys.platform.startswith("linux"):
        return
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    writable, used = (int(status[name].split()[0]) << 10 for name in ("VmData", "RssAnon"))
    _bound(resource.RLIMIT_DATA, most + max(writable - used, 0))


def available_memory(limits: Iterable[Path] = CGROUP_LIMITS) -> int:
    """Return how many bytes a process may use: nearly the container's limit, or half of the node's memory without one."""
    node = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in limits:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < node:
            return max(int(text) - KEPT_FREE, KEPT_FREE)
    return node // 2


def _bound(kind: int, amount: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(kind, (bound, bound))
