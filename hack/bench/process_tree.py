"""CPU time and memory of a process with all its descendants, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def pids(root: int) -> list[int]:
    """Return the process and its descendants that live."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        fields = stat(int(path.name))
        if fields is not None:
            children.setdefault(int(fields[1]), []).append(int(path.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Return user and system time of the tree, with that of children that have ended and were waited for."""
    ticks = 0
    for pid in pids(root):
        fields = stat(pid)
        if fields is not None:
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / TICKS


def rss_mib(root: int) -> float:
    """Return the tree's resident memory; what several processes share is counted in each."""
    return sum(rollup(pid, "Rss:") for pid in pids(root)) / 1024


def stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, None when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def rollup(pid: int, name: str) -> int:
    """Return a line of the process's smaps_rollup in KiB, 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
