"""The rollout as a pure state machine: from the view, what each track should be next.

Invariants: traffic only to ready pods; the stable track gives up pods only as canary pods become ready; a canary that is
given up loses its traffic first, then the stable track grows back, then its pods go; a failed revision is not tried again
until its hash changes or a person asks; everything is resumed from the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from modelmill.engine.interface import Event
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.labels import RETRY_ANNOTATION
from modelmill.serving.analysis import FAIL, INSUFFICIENT, Verdict, judge
from modelmill.serving.health import trouble
from modelmill.serving.history import MAX_TEXT, was_whole, with_rolled_back, with_served
from modelmill.serving.steps import (
    FULL,
    SOON,
    Record,
    canary_replicas,
    deadline_left,
    index_of,
    measure_again,
    measure_left,
    progress,
    steps_of,
    was_measured,
    weight_at,
)
from modelmill.serving.target import Problem, Target, find_target, may_be_tried
from modelmill.serving.view import View

KEPT_MEASUREMENTS = 10
DRAIN_SECONDS = 30
"""Longest time that a canary without traffic is kept while the stable track grows back: it may hold the room for that."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the tracks should be.

    changes: fields of the status, None removes one. replicas: pods wanted by revision; the Deployment of any other revision
    is removed. only_revision: see `builders.service`. again: seconds until it must be looked at without an event.
    """

    phase: str
    changes: Record = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    only_revision: str | None = None
    events: tuple[Event, ...] = ()
    again: float | None = None
    problem: Problem | None = None


def decide(view: View) -> Decision:
    """Return what the tracks should be next."""
    target = find_target(view)
    problem = target if isinstance(target, Problem) else None
    stable, canary = view.status.get("stable"), view.status.get("canary")
    if stable is None:
        return _first(view, target)
    if not was_whole(view, stable):
        if isinstance(target, Problem) or target.revision == stable["revision"] or not may_be_tried(view, target):
            return _prove(view, stable, problem)
        if not view.ready(stable["revision"]):
            return _first(view, target)
    if canary is not None:
        if isinstance(target, Target) and target.revision == canary["revision"] and not _given_up(view, canary):
            return _advance(view, stable, canary)
        return _drain(view, stable, canary, problem)
    if isinstance(target, Problem):
        # Nothing better is known: what serves goes on serving, and the condition says what is wrong.
        return _hold(view, stable, problem)
    if target.revision == stable["revision"]:
        return _hold(view, stable, None, forget_failure=True)
    if not may_be_tried(view, target):
        return _hold(view, stable, None)
    return _start(view, stable, target)


def measure_due(view: View) -> bool:
    """Tell whether a measurement should be taken for this plan."""
    canary, analysis = view.status.get("canary"), view.spec.rollout.analysis
    if analysis is None or canary is None or _given_up(view, canary) or not view.ready(canary["revision"]):
        return False
    return measure_left(view, canary, analysis) <= 0


def _given_up(view: View, canary: Record) -> bool:
    """Tell whether the canary is being removed, whatever the target is now."""
    steps = steps_of(view)
    drained = int(canary["weight"]) == 0 and weight_at(steps, index_of(canary, steps)) > 0
    return drained or view.status.get("failedRevision") == canary["revision"]


def _first(view: View, target: Target | Problem) -> Decision:
    """Nothing serves yet: deploy the target at once."""
    if isinstance(target, Problem):
        return Decision("Pending", problem=target)
    event = Event("Normal", "Deploying", f"deploying {target.version} as the first version")
    replicas = view.spec.replicas
    return Decision(
        "Deploying",
        {"stable": {**target.track(), "replicas": replicas, "ready": view.ready(target.revision)}, "canary": None},
        {target.revision: replicas},
        _only(view, target.revision),
        (event,),
        SOON if view.ready(target.revision) else None,
    )


def _prove(view: View, stable: Record, problem: Problem | None) -> Decision:
    """The first version is being deployed: it serves when all its pods are ready."""
    held = replace(_hold(view, stable, problem), phase="Deploying")
    if view.ready(stable["revision"]) < view.spec.replicas:
        return held
    event = Event("Normal", "Serving", f"{stable['version']} serves with {view.spec.replicas} pods")
    return replace(
        held,
        phase="Stable",
        changes={**held.changes, "history": with_served(view, stable)},
        events=(event,),
        again=SOON,
    )


def _hold(view: View, stable: Record, problem: Problem | None, *, forget_failure: bool = False) -> Decision:
    """Only the stable track."""
    revision, replicas = stable["revision"], view.spec.replicas
    changes: dict[str, Any] = {"stable": _stable(view, stable, replicas), "canary": None}
    if forget_failure:
        changes |= {"failedRevision": None, "failedMessage": None}
    failed = view.status.get("failedRevision") and not forget_failure
    phase = "RolledBack" if failed else "Stable"
    return Decision(phase, changes, {revision: replicas}, _only(view, revision), problem=problem)


def _drain(view: View, stable: Record, canary: Record, problem: Problem | None = None) -> Decision:
    """No traffic to the canary; it goes when the stable track is whole, after DRAIN_SECONDS, or at once without ready pods."""
    held = _hold(view, stable, problem)
    since = canary["stepTime"] if int(canary["weight"]) == 0 else timestamp(view.now)
    left = (parse_timestamp(since) + timedelta(seconds=DRAIN_SECONDS) - view.now).total_seconds()
    whole = view.ready(stable["revision"]) >= view.spec.replicas
    if whole or left <= 0 or not view.ready(canary["revision"]):
        return replace(held, again=SOON)
    return replace(
        held,
        phase="RollingBack",
        changes={**held.changes, "canary": _canary(view, {**canary, "stepTime": since}, 0)},
        replicas={**held.replicas, canary["revision"]: int(canary["replicas"])},
        again=left,
    )


def _start(view: View, stable: Record, target: Target) -> Decision:
    """Begin a rollout at step 0."""
    now, weight = timestamp(view.now), weight_at(steps_of(view), 0)
    canary = {
        **target.track(),
        "step": 0,
        "stepTime": now,
        "startTime": now,
        "failures": 0,
        "analysis": [],
    }
    decision = _tracks(view, stable, canary)
    changes: dict[str, Any] = {**decision.changes, "failedRevision": None, "failedMessage": None}
    token = view.annotations.get(RETRY_ANNOTATION)
    if token:
        changes["retriedAnnotation"] = token[:256]
    text = f"rolling out {target.version} over {stable['version']}, first weight {weight}"
    return replace(
        decision,
        changes=changes,
        events=(Event("Normal", "RolloutStarted", text),),
        again=_soonest(progress(view, canary).again),
    )


def _advance(view: View, stable: Record, canary: Record) -> Decision:
    """Measure, then go on, wait, take back or promote."""
    reason = _failure(view, canary)
    if reason is not None:
        return _fail(view, stable, canary, reason)
    canary, verdict = _measured(view, canary)
    analysis = view.spec.rollout.analysis
    if analysis is not None and verdict is not None and canary["failures"] > analysis.failure_limit:
        return _fail(view, stable, canary, f"AnalysisFailed: {verdict.message}")
    state = progress(view, canary)
    if state.failed:
        return _fail(view, stable, canary, state.failed)
    steps = steps_of(view)
    index = index_of(canary, steps)
    if state.done and index == len(steps) - 1:
        return _promote(view, stable, canary)
    events: tuple[Event, ...] = ()
    if state.done:
        index += 1
        canary = {**canary, "step": index, "stepTime": timestamp(view.now)}
        state = progress(view, canary)
        if steps[index].weight is not None:
            text = f"{canary['version']}: weight {steps[index].weight}, step {index + 1} of {len(steps)}"
            events = (Event("Normal", "WeightSet", text),)
    decision = _tracks(view, stable, canary)
    measure = measure_again(view, canary, analysis) if analysis is not None else None
    return replace(decision, events=events, again=_soonest(SOON if state.done else state.again, measure))


def _measured(view: View, canary: Record) -> tuple[dict[str, Any], Verdict | None]:
    """Return the canary with the measurement that was taken for this plan, if it says something new, and the verdict.

    A failed one always does; of the others, the first of its kind in each step: each is a write of the status.
    """
    analysis = view.spec.rollout.analysis
    if analysis is None or view.samples is None:
        return dict(canary), None
    verdict = judge(analysis, view.samples)
    if verdict.verdict != FAIL and was_measured(canary, verdict.verdict):
        return dict(canary), verdict
    entry = {
        "time": timestamp(view.now),
        "requests": verdict.requests,
        "verdict": verdict.verdict,
        "message": verdict.message[:MAX_TEXT],
    }
    failures = int(canary["failures"]) + (verdict.verdict == FAIL)
    measured = {
        **canary,
        "analysis": [entry, *(canary.get("analysis") or ())][:KEPT_MEASUREMENTS],
        "failures": failures,
    }
    if verdict.verdict != INSUFFICIENT:
        measured["lastMeasureTime"] = entry["time"]
    return measured, verdict


def _failure(view: View, canary: Record) -> str | None:
    """Return why the canary must be taken back whatever was measured, or None."""
    seen = trouble(view, canary["revision"])
    if seen is not None and seen.hopeless:
        return f"{seen.reason}: {seen.message}"
    steps = steps_of(view)
    weight = weight_at(steps, index_of(canary, steps))
    left = deadline_left(view, canary, weight)
    if left is not None and left <= 0:
        ready, wanted = view.ready(canary["revision"]), canary_replicas(view.spec.replicas, weight)
        why = f": {seen.message}" if seen is not None else ""
        seconds = view.spec.rollout.progress_deadline_seconds
        return f"ProgressDeadlineExceeded: {ready} of {wanted} pods ready after {seconds} s{why}"
    return None


def _fail(view: View, stable: Record, canary: Record, why: str) -> Decision:
    """Remember the failed revision and take the traffic away."""
    decision = _drain(view, stable, canary)
    changes = {
        **decision.changes,
        "failedRevision": canary["revision"],
        "failedMessage": why[: MAX_TEXT * 4],
        "history": with_rolled_back(view, canary, why),
    }
    text = f"{canary['version']} is taken back, {stable['version']} serves: {why}"
    phase = "RolledBack" if decision.changes["canary"] is None else "RollingBack"
    return replace(decision, phase=phase, changes=changes, events=(Event("Warning", "RolledBack", text[:MAX_TEXT]),))


def _promote(view: View, stable: Record, canary: Record) -> Decision:
    """The canary's pods are the stable track now."""
    track = {name: canary[name] for name in ("version", "digest", "revision")}
    held = _hold(view, track, None)
    history = with_served(view, track, replaces=stable)
    text = f"{canary['version']} serves all traffic, {stable['version']} is removed"
    return replace(
        held, changes={**held.changes, "history": history}, events=(Event("Normal", "Promoted", text),), again=SOON
    )


