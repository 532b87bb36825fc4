"""The real operator as a process of its own: `python -m modelmill.app`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hack.bench.light import NAMESPACE, ROOT

TICKS = os.sysconf("SC_CLK_TCK")


class OperatorProcess:
    """One operator.

    log: file that its standard error goes to. server_image: the server of its release. settings: more of its environment.
    program: what Python runs.
    """

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        identity: str = "operator",
        server_image: str = "localhost/modelmill-server:bench",
        settings: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "modelmill.app"),
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.log = log
        self.identity = identity
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(ROOT / "operator"),
            "MODELMILL_TRAINER_IMAGE": "localhost/modelmill-trainer:bench",
            "MODELMILL_SERVER_IMAGE": server_image,
            "MODELMILL_PORT": str(self.port),
            "MODELMILL_POD_NAME": identity,
            "MODELMILL_LEASE_NAMESPACE": NAMESPACE,
            **(settings or {}),
        }
        with log.open("ab") as output:
            argv = [sys.executable, *program]
            self.process = subprocess.Popen(argv, env=environment, stdout=output, stderr=output)
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self.process.pid

    def metrics(self) -> dict[str, float]:
        """Return the samples of /metrics by their name with labels; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        pairs = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def leads(self) -> bool:
        """Tell whether it holds the lease."""
        return self.metrics().get('modelmill_leader_election_master_status{name="modelmill-operator"}') == 1

    def reconciles(self) -> float:
        """Return how many reconciliations it did."""
        return sum(value for name, value in self.metrics().items() if name.startswith("modelmill_reconcile_total"))

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.poll() is None

    def wait_leading(self, seconds: float) -> None:
        """Wait until it leads. Raises TimeoutError with the end of its log."""
        self.wait(self.leads, seconds, "leading")

    def wait_quiet(self, seconds: float, still: float = 2.0) -> float:
        """Wait until it has reconciled nothing for `still` seconds; return the moment (monotonic) of the last change seen."""
        last, changed, limit = -1.0, time.monotonic(), time.monotonic() + seconds
        while time.monotonic() < limit:
            current = self.reconciles()
            if current != last:
                last, changed = current, time.monotonic()
            elif current > 0 and time.monotonic() - changed > still:
                return changed
            time.sleep(0.5)
        raise TimeoutError(f"the operator reconciled for more than {seconds} s; {self.tail()}")

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until `condition()` holds. Raises TimeoutError with the end of its log."""
        limit = time.monotonic() + seconds
        while not condition():
            if not self.alive() or time.monotonic() > limit:
                raise TimeoutError(f"operator {self.identity} is not {what}; {self.tail()}")
            time.sleep(0.1)

    def cpu_seconds(self) -> float:
        """Return the CPU time that it used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_mib(self) -> float:
        """Return its resident memory."""
        match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert match is not None
        return int(match.group(1)) / 1024

    def terminate(self, seconds: float = 30) -> int:
        """Send SIGTERM and return the exit code; kill it when it does not end."""
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
        return f"the end of {self.log}:\n" + "\n".join(self.log.read_text().splitlines()[-20:])
