"""The status of an InferenceService: conditions in kstatus form and the texts of `kubectl get`."""

from __future__ import annotations

from typing import Any

from modelmill.api.conditions import FALSE, TRUE, Condition, merge
from modelmill.api.kinds import RETRY_ANNOTATION, SERVICE_LABEL
from modelmill.serving.health import Trouble, trouble
from modelmill.serving.rollout import Decision, steps_of
from modelmill.serving.view import View

OWN_CONDITIONS = ("Ready", "Available", "Reconciling", "Stalled", "RolledBack")


def build_status(view: View, decision: Decision) -> dict[str, Any]:
    """Return the whole status. Fields and conditions of other concerns are kept as they are."""
    status = {name: value for name, value in {**view.status, **decision.changes}.items() if value is not None}
    conditions = _conditions(view, decision, status)
    before = view.status.get("conditions") or []
    others = [one for one in before if one["type"] not in OWN_CONDITIONS]
    status["conditions"] = [*merge(before, conditions, view.generation, view.now), *others]
    status["observedGeneration"] = view.generation
    status["phase"] = decision.phase
    status["url"] = f"http://{view.name}.{view.namespace}.svc"
    status["selector"] = f"{SERVICE_LABEL}={view.name}"
    status.update(_columns(view, status))
    return status


def _columns(view: View, status: dict[str, Any]) -> dict[str, Any]:
    stable, canary = status.get("stable") or {}, status.get("canary") or {}
    ready = int(stable.get("ready", 0)) + int(canary.get("ready", 0))
    wanted = int(stable.get("replicas", 0)) + int(canary.get("replicas", 0))
    return {
        "replicas": ready,
        "readyReplicas": f"{ready}/{wanted or view.spec.replicas}",
        "weight": f"{canary['actualWeight']}/{canary['weight']}" if canary else "-",
        "step": f"{canary['step'] + 1}/{len(steps_of(view))}" if canary else "-",
    }


def _conditions(view: View, decision: Decision, status: dict[str, Any]) -> list[Condition]:
    stable, canary = status.get("stable"), status.get("canary")
    serving = int(stable["ready"]) if stable else 0
    seen = trouble(view, (canary or stable or {}).get("revision", ""))
    conditions = [
        _ready(view, decision, status, seen),
        _available(view, stable, serving),
        _reconciling(decision, status),
        _stalled(decision, status, seen),
    ]
    if status.get("failedRevision"):
        conditions.append(_rolled_back(status))
    return conditions


def _ready(view: View, decision: Decision, status: dict[str, Any], seen: Trouble | None) -> Condition:
    stable, canary = status.get("stable"), status.get("canary")
    if stable is None:
        problem = decision.problem
        return Condition("Ready", FALSE, problem.reason if problem else "Pending", problem.message if problem else "")
    total = int(stable["ready"]) + (int(canary["ready"]) if canary else 0)
    count = f"{stable['version']} with {stable['ready']} of {stable['replicas']} pods ready"
    if decision.phase == "Deploying" or total < view.spec.replicas:
        reason = seen.reason if seen is not None else "PodsNotReady"
        why = f": {seen.message}" if seen is not None else ""
        return Condition("Ready", FALSE, reason, f"{count}{why}")
    if decision.problem is not None:
        return Condition("Ready", TRUE, decision.problem.reason, f"{count}; {decision.problem.message}")
    if decision.phase == "RollingOut" and canary:
        return Condition("Ready", TRUE, "RollingOut", f"{count}; {canary['version']} is being rolled out")
    return Condition("Ready", TRUE, decision.phase, count)


def _available(view: View, stable: dict[str, Any] | None, serving: int) -> Condition:
    if stable is None or not serving:
        return Condition("Available", FALSE, "NoReadyPods", "no pod of the stable version is ready")
    return Condition(
        "Available", TRUE, "Serving", f"{stable['version']} answers at http://{view.name}.{view.namespace}.svc"
    )


def _reconciling(decision: Decision, status: dict[str, Any]) -> Condition:
    canary = status.get("canary")
    if decision.phase == "Deploying":
        return Condition("Reconciling", TRUE, "Deploying", f"{status['stable']['version']} is being deployed")
    if decision.phase == "RollingOut" and canary:
        last = next(iter(canary.get("analysis") or ()), None)
        text = f"{canary['version']} has weight {canary['weight']}"
        if last is not None:
            text += f"; last measurement {last['verdict']}: {last['message']}"
        return Condition("Reconciling", TRUE, "RollingOut", text)
    if decision.phase == "RollingBack":
        return Condition("Reconciling", TRUE, "RollingBack", f"{status['stable']['version']} is being restored")
    return Condition("Reconciling", FALSE, "Settled", "nothing is being changed")


def _stalled(decision: Decision, status: dict[str, Any], seen: Trouble | None) -> Condition:
    if decision.problem is not None and decision.problem.reason != "NoApprovedVersion":
        return Condition("Stalled", TRUE, decision.problem.reason, decision.problem.message)
    if status.get("failedRevision"):
        return Condition("Stalled", TRUE, "RolledBack", _rolled_back(status).message)
    if decision.phase == "Deploying" and seen is not None and seen.hopeless:
        return Condition("Stalled", TRUE, seen.reason, seen.message)
    return Condition("Stalled", FALSE, "NotStalled", "nothing stands in the way")


def _rolled_back(status: dict[str, Any]) -> Condition:
    stable = status["stable"]["version"]
    text = (
        f"{status.get('failedMessage', '')}; {stable} serves; the failed revision is not tried again until the version or "
        f"spec.runtime changes, or the annotation {RETRY_ANNOTATION} is set to a new text"
    )
    return Condition("RolledBack", TRUE, "RolledBack", text)
