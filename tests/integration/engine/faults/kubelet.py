"""A kubelet without containers: pods of a namespace run, end and answer as the scenario says."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

from modelmill.engine.errors import ApiError
from modelmill.kube import labels
from modelmill.kube.conditions import timestamp
from modelmill.kube.resources import JOBS, PODS
from tests.crash.surroundings import Ending, serving_status, stages_of, training_status
from tests.integration.engine.faults.live_api import LiveApi, Object

JOB_LABEL = "batch.kubernetes.io/job-name"
RATE = 1000.0
"""Requests a second and pod: enough to be judged by within any moment between two looks."""


class Kubelet:
    """Steps when it is told to. endings, errors, broken: as in tests.crash.surroundings.

    endless: TrainingJobs whose pods go on training.
    port: where serving pods answer with their counters, each on an address of its own.
    """

    def __init__(self, api: LiveApi, endings: Callable[[Object, int], Ending], port: int) -> None:
        self.api = api
        self.errors: set[str] = set()
        self.broken: set[str] = set()
        self.endless: set[str] = set()
        self.writes = 0
        self._endings = endings
        self._port = port
        self._servers: dict[str, HTTPServer] = {}
        self._seen: dict[str, list[str]] = {}

    def step(self) -> None:
        """Take every pod a step further."""
        for pod in self.api.of(PODS):
            uid, meta = pod["metadata"]["uid"], pod["metadata"]
            if "deletionTimestamp" in meta or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                continue
            try:
                if labels.SERVICE_LABEL in meta["labels"]:
                    self._serving_pod(pod, uid)
                elif JOB_LABEL in meta["labels"]:
                    self._training_pod(pod, uid)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise

    def stop(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def _training_pod(self, pod: Object, uid: str) -> None:
        name = pod["metadata"]["labels"][JOB_LABEL]
        seen = self._seen.setdefault(name, [])
        if uid not in seen:
            seen.append(uid)
        endless = pod["metadata"]["labels"].get(labels.TRAINING_JOB_LABEL) in self.endless
        if endless and (pod.get("status") or {}).get("phase") == "Running":
            return
        job = self.api.find(JOBS, name)
        if job is not None:
            stages = stages_of(job["spec"]["template"]["spec"])
            # In one step, so that every run writes the same: what is told of stages depends on when one looks.
            over = 1 if endless else len(stages)
            self._status(pod, training_status(self._endings(job, seen.index(uid)), over, stages))

    def _serving_pod(self, pod: Object, uid: str) -> None:
        if uid in self._servers or uid in self._seen:
            return
        self._seen[uid] = []
        version = pod["metadata"]["labels"][labels.VERSION_LABEL]
        broken = version in self.broken
        digest = hashlib.sha256(uid.encode()).digest()
        address = f"127.{digest[0]}.{digest[1]}.{1 + digest[2] % 254}"
        if not broken:
            self._serve(uid, address, "500" if version in self.errors else "200")
        moment = timestamp(datetime.now(UTC))
        ready = {"type": "Ready", "status": "False" if broken else "True", "lastTransitionTime": moment}
        self._status(pod, serving_status(address, ready, broken=broken))

    def _serve(self, uid: str, address: str, code: str) -> None:
        server = HTTPServer((address, self._port), partial(_Counters, code, time.monotonic()))
        self._servers[uid] = server
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def _status(self, pod: Object, status: Object) -> None:
        self.writes += 1
        path = PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"], "status")
        self.api.ask("PATCH", path, {"status": status})


class _Counters(BaseHTTPRequestHandler):
    """GET /metrics of a pod that has answered all its requests with one code."""

    def __init__(self, code: str, began: float, *arguments: object) -> None:
        self._code = code
        self._began = began
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        count = int(RATE * (time.monotonic() - self._began))
        page = (
            f'modelmill_requests_total{{model_name="cars",code="{self._code}"}} {count}\n'
            f'modelmill_request_duration_seconds_bucket{{model_name="cars",le="0.1"}} {count}\n'
            f'modelmill_request_duration_seconds_bucket{{model_name="cars",le="+Inf"}} {count}\n'
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Keep silent."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
