"""TrainingJob: every way in which a run starts, goes on and ends, decided by the pure plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.contracts import result
from modelmill.engine.interface import Plan
from modelmill.kube.conditions import find, timestamp
from tests.support import objects as o
from tests.unit.training.planning import (
    IMAGE,
    complete,
    failed,
    finished,
    plan,
    service,
    stable,
    started,
    status_of,
    view,
)


def test_creation_starts_run_one_with_its_job_first() -> None:
    made = plan(view(o.training_job()), IMAGE)
    (job,) = made.create
    assert job["kind"] == "Job"
    run = status_of(made)["currentRun"]
    assert run["number"] == 1
    assert run["reason"] == "Spec"
    assert run["version"] == "cars-1"
    assert run["job"] == job["metadata"]["name"]
    assert [event.reason for event in made.events] == ["RunStarted"]


def test_job_keeps_credentials_from_the_train_stage() -> None:
    _, manifest = started()
    pod = manifest["spec"]["template"]["spec"]
    by_name = {c["name"]: {e["name"] for e in c["env"]} for c in [*pod["initContainers"], *pod["containers"]]}
    assert "AWS_SECRET_ACCESS_KEY" in by_name["fetch"]
    assert "AWS_SECRET_ACCESS_KEY" in by_name["publish"]
    assert "AWS_SECRET_ACCESS_KEY" not in by_name["train"] | by_name["evaluate"]
    mounts = {c["name"]: {m["name"] for m in c["volumeMounts"]} for c in pod["initContainers"]}
    assert "holdout" not in mounts["train"]


def test_any_image_runs_unchanged() -> None:
    _, manifest = started(train={"container": {"image": "mine:1", "args": ["--fast"]}})
    train = manifest["spec"]["template"]["spec"]["initContainers"][1]
    assert train["image"] == "mine:1"
    assert train["args"] == ["--fast"]
    assert "command" not in train
    rules = manifest["spec"]["podFailurePolicy"]["rules"]
    assert [r["onExitCodes"]["containerName"] for r in rules if "onExitCodes" in r] == ["fetch", "evaluate", "publish"]


def test_restart_between_job_and_status_finds_the_same_job() -> None:
    parent = o.training_job()
    first = plan(view(parent), IMAGE)
    manifest = dict(first.create[0])
    again = plan(view(parent, jobs={manifest["metadata"]["name"]: o.job(manifest)}), IMAGE)
    assert again.create == ()
    assert status_of(again)["currentRun"] == status_of(first)["currentRun"]


def test_number_is_above_every_version_of_the_model() -> None:
    versions = [o.model_version("cars-7", "Rejected"), o.model_version("other-9")]
    versions[1]["spec"]["model"] = "other"
    made = plan(view(o.training_job(), versions=versions), IMAGE)
    assert status_of(made)["currentRun"]["number"] == 8


def test_champion_is_the_newest_approved_version() -> None:
    versions = [
        o.model_version("cars-1", created="2026-01-01T00:00:00Z"),
        o.model_version("cars-2", created="2026-01-01T00:00:01Z"),
        o.model_version("cars-3", "Pending", created="2026-01-01T00:00:02Z"),
    ]
    made = plan(view(o.training_job(), versions=versions), IMAGE)
    assert status_of(made)["currentRun"]["champion"] == "cars-2"


def test_published_run_makes_an_approved_version_then_the_status() -> None:
    parent, manifest = started()
    made = complete(parent, manifest, o.published())
    (version,) = made.create
    assert version["metadata"]["name"] == "cars-1"
    assert version["metadata"]["ownerReferences"] == []
    assert version["spec"]["approval"] == "Approved"
    assert version["spec"]["metrics"] == {"mae": "2", "r2": "0.91"}
    status = status_of(made)
    assert "currentRun" not in status
    assert status["lastRun"]["outcome"] == "Published"
    assert status["latestVersion"] == "cars-1"
    assert status["best"] == "r2=0.91 (cars-1)"


@pytest.mark.parametrize(
    ("approval", "outcome", "expected"),
    [
        ("Manual", result.PUBLISHED, "Pending"),
        ("Automatic", result.PUBLISHED, "Approved"),
        ("Automatic", result.GATE_FAILED, "Rejected"),
        ("Manual", result.GATE_FAILED, "Rejected"),
    ],
)
def test_approval_follows_gates_and_policy(approval: str, outcome: str, expected: str) -> None:
    parent, manifest = started(versions={"approval": approval})
    made = complete(parent, manifest, o.published(outcome))
    assert made.create[0]["spec"]["approval"] == expected


def test_a_version_keeps_which_of_its_gates_failed() -> None:
    gates = {"gates": ("r2 0.2 is below 0.7", "mae 2 <= 3"), "reasons": ("r2 0.2 is below 0.7",)}
    parent, manifest = started()
    rejected = complete(parent, manifest, o.published(result.GATE_FAILED, reason="GateFailed", **gates))
    assert rejected.create[0]["spec"]["failedGates"] == ["r2 0.2 is below 0.7"]
    assert complete(parent, manifest, o.published(result.GATE_FAILED)).create[0]["spec"]["failedGates"]
    assert complete(parent, manifest, o.published()).create[0]["spec"]["failedGates"] == []


def test_failed_gates_are_not_an_error() -> None:
    status = finished(o.published(result.GATE_FAILED, reason="GateFailed", reasons=("r2 0.2 < 0.7",)))["status"]
    ready = find(status, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("True", "GateFailed")
    assert "r2 0.2 < 0.7" in ready["message"]
    assert status["consecutiveFailures"] == 0


def test_final_result_is_latched_when_the_job_disappears() -> None:
    parent = finished()
    version = o.model_version("cars-1")
    version["spec"]["metrics"] = {"r2": "0.91"}
    made = plan(view(parent, versions=[version]), IMAGE)
    assert made.create == ()
    assert made.status == parent["status"]


def test_planning_twice_changes_nothing() -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    pods = {name: [o.pod("p", [o.running("fetch")], [])]}
    once = plan(view(parent, jobs={name: o.job(manifest)}, pods=pods), IMAGE)
    twice = plan(
        view(o.with_status(parent, status_of(once)), jobs={name: o.job(manifest)}, pods=pods, now=o.later(99)), IMAGE
    )
    assert twice.status == once.status
    assert twice.create == ()


@pytest.mark.parametrize(
    ("init", "main", "phase"),
    [
        ([], [], "Pending"),
        ([o.running("fetch")], [], "Fetching"),
        ([o.ended("fetch", 0), o.running("prepare")], [], "Preparing"),
        ([o.ended("fetch", 0), o.ended("prepare", 0), o.running("divide")], [], "Preparing"),
        ([o.ended("fetch", 0), o.running("train")], [], "Training"),
        ([o.ended("fetch", 0), o.ended("train", 0), o.running("evaluate")], [], "Evaluating"),
        ([o.ended("fetch", 0), o.ended("train", 0), o.ended("evaluate", 0)], [o.running("publish")], "Publishing"),
    ],
)
def test_phase_is_the_stage_that_runs(init: list[Any], main: list[Any], phase: str) -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    pods = {name: [o.pod("p", init, main)]}
    made = plan(view(parent, jobs={name: o.job(manifest)}, pods=pods), IMAGE)
    assert status_of(made)["currentRun"]["phase"] == phase


def test_image_that_cannot_be_pulled_is_said_at_once() -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    pods = {name: [o.pod("p", [o.waiting("train", "ImagePullBackOff", "not found", "nowhere/x:1")], [])]}
    made = plan(view(parent, jobs={name: o.job(manifest)}, pods=pods), IMAGE)
    stalled = find(status_of(made), "Stalled")
    assert stalled is not None
    assert (stalled["status"], stalled["reason"]) == ("True", "ImagePullFailed")
    assert "nowhere/x:1" in stalled["message"]
    assert [event.reason for event in made.events] == ["ImagePullFailed"]


FAILURES = [
    (
        o.pod("p", [o.ended("fetch", 0), o.ended("train", 1, "loading\nKeyError: 'x'\n")], []),
        "TrainingFailed",
        "KeyError: 'x'",
    ),
    (o.pod("p", [o.ended("fetch", 0), o.ended("train", 137, "", "OOMKilled")], []), "OutOfMemory", "limits.memory"),
    (
        o.pod(
            "p",
            [o.ended("fetch", 3, result.encode(result.StageResult("DataRejected", "TargetMissing", ("no mpg",))))],
            [],
        ),
        "TargetMissing",
        "no mpg",
    ),
    (
        o.pod("p", [o.ended("fetch", 0), o.ended("prepare", 2, "reading\nValueError: line 3\n")], []),
        "PrepareFailed",
        "container prepare exited with code 2: ValueError: line 3",
    ),
]


@pytest.mark.parametrize(("pod", "cause", "text"), FAILURES)
def test_failure_names_container_code_and_last_line(pod: dict[str, Any], cause: str, text: str) -> None:
    parent, manifest = started()
    status = status_of(failed(parent, manifest, pod))
    ready = find(status, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", cause)
    assert text in ready["message"]
    assert "exited with code" in ready["message"]
    assert status["phase"] == "Failed"
    assert "latestVersion" not in status


FETCHED = result.encode_data(result.DataFacts(o.DIGEST, 100, 20))


@pytest.mark.parametrize(
    "later",
    [
        [o.ended("train", 1, "KeyError: 'x'\n")],
        [o.ended("train", 137, "", "OOMKilled")],
        [
            o.ended("train", 0),
            o.ended("evaluate", 3, result.encode(result.StageResult("Failed", "MetricInvalid", ("no r3",)))),
        ],
    ],
    ids=["train", "memory", "evaluate"],
)
def test_the_data_of_a_run_that_failed_later_are_known(later: list[dict[str, Any]]) -> None:
    parent, manifest = started()
    status = status_of(failed(parent, manifest, o.pod("p", [o.ended("fetch", 0, FETCHED, "Completed"), *later], [])))
    data = find(status, "DataValid")
    assert data is not None
    assert (data["status"], data["reason"]) == ("True", "Valid")
    assert o.DIGEST in data["message"]
    assert status["lastRun"]["dataDigest"] == o.DIGEST
    assert status["lastRun"]["outcome"] == "Failed"


@pytest.mark.parametrize("end", [(1, FETCHED), (0, "a line of its log"), (0, "{}")])
def test_data_that_were_not_fetched_are_not_checked(end: tuple[int, str]) -> None:
    parent, manifest = started()
    code, message = end
    status = status_of(
        failed(parent, manifest, o.pod("p", [o.ended("fetch", code, message), o.ended("train", 1, FETCHED)], []))
    )
    data = find(status, "DataValid")
    assert data is not None
    assert (data["status"], data["reason"]) == ("Unknown", "NotChecked")
    assert "dataDigest" not in status["lastRun"]


def test_rejected_data_is_a_condition_of_its_own() -> None:
    parent, manifest = started()
    data = find(status_of(failed(parent, manifest, FAILURES[2][0])), "DataValid")
    assert data is not None
    assert (data["status"], data["reason"]) == ("False", "TargetMissing")


def test_deadline_is_told_apart() -> None:
    parent, manifest = started()
    made = failed(parent, manifest, o.pod("p", [o.running("fetch")], []), "DeadlineExceeded")
    assert status_of(made)["lastRun"]["cause"] == "DeadlineExceeded"


def test_deleted_job_ends_the_run_and_does_not_run_again() -> None:
    parent, _ = started()
    made = plan(view(parent), IMAGE)
    assert made.create == ()
    assert status_of(made)["lastRun"]["cause"] == "JobDeleted"


def test_a_result_whose_pod_is_gone_is_lost() -> None:
    parent, manifest = started()
    jobs = {manifest["metadata"]["name"]: o.job(manifest, o.condition("Complete"))}
    made = plan(view(parent, jobs=jobs), IMAGE)
    assert status_of(made)["lastRun"]["cause"] == "ResultLost"


def test_success_needs_a_valid_message() -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    pods = {name: [o.pod("p", [], [o.ended("publish", 0, "oops", "Completed")], "Succeeded")]}
    made = plan(view(parent, jobs={name: o.job(manifest, o.condition("Complete"))}, pods=pods), IMAGE)
    assert status_of(made)["lastRun"]["cause"] == "ResultInvalid"
    assert made.create == ()


def test_change_of_what_trains_runs_again_and_other_changes_do_not() -> None:
    parent = finished()
    assert plan(view(parent), IMAGE).create == ()
    other = {**parent, "spec": {**parent["spec"], "description": "new words"}}
    assert plan(view(other), IMAGE).create == ()
    changed = {**parent, "spec": {**parent["spec"], "data": {**parent["spec"]["data"], "target": "hp"}}}
    assert status_of(plan(view(changed), IMAGE))["currentRun"]["number"] == 2


def test_annotation_runs_once_for_each_text() -> None:
    parent = finished()
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "monday"}
    made = plan(view(parent), IMAGE)
    assert status_of(made)["currentRun"]["reason"] == "Manual"
    assert status_of(made)["handledAnnotation"] == "monday"
    after = o.with_status(parent, {**status_of(made), "currentRun": None})
    assert plan(view(after), IMAGE).create == ()


def test_an_annotation_longer_than_what_is_kept_runs_once() -> None:
    parent = finished()
    for text, runs in (("x" * 300, True), ("x" * 300, False), ("x" * 256 + "y" * 44, False), ("y" * 300, True)):
        parent["metadata"]["annotations"] = {"modelmill.dev/run": text}
        made = plan(view(parent), IMAGE)
        assert bool(made.create) == runs, text
        parent = o.with_status(parent, {**status_of(made), "currentRun": None})


def test_alert_waits_for_the_cooldown_from_the_end_of_the_last_run() -> None:
    parent = finished()
    early = plan(view(parent, services=[service([o.alert()])], now=o.later(599)), IMAGE)
    assert early.create == ()
    assert early.requeue_after == pytest.approx(1.0)
    (pending,) = status_of(early)["pendingTriggers"]
    assert "cooldown until" in pending["message"]
    due = plan(view(parent, services=[service([o.alert()])], now=o.later(600)), IMAGE)
    run = status_of(due)["currentRun"]
    assert (run["reason"], run["triggers"]) == ("Alert", ["a1"])


def test_resolved_alert_cancels_the_waiting_run() -> None:
    parent = finished()
    waited = o.with_status(parent, status_of(plan(view(parent, services=[service([o.alert()])]), IMAGE)))
    made = plan(view(waited, services=[service([])], now=o.later(700)), IMAGE)
    assert made.create == ()
    assert "pendingTriggers" not in status_of(made)


def test_one_episode_never_runs_twice_and_many_alerts_run_once() -> None:
    parent = finished()
    alerts = [o.alert("a1"), o.alert("a2", feature="hp")]
    due = plan(view(parent, services=[service(alerts)], now=o.later(600)), IMAGE)
    assert status_of(due)["currentRun"]["triggers"] == ["a1", "a2"]
    running_now = o.with_status(parent, status_of(due))
    ended = o.with_status(parent, status_of(complete(running_now, dict(due.create[0]), o.published())))
    again = plan(view(ended, services=[service(alerts)], now=o.later(99_999)), IMAGE)
    assert again.create == ()


def test_an_alert_that_begins_after_a_run_whose_record_is_late_waits_for_the_next_one() -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    pods = {name: [o.pod("p", [], [o.ended("publish", 0, result.encode(o.published()), "Completed")], "Succeeded")]}
    jobs = {name: o.job(manifest, o.condition("Complete", moment=o.later(60)))}
    alerts = [
        o.alert("during", startsAt=timestamp(o.later(60))),
        o.alert("after", startsAt=timestamp(o.later(61))),
    ]
    made = plan(view(parent, jobs=jobs, pods=pods, services=[service(alerts)], now=o.later(90)), IMAGE)
    assert status_of(made)["lastRun"]["triggers"] == ["during"]
    after = plan(view(o.with_status(parent, status_of(made)), services=[service(alerts)], now=o.later(99_999)), IMAGE)
    assert status_of(after)["currentRun"]["triggers"] == ["after"]


def test_alerts_that_begin_while_a_run_trains_are_answered_by_it() -> None:
    parent = finished()
    due = plan(view(parent, services=[service([o.alert("a1")])], now=o.later(600)), IMAGE)
    running_now = o.with_status(parent, status_of(due))
    manifest = dict(due.create[0])
    name = manifest["metadata"]["name"]
    more = [service([o.alert("a1"), o.alert("a2", feature="hp")])]
    pods = {name: [o.pod("p", [], [o.ended("publish", 0, result.encode(o.published()), "Completed")], "Succeeded")]}
    jobs = {name: o.job(manifest, o.condition("Complete", moment=o.later(700)))}
    made = plan(view(running_now, jobs=jobs, pods=pods, services=more, now=o.later(700)), IMAGE)
    assert status_of(made)["lastRun"]["triggers"] == ["a1", "a2"]
    after = o.with_status(parent, status_of(made))
    assert plan(view(after, services=more, now=o.later(99_999)), IMAGE).create == ()


def test_alert_waits_while_its_remedy_is_rolled_out_and_counts_again_when_it_is_taken_back() -> None:
    parent = finished()
    serving = service([o.alert("late")])
    serving["spec"]["model"] = {"name": "cars", "follow": "Approved"}
    serving["status"]["stable"] = stable("cars-1")
    versions = [o.model_version("cars-1"), o.model_version("cars-2", created="2026-01-02T00:00:00Z")]
    world = {"services": [serving], "versions": versions, "now": o.later(9999)}
    held = plan(view(parent, **world), IMAGE)
    assert held.create == ()
    assert "cars-2 is newer" in status_of(held)["pendingTriggers"][0]["message"]
    given_up = {**serving, "status": {**serving["status"], "failedRevision": "abc"}}
    assert len(plan(view(parent, **{**world, "services": [given_up]}), IMAGE).create) == 1


def test_what_a_person_went_back_from_is_no_remedy_on_its_way() -> None:
    parent = finished()
    serving = service([o.alert("late")])
    serving["spec"]["model"] = {"name": "cars", "follow": "Approved"}
    back = {"version": "cars-1", "left": ["cars-2"], "time": o.model_version("cars-2")["spec"]["trained"]}
    serving["status"] |= {"stable": stable("cars-1"), "rollback": back}
    versions = [o.model_version("cars-1"), o.model_version("cars-2", created="2026-01-02T00:00:00Z")]
    world = {"services": [serving], "now": o.later(9999)}
    assert len(plan(view(parent, versions=versions, **world), IMAGE).create) == 1
    newer = [*versions, o.model_version("cars-3", created="2026-01-02T01:00:00Z")]
    assert plan(view(parent, versions=newer, **world), IMAGE).create == (), "cars-3 was not left"


@pytest.mark.parametrize(
    ("kind", "about", "held", "starts"),
    [
        ("Quality", "cars-1", [], False),
        ("Quality", "cars-1", ["another"], False),
        ("Quality", None, [], False),
        ("Quality", "cars-1", ["late"], True),
        ("Quality", "cars-0", [], True),
        ("Drift", "cars-1", [], True),
    ],
)
def test_an_alert_for_which_the_version_before_may_come_back_waits(
    kind: str, about: str | None, held: list[str], *, starts: bool
) -> None:
    parent = finished()
    told = o.alert("late", kind, **({"version": about} if about is not None else {}))
    made = []
    for more in ({}, {"rollback": {}}):
        serving = service([told], on=("Drift", "Quality"))
        serving["spec"]["monitoring"] |= more
        serving["status"] |= {"stable": stable("cars-1"), "rollbackHeld": held}
        seen = view(parent, services=[serving], versions=[o.model_version("cars-1")], now=o.later(9999))
        made.append(plan(seen, IMAGE))
    assert len(made[0].create) == 1, "without spec.monitoring.rollback"
    assert len(made[1].create) == starts
    if not starts:
        (waiting,) = status_of(made[1])["pendingTriggers"]
        assert waiting["hold"] == "RollbackFirst"
        assert "the version before cars-1" in waiting["message"]


@pytest.mark.parametrize(
    ("spec", "target", "on"),
    [
        ({"triggers": {"alerts": {"enabled": False}}}, "cars", ("Drift",)),
        ({}, "others", ("Drift",)),
        ({}, "cars", ("Quality",)),
    ],
)
def test_alert_needs_a_target_that_opted_in(spec: dict[str, Any], target: str, on: tuple[str, ...]) -> None:
    parent = finished(**spec)
    made = plan(view(parent, services=[service([o.alert()], target, on)], now=o.later(9999)), IMAGE)
    assert made.create == ()


def test_too_many_failures_stop_alerts_until_a_person_acts() -> None:
    parent = finished()
    parent["status"]["consecutiveFailures"] = 2
    world = {"services": [service([o.alert()])], "now": o.later(9999)}
    held = plan(view(parent, **world), IMAGE)
    assert held.create == ()
    assert find(status_of(held), "RetrainSuspended") is not None
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    acted = plan(view(parent, **world), IMAGE)
    assert status_of(acted)["consecutiveFailures"] == 0
    assert status_of(acted)["currentRun"]["triggers"] == ["a1"]


def test_suspended_starts_nothing_and_remembers() -> None:
    made = plan(view(o.training_job(runPolicy={"suspend": True})), IMAGE)
    assert made.create == ()
    assert status_of(made)["phase"] == "Suspended"
    assert status_of(made)["pendingTriggers"][0]["reason"] == "Spec"


def test_job_is_deleted_only_after_its_time_and_its_result() -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    jobs = {name: o.job(manifest, o.condition("Complete"))}
    parent = o.with_status(parent, status_of(complete(parent, manifest, o.published())))
    kept = plan(view(parent, jobs=jobs, now=o.later(10)), IMAGE)
    assert kept.delete == ()
    assert kept.requeue_after == pytest.approx(86_390)
    gone = plan(view(parent, jobs=jobs, now=o.later(86_400)), IMAGE)
    assert [one.name for one in gone.delete] == [name]


def job_of_run(number: int, *conditions: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a Job as run `number` has it."""
    _, manifest = started()
    name = manifest["metadata"]["name"].replace("cars-1-", f"cars-{number}-")
    labels = {**manifest["metadata"]["labels"], "modelmill.dev/run-number": str(number)}
    meta = {**manifest["metadata"], "name": name, "labels": labels}
    return name, o.job({**manifest, "metadata": meta}, *conditions)


