"""A program under measurement: a process whose output goes to a file."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.bench import process_tree


class Program:
    """One process. log: file that its output is added to."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                list(argv), env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self.process.pid

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.poll() is None

    def cpu_seconds(self) -> float:
        """Return the CPU time that it and its descendants used."""
        return process_tree.cpu_seconds(self.pid)

    def rss_mib(self) -> float:
        """Return the resident memory of it and its descendants."""
        return process_tree.rss_mib(self.pid)

    def terminate(self, seconds: float = 30) -> int:
        """Send SIGTERM and return the exit code. Raises subprocess.TimeoutExpired after killing one that does not end."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.alive():
            self.process.kill()
        self.process.wait(10)

    def tail(self) -> str:
        """Return the end of its log."""
        return f"the end of {self.log}:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
