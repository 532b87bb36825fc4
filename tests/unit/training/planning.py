"""Plans of a TrainingJob over a world of plain lists, through the part and the composition that the operator uses."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from modelmill.api.references import OF_JOBS, OF_SERVICES
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.contracts import result
from modelmill.engine.errors import NotFound
from modelmill.engine.interface import Plan
from modelmill.engine.parts import Composed
from modelmill.kube.objects import Manifest, Resource
from modelmill.kube.resources import CONFIG_MAPS, CORE_EVENTS, JOBS, PODS
from modelmill.training.part import training_part
from modelmill.tuning.reports import Reports
from modelmill.tuning.sampler import InProcess, Sampler
from modelmill.workloads import refusals
from modelmill.workloads.containers import Image
from tests.support import objects as o

IMAGE = Image("trainer:1", "Always")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Seen:
    """A TrainingJob and what the cache would hold.

    jobs: by name. pods: by the name of their Job. events: of refused pods, about whichever Job is asked for.
    unseen_jobs, unseen_pods, unseen_maps: what the API server has and the cache has not. maps: ConfigMaps by name.
    """

    parent: Manifest
    jobs: Mapping[str, Manifest] = field(default_factory=dict)
    pods: Mapping[str, Sequence[Manifest]] = field(default_factory=dict)
    versions: Sequence[Manifest] = ()
    services: Sequence[Manifest] = ()
    training_jobs: Sequence[Manifest] = ()
    events: Sequence[Manifest] = ()
    unseen_jobs: Mapping[str, Manifest] = field(default_factory=dict)
    unseen_pods: Sequence[Manifest] = ()
    maps: Mapping[str, Manifest] = field(default_factory=dict)
    unseen_maps: Mapping[str, Manifest] = field(default_factory=dict)
    sampler: Sampler = field(default_factory=InProcess)
    reports: Reports = field(default_factory=lambda: Reports("http://operator/trials/report"))
    now: datetime = o.NOW

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        return next((one for one in self.list(resource) if one["metadata"]["name"] == name), None)

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Manifest]:
        maps = list(self.maps.values())
        known = {
            CONFIG_MAPS: maps,
            MODEL_VERSIONS: self.versions,
            INFERENCE_SERVICES: self.services,
            TRAINING_JOBS: self.training_jobs,
        }
        return known[resource]

    def owned(self, resource: Resource, namespace: str, uid: str) -> Sequence[Manifest]:
        if resource == JOBS:
            return list(self.jobs.values())
        if resource == CONFIG_MAPS:
            return [one for one in self.maps.values() if one["metadata"].get("ownerReferences")]
        assert resource == PODS
        return next((self.pods.get(name, ()) for name, job in self.jobs.items() if job["metadata"]["uid"] == uid), ())

    def labelled(self, resource: Resource, namespace: str, label: str, value: str) -> Sequence[Manifest]:
        return [one for one in self.list(resource) if one["metadata"]["labels"].get(label) == value]

    def watched(self, resource: Resource, namespace: str) -> bool:
        return True

    def found_by(self, resource: Resource, namespace: str, index: str, value: str) -> Sequence[Manifest]:
        if resource == CORE_EVENTS:
            assert index == refusals.ABOUT
            return [refusals.reduced({"metadata": {}, **event}) for event in self.events]
        values_of = {TRAINING_JOBS: OF_JOBS, INFERENCE_SERVICES: OF_SERVICES}[resource][index]
        return [one for one in self.list(resource) if value in values_of(one)]


@dataclass(frozen=True)
class ApiServer:
    """What the API server says beside the cache; see `engine.interface.Reads`."""

    seen: Seen

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        known = {
            JOBS: {**self.seen.jobs, **self.seen.unseen_jobs},
            CONFIG_MAPS: {**self.seen.maps, **self.seen.unseen_maps},
        }[resource]
        if name not in known:
            raise NotFound(404, "NotFound", name)
        return known[name]

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> tuple[Sequence[Manifest], str]:
        assert resource == PODS
        return [*(pod for pods in self.seen.pods.values() for pod in pods), *self.seen.unseen_pods], "1"


def view(parent: Mapping[str, Any], **more: Any) -> Seen:
    return Seen(parent, **more)


def plan(seen: Seen, image: Image) -> Plan:
    part = training_part(image, ApiServer(seen), seen.sampler, seen.reports)
    made = value_of(Composed([part])(seen.parent, seen, seen.now))
    return replace(
        made,
        create=tuple(made.create),
        apply=tuple(made.apply),
        delete=tuple(made.delete),
        events=tuple(made.events),
        aside=tuple(made.aside),
    )


def value_of(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Return the value of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: Value = end.value
        return value
    raise AssertionError("it waits for something")


def status_of(made: Plan) -> dict[str, Any]:
    assert made.status is not None
    return dict(made.status)


def service(
    alerts: Sequence[Mapping[str, Any]], training_job: str = "cars", on: tuple[str, ...] = ("Drift",)
) -> dict[str, Any]:
    return {
        "metadata": {"name": "svc", "namespace": "ml"},
        "spec": {
            "model": {"name": "cars", "version": "cars-1"},
            "monitoring": {"retrain": {"trainingJob": training_job, "alerts": list(on)}},
        },
        "status": {"alerts": list(alerts)},
    }


def stable(version: str) -> dict[str, Any]:
    return {"version": version, "digest": o.DIGEST, "revision": "abc", "replicas": 2, "ready": 2}


def started(**spec: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a TrainingJob with run 1 in progress, and the manifest of its Job."""
    parent = o.training_job(**spec)
    first = plan(view(parent), IMAGE)
    return o.with_status(parent, first.status or {}), dict(first.create[0])


def finished(outcome: Any = None, **spec: Any) -> dict[str, Any]:
    """Return a TrainingJob whose run 1 has ended at o.NOW."""
    parent, manifest = started(**spec)
    ending = complete(parent, manifest, outcome or o.published())
    return o.with_status(parent, ending.status or {})


def complete(parent: dict[str, Any], manifest: dict[str, Any], outcome: result.StageResult) -> Plan:
    name = manifest["metadata"]["name"]
    pods = {name: [o.pod("p", [], [o.ended("publish", 0, result.encode(outcome), "Completed")], "Succeeded")]}
    return plan(view(parent, jobs={name: o.job(manifest, o.condition("Complete"))}, pods=pods), IMAGE)


def failed(parent: dict[str, Any], manifest: dict[str, Any], pod: dict[str, Any], reason: str = "") -> Plan:
    name = manifest["metadata"]["name"]
    jobs = {name: o.job(manifest, o.condition("Failed", reason), failed=1)}
    return plan(view(parent, jobs=jobs, pods={name: [pod]}), IMAGE)
