"""Collects an InferenceService's view from the cache, scrapes its pods when a measurement is due, and plans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.engine.interface import Plan, World
from modelmill.kube import labels
from modelmill.kube.objects import Key, Manifest
from modelmill.kube.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS
from modelmill.measuring.scrape import Scraper
from modelmill.serving.measure import ASK_AGAIN_SECONDS, Measurer
from modelmill.serving.plan import plan
from modelmill.serving.view import View


class InferenceServiceReconciler:
    """Plans InferenceServices. Every decision is in the status; only counters of pods are kept in memory."""

    def __init__(self, server_image: str, pull_policy: str, scraper: Scraper) -> None:
        self._server_image = server_image
        self._pull_policy = pull_policy
        self._measurer = Measurer(scraper)

    async def __call__(self, parent: Manifest, world: World, now: datetime) -> Plan:
        """Return the plan for the InferenceService; see `engine.interface.Reconciler`."""
        view = await self._measurer.measured(self._view(parent, world, now))
        made = plan(view)
        self._measurer.planned(view, made.status)
        return made.with_requeue(ASK_AGAIN_SECONDS if self._measurer.asks(view) else None)

    def _view(self, parent: Manifest, world: World, now: datetime) -> View:
        uid = parent["metadata"]["uid"]
        deployments = world.owned(DEPLOYMENTS, uid)
        return View(
            parent=parent,
            spec=InferenceServiceSpec.model_validate(parent["spec"]),
            status=parent.get("status") or {},
            versions=_versions(parent, world),
            deployments=deployments,
            pods=pods_of(deployments, world),
            server_image=self._server_image,
            pull_policy=self._pull_policy,
            now=now,
            budgets=world.owned(POD_DISRUPTION_BUDGETS, uid),
        )


def pods_of(deployments: Sequence[Manifest], world: World) -> Sequence[Manifest]:
    """Return the pods of the Deployments, by their owners: ReplicaSet, then Deployment.

    Labels prove nothing, since whoever may create pods may put ours on them. A forged owner does not last: the ReplicaSet's
    controller takes such a pod for one of its own or releases it, as that of the Deployment does with a ReplicaSet.
    """
    sets = [one for deployment in deployments for one in world.owned(REPLICA_SETS, deployment["metadata"]["uid"])]
    return [pod for one in sets for pod in world.owned(PODS, one["metadata"]["uid"])]


def _versions(parent: Manifest, world: World) -> Sequence[Manifest]:
    """Return the versions of the model by their label, and those that are named, whatever their label says."""
    namespace, model = parent["metadata"]["namespace"], parent["spec"]["model"]
    found = {
        one["metadata"]["name"]: one
        for one in world.labelled(MODEL_VERSIONS, namespace, labels.MODEL_LABEL, model["name"])
    }
    status = parent.get("status") or {}
    tracks = [status.get(name) or {} for name in ("stable", "canary")]
    for name in (model.get("version"), *(track.get("version") for track in tracks)):
        one = world.get(MODEL_VERSIONS, namespace, name) if name and name not in found else None
        if one is not None:
            found[one["metadata"]["name"]] = one
    return list(found.values())


def keys_of_pod(pod: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceService that the labels of a pod or ReplicaSet name; whose it is, is told by owners."""
    name = (pod["metadata"].get("labels") or {}).get(labels.SERVICE_LABEL)
    return [Key(pod["metadata"]["namespace"], name)] if name else []


def keys_of_version(version: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceServices that follow the version's model or name the version."""
    namespace, name = version["metadata"]["namespace"], version["metadata"]["name"]
    model = version["spec"]["model"]
    return [
        Key(namespace, service["metadata"]["name"])
        for service in world.list(INFERENCE_SERVICES, namespace)
        if service["spec"]["model"]["name"] == model or service["spec"]["model"].get("version") == name
    ]
