"""Connections that pods open, as the kernel's connection tracking tells them: behind the address translation of Services."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from dataclasses import dataclass

_SIDES = re.compile(r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")
PROTOCOLS = ("tcp", "udp")


@dataclass(frozen=True)
class Flow:
    """Who opened a connection to whom. The target is where the answer comes from, not the address of a Service."""

    source: str
    target: str
    port: int
    protocol: str


def read(line: str) -> Flow | None:
    """Return the flow in a line of conntrack: first as it was asked for, then as the answer will come."""
    sides = _SIDES.findall(line)
    protocol = next((one for one in PROTOCOLS if f" {one} " in f" {line}"), None)
    if protocol is None or len(sides) != 2:
        return None
    (source, *_), (answering, _, port, _) = sides
    return Flow(source, answering, int(port), protocol.upper())


class Listener:
    """Collects the flows of this machine from entering to leaving it, and those that are open when it is entered."""

    def __init__(self) -> None:
        self.flows: set[Flow] = set()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @staticmethod
    def program() -> str | None:
        """Path of conntrack, None where it is not."""
        return shutil.which("conntrack", path="/usr/sbin:/sbin:/usr/bin:/bin")

    def __enter__(self) -> Listener:
        program = str(self.program())
        known = subprocess.run([program, "-L"], capture_output=True, text=True, check=True).stdout
        self.flows |= {flow for line in known.splitlines() if " ESTABLISHED " in line and (flow := read(line))}
        argv = [program, "-E", "-e", "NEW", "-b", "8388608"]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._reader is not None
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            flow = read(line)
            if flow is not None:
                self.flows.add(flow)
