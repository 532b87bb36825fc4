"""spec.source: a Job imports it, the record outlasts the Job, and every end that is none says so and does not wedge."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from modelmill.api.imports import published
from modelmill.api.objects import read_model_version, readable_model_versions
from modelmill.api.references import OF_SERVICES, OF_VERSIONS
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.api.versions import newest_approved
from modelmill.app import NothingThere
from modelmill.contracts import imports, names, result
from modelmill.engine.cache import Cache
from modelmill.engine.interface import Plan
from modelmill.engine.parts import Composed
from modelmill.kube.conditions import find
from modelmill.kube.labels import IN_USE_FINALIZER
from modelmill.kube.resources import JOBS, PODS
from modelmill.registry.importing import RESULT_SECONDS
from modelmill.registry.part import registry_part
from modelmill.workloads.containers import Image
from modelmill.workloads.network import Network
from tests.support import objects as o

Object = dict[str, Any]
MADE = result.Artifact("s3://models/prod/ml/cars/sha256-b/", "sha256:" + "b" * 64, 4321, "xgboost")
PUBLISHED = result.StageResult(result.IMPORTED, artifact=MADE, signature="regression; predict FP64; 1 input: x0 FP64")
REFUSED = result.StageResult("Failed", "PickleRefused", ("model.pkl is a pickle",))


def foreign(name: str = "cars-old", **spec: Any) -> Object:
    made = o.model_version(name)
    for field in ("artifact", "format", "bytes", "trained", "primary", "metrics"):
        del made["spec"][field]
    made["spec"] |= {"source": {"uri": "s3://elsewhere/cars.ubj", "format": "xgboost"}, **spec}
    return made


class Registry:
    """One version with a source, and a clock. `plan` is carried out as far as the next plan can see it."""

    def __init__(self, one: Object, network: Network | None = None) -> None:
        self.version = one
        self.jobs: list[Object] = []
        self.pods: list[Object] = []
        self.time = 0.0
        self._part = registry_part(Image("trainer:1"), network, NothingThere())

    def plan(self) -> Plan:
        cache = Cache(indexes={INFERENCE_SERVICES: OF_SERVICES, MODEL_VERSIONS: OF_VERSIONS})
        for kind, objects in {MODEL_VERSIONS: [self.version], JOBS: self.jobs, PODS: self.pods}.items():
            for number, one in enumerate(objects):
                cache.put(kind, {**one, "metadata": {**one["metadata"], "resourceVersion": str(number + 1)}})
        made = asyncio.run(Composed([self._part])(self.version, cache, o.later(self.time)))
        if made.status is not None:
            self.version = {**self.version, "status": made.status}
        owner = [{"kind": "ModelVersion", "uid": self.version["metadata"]["uid"], "controller": True}]
        self.jobs = [job for job in self.jobs if not made.delete]
        for job in made.create:
            self.jobs.append({**job, "metadata": {**job["metadata"], "uid": "job-uid", "ownerReferences": owner}})
        return made

    def ended(self, kind: str, *pods: Object) -> Registry:
        condition = {**o.condition(kind, "BackoffLimitExceeded"), "lastTransitionTime": "2026-01-02T03:04:05Z"}
        self.jobs[0]["status"] = {"conditions": [condition]}
        owner = [{"kind": "Job", "uid": "job-uid", "controller": True}]
        self.pods = [{**pod, "metadata": {**pod["metadata"], "ownerReferences": owner}} for pod in pods]
        return self

    def condition(self, name: str) -> tuple[str, str, str]:
        found = find(self.version["status"], name)
        assert found is not None
        return found["status"], found["reason"], found["message"]


def pod(code: int, told: result.StageResult) -> Object:
    phase = "Failed" if code else "Succeeded"
    return o.pod("p", [], [o.ended(names.STAGE_IMPORT, code, result.encode(told))], phase)


def imported() -> Registry:
    registry = Registry(foreign())
    registry.plan()
    registry.ended("Complete", pod(0, PUBLISHED)).plan()
    return registry


def test_a_job_imports_it_with_the_stores_keys() -> None:
    registry = Registry(foreign(), Network())
    made = registry.plan()
    (job,), (policy,) = made.create, made.apply
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one.get("value") for one in container["env"]}
    told = imports.decode(env[names.ENV_IMPORT] or "")
    assert (told.uri, told.format, told.store_uri) == ("s3://elsewhere/cars.ubj", "xgboost", "s3://models/prod")
    assert (told.model, told.version, told.created) == ("cars", "cars-old", "2026-01-01T00:00:00Z")
    assert {names.ENV_ACCESS_KEY, names.ENV_SECRET_KEY, names.ENV_ENDPOINT} <= env.keys()
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert registry.condition("Ready")[:2] == ("False", "Importing")
    assert registry.condition("Verified")[:2] == ("False", "Importing")
    assert (registry.plan().create, len(registry.jobs)) == ([], 1)


def test_what_was_published_is_put_on_record_and_then_the_job_goes() -> None:
    registry = imported()
    status = registry.version["status"]
    assert status["imported"]["digest"] == status["digest"] == MADE.digest
    assert (status["format"], status["bytes"]) == ("xgboost", 4321)
    assert registry.condition("Ready")[:2] == ("True", "Imported")
    verified = registry.condition("Verified")
    assert verified[:2] == ("True", "Imported")
    assert "x0 FP64" in verified[2]
    (gone,) = registry.plan().delete
    assert (gone.resource, gone.uid) == (JOBS, "job-uid")
    later = registry.plan()
    assert (later.create, later.delete, registry.version["status"]) == ([], [], status), "it is imported once"


def test_whoever_reads_a_version_reads_what_was_imported() -> None:
    before, after = foreign(), imported().version
    assert published(before) == {}
    assert newest_approved([before], "cars") is None
    assert newest_approved([after], "cars") is after
    for read in (read_model_version(after), *readable_model_versions([after])):
        assert read.spec.artifact is not None
        assert (read.spec.artifact.digest, read.spec.format, read.spec.bytes) == (MADE.digest, "xgboost", 4321)


@pytest.mark.parametrize("odd", [None, "lost", {}, {"uri": "s3://a/b"}, {"uri": 1, "digest": [], "format": ""}])
def test_a_record_that_is_none_is_no_artifact(odd: Any) -> None:
    one = o.with_status(foreign(), {"imported": odd})
    assert published(one) == {}
    (read,) = readable_model_versions([copy.deepcopy(one)])
    assert read.spec.artifact is None


def test_a_refusal_is_told_and_outlasts_its_pod_and_a_deleted_job_is_another_try() -> None:
    registry = Registry(foreign())
    registry.plan()
    made = registry.ended("Failed", pod(names.EXIT_FINAL, REFUSED)).plan()
    assert [(event.type, event.reason) for event in made.events] == [("Warning", "PickleRefused")]
    told = registry.condition("Ready")
    assert told[:2] == ("False", "PickleRefused")
    assert "model.pkl is a pickle" in told[2]
    assert "delete Job cars-old-import-" in told[2]
    registry.pods = []
    assert list(registry.plan().events) == []
    assert registry.condition("Verified") == told
    registry.jobs = []
    assert registry.plan().create


def test_a_result_that_nobody_saw_is_awaited_and_then_told() -> None:
    registry = Registry(foreign())
    registry.plan()
    made = registry.ended("Complete").plan()
    assert registry.condition("Verified")[1] == "Importing"
    assert made.requeue_after
    registry.time = RESULT_SECONDS
    registry.plan()
    assert registry.condition("Verified")[1] == "ResultLost"


def test_an_image_that_does_not_come_is_told() -> None:
    registry = Registry(foreign())
    registry.plan()
    waiting = o.pod("p", [], [o.waiting(names.STAGE_IMPORT, "ErrImagePull", "no such image")], "Pending")
    registry.ended("Suspended", waiting).plan()
    status, reason, words = registry.condition("Ready")
    assert (status, reason, "no such image" in words) == ("False", "ImagePullFailed", True)


def test_one_that_is_deleted_before_it_was_imported_goes_at_once() -> None:
    one = foreign(deletionPolicy="Delete")
    one["metadata"] |= {"finalizers": [IN_USE_FINALIZER], "deletionTimestamp": "2026-01-02T03:04:05Z"}
    made = Registry(one).plan()
    assert (made.finalizer, made.create) == (False, [])


def test_one_that_was_imported_is_removed_like_any_other() -> None:
    registry = imported()
    registry.jobs = []
    registry.version["spec"]["deletionPolicy"] = "Delete"
    registry.version["metadata"] |= {"finalizers": [IN_USE_FINALIZER], "deletionTimestamp": "2026-01-02T03:04:05Z"}
    registry.plan()
    (job,) = registry.plan().create
    env = {one["name"]: one.get("value") for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env[names.ENV_ARTIFACT_DIGEST] == MADE.digest
