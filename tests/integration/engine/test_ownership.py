"""Jobs: made once for each run, never adopted from somebody else, never made twice by a killed operator."""

from __future__ import annotations

from typing import Any

import pytest

from hack.bench import load
from hack.bench.operator_process import OperatorProcess
from tests.support.api_server import Cluster, Start
from tests.support.operated import JOBS, created_jobs, run_started

pytestmark = pytest.mark.integration


def test_a_namesake_of_somebody_else_is_not_adopted(cluster: Cluster, namespace: str, start: Start) -> None:
    operator = start()
    cluster.apply(load.training_job(namespace, "cars"))
    name = run_started(cluster, namespace)["job"]
    assert operator.terminate() == 0
    # The same again as if the run had never started, with the Job's name taken.
    cluster.kubectl("delete", "job", name, "-n", namespace)
    status = '[{"op": "remove", "path": "/status"}]'
    arguments = ("patch", "trainingjob", "cars", "-n", namespace, "--subresource=status", "--type=json", "-p", status)
    cluster.kubectl(*arguments)
    stranger = load.child(JOBS, namespace, name)
    stranger["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "modelmill"}
    cluster.apply(stranger)
    before = cluster.find("job", name, "-n", namespace)
    cluster.audit.mark()
    start("second")

    def told() -> list[dict[str, Any]]:
        return [one for one in cluster.items("events.events.k8s.io", namespace) if one["reason"] == "NameConflict"]

    event = cluster.eventually(told, "an Event about the name")[0]
    assert event["regarding"]["name"] == "cars"
    assert name in event["note"]
    after = cluster.find("job", name, "-n", namespace)
    assert before is not None
    assert after is not None
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert created_jobs(cluster) == []
    # When the name is free the run goes on without help.
    cluster.kubectl("delete", "job", name, "-n", namespace)
    assert run_started(cluster, namespace)["job"] == name


def kill_when_the_job_appears(cluster: Cluster, namespace: str, operator: OperatorProcess) -> None:
    def here() -> bool:
        return bool(cluster.items("jobs", namespace))

    cluster.eventually(here, "the Job")
    operator.kill()


def test_killed_after_the_job_appeared(cluster: Cluster, namespace: str, start: Start) -> None:
    operator = start()
    cluster.audit.mark()
    cluster.apply(load.training_job(namespace, "cars"))
    kill_when_the_job_appears(cluster, namespace, operator)
    start("second")
    run = run_started(cluster, namespace)
    jobs = cluster.items("jobs", namespace)
    assert [job["metadata"]["name"] for job in jobs] == [run["job"]]
    assert run["number"] == 1
    assert len(created_jobs(cluster)) == 1


def test_killed_between_the_job_and_the_status(cluster: Cluster, namespace: str, start: Start) -> None:
    """The state that a kill leaves behind at that very moment: the Job is there, the status is empty."""
    operator = start()
    cluster.apply(load.training_job(namespace, "cars"))
    first = run_started(cluster, namespace)
    operator.kill()
    status = '[{"op": "remove", "path": "/status"}]'
    arguments = ("patch", "trainingjob", "cars", "-n", namespace, "--subresource=status", "--type=json", "-p", status)
    cluster.kubectl(*arguments)
    cluster.audit.mark()
    start("second")
    run = run_started(cluster, namespace)
    assert (run["number"], run["job"]) == (first["number"], first["job"])
    assert len(cluster.items("jobs", namespace)) == 1
    assert created_jobs(cluster) == []


def test_a_job_deleted_in_mid_run_is_told_and_not_made_again(cluster: Cluster, namespace: str, start: Start) -> None:
    operator = start()
    cluster.apply(load.training_job(namespace, "cars"))
    name = run_started(cluster, namespace)["job"]
    cluster.audit.mark()
    cluster.kubectl("delete", "job", name, "-n", namespace)
    last = cluster.eventually(lambda: cluster.status("trainingjobs", namespace, "cars").get("lastRun"), "the end")
    assert (last["outcome"], last["cause"]) == ("Failed", "JobDeleted")
    operator.wait_quiet(60)
    assert created_jobs(cluster) == []


def test_a_request_to_run_that_waits_is_answered_when_the_run_ends(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    start()
    cluster.apply(load.training_job(namespace, "cars"))
    name = run_started(cluster, namespace)["job"]
    cluster.kubectl("annotate", "trainingjob", "cars", "-n", namespace, "modelmill.dev/run=again")

    def waits() -> Any:
        return cluster.status("trainingjobs", namespace, "cars").get("pendingTriggers")

    cluster.eventually(waits, "the request in pendingTriggers")
    cluster.kubectl("delete", "job", name, "-n", namespace)

    def second() -> bool:
        run = cluster.status("trainingjobs", namespace, "cars").get("currentRun") or {}
        return run.get("number") == 2 and run.get("reason") == "Manual"

    cluster.eventually(second, "run 2")
