"""The processes of a cluster: started detached, recorded with their start time, ended by that record only."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from progress import Failed, tail


def start_time(pid: int) -> str | None:
    """When a live process started, as boot id and clock ticks; None when it has ended.

    A process number alone may belong to a stranger after the original ended; together with the start time it cannot.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in {"Z", "X"}:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{fields[19]}"


def digest_of(argv: Sequence[str], files: Sequence[Path]) -> str:
    """What a component was started with: arguments and the content of its files."""
    digest = hashlib.sha256(json.dumps(list(argv)).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Record:
    """One process as written to the file."""

    pid: int
    started: str
    digest: str


class Processes:
    """The recorded processes of one cluster, in start order."""

    def __init__(self, file: Path, logs: Path) -> None:
        self.file = file
        self.logs = logs
        self.records: dict[str, Record] = {}
        if file.exists():
            self.records = {name: Record(**fields) for name, fields in json.loads(file.read_text()).items()}

    def log(self, name: str) -> Path:
        """The log file of a component."""
        return self.logs / f"{name}.log"

    def alive(self, name: str) -> bool:
        """Whether the recorded process still runs."""
        record = self.records.get(name)
        return record is not None and start_time(record.pid) == record.started

    def ensure(
        self, name: str, argv: Sequence[str], *, files: Sequence[Path] = (), env: Mapping[str, str] | None = None
    ) -> bool:
        """Start a component unless it runs with these arguments and files already; True when it was started."""
        digest = digest_of(argv, files)
        if self.alive(name):
            if self.records[name].digest == digest:
                return False
            self.stop(name)
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.log(name)
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.file.parent,
                env={**os.environ, **(env or {})},
            )
        started = start_time(process.pid)
        if started is None:
            raise Failed(f"{name} ended at once; the end of {log}:\n{tail(log)}")
        self.records[name] = Record(process.pid, started, digest)
        self._write()
        return True

    def stop(self, name: str, *, grace_seconds: float = 10.0) -> None:
        """End a component: SIGTERM, then SIGKILL after the grace time. Forgets it afterwards."""
        record = self.records.get(name)
        if record is None:
            return
        for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
            if not self.alive(name):
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.pid, number)
            deadline = time.monotonic() + patience
            while self.alive(name) and time.monotonic() < deadline:
                time.sleep(0.05)
        if self.alive(name):
            raise Failed(f"{name} (process {record.pid}) does not end")
        del self.records[name]
        self._write()

    def wait(self, name: str, ready: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Wait until `ready()` holds.

        Raises:
            Failed: the component ended, or the time is over; the message holds the last lines of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive(name):
                raise Failed(
                    f"{name} ended while waiting for {what}; the end of {self.log(name)}:\n{tail(self.log(name))}"
                )
            if time.monotonic() > deadline:
                raise Failed(f"no {what} after {seconds:.0f} s; the end of {self.log(name)}:\n{tail(self.log(name))}")
            time.sleep(0.1)

    def _write(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({name: vars(record) for name, record in self.records.items()}, indent=1))
        new.replace(self.file)
