"""An alert about data that have not changed since the last version: the run ends after fetch and trains nothing."""

from __future__ import annotations

import json
from typing import Any

from modelmill.contracts import names, result, stage
from modelmill.engine.interface import Plan
from modelmill.kube.conditions import find
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, failed, finished, plan, service, status_of, view

UNCHANGED = result.StageResult(
    result.UNCHANGED, "Unchanged", ("the data are those of the last version.",), data=result.DataFacts(o.DIGEST, 0, 0)
)
ALERTS = {"services": [service([o.alert("a1")])], "now": o.later(600)}


def told(made: Plan) -> stage.StageSpec:
    """Return what the fetch stage of the run that the plan starts is told."""
    (job,) = made.create
    fetch = job["spec"]["template"]["spec"]["initContainers"][0]
    return stage.decode(next(one["value"] for one in fetch["env"] if one["name"] == names.ENV_STAGE))


def unchanged() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the status before and after a run of an alert that found the data unchanged."""
    parent = finished()
    parent["status"]["consecutiveFailures"] = 1
    due = plan(view(parent, **{**ALERTS, "now": o.later(1200)}), IMAGE)
    running = o.with_status(parent, status_of(due))
    pod = o.pod("p", [o.ended("fetch", names.EXIT_FINAL, result.encode(UNCHANGED))], [], "Failed")
    return parent["status"], status_of(failed(running, dict(due.create[0]), pod, "PodFailurePolicy"))


def test_only_a_run_of_an_alert_is_told_the_digest_of_the_last_version() -> None:
    parent = finished()
    assert told(plan(view(parent, **ALERTS), IMAGE)).unless_digest == o.DIGEST
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    assert told(plan(view(parent, **ALERTS), IMAGE)).unless_digest is None


def test_rejected_version_counts_as_the_last_and_a_failed_run_does_not() -> None:
    parent = finished(o.published(result.GATE_FAILED))
    last = {**parent["status"]["lastRun"], "number": 2, "outcome": "Failed", "dataDigest": "sha256:" + "b" * 64}
    parent["status"] |= {"lastRun": last, "runs": [last, *parent["status"]["runs"]]}
    assert told(plan(view(parent, **{**ALERTS, "now": o.later(9999)}), IMAGE)).unless_digest == o.DIGEST


def test_version_that_was_trained_otherwise_does_not_count() -> None:
    parent = finished()
    for run in parent["status"]["runs"]:
        run["trainedHash"] = "another"
    assert told(plan(view(parent, **ALERTS), IMAGE)).unless_digest is None


def test_a_script_may_have_changed_though_the_data_have_not() -> None:
    parent = finished(train={"script": {"configMapRef": {"name": "own"}}})
    assert told(plan(view(parent, **ALERTS), IMAGE)).unless_digest is None


def test_unchanged_is_neither_a_failure_nor_a_version() -> None:
    before, after = unchanged()
    assert after["lastRun"]["outcome"] == "Unchanged"
    assert after["lastRun"]["triggers"] == ["a1"]
    assert "version" not in after["lastRun"]
    for name in ("consecutiveFailures", "consecutiveRejections", "latestVersion"):
        assert after[name] == before[name]
    assert after["phase"] == "Idle"
    expected = {"Ready": ("True", "Unchanged"), "Stalled": ("False", "NotStalled"), "DataValid": ("True", "Valid")}
    for kind, said in expected.items():
        condition = find(after, kind)
        assert condition is not None
        assert (condition["status"], condition["reason"]) == said


def test_only_fetch_can_say_that_the_data_are_unchanged() -> None:
    parent = finished()
    due = plan(view(parent, **ALERTS), IMAGE)
    pod = o.pod("p", [o.ended("fetch", 0), o.ended("train", 1, result.encode(UNCHANGED))], [], "Failed")
    status = status_of(failed(o.with_status(parent, status_of(due)), dict(due.create[0]), pod))
    assert status["lastRun"]["outcome"] == "Failed"


def test_older_stages_are_told_nothing_new() -> None:
    spec = told(plan(view(finished(), **ALERTS), IMAGE))
    without = {name: value for name, value in json.loads(stage.encode(spec)).items() if name != "unless_digest"}
    assert stage.decode(json.dumps(without)).unless_digest is None
