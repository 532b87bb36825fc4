"""What surrounds the operator: the Job and Deployment controllers, the kubelet, the garbage collector, and the traffic."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelmill.contracts import names, shadow
from modelmill.contracts.result import StageResult, encode
from modelmill.kube import labels
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.objects import Key, Manifest
from modelmill.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    JOBS,
    PODS,
    REPLICA_SETS,
    SERVICES,
)
from modelmill.measuring.samples import COMPARED, DISAGREED, Sample
from modelmill.serving.builders.shadow import FILE, SUFFIX
from modelmill.workloads.pod_status import is_ready
from tests.crash.counted import CountedPods
from tests.crash.memory_api import MemoryApi, Object

STAGES = (names.STAGE_FETCH, names.STAGE_TRAIN, names.STAGE_EVALUATE, names.STAGE_PUBLISH)
STAGE_SECONDS = 2
READY_SECONDS = 3
INFINITE = float("inf")
AGES = 15
"""Seconds after the last change by which everything that only waits for its time has happened."""


@dataclass(frozen=True)
class Ending:
    """How a training pod ends: at `stage`, with an exit code and, from a stage of ours, a result; else with a message."""

    result: StageResult | None
    stage: str = names.STAGE_PUBLISH
    code: int = 0
    message: str = ""


@dataclass
class Surroundings:
    """Steps once a second. endings: how the n-th pod (from 0) of a Job ends.

    errors: versions that answer 500. doubtful: of whose answers one more than half are 500. off: versions that answer
    otherwise than the others, as a shadow. broken: versions whose pods end with a message. rate: requests a second and pod.
    load: how many pods the requests keep busy, for autoscalers.
    values: what the pages of serving pods tell of what was asked.
    silent_store: whether the store answers no removal of an artifact. stage_seconds: how long a stage of training takes.
    """

    api: MemoryApi
    clock: Callable[[], datetime]
    endings: Callable[[Object, int], Ending]
    errors: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    off: set[str] = field(default_factory=set)
    rate: int = 20
    load: int = 0
    silent_store: bool = False
    stage_seconds: int = STAGE_SECONDS
    codes: dict[str, Counter[str]] = field(default_factory=dict)
    mirrored: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    values: CountedPods = field(default_factory=CountedPods)
    _hashes: dict[int, tuple[Manifest, str]] = field(default_factory=dict)
    _changed: tuple[int, datetime] | None = None
    _asked: list[tuple[str, str, Sequence[str]]] = field(default_factory=list)
    _mirroring: list[tuple[str, shadow.Shadow]] = field(default_factory=list)

    def step(self) -> None:
        """Let everybody do what is due. Where nothing has changed for `AGES` seconds nothing is, which saves the looking."""
        if self._changed is None or self._changed[0] != self.api.version:
            self._changed = self.api.version, self.clock()
        if (self.clock() - self._changed[1]).total_seconds() <= AGES:
            self._work()
        for uid, version, codes in self._asked:
            counted = self.codes.setdefault(uid, Counter())
            self.values.answered(uid, version, self.rate, codes)
            for code in codes:
                counted[code] += self.rate // len(codes)
            if len(codes) > 1 and counted["500"] == counted["200"]:
                counted["500"] += 1
        for uid, told in self._mirroring:
            counts = self.mirrored.setdefault(uid, Counter())
            for what in ("2xx", COMPARED, *([DISAGREED] if told.version in self.off else [])):
                counts[told.revision, what] += self.rate

    def _work(self) -> None:
        self._collect_garbage()
        for job in self.api.of(JOBS):
            self._job(job)
        for autoscaler in self.api.of(HORIZONTAL_POD_AUTOSCALERS):
            self._autoscale(autoscaler)
        for deployment in self.api.of(DEPLOYMENTS):
            self._deployment(deployment)
        for route in self.api.of(HTTP_ROUTES):
            self._route(route)
        for pod in self.api.of(PODS):
            if labels.SERVICE_LABEL in pod["metadata"]["labels"]:
                self._serving_pod(pod)
            elif labels.REMOVES_LABEL in pod["metadata"]["labels"]:
                self._removing_pod(pod)
            else:
                self._training_pod(pod)
        self._asked = list(self._traffic())
        self._mirroring = list(self._mirrors())

    async def counted(self, key: Key, pods: Sequence[Manifest]) -> Mapping[str, Sample]:
        """Stand in the place of the scraper."""
        return {pod["metadata"]["uid"]: self._sample(pod["metadata"]["uid"]) for pod in pods if is_ready(pod)}

    def forget(self, key: Key) -> None:
        """No question is ever late."""

    def _sample(self, uid: str) -> Sample:
        codes = self.codes.get(uid, Counter())
        total = float(codes.total())
        mirrored = {key: float(count) for key, count in self.mirrored.get(uid, Counter()).items()}
        counted = {code: float(count) for code, count in codes.items()}
        return Sample(counted, {0.1: total, INFINITE: total}, mirrored=mirrored)

    def _collect_garbage(self) -> None:
        """Delete whose owners are all gone, and then what those have owned."""
        alive = self.api.uids()
        orphans = [
            (resource, obj["metadata"])
            for resource, obj in self.api.every()
            if (owners := obj["metadata"].get("ownerReferences")) and not any(one["uid"] in alive for one in owners)
        ]
        for resource, meta in orphans:
            self.api.delete(resource, meta["namespace"], meta["name"])
        if orphans:
            self._collect_garbage()

    def _age(self, obj: Object) -> float:
        return (self.clock() - parse_timestamp(obj["metadata"]["creationTimestamp"])).total_seconds()

    def _owned(self, kind: Any, owner: Object) -> list[Object]:
        return [
            one
            for one in self.api.of(kind)
            if any(ref["uid"] == owner["metadata"]["uid"] for ref in one["metadata"].get("ownerReferences") or ())
        ]

    def _make(self, kind: Any, owner: Object, name: str, template: Manifest, **more: Any) -> Object:
        meta = {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(template["metadata"]["labels"]),
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ],
        }
        return self.api.create(kind, {"metadata": meta, **more})

    def _status(self, kind: Any, obj: Object, status: Object) -> None:
        if status != (obj.get("status") or {}):
            self.api.replace_status(kind, {**obj, "status": status})

    def _job(self, job: Object) -> None:
        status = job.get("status") or {}
        if status.get("conditions"):
            return
        pods = sorted(self._owned(PODS, job), key=lambda pod: pod["metadata"]["name"])
        ended = [pod for pod in pods if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")]
        failed = [pod for pod in ended if pod["status"]["phase"] == "Failed"]
        if len(ended) == len(pods):
            done = self._conditions(job, ended, failed)
            if done:
                succeeded = len(ended) - len(failed)
                self._status(JOBS, job, {"failed": len(failed), "succeeded": succeeded, "conditions": done})
                return
            self._make(PODS, job, f"{job['metadata']['name']}-{len(pods)}", job["spec"]["template"])
        self._status(JOBS, job, {"failed": len(failed)})

    def _conditions(self, job: Object, ended: list[Object], failed: list[Object]) -> list[Object]:
        moment = timestamp(self.clock())
        if len(ended) > len(failed):
            return [{"type": "Complete", "status": "True", "lastTransitionTime": moment}]
        codes = {state["state"]["terminated"]["exitCode"] for pod in failed for state in _ended_containers(pod)}
        final = any(rule["action"] == "FailJob" for rule in job["spec"]["podFailurePolicy"]["rules"])
        if len(failed) > job["spec"]["backoffLimit"] or (final and names.EXIT_FINAL in codes):
            reason = "PodFailurePolicy" if names.EXIT_FINAL in codes else "BackoffLimitExceeded"
            return [{"type": "Failed", "status": "True", "reason": reason, "lastTransitionTime": moment}]
        return []

    def _training_pod(self, pod: Object) -> None:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        job_name, _, number = pod["metadata"]["name"].rpartition("-")
        job = self.api.find(JOBS, job_name, pod["metadata"]["namespace"])
        if job is None:
            return
        ending = self.endings(job, int(number))
        stages = stages_of(job["spec"]["template"]["spec"])
        self._status(PODS, pod, training_status(ending, int(self._age(pod)) // self.stage_seconds, stages))

    def _removing_pod(self, pod: Object) -> None:
        """Remove an artifact: at once, or not at all where the store does not answer."""
        if self.silent_store or (pod.get("status") or {}).get("phase") == "Succeeded":
            return
        over = self._age(pod) >= STAGE_SECONDS
        container = _container(names.STAGE_REMOVE, running=not over, ending=Ending(None, names.STAGE_REMOVE))
        self._status(PODS, pod, {"phase": "Succeeded" if over else "Running", "containerStatuses": [container]})

    def _deployment(self, deployment: Object) -> None:
        template, wanted = deployment["spec"]["template"], deployment["spec"]["replicas"]
        suffix = self._template_hash(template)
        name = f"{deployment['metadata']['name']}-{suffix}"
        sets = {one["metadata"]["name"]: one for one in self._owned(REPLICA_SETS, deployment)}
        current = sets.pop(name, None) or self._make(REPLICA_SETS, deployment, name, template)
        pods = self._scaled(current, template, wanted)
        ready = [pod for pod in pods if is_ready(pod)]
        for old in sets.values() if len(ready) >= wanted else ():
            self._scaled(old, template, 0)
        self._status(
            DEPLOYMENTS,
            deployment,
            {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": len(pods),
                "readyReplicas": len(ready),
                "conditions": self._available(deployment, enough=len(ready) >= wanted),
            },
        )

    def _autoscale(self, autoscaler: Object) -> None:
        """Set the number of pods of a Deployment that has any: its part of the load, within the bounds."""
        spec = autoscaler["spec"]
        deployment = self.api.find(DEPLOYMENTS, spec["scaleTargetRef"]["name"], autoscaler["metadata"]["namespace"])
        if deployment is None or not deployment["spec"]["replicas"]:
            return
        others = sum(
            one["spec"]["replicas"]
            for one in self.api.of(DEPLOYMENTS)
            if one["metadata"]["labels"].get(labels.SERVICE_LABEL)
            == autoscaler["metadata"]["labels"][labels.SERVICE_LABEL]
        )
        wanted = -(-self.load * deployment["spec"]["replicas"] // others)
        wanted = max(spec["minReplicas"], min(spec["maxReplicas"], wanted))
        if wanted != deployment["spec"]["replicas"]:
            meta = deployment["metadata"]
            self.api.patch(DEPLOYMENTS, meta["namespace"], meta["name"], {"spec": {"replicas": wanted}})

    def _template_hash(self, template: Manifest) -> str:
        """Return a short hash; a template is never changed in place, so that its identity stands for it."""
        known = self._hashes.get(id(template))
        if known is None or known[0] is not template:
            text = json.dumps(template, sort_keys=True)
            known = self._hashes[id(template)] = (template, hashlib.sha256(text.encode()).hexdigest()[:6])
        return known[1]

    def _available(self, deployment: Object, *, enough: bool) -> list[Object]:
        word = "True" if enough else "False"
        before = (deployment.get("status") or {}).get("conditions") or [{}]
        if before[0].get("status") == word:
            return list(before)
        return [{"type": "Available", "status": word, "lastTransitionTime": timestamp(self.clock())}]

    def _scaled(self, replica_set: Object, template: Manifest, wanted: int) -> list[Object]:
        pods = self._owned(PODS, replica_set)
        for extra in pods[wanted:]:
            self.api.delete(PODS, "ml", extra["metadata"]["name"])
        taken = {pod["metadata"]["name"] for pod in pods[:wanted]}
        for number in range(wanted):
            name = f"{replica_set['metadata']['name']}-{number}"
            # A namesake of a ReplicaSet that was deleted waits for the garbage collector.
            if len(taken) < wanted and name not in taken and self.api.find(PODS, name) is None:
                self._make(PODS, replica_set, name, template)
                taken.add(name)
        return self._owned(PODS, replica_set)

    def _serving_pod(self, pod: Object) -> None:
        version = pod["metadata"]["labels"][labels.VERSION_LABEL]
        broken = version in self.broken
        ready = "True" if self._age(pod) >= READY_SECONDS and not broken else "False"
        before = (pod.get("status") or {}).get("conditions") or [{}]
        moment = before[0]["lastTransitionTime"] if before[0].get("status") == ready else timestamp(self.clock())
        condition = {"type": "Ready", "status": ready, "lastTransitionTime": moment}
        begun = {"startTime": pod["metadata"]["creationTimestamp"]}
        self._status(PODS, pod, begun | serving_status("10.0.0.1", condition, broken=broken))

    def _route(self, route: Object) -> None:
        """Be the gateway: take the route as it is."""
        said = {"status": "True", "observedGeneration": route["metadata"]["generation"]}
        conditions = [{"type": kind, **said} for kind in ("Accepted", "ResolvedRefs")]
        parents = [{"parentRef": one, "conditions": conditions} for one in route["spec"]["parentRefs"]]
        self._status(HTTP_ROUTES, route, {"parents": parents})

    def _traffic(self) -> Iterator[tuple[str, str, Sequence[str]]]:
        """Yield who answers requests, of which version, and with which codes in turn."""
        for service in self.api.of(SERVICES):
            selector = service["spec"]["selector"].items()
            for pod in self.api.of(PODS):
                if selector <= pod["metadata"]["labels"].items() and is_ready(pod):
                    version = pod["metadata"]["labels"][labels.VERSION_LABEL]
                    codes = (
                        ("500", "200") if version in self.doubtful else ("500",) if version in self.errors else ("200",)
                    )
                    yield pod["metadata"]["uid"], version, codes

    def _mirrors(self) -> Iterator[tuple[str, shadow.Shadow]]:
        """Yield who mirrors every request, and to which shadow."""
        for config_map in self.api.of(CONFIG_MAPS):
            service, suffix, _ = config_map["metadata"]["name"].partition(SUFFIX)
            if not suffix or FILE not in config_map["data"]:
                continue
            told = shadow.decode(config_map["data"][FILE])
            for pod in self.api.of(PODS):
                of = pod["metadata"]["labels"]
                other = of.get(labels.SERVICE_LABEL) == service and of.get(labels.REVISION_LABEL) != told.revision
                if other and is_ready(pod):
                    yield pod["metadata"]["uid"], told


def stages_of(pod: Manifest) -> tuple[str, ...]:
    """Return the containers of a training pod in the order in which they run; the last one is no init container."""
    return tuple(one["name"] for one in (*(pod.get("initContainers") or ()), *pod["containers"]))


def training_status(ending: Ending, over: int, stages: Sequence[str] = STAGES) -> Object:
    """Return the status of a training pod in which so many stages are over."""
    # A Job of a search has not all stages: one that lacks the stage ends well with its last.
    last = stages.index(ending.stage) if ending.stage in stages else len(stages) - 1
    begun = stages[: 1 + min(over, last)]
    done = over > last
    statuses = [_container(stage, running=stage == begun[-1] and not done, ending=ending) for stage in begun]
    return {
        "phase": ("Failed" if ending.code else "Succeeded") if done else "Running",
        "initContainerStatuses": [status for status in statuses if status["name"] != stages[-1]],
        "containerStatuses": [status for status in statuses if status["name"] == stages[-1]],
    }


def serving_status(address: str, ready: Object, *, broken: bool) -> Object:
    """Return the status of a serving pod with its condition Ready; a broken one has ended with a message."""
    state: Object = {"running": {}}
    if broken:
        told = encode(StageResult("Failed", "GoldenMismatch", ("row 3 differs",)))
        state = {"terminated": {"exitCode": 3, "reason": "Error", "message": told}}
    return {
        "phase": "Running",
        "podIP": address,
        "conditions": [ready],
        "containerStatuses": [{"name": "server", "state": state}],
    }


def _container(stage: str, *, running: bool, ending: Ending) -> Object:
    if running:
        return {"name": stage, "state": {"running": {}}}
    last = stage == ending.stage
    told = (encode(ending.result) if ending.result is not None else ending.message) if last else ""
    code = ending.code if last else 0
    word = "Error" if code else "Completed"
    return {"name": stage, "state": {"terminated": {"exitCode": code, "reason": word, "message": told}}}


def _ended_containers(pod: Object) -> list[Object]:
    status = pod["status"]
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [one for one in every if "terminated" in one["state"]]
