"""The part of an InferenceService that serves: collects its view, measures when that is due, and says what it wants."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from modelmill.api.claims import claims_of, holder
from modelmill.api.imports import import_told, published
from modelmill.api.inference_service import ModelRef
from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.objects import (
    InferenceService,
    ModelVersion,
    read_inference_service,
    readable_model_versions,
    status_manifest,
)
from modelmill.api.references import MODEL, ROUTE, VERSION, version_model
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.api.versions import APPROVED, newest_approved
from modelmill.engine.deployments import pods_of_deployment
from modelmill.engine.interface import World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.engine.table import Concern
from modelmill.kube import labels
from modelmill.kube.objects import Key, Manifest, beside_status
from modelmill.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
)
from modelmill.serving.autoscaled import as_counted
from modelmill.serving.builders.shadow import SUFFIX
from modelmill.serving.children import children
from modelmill.serving.conditions import CONDITIONS, conditions, status_of, warnings
from modelmill.serving.measure import ASK_AGAIN_SECONDS, Measurer, Pods, Queries
from modelmill.serving.rollout.alerted import version_before
from modelmill.serving.rollout.commands import MAX_TEXT
from modelmill.serving.rollout.decide import decide
from modelmill.serving.rollout.going_back import PREVIOUS, asked_version
from modelmill.serving.rollout.position import Position, position_of
from modelmill.serving.rollout.tracks import SOON
from modelmill.serving.traffic.gateway import with_problem
from modelmill.serving.traffic.route import route_of
from modelmill.serving.upgrade import Upgrades, with_server
from modelmill.serving.view import View
from modelmill.workloads.containers import Image

FIELDS: Final = (
    "phase", "url", "stable", "canary", "failedRevision", "failedInputs", "failedMessage", "retriedAnnotation", "server",
    "refreshedAnnotation", "effective", "history", "replicas", "selector", "weight", "readyReplicas", "step", "answered",
    "rollback", "rollbackHeld", "previous",
)  # fmt: skip
CHILDREN: Final = (
    Child(SERVICES, True),
    Child(CONFIG_MAPS, True, suffix=SUFFIX),
    Child(HTTP_ROUTES, True),
    Child(POD_DISRUPTION_BUDGETS, True),
    Child(HORIZONTAL_POD_AUTOSCALERS, True),
    Child(DEPLOYMENTS, True),
)


def serving_part(
    image: Image, pods: Pods, queries: Queries, model_code: Collection[str] = (), upgrades: Upgrades | None = None
) -> Part:
    """Return the part. image: the server of this release; pods, queries: ask pods what they counted, and Prometheus.

    model_code: namespaces in which models may run code of their own; `*` for all. upgrades: who takes the image, and when;
    left out, nobody by itself.
    """
    return Part("serving", Serving(image, pods, queries, model_code, upgrades), FIELDS, CONDITIONS, CHILDREN)


class Serving:
    """Says what serving wants. Every decision is in the status; only counters of pods are kept in memory."""

    def __init__(
        self,
        image: Image,
        pods: Pods,
        queries: Queries,
        model_code: Collection[str] = (),
        upgrades: Upgrades | None = None,
    ) -> None:
        self._image = image
        self._model_code = frozenset(model_code)
        self._upgrades = upgrades or Upgrades(image.name, 0)
        self.measurer = Measurer(pods, queries)

    async def __call__(self, parent: Manifest, world: World, now: datetime) -> Contribution:
        """Return the contribution; see `engine.parts.Contribute`."""
        service = read_inference_service(parent)
        key = Key(service.namespace, service.name)
        if service.metadata.deleting:
            self.measurer.forget(key)
            return UNCHANGED
        permitted = not self._model_code.isdisjoint({service.namespace, "*"})
        turn = self._upgrades.turn(parent, world, now)
        view = replace(view_of(service, world, self._image, now), model_code=permitted, turn=turn)
        candidate = view.status.canary
        at = position_of(view, candidate) if candidate is not None else None
        view = await self.measurer.measured(view, at)
        made, status = plan(view, at)
        self.measurer.planned(view, status)
        if self.measurer.asks(key):
            made = replace(made, requeue_after=min(made.requeue_after or ASK_AGAIN_SECONDS, ASK_AGAIN_SECONDS))
        return made


def plan(view: View, at: Position | None) -> tuple[Contribution, InferenceServiceStatus]:
    """Return what the InferenceService needs now, and the status in it. `at`: where its candidate is. Pure."""
    decision = with_server(view, with_problem(view, as_counted(view, decide(view, at))))
    status = status_of(view, decision)
    made = children(view, decision)
    told = status_manifest(status)
    described = conditions(view, decision)
    contribution = Contribution(
        apply=made.apply if made is not None else None,
        aside=made.aside if made is not None else (),
        keep=made.keep if made is not None else (),
        patch=made.patch if made is not None else (),
        status={name: told[name] for name in FIELDS if name in told},
        conditions=described,
        events=(*decision.events, *warnings(view, decision, described)),
        requeue_after=decision.again,
    )
    if made is not None and made.waits:
        contribution = replace(contribution, requeue_after=min(decision.again or SOON, SOON))
    return contribution, status


def view_of(service: InferenceService, world: World, image: Image, now: datetime) -> View:
    """Collect what the plan looks at from the cache."""
    prefix = f"{service.name}-"
    ours = world.owned(DEPLOYMENTS, service.namespace, service.uid)
    owned = [one for one in ours if one["metadata"]["name"].startswith(prefix)]
    deployments = {one["metadata"]["name"].removeprefix(prefix): one for one in owned}
    autoscalers = world.owned(HORIZONTAL_POD_AUTOSCALERS, service.namespace, service.uid)
    model, tracks = service.spec.model, (service.status.stable, service.status.canary)
    labelled = world.labelled(MODEL_VERSIONS, service.namespace, labels.MODEL_LABEL, model.name)
    newest = _newest(labelled, model.name) if model.follow is not None else None
    aliased = _holder(world, service.namespace, model)
    named = (model.version, aliased, *(one.version for one in tracks if one is not None), *_gone_back_to(service))
    names = {name for name in named if name}
    versions = {one.name: one for one in (newest,) if one is not None}
    others = [world.get(MODEL_VERSIONS, service.namespace, name) for name in names - versions.keys()]
    found = [one for one in others if one is not None]
    versions |= {one.name: one for one in readable_model_versions(found)}
    awaited = _awaited(labelled, model.name) if model.follow is not None and newest is None else None
    imports = {one["metadata"]["name"]: import_told(one) for one in (*found, *([awaited] if awaited else []))}
    return View(
        service=service,
        newest=newest,
        holder=aliased,
        versions=versions,
        deployments=deployments,
        pods={revision: pods_of_deployment(one, world) for revision, one in deployments.items()},
        image=image,
        now=now,
        route=route_of(service, world),
        awaited=awaited["metadata"]["name"] if awaited is not None else None,
        imports={name: told for name, told in imports.items() if told is not None},
        autoscalers={one["metadata"]["name"].removeprefix(prefix): one for one in autoscalers},
    )


def _gone_back_to(service: InferenceService) -> set[str]:
    """Return the versions that were gone back to, or may be in this plan, by a person's word or for an alert."""
    status, text = service.status, (service.metadata.annotations.get(labels.ROLLBACK_ANNOTATION) or "").strip()
    before = version_before(status) if status.alerts else None
    names = {one.version for one in (status.rollback, status.previous) if one is not None} | {before or ""}
    if not text or (status.answered is not None and text[:MAX_TEXT] == status.answered.rollback):
        return names
    named = asked_version(text[:MAX_TEXT])
    return names | ({one.version for one in status.history} if named == PREVIOUS else {named})


