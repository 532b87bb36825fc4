"""The status of an InferenceService: conditions in kstatus form and the texts of `kubectl get`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelmill.kube.conditions import FALSE, TRUE, Condition, find, merge
from modelmill.kube.labels import RETRY_ANNOTATION, SERVICE_LABEL
from modelmill.serving.health import Trouble, trouble
from modelmill.serving.rollout import Decision
from modelmill.serving.steps import describe, index_of, steps_of
from modelmill.serving.view import View

OWN_CONDITIONS = ("Ready", "Available", "Reconciling", "Stalled", "RolledBack")
Track = Mapping[str, Any]


def build_status(view: View, decision: Decision) -> dict[str, Any]:
    """Return the whole status. Fields and conditions of other concerns are kept as they are."""
    status = {name: value for name, value in {**view.status, **decision.changes}.items() if value is not None}
    conditions = _conditions(view, decision, status)
    before = view.status.get("conditions") or []
    others = [one for one in before if one["type"] not in OWN_CONDITIONS]
    status["conditions"] = [*merge(before, conditions, view.generation, view.now), *others]
    status["observedGeneration"] = view.generation
    status["phase"] = decision.phase
    status["selector"] = f"{SERVICE_LABEL}={view.name}"
    if decision.replicas:
        status["url"] = view.url
    status.update(_columns(view, status))
    return status


def _columns(view: View, status: Track) -> dict[str, Any]:
    stable, canary = status.get("stable") or {}, status.get("canary") or {}
    ready = int(stable.get("ready", 0)) + int(canary.get("ready", 0))
    wanted = int(stable.get("replicas", 0)) + int(canary.get("replicas", 0))
    steps = steps_of(view)
    return {
        "replicas": ready,
        "readyReplicas": f"{ready}/{wanted or view.spec.replicas}",
        "weight": f"{canary['actualWeight']}/{canary['weight']}" if canary else "-",
        "step": f"{index_of(canary, steps) + 1}/{len(steps)}" if canary else "-",
    }


def _conditions(view: View, decision: Decision, status: Track) -> list[Condition]:
    stable, canary = status.get("stable"), status.get("canary")
    if stable is None:
        problem = decision.problem
        reason, message = (problem.reason, problem.message) if problem is not None else ("Pending", "")
        return [
            Condition("Ready", FALSE, reason, message),
            Condition("Available", FALSE, "NoReadyPods", "no version is deployed yet"),
            Condition("Reconciling", FALSE, "Settled", "nothing is being changed"),
            _stalled(view, decision, status, None),
        ]
    seen = trouble(view, stable["revision"]) or (trouble(view, canary["revision"]) if canary else None)
    conditions = [
        _ready(view, decision, stable, canary, seen),
        _available(view, stable, canary),
        _reconciling(view, decision, status, seen),
        _stalled(view, decision, status, seen),
    ]
    if status.get("failedRevision"):
        conditions.append(_rolled_back(status))
    return conditions


def _ready(view: View, decision: Decision, stable: Track, canary: Track | None, seen: Trouble | None) -> Condition:
    answering = sum(int(track["ready"]) for track in _taking_traffic(stable, canary))
    count = f"{stable['version']} serves with {stable['ready']} of {stable['replicas']} pods ready"
    if decision.phase == "Deploying" or answering < view.spec.replicas:
        count = count.replace(" serves with ", ": ")
        if seen is None:
            return Condition("Ready", FALSE, "PodsNotReady", count)
        return Condition("Ready", FALSE, seen.reason, f"{count}: {seen.message}")
    if decision.problem is not None:
        text = f"{count} and goes on serving: {decision.problem.message}"
        return Condition("Ready", TRUE, decision.problem.reason, text)
    if canary is not None and decision.phase == "RollingOut":
        return Condition("Ready", TRUE, "RollingOut", f"{count}; {canary['version']} is being rolled out")
    if decision.phase == "RolledBack":
        return Condition("Ready", TRUE, "RolledBack", f"{count}; what should serve was taken back")
    return Condition("Ready", TRUE, decision.phase, count)


def _available(view: View, stable: Track, canary: Track | None) -> Condition:
    answering = [track["version"] for track in _taking_traffic(stable, canary)]
    if not answering:
        return Condition("Available", FALSE, "NoReadyPods", f"no pod is ready, {view.url} does not answer")
    return Condition("Available", TRUE, "Serving", f"{' and '.join(answering)} at {view.url}")


def _taking_traffic(stable: Track, canary: Track | None) -> list[Track]:
    """Return the tracks whose ready pods get requests; a canary of weight 0 only while there is no other."""
    ready = [track for track in (stable, canary) if track is not None and track["ready"]]
    return [track for track in ready if track is stable or track["weight"]] or ready


def _reconciling(view: View, decision: Decision, status: Track, seen: Trouble | None) -> Condition:
    canary, stable = status.get("canary"), status["stable"]
    if decision.phase == "Deploying":
        text = f"{stable['version']} is being deployed; it serves when all {stable['replicas']} pods are ready"
        return Condition("Reconciling", TRUE, "Deploying", text)
    if decision.phase == "RollingOut" and canary:
        text = f"{canary['version']}: {describe(view, canary)}"
        last = next(iter(canary.get("analysis") or ()), None)
        if last is not None:
            text += f"; measured at {last['time']}: {last['verdict']}, {last['message']}"
        if int(canary["ready"]) < int(canary["replicas"]) and seen is not None:
            text += f"; {seen.message}"
        return Condition("Reconciling", TRUE, "RollingOut", text)
    if decision.phase == "RollingBack" and canary:
        text = f"{canary['version']} gets no traffic; its pods go when {stable['version']} has {stable['replicas']} ready pods"
        return Condition("Reconciling", TRUE, "RollingBack", text)
    return Condition("Reconciling", FALSE, "Settled", "nothing is being changed")


def _stalled(view: View, decision: Decision, status: Track, seen: Trouble | None) -> Condition:
    problem, stable = decision.problem, status.get("stable")
    if problem is not None and problem.reason != "NoApprovedVersion":
        return Condition("Stalled", TRUE, problem.reason, problem.message)
    if status.get("failedRevision"):
        return Condition("Stalled", TRUE, "RolledBack", _rolled_back(status).message)
    if decision.phase == "Deploying" and stable:
        if seen is not None and seen.hopeless:
            return Condition("Stalled", TRUE, seen.reason, seen.message)
        progressing = find((view.deployment(stable["revision"]) or {}).get("status") or {}, "Progressing")
        if progressing is not None and progressing.get("reason") == "ProgressDeadlineExceeded":
            limit = view.spec.rollout.progress_deadline_seconds
            text = f"{stable['ready']} of {stable['replicas']} pods ready after {limit} s"
            return Condition("Stalled", TRUE, "ProgressDeadlineExceeded", text + (f": {seen.message}" if seen else ""))
    return Condition("Stalled", FALSE, "NotStalled", "nothing stands in the way")


def _rolled_back(status: Track) -> Condition:
    stable = status["stable"]["version"]
    text = (
        f"{status.get('failedMessage', '')}; {stable} serves; the failed revision is not tried again until the version or "
        f"spec.runtime changes, or the annotation {RETRY_ANNOTATION} is set to a new text"
    )
    return Condition("RolledBack", TRUE, "RolledBack", text)
