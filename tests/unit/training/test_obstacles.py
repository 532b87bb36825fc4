"""A run that cannot go on says so: in Ready, and in Stalled when it needs help."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelmill import app
from modelmill.api.resources import TRAINING_JOBS
from modelmill.engine.cache import Cache
from modelmill.engine.known import Known
from modelmill.kube.conditions import find
from modelmill.kube.objects import Key
from modelmill.kube.resources import CORE_EVENTS, JOBS
from modelmill.training.part import keys_of_refusal
from modelmill.workloads import refusals
from tests.crash.world import CONFIG
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, plan, started, status_of, view

STAGES = ("fetch", "train", "evaluate")
NO_NODE = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: insufficient memory"}


def conditions(pods: list[dict[str, Any]], **more: Any) -> dict[str, dict[str, Any]]:
    """Return the conditions by type of a TrainingJob whose run 1 has these pods."""
    parent = o.training_job()
    first = plan(view(parent), IMAGE)
    job = o.job(dict(first.create[0]), **{name: more.pop(name) for name in ("failed",) if name in more})
    name = job["metadata"]["name"]
    job["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z"
    seen = view(o.with_status(parent, status_of(first)), jobs={name: job}, pods={name: pods}, **more)
    status = status_of(plan(seen, IMAGE))
    return {kind: dict(find(status, kind) or {}) for kind in ("Ready", "Running", "Stalled")}


def test_pod_without_a_node_is_not_ready_and_may_still_get_one() -> None:
    pod = o.pod("p", [], [], "Pending")
    pod["status"]["conditions"] = [NO_NODE]
    found = conditions([pod])
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "Unschedulable")
    assert "insufficient memory" in found["Ready"]["message"]
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("False", "Unschedulable")
    assert "insufficient memory" in found["Stalled"]["message"]


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CreateContainerConfigError"])
def test_pod_that_needs_help_is_not_ready(reason: str) -> None:
    found = conditions([o.pod("p", [o.waiting("fetch", reason, "no such thing")], [])])
    assert (found["Ready"]["status"], found["Stalled"]["status"]) == ("False", "True")


def test_run_that_goes_on_is_ready() -> None:
    found = conditions([o.pod("p", [o.running("fetch")], [])])
    assert (found["Ready"]["status"], found["Stalled"]["status"]) == ("True", "False")


QUOTA = 'pods "cars-1-x" is forbidden: exceeded quota: small, requested: cpu=100m, used: cpu=2, limited: cpu=2'


def told(message: str, last: str = "2026-01-02T03:04:06Z", **more: Any) -> dict[str, Any]:
    return {"type": "Warning", "reason": "FailedCreate", "message": message, "lastTimestamp": last, **more}


def test_pods_that_are_refused_are_told_in_the_words_of_who_refuses_them() -> None:
    found = conditions([], now=o.later(10), events=[told(f"Error creating: {QUOTA}")])
    for kind, status in (("Ready", "False"), ("Stalled", "True"), ("Running", "True")):
        assert (found[kind]["status"], found[kind]["reason"]) == (status, "PodsRefused")
        assert QUOTA in found[kind]["message"]
    assert "Error creating" not in found["Ready"]["message"]


def test_newest_refusal_counts() -> None:
    events = [told("quota one", "2026-01-02T03:04:09Z"), told("quota two", "2026-01-02T03:04:12Z"), told("old")]
    assert "quota two" in conditions([], now=o.later(10), events=events)["Ready"]["message"]


def test_refusal_before_the_last_pod_is_history() -> None:
    pod = o.pod("p", [o.ended("fetch", 1)], [], "Failed", created="2026-01-02T03:04:10Z")
    events = [told("quota", "2026-01-02T03:04:07Z")]
    found = conditions([pod], failed=1, now=o.later(60), events=events)
    assert found["Ready"]["reason"] == "RunInProgress"


@pytest.mark.parametrize(
    ("pods", "seconds", "reason"),
    [
        ([], 1, "RunInProgress"),
        ([], 10, "PodsRefused"),
        ([o.pod("p", [], [], "Pending", created="2026-01-02T03:04:05Z")], 10, "RunInProgress"),
    ],
    ids=["a moment", "no pod", "a pod"],
)
def test_a_refusal_is_told_only_when_a_pod_is_missing_for_long(
    pods: list[dict[str, Any]], seconds: int, reason: str
) -> None:
    found = conditions(pods, now=o.later(seconds), events=[told("quota")])
    assert found["Ready"]["reason"] == reason


def test_job_without_a_pod_is_looked_at_again_only_for_a_refusal_that_is_not_told_yet() -> None:
    parent = o.training_job()
    first = plan(view(parent), IMAGE)
    job = o.job(dict(first.create[0]))
    job["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z"
    jobs = {job["metadata"]["name"]: job}
    parent = o.with_status(parent, status_of(first))

    def waits(events: list[dict[str, Any]]) -> list[float | None]:
        moments = [o.later(seconds) for seconds in (1, 6, 60, 9999)]
        return [plan(view(parent, jobs=jobs, now=now, events=events), IMAGE).requeue_after for now in moments]

    assert waits([told("quota")]) == [4, None, None, None]
    assert waits([]) == [None] * 4


def cached(*events: dict[str, Any]) -> Cache:
    """Return the cache that the operator would have, with these Events and the Job j of a TrainingJob."""
    watches = {watch.resource: watch for watch in app.watches(app.controllers(CONFIG))}
    cache = Cache(
        indexes={kind: watch.indexes for kind, watch in watches.items()},
        reduced={kind: watch.reduced for kind, watch in watches.items()},
    )
    owner = {"apiVersion": TRAINING_JOBS.api_version, "kind": "TrainingJob", "name": "cars", "uid": "tj-uid"}
    meta = {"name": "j", "namespace": "ml", "uid": "j-uid", "resourceVersion": "5"}
    cache.put(JOBS, {"metadata": {**meta, "ownerReferences": [{**owner, "controller": True}]}})
    for event in events:
        cache.put(CORE_EVENTS, event)
    return cache


def about(name: str, uid: str, namespace: str = "ml", message: str = "quota") -> dict[str, Any]:
    meta = {"name": f"{name}.1", "namespace": namespace, "uid": "e-uid", "resourceVersion": "7", "managedFields": [{}]}
    involved = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "namespace": namespace, "uid": uid}
    return {"metadata": meta, "involvedObject": involved, **told(message)}


def test_an_event_wakes_the_training_job_of_its_job_and_a_strangers_wakes_nobody() -> None:
    cache = cached()
    assert list(keys_of_refusal(about("j", "j-uid"), cache)) == [Key("ml", "cars")]
    assert list(keys_of_refusal(about("j", "of a namesake before"), cache)) == []
    assert list(keys_of_refusal(about("j", "j-uid", "other"), cache)) == []
    assert list(keys_of_refusal(about("nightly-28000000", "n-uid"), cache)) == []


def test_of_an_event_little_is_kept_and_it_is_found_by_its_job() -> None:
    cache = cached(about("j", "j-uid", message="Error creating: " + "long " * 100_000))
    (event,) = cache.found_by(CORE_EVENTS, "ml", refusals.ABOUT, "j-uid")
    assert len(json.dumps(event)) < 1500
    assert event["message"].startswith("long long")
    assert list(keys_of_refusal(event, cache)) == [Key("ml", "cars")]
    assert not cache.found_by(CORE_EVENTS, "ml", refusals.ABOUT, "")


@pytest.mark.parametrize(
    ("times", "told_since"),
    [
        ({"lastTimestamp": "2026-01-02T03:04:06Z"}, True),
        ({"lastTimestamp": None, "series": {"count": 2, "lastObservedTime": "2026-01-02T03:04:06.000007Z"}}, True),
        ({"lastTimestamp": None, "eventTime": "2026-01-02T03:04:06.000007Z"}, True),
        ({"lastTimestamp": "2026-01-02T03:04:04Z", "eventTime": "2026-01-02T03:04:06.000007Z"}, False),
        ({"lastTimestamp": None}, False),
    ],
)
def test_what_is_kept_has_the_time_when_the_event_happened_last(times: dict[str, Any], told_since: bool) -> None:
    job = {"metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"}}
    event = refusals.reduced({**about("j", "j-uid"), **times})
    assert (refusals.refusal(job, [], [event]) is not None) == told_since


def test_events_that_may_not_be_read_stop_no_training_job() -> None:
    table = app.controllers(CONFIG)
    known = Known(table, ())
    for watch in app.watches(table):
        if watch.resource != CORE_EVENTS:
            known.add((watch.resource, None))
    assert known.plans(TRAINING_JOBS, Key("ml", "cars"))
    assert not known.missing()


@pytest.mark.parametrize(
    ("pod", "progress"),
    [
        (o.pod("p", [o.waiting("fetch", "CreateContainerConfigError")], []), "0/4 ContainerConfigInvalid"),
        (o.pod("p", [o.ended("fetch", 0), o.waiting("train", "ImagePullBackOff")], []), "1/4 ImagePullFailed"),
        (
            o.pod("p", [o.ended("fetch", 0), o.ended("train", 0), o.waiting("evaluate", "ErrImagePull")], []),
            "2/4 ImagePullFailed",
        ),
        (
            o.pod("p", [o.ended(one, 0) for one in STAGES], [o.waiting("publish", "ErrImagePull")]),
            "3/4 ImagePullFailed",
        ),
        (o.pod("p", [o.ended("fetch", 0), o.running("train")], []), "2/4 train"),
        (o.pod("p", [o.ended("fetch", 0), o.ended("train", 0), o.running("evaluate")], []), "3/4 evaluate"),
        (o.pod("p", [o.ended(one, 0) for one in STAGES], [o.running("publish")]), "4/4 publish"),
        (o.pod("p", [o.ended("fetch", 0)], []), "1/4 fetch"),
        (o.pod("p", [], []), "0/4"),
    ],
)
def test_progress_tells_the_stages_that_are_done_and_what_is_in_the_way(pod: dict[str, Any], progress: str) -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    made = plan(view(parent, jobs={name: o.job(manifest)}, pods={name: [pod]}), IMAGE)
    assert status_of(made)["progress"] == progress


def test_progress_of_a_run_whose_pods_are_refused_or_find_no_node() -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    manifest["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z"
    jobs = {name: o.job(manifest)}
    refused = view(parent, jobs=jobs, events=[told("quota")], now=o.later(10))
    assert status_of(plan(refused, IMAGE))["progress"] == "0/4 PodsRefused"
    pod = o.pod("p", [], [], "Pending")
    pod["status"]["conditions"] = [NO_NODE]
    assert status_of(plan(view(parent, jobs=jobs, pods={name: [pod]}), IMAGE))["progress"] == "0/4 Unschedulable"
