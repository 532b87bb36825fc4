"""How much of the machine others used while the benchmark ran: a figure measured beside a busy neighbour is no figure."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """CPU seconds of the whole machine against those of the benchmark, its children that have ended, and its API server."""

    def __init__(self, state: Path) -> None:
        """Begin to count. state: folder of the API server, with its list of processes."""
        self._state = state
        self._began = self._seconds()

    def others_percent(self) -> float:
        """Return the share of all cores that other processes used since the beginning."""
        busy, total, ours = (now - before for now, before in zip(self._seconds(), self._began, strict=True))
        return 100 * max(busy - ours, 0.0) / max(total, 1e-9)

    def _seconds(self) -> tuple[float, float, float]:
        user, nice, system, idle, iowait, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        busy = user + nice + system + irq + soft + steal
        ours = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        for record in json.loads((self._state / "processes.json").read_text()).values():
            fields = Path(f"/proc/{record['pid']}/stat").read_text().rpartition(")")[2].split()
            ours += (int(fields[11]) + int(fields[12])) / TICKS
        return busy / TICKS, (busy + idle + iowait) / TICKS, ours
