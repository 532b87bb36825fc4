"""The real operator as a process of its own: `python -m modelmill.app`."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from hack.bench.light import NAMESPACE, ROOT
from hack.bench.program import Program


class OperatorProcess(Program):
    """One operator.

    log: file that its standard error goes to. server_image: the server of its release. settings: more of its environment.
    module: the program, `modelmill.app` or one that starts it in another way.
    """

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        identity: str = "operator",
        server_image: str = "localhost/modelmill-server:bench",
        settings: Mapping[str, str] | None = None,
        module: str = "modelmill.app",
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
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
        super().__init__([sys.executable, "-m", module], environment, log)

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
        samples = self.metrics().items()
        return any(name.startswith("modelmill_leader_election_master_status") and value == 1 for name, value in samples)

    def reconciles(self) -> float:
        """Return how many reconciliations it did."""
        return sum(value for name, value in self.metrics().items() if name.startswith("modelmill_reconcile_total"))

    def wait_leading(self, seconds: float) -> None:
        """Wait until it leads. Raises TimeoutError with the end of its log."""
        self.wait(self.leads, seconds, "leading")

    def wait_answering(self, seconds: float) -> None:
        """Wait until it answers, leading or not. Raises TimeoutError with the end of its log."""
        self.wait(lambda: bool(self.metrics()), seconds, "answering")

    def wait_quiet(self, seconds: float, still: float = 2.0) -> float:
        """Wait until it has reconciled nothing for `still` seconds; return the moment (monotonic) of the last change seen."""
        last, changed, limit = -1.0, time.monotonic(), time.monotonic() + seconds
        while time.monotonic() < limit and self.alive():
            current = self.reconciles()
            if current != last:
                last, changed = current, time.monotonic()
            elif current > 0 and time.monotonic() - changed > still:
                return changed
            time.sleep(0.5)
        raise TimeoutError(f"the operator has ended, or reconciled for more than {seconds} s; {self.tail()}")

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until `condition()` holds. Raises TimeoutError with the end of its log."""
        limit = time.monotonic() + seconds
        while not condition():
            if not self.alive() or time.monotonic() > limit:
                raise TimeoutError(f"operator {self.identity} is not {what}; {self.tail()}")
            time.sleep(0.1)