def after_runs(*numbers: int) -> dict[str, Any]:
    """Return a TrainingJob that remembers these runs, the newest first."""
    parent = finished()
    last = parent["status"]["lastRun"]
    runs = [{**last, "number": number, "job": job_of_run(number)[0]} for number in numbers]
    return o.with_status(parent, {**parent["status"], "lastRun": runs[0], "runs": runs})


def test_jobs_of_runs_that_are_no_more_remembered_are_deleted_after_their_time() -> None:
    parent = after_runs(*range(14, 4, -1))
    jobs = dict(
        [
            job_of_run(2, o.condition("Failed", moment=o.later(-90_000))),
            job_of_run(3, o.condition("Complete", moment=o.later(-90_000))),
            job_of_run(4, o.condition("Complete", moment=o.later(-86_000))),
            job_of_run(5, o.condition("Complete")),
        ]
    )
    made = plan(view(parent, jobs=jobs), IMAGE)
    assert [one.name for one in made.delete] == [job_of_run(number)[0] for number in (2, 3)]
    assert made.requeue_after == pytest.approx(400)
    assert len(plan(view(parent, jobs=jobs, now=o.later(401)), IMAGE).delete) == 3


def test_a_job_of_a_run_that_was_never_recorded_is_deleted_when_a_later_run_is() -> None:
    name, job = job_of_run(3)
    assert plan(view(after_runs(2), jobs={name: job}), IMAGE).delete == ()
    assert [one.name for one in plan(view(after_runs(4), jobs={name: job}), IMAGE).delete] == [name]