def _tracks(view: View, stable: Record, canary: Record) -> Decision:
    """Return the pods of both tracks: the stable one gives up a pod for each ready canary pod, and keeps one."""
    steps, replicas = steps_of(view), view.spec.replicas
    weight = weight_at(steps, index_of(canary, steps))
    wanted, ready = canary_replicas(replicas, weight), view.ready(canary["revision"])
    keep = int(stable["replicas"]) if weight == FULL else max(1, replicas - min(ready, wanted))
    changes = {
        "stable": _stable(view, stable, keep),
        "canary": _canary(view, {**canary, "replicas": wanted}, weight),
    }
    return Decision("RollingOut", changes, {stable["revision"]: keep, canary["revision"]: wanted})


def _stable(view: View, stable: Record, replicas: int) -> dict[str, Any]:
    return {**stable, "replicas": replicas, "ready": view.ready(stable["revision"])}


def _canary(view: View, canary: Record, weight: int) -> dict[str, Any]:
    ready, stable = view.ready(canary["revision"]), view.ready((view.status.get("stable") or {}).get("revision", ""))
    actual = round(FULL * ready / (ready + stable)) if weight and ready else 0
    return {**canary, "ready": ready, "weight": weight, "actualWeight": actual}


def _only(view: View, revision: str) -> str | None:
    """Return the revision that gets all the traffic; None for all, when it has no ready pod and another one has."""
    return None if view.answering() and not view.ready(revision) else revision


def _soonest(*seconds: float | None) -> float | None:
    known = [max(one, SOON) for one in seconds if one is not None]
    return min(known) if known else None
