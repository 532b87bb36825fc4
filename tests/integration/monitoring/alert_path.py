"""The way of an alert to the operator: pods that are scraped, Prometheus, Alertmanagers, and a connection that breaks."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from hack.bench.program import Program
from modelmill.contracts import names
from tests.support.programs import debian_alertmanager, debian_program

TRAINED = (0.25, 0.25, 0.25, 0.25)
CHANGED = (0.1, 0.1, 0.2, 0.6)
"""Shares of the bins of the feature."""
RESEND = "8s"
"""Prometheus tells an alert for four times as long ahead, which is how long it may be away."""


@dataclass
class Pods:
    """What the pods of services tell at GET /SERVICE. Each answer has `rows` more rows than the one before.

    Every turn has twenty times the rows of the one before, so that they fill the window within seconds.
    """

    versions: Mapping[str, str]
    rows: int = 1000
    shares: Sequence[float] = TRAINED
    counts: dict[str, list[float]] = field(default_factory=dict)

    def turn(self, shares: Sequence[float]) -> None:
        """Ask the services for other values from now on."""
        self.rows *= 20
        self.shares = shares

    def page(self, service: str) -> str:
        counts = self.counts.setdefault(service, [0.0] * len(TRAINED))
        for place, share in enumerate(self.shares):
            counts[place] += share * self.rows
        own = f'model_name="{service}",model_version="{self.versions[service]}"'
        power = f'{own},feature="power"'
        bins = [(f'{{{power},bin="{place}"}}', count) for place, count in enumerate(counts)]
        lines = [f"{names.METRIC_REFERENCE_ROWS}{{{own}}} 4000", f"{names.METRIC_FEATURE_IMPORTANCE}{{{power}}} 1"]
        lines += [f"{names.METRIC_FEATURE_BIN}{labels} {count}" for labels, count in bins]
        lines += [
            f"{names.METRIC_FEATURE_REFERENCE}{labels} {share}"
            for (labels, _), share in zip(bins, TRAINED, strict=True)
        ]
        return "\n".join(lines) + "\n"


@dataclass
class Connection:
    """Between the Alertmanagers and the operator. Counts what says that something fires, by service and path (its sender).

    Of each service the first delivery is answered 503 and not passed on; the next one is passed on and not answered.
    """

    operator: Callable[[], int]
    delivered: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, service: str, sender: str) -> str:
        """Count a delivery; return what befalls it."""
        with self.lock:
            self.delivered[service, sender] += 1
            for fault in ("503", "lost"):
                if not self.broken[service, fault]:
                    self.broken[service, fault] += 1
                    return fault
        return ""

    def passed_on(self, body: bytes, token: str) -> tuple[int, bytes]:
        """Return the operator's answer; 502 where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.operator(), timeout=30)
        try:
            connection.request("POST", "/alerts", body, {"Authorization": token})
            answer = connection.getresponse()
            code, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            code, text = 502, b""
        finally:
            connection.close()
        with self.lock:
            self.codes[code] += 1
        return code, text


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep silent."""

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def pods_answering(pods: Pods) -> Iterator[int]:
    """Serve the pages of pods; yield the port."""

    class Handler(_Silent):
        def do_GET(self) -> None:
            self.answer(200, pods.page(self.path.removeprefix("/")).encode())

    with _served(Handler) as port:
        yield port


@contextmanager
def connected(connection: Connection) -> Iterator[int]:
    """Take what is sent to the operator; yield the port."""

    class Handler(_Silent):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told = json.loads(body)
            service = told["groupLabels"]["inferenceservice"]
            fault = connection.fault(service, self.path) if told["status"] == "firing" else ""
            if fault == "503":
                self.answer(503, b"")
                return
            code, text = connection.passed_on(body, self.headers["Authorization"])
            if fault == "lost":
                self.close_connection = True
            else:
                self.answer(code, text)

    with _served(Handler) as port:
        yield port


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Restartable:
    """A program that is killed and started again with its data. url: where it answers; it has /-/ready."""

    def __init__(self, argv: Sequence[str], port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._argv = argv
        self._log = log
        self._program = self._started()

    def _started(self) -> Program:
        return Program(self._argv, os.environ, self._log)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self._program = self._started()

    def kill(self) -> None:
        self._program.kill()

    def wait_ready(self, seconds: float = 60) -> None:
        """Wait until it answers. Raises TimeoutError with the end of its log."""
        limit = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                    return
            except OSError:
                if not self._program.alive() or time.monotonic() > limit:
                    raise TimeoutError(self._program.tail()) from None
                time.sleep(0.1)


def alertmanager(folder: Path, port: int, receiver: str, token: Path) -> Restartable:
    """Start an Alertmanager that knows of no other one. receiver: address that it delivers to, every second."""
    authorization = {"type": "Bearer", "credentials_file": str(token)}
    webhook = {"url": receiver, "send_resolved": True, "http_config": {"authorization": authorization}}
    waits = {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "500ms"}
    config = {
        "route": {"receiver": "modelmill", "group_by": ["namespace", "inferenceservice"], **waits},
        "receivers": [{"name": "modelmill", "webhook_configs": [webhook]}],
    }
    folder.mkdir()
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    argv = [
        *debian_alertmanager(),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    return Restartable(argv, port, folder / "log")


class Prometheus(Restartable):
    """A Prometheus that scrapes and evaluates every second.

    rules: files of rules by their name. targets: labels of a pod by its path at the port `pods`. alertmanagers: their ports.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        rules: Mapping[str, str],
        pods: int,
        targets: Mapping[str, Mapping[str, str]],
        alertmanagers: Sequence[int],
    ) -> None:
        (folder / "rules").mkdir(parents=True)
        for name, text in rules.items():
            (folder / "rules" / name).write_text(text)
        jobs = [
            {
                "job_name": path,
                "metrics_path": f"/{path}",
                "static_configs": [{"targets": [f"127.0.0.1:{pods}"], "labels": dict(labels)}],
            }
            for path, labels in targets.items()
        ]
        told = [{"static_configs": [{"targets": [f"127.0.0.1:{one}" for one in alertmanagers]}]}]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{folder}/rules/*.yaml"],
            "alerting": {"alertmanagers": told},
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        argv = [
            debian_program("prometheus", "prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--rules.alert.resend-delay={RESEND}",
            # Since when an alert is pending is remembered only of those that must last longer than this.
            "--rules.alert.for-grace-period=1s",
        ]
        super().__init__(argv, port, folder / "log")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression; none while it does not answer."""
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except OSError:
            return []
        return found
