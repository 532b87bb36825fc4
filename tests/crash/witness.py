"""Watches a world for what must never be, whatever people, tenants and faults do to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.engine.errors import Invalid
from modelmill.kube import labels
from modelmill.kube.objects import Resource
from modelmill.kube.resources import JOBS, PODS, SERVICES
from modelmill.workloads.pod_status import is_ready
from tests.crash.faults import selected
from tests.crash.memory_api import MemoryApi, Object
from tests.crash.oracles import judged
from tests.crash.validity import unrunnable
from tests.crash.world import World, made_for

OF_PEOPLE = (
    ".nodeSelector:", ".tolerations[", ".resources.", ".image:", ".serviceAccountName:", ".secretKeyRef.name:",
)  # fmt: skip
"""Parts of pods that are a person's words: Kubernetes may refuse them, and the refusal is told."""


class Witness:
    """Looks at every change of a world, and at every refusal of what is written through `world.api`.

    People write past it, with the methods of `people`: what is refused of theirs is their matter, and what they spoil is
    not counted: objects in `spoiled`, by uid. forgery: statuses are forged, so that what they kept may be lost.
    """

    def __init__(self, world: World, *, forgery: bool = False) -> None:
        self._forgery = forgery
        self.problems: dict[str, None] = {}
        self.spoiled: set[str] = set()
        self._world = world
        self._specs: dict[str, Any] = {}
        self._observed: dict[str, int] = {}
        self._runs: Counter[tuple[str, str]] = Counter()
        for verb in ("create", "apply", "replace_status"):
            setattr(world.api, verb, self._noted(verb, getattr(world.api, verb)))
        world.api.listeners.append(self._look)

    def at_rest(self) -> Iterator[str]:
        """Yield what was wrong, and what is with the world, which has come to rest."""
        yield from self.problems
        if self._forgery:
            self._world.jobs_made.clear()
            self._runs.clear()
        spoiled = {
            f"{resource.kind} {one['metadata']['name']}"
            for resource, one in self._world.api.every()
            if one["metadata"]["uid"] in self.spoiled
        }
        yield from (told for told in judged(self._world) if not self._excused(told, spoiled))
        yield from (f"run {run} of {uid} has {count} Jobs" for (uid, run), count in self._runs.items() if count > 1)
        for service in self._world.api.of(INFERENCE_SERVICES):
            yield from self._traffic(service)

    def _excused(self, told: str, spoiled: set[str]) -> bool:
        """Tell whether it is of an object that somebody spoiled, or of a condition that a forger wrote."""
        return any(told.startswith(f"{one} ") for one in spoiled) or (self._forgery and "condition" in told)

    def deleted(self, job: Object) -> None:
        """Note that a person deleted a Job: its run may be made again."""
        self._runs[made_for(job)] -= 1
        self._world.jobs_made[made_for(job)] -= 1

    def _tell(self, problem: str) -> None:
        self.problems[problem[:700]] = None

    def _noted(self, verb: str, do: Callable[[Resource, Mapping[str, Any]], Object]) -> Any:
        def write(resource: Resource, body: Mapping[str, Any]) -> Object:
            try:
                return do(resource, body)
            except Invalid as error:
                if resource.group == labels.GROUP or not any(part in error.message for part in OF_PEOPLE):
                    self._tell(f"{verb} of {resource.kind} is refused: {error.message}")
                raise

        return write

    def _look(self, resource: Resource, change: str, obj: Object) -> None:
        uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
        if change == "DELETED":
            return
        if resource == MODEL_VERSIONS:
            spec = {part: value for part, value in obj["spec"].items() if part != "approval"}
            if self._specs.setdefault(uid, spec) != spec:
                self._tell(f"the spec of ModelVersion {name} was changed")
        if resource == JOBS and change == "ADDED":
            self._runs[made_for(obj)] += 1
        if resource.group == labels.GROUP:
            observed = (obj.get("status") or {}).get("observedGeneration", 0)
            if observed < self._observed.get(uid, 0) and not self._forgery:
                self._tell(f"observedGeneration of {resource.kind} {name} falls to {observed}")
            self._observed[uid] = observed
        for problem in unrunnable(obj):
            self._tell(f"{resource.kind} {name}: {problem}")

    def _traffic(self, service: Object) -> Iterator[str]:
        """Yield why requests to an InferenceService get no answer though pods of its could give one."""
        name = service["metadata"]["name"]
        made = self._world.api.find(SERVICES, name)
        pods = [pod for pod in self._world.api.of(PODS) if is_ready(pod)]
        ready = [pod for pod in pods if selected(pod, f"{labels.SERVICE_LABEL}={name}")]
        if made is None or self.spoiled & {one["metadata"]["uid"] for one in (made, service)}:
            return
        selector = ",".join(f"{key}={value}" for key, value in made["spec"]["selector"].items())
        if ready and not any(selected(pod, selector) for pod in ready):
            yield f"InferenceService {name} sends nothing to its {len(ready)} ready pods"
        stable = (service.get("status") or {}).get("stable")
        # What is refused is told, and the rest of the status is then of before.
        if stable is not None and not _is_stalled(service):
            count = sum(selected(pod, f"{labels.REVISION_LABEL}={stable['revision']}") for pod in ready)
            if stable["ready"] != count:
                yield f"InferenceService {name} says {stable['ready']} pods are ready; {count} are"


def _is_stalled(obj: Object) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any((one["type"], one["status"]) == ("Stalled", "True") for one in conditions)


class people:  # noqa: N801 - a set of functions
    """Writes of people, past the witness: the functions of `MemoryApi`, with a world's API as the first argument."""

    create = MemoryApi.create
    patch = MemoryApi.patch
    delete = MemoryApi.delete
    replace_status = MemoryApi.replace_status
