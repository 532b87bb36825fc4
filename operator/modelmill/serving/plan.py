"""The plan of an InferenceService: its children and its status, from the rollout's decision. Pure."""

from __future__ import annotations

from typing import Any

from modelmill.engine.kinds import DEPLOYMENTS
from modelmill.engine.plan import Delete, Plan
from modelmill.serving.builders.deployment import build_deployment, scaled
from modelmill.serving.builders.pod_disruption_budget import build_pod_disruption_budget
from modelmill.serving.builders.service import build_service
from modelmill.serving.rollout import Decision, decide
from modelmill.serving.status import build_status
from modelmill.serving.target import target_of
from modelmill.serving.view import View, revision_of


def plan(view: View) -> Plan:
    """Return what the InferenceService needs now."""
    if "deletionTimestamp" in view.parent["metadata"]:
        return Plan()
    decision = decide(view)
    status = build_status(view, decision)
    apply: list[dict[str, Any]] = []
    if decision.replicas:
        # First the Service: on a rollback it takes the traffic away before anything else changes.
        apply.append(build_service(view, decision.only_revision))
        budget = build_pod_disruption_budget(view)
        if budget is not None:
            apply.append(budget)
        apply += deployments(view, decision)
    return Plan(
        apply=apply,
        delete=removals(view, decision),
        status=status,
        events=decision.events,
        requeue_after=decision.again,
    )


def deployments(view: View, decision: Decision) -> list[dict[str, Any]]:
    """Return the Deployments of the tracks. One of an older spec keeps its pods as they are and is only scaled."""
    tracks = [{**view.status, **decision.changes}.get(name) or {} for name in ("stable", "canary")]
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


def removals(view: View, decision: Decision) -> list[Delete]:
    """Return the Deployments of revisions that are in no track, once the stable track is whole."""
    stable = {**view.status, **decision.changes}.get("stable")
    if stable is None or view.ready(stable["revision"]) < min(int(stable["replicas"]), view.spec.replicas):
        return []
    return [
        Delete(DEPLOYMENTS, view.namespace, one["metadata"]["name"], one["metadata"]["uid"])
        for one in view.deployments
        if revision_of(one) not in decision.replicas and "deletionTimestamp" not in one["metadata"]
    ]
