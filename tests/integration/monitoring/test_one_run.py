"""Drift leads to exactly one run, whatever is repeated, restarted or lost on the way of the alert: all programs are real."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hack.bench import load
from hack.bench.light import LightServer
from hack.bench.operator_process import OperatorProcess
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.engine.login import login
from modelmill.kube import labels
from modelmill.kube.resources import CONFIG_MAPS
from modelmill.monitoring.rules.drift import FINE
from tests.crash.scenarios import rows_come
from tests.crash.surroundings import Ending
from tests.integration.engine.faults.kubelet import Kubelet, free_port
from tests.integration.engine.faults.live_api import LiveApi
from tests.integration.monitoring.alert_path import (
    CHANGED,
    TRAINED,
    Connection,
    Pods,
    Prometheus,
    alertmanager,
    connected,
    pods_answering,
)
from tests.support.api_server import Cluster
from tests.support.operated import created_jobs

pytestmark = pytest.mark.integration

LIMIT_SECONDS = 120
"""For what never comes."""
STEP_SECONDS = 0.25
ROWS, NO_ROWS = "rows", "norows"
"""Models whose alerts wait for new rows, which a look finds, and which wait for none."""
SERVICES = (ROWS, NO_ROWS)
DELIVERIES = 30
"""Of an alert that fires: as many as an Alertmanager would send in days."""
MONITORING = {
    "engine": "Prometheus",
    "drift": {"windowSeconds": 30, "forSeconds": 2, "minRows": 100},
}


class World:
    """A namespace with an operator, and a kubelet that plays the pods of its Jobs to their end.

    played: labels of the Jobs whose pods came, by their names.
    """

    def __init__(self, cluster: Cluster, folder: Path, token: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(cluster.server.admin))
            admin = login()
        self.cluster = cluster
        self.api = LiveApi(admin, cluster.server.new_namespace(f"one-run-{int(time.time())}"))
        self.kubelet = Kubelet(self.api, self._ending, free_port())
        self.played: dict[str, dict[str, str]] = {}
        self._settings = {"MODELMILL_ALERT_TOKEN_FILE": str(token), "MODELMILL_NAMESPACES": self.api.namespace}
        self._log = folder / "operator.log"
        self.operator = self._started()

    def _started(self) -> OperatorProcess:
        return OperatorProcess(self.cluster.kubeconfig, self._log, settings=self._settings)

    def restart_operator(self) -> None:
        self.operator.kill()
        self.operator = self._started()

    def stop(self) -> None:
        self.operator.kill()
        self.kubelet.stop()

    def _ending(self, job: dict[str, Any], pod: int) -> Ending:
        self.played[job["metadata"]["name"]] = job["metadata"]["labels"]
        return rows_come(job, pod)

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Let the time pass until the condition holds."""
        limit = time.monotonic() + LIMIT_SECONDS
        while not condition():
            assert time.monotonic() < limit, f"never: {what}; {self._told()}; {self.operator.tail()}"
            time.sleep(STEP_SECONDS)
            self.kubelet.step()

    def _told(self) -> str:
        """Return what the TrainingJobs say of themselves."""
        shown = ("pendingTriggers", "decisions", "currentRun", "runs", "lastLook", "nextLookTime")
        jobs = {one["metadata"]["name"]: one.get("status") or {} for one in self.api.of(TRAINING_JOBS)}
        return str({name: {key: status.get(key) for key in shown} for name, status in jobs.items()})

    def status(self, resource: Any, name: str) -> dict[str, Any]:
        return dict((self.api.find(resource, name) or {}).get("status") or {})

    def alerts(self, service: str) -> list[Any]:
        return self.status(INFERENCE_SERVICES, service).get("alerts") or []

    def reasons(self, name: str) -> list[str]:
        """Return why the runs that are over began, the last one first, and that of one in progress before them."""
        status = self.status(TRAINING_JOBS, name)
        current = status.get("currentRun")
        return [one["reason"] for one in ([current] if current else []) + (status.get("runs") or [])]

    def over(self, name: str, runs: int) -> bool:
        """Tell whether so many runs are over."""
        return len(self.status(TRAINING_JOBS, name).get("runs") or ()) >= runs

    def jobs_of_runs(self) -> Counter[str]:
        """Return how many Jobs of runs there were, by TrainingJob."""
        others = (labels.REPORT_LABEL, labels.REMOVES_LABEL)
        return Counter(
            one[labels.TRAINING_JOB_LABEL]
            for one in self.played.values()
            if one.get(labels.STEP_LABEL) != "look" and not any(label in one for label in others)
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    server = LightServer.up(f"test-one-run-{os.getpid()}", "--controller-manager")
    try:
        yield Cluster(server, server.install(tmp_path_factory.mktemp("operator")))
    finally:
        server.down()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("s3cret")
    return file


@pytest.fixture
def world(cluster: Cluster, tmp_path: Path, token: Path) -> Iterator[World]:
    made = World(cluster, tmp_path, token)
    yield made
    made.stop()


def serve(world: World, name: str, alerts: dict[str, Any]) -> None:
    """Train the first version, approve it, and serve it with an alert that starts the next run; no later one is approved."""
    job = load.training_job(world.api.namespace, name)
    job["spec"] |= {"triggers": {"alerts": {"enabled": True, **alerts}}, "retrain": {"cooldownSeconds": 2}}
    world.api.create(TRAINING_JOBS, job)
    world.until(lambda: world.api.find(MODEL_VERSIONS, f"{name}-1"), "the first version")
    world.api.patch(MODEL_VERSIONS, "ml", f"{name}-1", {"spec": {"approval": "Approved"}})
    service = load.inference_service(world.api.namespace, name)
    service["spec"]["monitoring"] = {**MONITORING, "retrain": {"trainingJob": name, "alerts": ["Drift"]}}
    world.api.create(INFERENCE_SERVICES, service)


def rules(world: World) -> dict[str, str]:
    """Return the files of rules that the operator has written."""
    found: dict[str, str] = {}
    for one in world.api.of(CONFIG_MAPS):
        if labels.RULES_LABEL in (one["metadata"].get("labels") or {}):
            found |= one["data"]
    return found


def test_drift_leads_to_exactly_one_run(world: World, tmp_path: Path, token: Path) -> None:
    world.operator.wait_leading(60)
    serve(world, ROWS, {})
    serve(world, NO_ROWS, {"minNewRows": 0})
    world.until(lambda: len(rules(world)) == len(SERVICES), "the rules")
    stable = {name: world.status(INFERENCE_SERVICES, name)["stable"] for name in SERVICES}
    targets = {
        name: {"namespace": world.api.namespace, "pod": f"{name}-{one['revision']}-0"} for name, one in stable.items()
    }
    pods = Pods({name: one["version"] for name, one in stable.items()})
    connection = Connection(lambda: world.operator.port)
    with ExitStack() as stack:
        to_operator, from_pods = stack.enter_context(connected(connection)), stack.enter_context(pods_answering(pods))
        ports = free_port(), free_port()
        alertmanagers = [
            alertmanager(tmp_path / f"alertmanager-{port}", port, f"http://127.0.0.1:{to_operator}/{port}", token)
            for port in ports
        ]
        prometheus = Prometheus(tmp_path / "prometheus", free_port(), rules(world), from_pods, targets, ports)
        programs = [prometheus, *alertmanagers]
        for program in programs:
            stack.callback(program.kill)
        for program in programs:
            program.wait_ready()
        world.until(lambda: len(prometheus.query(FINE)) == len(SERVICES), "what is not drifted is told so")
        assert not any(world.alerts(name) for name in SERVICES)

        def delivered(each: int) -> bool:
            return all(connection.delivered[name, f"/{port}"] >= each for name in SERVICES for port in ports)

        pods.turn(CHANGED)
        world.until(lambda: all(world.alerts(name) for name in SERVICES), "the alerts")
        first = {name: world.alerts(name) for name in SERVICES}
        world.restart_operator()
        world.until(lambda: all(world.over(name, 2) for name in SERVICES), "the runs of the alerts")
        # Prometheus before the Alertmanagers: the first that is restarted then tells another start than the other one.
        for program in programs:
            program.restart()
            program.wait_ready()
            before = min(connection.delivered.values())
            world.until(lambda least=before: delivered(least + 3), "more deliveries by both")
        world.until(lambda: delivered(DELIVERIES // 2), "as many deliveries as wanted")
        world.operator.wait_leading(60)
        world.until(lambda: delivered(DELIVERIES // 2 + 2), "deliveries while it leads")

        assert {name: world.reasons(name) for name in SERVICES} == {key: ["Alert", "Spec"] for key in SERVICES}
        for name in SERVICES:
            assert world.alerts(name) == first[name]
            assert len(first[name]) == 1
            assert connection.broken[name, "503"] == connection.broken[name, "lost"] == 1
        assert world.jobs_of_runs() == dict.fromkeys(SERVICES, 2)
        # A look at the data may have begun a moment ago.
        world.until(lambda: len(created_jobs(world.cluster)) == len(world.played), "each Job played once")

        # What the other one sends last of the first episode may be under way when that is told to be over.
        programs.pop().kill()
        pods.turn(TRAINED)
        world.until(lambda: not any(world.alerts(name) for name in SERVICES), "nothing fires")
        pods.turn(CHANGED)
        world.until(lambda: world.over(NO_ROWS, 3), "the run of the next episode")
        (second,) = world.alerts(NO_ROWS)
        assert second["id"] != first[NO_ROWS][0]["id"]
        assert world.reasons(NO_ROWS) == ["Alert", "Alert", "Spec"]
