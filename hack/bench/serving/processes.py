"""A server under measurement: started on one core, with the CPU time and the memory of its whole process tree."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from hack.bench import process_tree
from hack.bench.process_tree import TICKS

STOP_SECONDS = 20.0


class Tree:
    """A process, started in a session of its own, and all its descendants."""

    def __init__(self, command: list[str], core: int, log: Path, environ: dict[str, str], folder: Path) -> None:
        """Start `command` on `core`."""
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environ,
                cwd=folder,
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """Return the processes that live."""
        return process_tree.pids(self.process.pid)

    def cpu_seconds(self) -> float:
        """Return user and system time of the tree, with that of children that have ended and were waited for."""
        return process_tree.cpu_seconds(self.process.pid)

    def pss_mib(self) -> float:
        """Return the tree's proportional set size: memory that several processes share is counted once."""
        return sum(process_tree.rollup(pid, "Pss:") for pid in self.pids()) / 1024

    def rss_mib(self) -> float:
        """Return the tree's resident memory; what several processes share is counted in each."""
        return process_tree.rss_mib(self.process.pid)

    def tail(self) -> str:
        """Return the last line of the log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "its log is empty"

    def stop(self) -> None:
        """End the tree: politely, then by force, with whatever of it is left."""
        began = {pid: _started(pid) for pid in self.pids()}
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid, moment in began.items():
            if moment and _started(pid) == moment:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


class Neighbours:
    """How much of the machine other processes used meanwhile: a figure measured beside a busy neighbour is no figure."""

    def __init__(self) -> None:
        """Begin to count."""
        self._began = _machine_seconds()

    def percent(self) -> float:
        """Return the share of all cores that went to processes that are neither this one nor its ended children."""
        busy, total, ours = (now - before for now, before in zip(_machine_seconds(), self._began, strict=True))
        return 100 * max(busy - ours, 0.0) / max(total, 1e-9)


def _machine_seconds() -> tuple[float, float, float]:
    user, nice, system, idle, iowait, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    busy = user + nice + system + irq + soft + steal
    ours = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return busy / TICKS, (busy + idle + iowait) / TICKS, ours


def _started(pid: int) -> str:
    """Return when the process began, in ticks since the machine's start; empty when it has ended or waits to be reaped."""
    fields = process_tree.stat(pid)
    return "" if fields is None or fields[0] == "Z" else fields[19]