def test_a_job_that_somebody_else_made_for_the_training_job_is_left_alone() -> None:
    _, job = job_of_run(3, o.condition("Complete", moment=o.later(-90_000)))
    job["metadata"]["name"] = "cars-by-hand"
    unlabelled = {**job, "metadata": {**job["metadata"], "name": "cars-3", "labels": {}}}
    found = {"cars-by-hand": job, "cars-3": unlabelled}
    assert plan(view(after_runs(4), jobs=found), IMAGE).delete == ()


def test_deleted_training_job_is_left_alone() -> None:
    parent = o.training_job()
    parent["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert plan(view(parent), IMAGE) == Plan()


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["tick", "alert", "resolve", "finish", "fail", "annotate", "stick", "free", "correct"]),
        max_size=25,
    )
)
def test_any_order_of_events_keeps_one_run_and_loses_no_number(events: list[str]) -> None:
    parent: dict[str, Any] = o.training_job(retrain={"cooldownSeconds": 0, "maxConsecutiveFailures": 100})
    jobs: dict[str, Any] = {}
    pods: dict[str, Any] = {}
    alerts: list[dict[str, Any]] = []
    numbers: list[int] = []
    for turn, event in enumerate(events):
        current = (parent.get("status") or {}).get("currentRun")
        if event == "alert":
            alerts = [*alerts, o.alert(f"a{turn}")]
        elif event == "resolve":
            alerts = []
        elif event == "annotate":
            parent["metadata"]["annotations"] = {"modelmill.dev/run": str(turn)}
        elif event == "correct":
            parent["spec"]["podTemplate"] = {"nodeSelector": {"turn": str(turn)}}
        elif event in ("stick", "free") and current:
            state = o.waiting("train", "ImagePullBackOff") if event == "stick" else o.running("train")
            pods[current["job"]] = [o.pod("p", [o.ended("fetch", 0), state], [])]
        elif event in ("finish", "fail") and current:
            name = current["job"]
            kind = "Complete" if event == "finish" else "Failed"
            message = result.encode(o.published())
            jobs[name] = o.job(jobs[name], o.condition(kind), failed=int(event == "fail"))
            pods[name] = [o.pod("p", [], [o.ended("publish", 0 if event == "finish" else 1, message)])]
        now = o.later(turn)
        seen = view(parent, jobs=jobs, pods=pods, services=[service(alerts)], now=now)
        made = plan(seen, IMAGE)
        assert plan(replace(seen), IMAGE) == made
        gone = {one.name for one in made.delete}
        assert not gone & {one["metadata"]["name"] for one in made.create}
        assert not current or current["job"] not in gone
        for name in gone:
            del jobs[name]
        for child in made.create:
            if child["kind"] == "Job":
                assert child["metadata"]["name"] not in jobs
                jobs[child["metadata"]["name"]] = o.job(dict(child))
                numbers.append(int(child["metadata"]["labels"]["modelmill.dev/run-number"]))
        parent = o.with_status(parent, status_of(made))
        assert len([job for job in jobs.values() if not job["status"]["conditions"]]) <= 1
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("stage", ["fetch", "train", "publish"])
def test_exit_code_0_is_no_success_when_the_kernel_killed_a_process_of_the_stage(stage: str) -> None:
    parent, manifest = started()
    message = result.encode(o.published())
    told = {name: o.ended(name, 0, message if name == "publish" else "", "Completed") for name in ("fetch", "train")}
    told["publish"] = o.ended("publish", 0, message, "Completed")
    told[stage]["state"]["terminated"]["reason"] = "OOMKilled"
    pod = o.pod("p", [told["fetch"], told["train"]], [told["publish"]], "Succeeded")
    name = manifest["metadata"]["name"]
    made = plan(view(parent, jobs={name: o.job(manifest, o.condition("Complete"))}, pods={name: [pod]}), IMAGE)
    last = status_of(made)["lastRun"]
    assert (last["outcome"], last["cause"]) == ("Failed", "OutOfMemory")
    assert f"container {stage}" in last["message"]


