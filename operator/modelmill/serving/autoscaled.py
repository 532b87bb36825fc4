"""Pods of a service with spec.autoscaling: an autoscaler for each track owns their number, within bounds by the rollout.

Outside of a rollout the bounds are the spec's. During one, the number that the stable track had when it began is divided as a
fixed one would be: a candidate below weight 100 has exactly its share, since more pods would bring it more requests, and the
stable track never has less than the rest. It may have more until its autoscaler takes them, so that the candidate's actual
weight is at most what was asked. More load raises the number, and with it both.

Replicas are in what we apply as long as they are ours, with the value that is there: to leave them out then would set them to
1, as the API server does with a field that nobody owns (Kubernetes documentation, Server-Side Apply, transferring ownership).
Once the autoscaler has changed them they are left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelmill.engine.client import FIELD_MANAGER
from modelmill.engine.ownership import lost_fields
from modelmill.kube.conditions import FALSE, TRUE, Condition, find
from modelmill.kube.texts import fitted, word
from modelmill.serving.builders.horizontal_pod_autoscaler import build_autoscaler
from modelmill.serving.capacity import FULL
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.view import View

UNKNOWN = "Unknown"
SCALING_ACTIVE = "ScalingActive"


def owned_by_autoscaler(view: View, decision: Decision) -> dict[str, tuple[int, int]]:
    """Return the revisions whose pods an autoscaler counts, with the fewest and the most that there may be."""
    autoscaling, stable, canary = view.spec.autoscaling, decision.status.stable, decision.status.canary
    if autoscaling is None or stable is None:
        return {}
    wanted, bounds = decision.replicas, {}
    if wanted[stable.revision]:
        fewest = autoscaling.min_replicas if canary is None else wanted[stable.revision]
        bounds[stable.revision] = (fewest, max(fewest, autoscaling.max_replicas))
    if canary is not None and wanted[canary.revision]:
        fewest = wanted[canary.revision]
        most = max(fewest, autoscaling.max_replicas) if canary.weight == FULL else fewest
        bounds[canary.revision] = (fewest, most)
    return bounds


def outlived(view: View, decision: Decision) -> set[str]:
    """Return the revisions that serve and whose autoscaler is there although none is wanted.

    Until it is gone it counts their pods: set by two, the number would go up and down for as long as its deletion is refused.
    """
    wanted = owned_by_autoscaler(view, decision)
    return {revision for revision in view.autoscalers if decision.replicas.get(revision) and revision not in wanted}


def autoscalers(view: View, decision: Decision) -> list[dict[str, Any]]:
    """Return the autoscalers of the tracks."""
    autoscaling = view.spec.autoscaling
    if autoscaling is None:
        return []
    return [
        build_autoscaler(view.name, view.namespace, revision, autoscaling, bounds)
        for revision, bounds in owned_by_autoscaler(view, decision).items()
    ]


def left_to_autoscaler(view: View, revision: str, deployment: dict[str, Any]) -> dict[str, Any]:
    """Return what to apply in the place of a Deployment whose pods an autoscaler counts.

    One without pods gets them from us: an autoscaler lets it be (Kubernetes documentation, Horizontal Pod Autoscaling, implicit
    maintenance-mode deactivation). So does one that lacks some while it has no autoscaler, which another's object may hinder.
    """
    existing, wanted = view.deployments.get(revision), deployment["spec"]["replicas"]
    has = existing["spec"].get("replicas") if existing is not None else 0
    if existing is None or not is_counted(view, revision, wanted):
        return deployment
    spec = {name: value for name, value in deployment["spec"].items() if name != "replicas"}
    if lost_fields(existing, {"metadata": {}, "spec": {"replicas": has}}, FIELD_MANAGER):
        return {**deployment, "spec": spec}
    # Planned on this very state: between two looks the autoscaler may have changed them.
    meta = {**deployment["metadata"], "resourceVersion": existing["metadata"]["resourceVersion"]}
    return {**deployment, "metadata": meta, "spec": {**spec, "replicas": has}}


def is_counted(view: View, revision: str, wanted: int) -> bool:
    """Tell whether the number of pods of a Deployment that is to have `wanted` is left as it is, to its autoscaler."""
    has = view.has(revision)
    return has >= wanted or (has > 0 and revision in view.autoscalers)


def as_counted(view: View, decision: Decision) -> Decision:
    """Return the decision with the pods that the autoscaler wants of the stable track, and the number that is divided."""
    status = decision.status
    if view.spec.autoscaling is None or not view.replicas or status.stable is None:
        return decision
    stable = replace(status.stable, replicas=view.has(status.stable.revision) or status.stable.replicas)
    canary = replace(status.canary, size=view.replicas) if status.canary is not None else None
    return replace(decision, status=replace(status, stable=stable, canary=canary))


def scaling_active(view: View, decision: Decision) -> list[Condition]:
    """Return the condition that tells whether the autoscaler of the stable track can count; none without an autoscaler."""
    stable, autoscaling = decision.status.stable, view.spec.autoscaling
    if autoscaling is None or stable is None or not view.replicas:
        return []
    told = find((view.autoscalers.get(stable.revision) or {}).get("status") or {}, SCALING_ACTIVE)
    if told is None:
        return [
            Condition(SCALING_ACTIVE, UNKNOWN, "Pending", "its HorizontalPodAutoscaler has not looked at the pods yet")
        ]
    if told.get("status") == TRUE:
        text = f"from {autoscaling.min_replicas} to {autoscaling.max_replicas} pods by their load"
        return [Condition(SCALING_ACTIVE, TRUE, word(str(told.get("reason", "")), "ValidMetricFound"), text)]
    text = f"{told.get('message', '')}; the number of pods stays within its bounds and follows no load until that is mended"
    return [Condition(SCALING_ACTIVE, FALSE, word(str(told.get("reason", "")), "NoMetrics"), fitted(text, 1000))]