def _holder(world: World, namespace: str, model: ModelRef) -> str | None:
    """Return the name of the version that has the alias of the spec, if it names one."""
    if model.alias is None:
        return None
    return holder(world.found_by(MODEL_VERSIONS, namespace, MODEL, model.name), model.alias)


def _newest(candidates: Sequence[Manifest], model: str) -> ModelVersion | None:
    """Return the newest approved version that can be read; of the others their own condition tells."""
    while (newest := newest_approved(candidates, model)) is not None:
        readable = readable_model_versions([newest])
        if readable:
            return readable[0]
        candidates = [one for one in candidates if one is not newest]
    return None


def _awaited(candidates: Sequence[Manifest], model: str) -> Manifest | None:
    """Return the newest approved version whose source is not imported, of those that can be read."""
    waiting = [
        one
        for one in candidates
        if import_told(one) is not None
        and (one["spec"].get("model"), one["spec"].get("approval")) == (model, APPROVED)
        and "deletionTimestamp" not in one["metadata"]
        and readable_model_versions([one])
    ]
    return max(waiting, key=lambda one: one["metadata"]["creationTimestamp"], default=None)


def keys_of_pod(pod: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceService that the labels of a pod or ReplicaSet name; whose it is, is told by owners."""
    name = (pod["metadata"].get("labels") or {}).get(labels.SERVICE_LABEL)
    return [Key(pod["metadata"]["namespace"], name)] if name else []


def keys_of_route(route: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceServices that name the HTTPRoute; the one that it was made for is its owner."""
    namespace = route["metadata"]["namespace"]
    naming = world.found_by(INFERENCE_SERVICES, namespace, ROUTE, route["metadata"]["name"])
    return [Key(namespace, service["metadata"]["name"]) for service in naming]


def keys_of_version(version: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceServices that follow the version's model or name the version."""
    namespace, name = version["metadata"]["namespace"], version["metadata"]["name"]
    following = world.found_by(INFERENCE_SERVICES, namespace, MODEL, version_model(version))
    naming = world.found_by(INFERENCE_SERVICES, namespace, VERSION, name)
    return [Key(namespace, service["metadata"]["name"]) for service in (*following, *naming)]


VERSIONS: Final = Concern(
    keys_of_version, reads=lambda one: (beside_status(one), claims_of(one), published(one), import_told(one))
)
"""Who serves a version, and how well, is in its status; its services know that without being told.

Not so who claims an alias, what an import published, and what becomes of it before.
"""
REPLICA_SETS_OF_PODS: Final = Concern(
    keys_of_pod, reads=lambda one: (one["metadata"]["uid"], one["metadata"].get("ownerReferences"))
)
"""Only whose a ReplicaSet is, is read: see `engine.deployments`."""