def test_a_champion_that_the_kernel_killed_is_the_evaluate_stages_to_judge() -> None:
    """It watches the process in which models run, and ends well only when there is something to publish all the same."""
    parent, manifest = started()
    message = result.encode(o.published())
    evaluate = o.ended("evaluate", 0, "", "OOMKilled")
    pod = o.pod(
        "p", [o.ended("fetch", 0), o.ended("train", 0), evaluate], [o.ended("publish", 0, message)], "Succeeded"
    )
    name = manifest["metadata"]["name"]
    made = plan(view(parent, jobs={name: o.job(manifest, o.condition("Complete"))}, pods={name: [pod]}), IMAGE)
    assert status_of(made)["lastRun"]["outcome"] == "Published"


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_stage_in_which_a_tenants_code_runs_states_no_facts_when_it_fails(stage: str) -> None:
    parent, manifest = started()
    forged = replace(o.published(), outcome=result.FAILED, reason="MyReason", reasons=("it is broken",))
    pod = o.pod("p", [o.ended("fetch", 0), o.ended(stage, 1, result.encode(forged))], [])
    name = manifest["metadata"]["name"]
    job = o.job(manifest, o.condition("Failed", "BackoffLimitExceeded"), failed=1)
    last = status_of(plan(view(parent, jobs={name: job}, pods={name: [pod]}), IMAGE))["lastRun"]
    assert (last["outcome"], last["cause"]) == ("Failed", "MyReason")
    assert "metrics" not in last
    assert "dataDigest" not in last
