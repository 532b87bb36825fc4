"""Collects an InferenceService's view from the cache, scrapes its pods when a measurement is due, and plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelmill.api import kinds
from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.engine.kinds import DEPLOYMENTS, PODS
from modelmill.engine.plan import Key, Manifest, Plan, Resource, World
from modelmill.engine.pods import is_ready
from modelmill.serving.analysis import Sample, Samples, judge
from modelmill.serving.plan import plan
from modelmill.serving.rollout import measure_due
from modelmill.serving.scrape import Scraper
from modelmill.serving.view import View, revision_of

MODEL_VERSIONS = Resource(*kinds.MODEL_VERSION)
INFERENCE_SERVICES = Resource(*kinds.INFERENCE_SERVICE)


class InferenceServiceReconciler:
    """Plans InferenceServices.

    The counters at the last conclusive measurement are kept in memory, by pod. After a restart there are none, and the next
    measurement is over the whole life of the pods: longer than usual, but never wrong about the canary.
    """

    def __init__(self, server_image: str, pull_policy: str, scraper: Scraper) -> None:
        self._server_image = server_image
        self._pull_policy = pull_policy
        self._scraper = scraper
        self._baselines: dict[tuple[Key, str], dict[str, Sample]] = {}

    async def __call__(self, parent: Manifest, world: World, now: datetime) -> Plan:
        """Return the plan for the InferenceService; see `engine.plan.Reconciler`."""
        view = self._view(parent, world, now)
        key = Key(view.namespace, view.name)
        canary = view.status.get("canary")
        if canary is None:
            self._forget(key)
        elif measure_due(view):
            view = await self._measure(key, view)
        return plan(view)

    def _view(self, parent: Manifest, world: World, now: datetime) -> View:
        namespace, name = parent["metadata"]["namespace"], parent["metadata"]["name"]
        return View(
            parent=parent,
            spec=InferenceServiceSpec.model_validate(parent["spec"]),
            status=parent.get("status") or {},
            versions=world.labelled(MODEL_VERSIONS, namespace, kinds.MODEL_LABEL, parent["spec"]["model"]["name"]),
            deployments=world.owned(DEPLOYMENTS, parent["metadata"]["uid"]),
            pods=world.labelled(PODS, namespace, kinds.SERVICE_LABEL, name),
            server_image=self._server_image,
            pull_policy=self._pull_policy,
            now=now,
        )

    async def _measure(self, key: Key, view: View) -> View:
        """Scrape both tracks; a conclusive measurement becomes the baseline of the next one."""
        stable, canary = view.status["stable"]["revision"], view.status["canary"]["revision"]
        pods = [pod for pod in view.pods if is_ready(pod) and revision_of(pod) in (stable, canary)]
        counted = await self._scraper.samples(pods)
        before = self._baselines.get((key, canary), {})
        sums = {stable: Sample(), canary: Sample()}
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if uid in counted:
                since = counted[uid].minus(before.get(uid, Sample()))
                sums[revision_of(pod)] = sums[revision_of(pod)].plus(since)
        samples = Samples(canary=sums[canary], stable=sums[stable])
        analysis = view.spec.rollout.analysis
        if analysis is not None and judge(analysis, samples).verdict != "Insufficient":
            self._baselines[key, canary] = counted
        return replace(view, samples=samples)

    def _forget(self, key: Key) -> None:
        for old in [one for one in self._baselines if one[0] == key]:
            del self._baselines[old]


def keys_of_pod(pod: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceService that a serving pod belongs to."""
    name = (pod["metadata"].get("labels") or {}).get(kinds.SERVICE_LABEL)
    return [Key(pod["metadata"]["namespace"], name)] if name else []


def keys_of_version(version: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceServices of the model that a version belongs to."""
    namespace, model = version["metadata"]["namespace"], version["spec"]["model"]
    return [
        Key(namespace, service["metadata"]["name"])
        for service in world.list(INFERENCE_SERVICES, namespace)
        if service["spec"]["model"]["name"] == model
    ]
