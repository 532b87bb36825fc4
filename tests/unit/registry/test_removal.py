"""deletionPolicy Delete: the artifact goes with its version, once, unless it is another's too; and nothing waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelmill.api.references import OF_SERVICES, OF_VERSIONS
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.app import NothingThere
from modelmill.contracts import names, result
from modelmill.engine.cache import Cache
from modelmill.engine.interface import Plan
from modelmill.engine.parts import Composed
from modelmill.kube.conditions import find
from modelmill.kube.labels import IN_USE_FINALIZER
from modelmill.kube.resources import JOBS, NETWORK_POLICIES, PODS
from modelmill.registry.part import registry_part
from modelmill.registry.removal import DEADLINE_SECONDS, JOB_SECONDS, sharers_of
from modelmill.workloads.containers import Image
from modelmill.workloads.network import Network
from tests.support import objects as o

Object = dict[str, Any]
DELETED = "2026-01-02T03:04:05Z"


def version(name: str = "cars-1", policy: str = "Delete", *, deleted: bool = True, **meta: Any) -> Object:
    made = o.model_version(name)
    made["spec"]["deletionPolicy"] = policy
    made["metadata"]["finalizers"] = [IN_USE_FINALIZER]
    if deleted:
        made["metadata"]["deletionTimestamp"] = DELETED
    made["metadata"] |= meta
    return made


def shared(one: Object, **change: Any) -> Object:
    """Return a version with the artifact of cars-1."""
    one["spec"]["artifact"] = {**version()["spec"]["artifact"], **change}
    return one


class Registry:
    """One version that is being deleted, others, and a clock. `plan` is carried out as far as the next plan can see it."""

    def __init__(self, one: Object, *others: Object, network: Network | None = None) -> None:
        self.version = one
        self.others = others
        self.services: list[Object] = []
        self.jobs: list[Object] = []
        self.pods: list[Object] = []
        self.time = 0.0
        self._part = registry_part(Image("trainer:1"), network, NothingThere())

    def plan(self) -> Plan:
        cache = Cache(indexes={INFERENCE_SERVICES: OF_SERVICES, MODEL_VERSIONS: OF_VERSIONS})
        kinds = {MODEL_VERSIONS: [self.version, *self.others], INFERENCE_SERVICES: self.services}
        for kind, objects in {**kinds, JOBS: self.jobs, PODS: self.pods}.items():
            for number, one in enumerate(objects):
                meta = {**one["metadata"], "resourceVersion": str(number + 1)}
                cache.put(kind, {**one, "metadata": meta})
        made = asyncio.run(Composed([self._part])(self.version, cache, o.later(self.time)))
        if made.status is not None:
            self.version = {**self.version, "status": made.status}
        owner = [{"kind": "ModelVersion", "uid": self.version["metadata"]["uid"], "controller": True}]
        for job in made.create:
            self.jobs.append({**job, "metadata": {**job["metadata"], "uid": "job-uid", "ownerReferences": owner}})
        return made

    def begun(self) -> Registry:
        """Come to where the Job is made."""
        assert not self.plan().create, "the start is written before the Job is asked for"
        assert self.plan().create
        return self

    def ended(self, kind: str, *pods: Object) -> Registry:
        self.jobs[0]["status"] = {"conditions": [o.condition(kind, "BackoffLimitExceeded")]}
        owner = [{"kind": "Job", "uid": "job-uid", "controller": True}]
        self.pods = [{**pod, "metadata": {**pod["metadata"], "ownerReferences": owner}} for pod in pods]
        return self


def ending(made: Plan) -> tuple[str, str]:
    """Return type, reason and words of the Event with which a version goes."""
    assert made.finalizer is False
    assert made.create == []
    (event,) = made.events
    return f"{event.type} {event.reason}", event.message


def test_the_finalizer_is_there_only_while_it_is_needed() -> None:
    assert Registry(version(deleted=False)).plan().finalizer is True
    assert Registry(version(policy="Retain", deleted=False)).plan().finalizer is False
    retained = Registry(version(policy="Retain")).plan()
    assert (retained.finalizer, retained.create, retained.events) == (False, [], [])
    never_held = Registry(version(finalizers=[])).plan()
    assert (never_held.finalizer, never_held.create) == (False, [])


def test_the_artifact_goes_by_a_job_with_the_stores_keys_and_then_the_version() -> None:
    registry = Registry(version(), network=Network())
    registry.begun()
    made = registry.plan()
    assert made.finalizer is None
    assert made.create == []
    (policy,) = made.apply
    (job,) = registry.jobs
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert container["args"] == [names.STAGE_REMOVE]
    assert (env[names.ENV_ARTIFACT_URI], env[names.ENV_ARTIFACT_DIGEST]) == (
        "s3://models/prod/ml/cars/cars-1/",
        o.DIGEST,
    )
    assert {names.ENV_ACCESS_KEY, names.ENV_SECRET_KEY, names.ENV_ENDPOINT} <= env.keys()
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert job["spec"]["activeDeadlineSeconds"] == JOB_SECONDS < DEADLINE_SECONDS
    removed = find(registry.version["status"], "ArtifactRemoved")
    assert removed is not None
    assert (removed["status"], removed["reason"]) == ("False", "Removing")
    assert registry.version["status"]["stage"] == "Deleting"
    assert ending(registry.ended("Complete").plan()) == (
        "Normal ArtifactRemoved",
        "s3://models/prod/ml/cars/cars-1/ was removed",
    )


def test_without_network_policies_none_is_made() -> None:
    assert list(Registry(version()).begun().plan().apply) == []
    assert NETWORK_POLICIES not in [
        child.resource for child in registry_part(Image("t:1"), None, NothingThere()).children
    ]


def test_a_job_that_fails_lets_the_version_go_and_says_why() -> None:
    told = result.encode(result.StageResult("Failed", "StoreAuthFailed", ("the store refuses the keys",)))
    pod = o.pod("p", [], [o.ended(names.STAGE_REMOVE, 3, told)], "Failed")
    kind, words = ending(Registry(version()).begun().ended("Failed", pod).plan())
    assert kind == "Warning ArtifactKept"
    assert "s3://models/prod/ml/cars/cars-1/ was not removed" in words
    assert "StoreAuthFailed: the store refuses the keys" in words


def never_made(registry: Registry) -> None:
    registry.plan()


def never_ends(registry: Registry) -> None:
    registry.begun()


def never_runs(registry: Registry) -> None:
    registry.begun()
    registry.ended(
        "Suspended", o.pod("p", [], [o.waiting(names.STAGE_REMOVE, "ErrImagePull", "no such image")], "Pending")
    )


@pytest.mark.parametrize(
    ("so_far", "words"),
    [(never_made, "its Job was not made"), (never_ends, "did not end"), (never_runs, "no such image")],
)
def test_nothing_is_waited_for_beyond_the_deadline(so_far: Callable[[Registry], None], words: str) -> None:
    registry = Registry(version())
    so_far(registry)
    registry.time = DEADLINE_SECONDS - 1
    made = registry.plan()
    assert made.finalizer is None
    assert made.requeue_after is not None
    assert made.requeue_after <= 1
    registry.time = DEADLINE_SECONDS
    registry.jobs = registry.jobs if so_far is not never_made else []
    kind, told = ending(registry.plan())
    assert kind == "Warning ArtifactKept"
    assert words in told


def test_a_version_that_serves_is_held_and_its_deadline_begins_when_it_serves_no_more() -> None:
    registry = Registry(version())
    tracks = {"stable": {"version": "cars-1", "ready": 1}}
    registry.services = [{"metadata": {"name": "s", "namespace": "ml", "uid": "s"}, "spec": {}, "status": tracks}]
    made = registry.plan()
    assert (made.finalizer, made.create) == (None, [])
    registry.time, registry.services = 10 * DEADLINE_SECONDS, []
    registry.begun()
    assert registry.plan().finalizer is None


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (shared(version("cars-2", deleted=False)), "ModelVersion cars-2 has it as well"),
        (shared(version("cars-2", deleted=False), uri="s3://models/prod/ml/cars/cars-1"), "ModelVersion cars-2"),
        (shared(version("cars-2", "Retain")), "ModelVersion cars-2"),
        (
            shared(version("secret-2", deleted=False, namespace="other")),
            "a version of another namespace has it as well",
        ),
    ],
)
def test_an_artifact_of_two_versions_stays(other: Object, told: str) -> None:
    kind, words = ending(Registry(version(), other).plan())
    assert kind == "Normal ArtifactKept"
    assert told in words
    assert "secret" not in words


def test_of_two_that_go_together_one_removes_the_artifact() -> None:
    first, last = version("cars-1"), shared(version("cars-2"))
    assert ending(Registry(first, last).plan())[0] == "Normal ArtifactKept"
    waits = Registry(last, first)
    waits.plan()
    made = waits.plan()
    assert (made.finalizer, made.create) == (None, [])
    assert made.requeue_after is not None
    waits.others = ()
    assert waits.plan().create
    waits = Registry(last, first)
    waits.plan()
    waits.time = DEADLINE_SECONDS
    assert ending(waits.plan())[0] == "Warning ArtifactKept", "the other one may be held by somebody"


def test_another_artifact_at_another_place_is_none_of_this_one() -> None:
    other = shared(version("cars-2", deleted=False), uri="s3://models/prod/ml/cars/copy/")
    Registry(version(), other).begun()


def test_a_job_of_somebody_else_is_not_taken_for_ours() -> None:
    registry = Registry(version()).begun()
    registry.ended("Complete")
    registry.jobs[0]["metadata"]["ownerReferences"] = []
    assert registry.plan().create, "the API server says whose it is"


def test_finalizers_of_others_outlast_the_removal() -> None:
    registry = Registry(version(finalizers=[IN_USE_FINALIZER, "backup/copied"])).begun().ended("Complete")
    made = registry.plan()
    assert made.finalizer is False
    assert [event.reason for event in made.events] == ["ArtifactRemoved"]
    registry.version["metadata"]["finalizers"] = ["backup/copied"]
    after = registry.plan()
    assert (after.finalizer, list(after.create), list(after.events)) == (False, [], [])


def test_a_version_that_cannot_be_read_goes_and_its_artifact_is_told() -> None:
    odd = version()
    odd["spec"]["format"] = "pickle"
    kind, words = ending(replace(Registry(odd).plan(), status=None))
    assert (kind, "spec.format" in words) == ("Warning ArtifactKept", True)


@pytest.mark.parametrize("spelled", ["s3://models//prod/cars/", "S3://models/prod/cars", "s3://models/prod/cars//"])
def test_an_artifact_is_shared_however_its_address_is_spelled(spelled: str) -> None:
    one, other = version(), version("cars-2", deleted=False)
    one["spec"]["artifact"]["uri"] = "s3://models/prod/cars"
    other["spec"]["artifact"] = {**one["spec"]["artifact"], "uri": spelled}
    other["metadata"]["uid"] = "another"
    assert [one.place[1] for one in sharers_of(one, [other])] == ["cars-2"]
