"""The plan of an InferenceService: its children and its status, from the rollout's decision. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelmill.engine.interface import Delete, Plan
from modelmill.kube.objects import Manifest, Resource
from modelmill.kube.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS
from modelmill.serving.builders.deployment import build_deployment, scaled
from modelmill.serving.builders.pod_disruption_budget import build_pod_disruption_budget
from modelmill.serving.builders.service import build_service
from modelmill.serving.rollout import Decision, decide
from modelmill.serving.status import build_status
from modelmill.serving.steps import SOON
from modelmill.serving.target import target_of
from modelmill.serving.view import View, revision_of


def plan(view: View) -> Plan:
    """Return what the InferenceService needs now."""
    if "deletionTimestamp" in view.parent["metadata"]:
        return Plan()
    decision = decide(view)
    apply: list[dict[str, Any]] = []
    delete: list[Delete] = []
    if decision.replicas:
        # First the Service: on a rollback it takes the traffic away before anything else changes.
        apply.append(build_service(view, decision.only_revision))
        budget = build_pod_disruption_budget(view)
        if budget is not None:
            apply.append(budget)
        else:
            delete += [_deletion(POD_DISRUPTION_BUDGETS, one) for one in view.budgets]
        apply += deployments(view, decision)
    removed, waits = removals(view, decision)
    made = Plan(
        apply=apply,
        delete=[*delete, *removed],
        status=build_status(view, decision),
        events=decision.events,
        requeue_after=decision.again,
    )
    return made.with_requeue(SOON) if waits else made


def deployments(view: View, decision: Decision) -> list[dict[str, Any]]:
    """Return the Deployments of the tracks. One of an older spec keeps its pods as they are and is only scaled."""
    tracks = [_after(view, decision).get(name) or {} for name in ("stable", "canary")]
    versions = {track["revision"]: track["version"] for track in tracks if track}
    built = []
    for revision, replicas in decision.replicas.items():
        version = view.version(versions.get(revision, ""))
        existing = view.deployment(revision)
        current = version is not None and target_of(view, version).revision == revision
        if version is not None and (current or existing is None):
            built.append(build_deployment(view, version, revision, replicas))
        elif existing is not None:
            built.append(scaled(existing, replicas))
    return built


def removals(view: View, decision: Decision) -> tuple[list[Delete], bool]:
    """Return the Deployments to delete, and whether more will be once this plan's status is written.

    One goes when it is in no track any more, in the status as it is and as it will be, and the stable track has a ready pod:
    while it has none, whatever is ready goes on answering. A plan on an old status is refused before it can remove anything.
    """
    after = _after(view, decision)
    stable = (after.get("stable") or {}).get("revision", "")
    recorded = {track["revision"] for track in (view.status.get("stable"), view.status.get("canary")) if track}
    gone, waits = [], False
    for one in view.deployments:
        revision = revision_of(one)
        if revision in decision.replicas or "deletionTimestamp" in one["metadata"]:
            continue
        if revision in recorded:
            waits = True
        elif view.ready(stable) or not view.ready(revision):
            gone.append(_deletion(DEPLOYMENTS, one))
    return gone, waits


def _after(view: View, decision: Decision) -> Mapping[str, Any]:
    return {**view.status, **decision.changes}


def _deletion(resource: Resource, one: Manifest) -> Delete:
    meta = one["metadata"]
    return Delete(resource, meta["namespace"], meta["name"], meta["uid"])
