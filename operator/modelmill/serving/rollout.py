"""The rollout as a pure state machine: from the view, what each track should be next.

Invariants: traffic only to ready pods; the stable track gives up pods only as canary pods become ready; a rollback takes the
traffic away first, then restores the stable track, then removes the canary; a failed revision is not tried again until its
hash changes or a person asks; everything is resumed from the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from modelmill.api.conditions import parse_timestamp, timestamp
from modelmill.api.inference_service import Step
from modelmill.api.kinds import RETRY_ANNOTATION
from modelmill.engine.plan import Event
from modelmill.serving.analysis import FAIL, INSUFFICIENT, PASS, Verdict, judge
from modelmill.serving.health import trouble
from modelmill.serving.target import Problem, Target, find_target, may_be_tried
from modelmill.serving.view import View

KEPT = 10
FULL = 100

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the tracks should be.

    replicas: pods wanted by revision; any other revision is removed once the stable track is whole.
    only_revision: see `builders.service`. again: seconds until it must be looked at without an event.
    """

    phase: str
    changes: Record = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    only_revision: str | None = None
    events: tuple[Event, ...] = ()
    again: float | None = None
    problem: Problem | None = None
    target: Target | None = None


def decide(view: View) -> Decision:
    """Return what the tracks should be next."""
    target = find_target(view)
    stable, canary = view.status.get("stable"), view.status.get("canary")
    if stable is None:
        return _first(view, target)
    if not _proven(view, stable):
        if isinstance(target, Target) and target.revision != stable["revision"]:
            return _first(view, target)
        return _prove(view, stable, target)
    if isinstance(target, Problem):
        # Nothing better is known: what serves goes on serving, and the condition says what is wrong.
        return _hold(view, stable, canary, target)
    if target.revision == stable["revision"]:
        return _hold(view, stable, canary, None, forget_failure=True)
    if canary is not None and view.status.get("failedRevision") == canary["revision"]:
        if target.revision == canary["revision"] and not may_be_tried(view, target):
            return _roll_back(view, stable, canary)
    elif canary is not None and canary["revision"] == target.revision:
        return _advance(view, stable, canary, target)
    if not may_be_tried(view, target):
        return _hold(view, stable, None, None)
    return _start(view, stable, target)


def steps_of(view: View) -> list[Step]:
    """Return the steps that are done: those of the spec, ended by weight 100."""
    rollout = view.spec.rollout
    steps = [] if rollout.strategy == "Direct" else list(rollout.steps)
    last = next((step.weight for step in reversed(steps) if step.weight is not None), None)
    return steps if last == FULL else [*steps, Step(weight=FULL)]


def canary_replicas(replicas: int, weight: int) -> int:
    """Return the canary's pods for a weight: rounded to the nearest, at least one, all at 100."""
    if weight == 0:
        return 0
    return replicas if weight == FULL else max(1, min(replicas, (replicas * weight + 50) // 100))


def _proven(view: View, stable: Record) -> bool:
    """Tell whether the stable track ever was whole."""
    return any(
        entry["revision"] == stable["revision"] and entry["outcome"] == "Serving"
        for entry in view.status.get("history") or ()
    )


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
        target.revision,
        (event,),
        target=target,
    )


def _prove(view: View, stable: Record, target: Target | Problem) -> Decision:
    """The first version is being deployed: it serves when all its pods are ready."""
    revision, replicas = stable["revision"], view.spec.replicas
    ready = view.ready(revision)
    changes: dict[str, Any] = {"stable": {**stable, "replicas": replicas, "ready": ready}}
    problem = target if isinstance(target, Problem) else None
    common = {"replicas": {revision: replicas}, "only_revision": revision, "problem": problem}
    if ready < replicas:
        return Decision("Deploying", changes, **common)
    changes["history"] = _served(view, stable)
    event = Event("Normal", "Serving", f"{stable['version']} serves with {ready} pods")
    return Decision("Stable", changes, events=(event,), **common)


def _hold(
    view: View, stable: Record, canary: Record | None, problem: Problem | None, *, forget_failure: bool = False
) -> Decision:
    """Only the stable track: whole it, then remove a canary that is not wanted any more."""
    revision, replicas = stable["revision"], view.spec.replicas
    ready = view.ready(revision)
    changes: dict[str, Any] = {"stable": {**stable, "replicas": replicas, "ready": ready}}
    if forget_failure:
        changes |= {"failedRevision": None, "failedMessage": None}
    if canary is not None and ready < replicas:
        changes["canary"] = _track(view, canary, 0)
        wanted = {revision: replicas, canary["revision"]: canary["replicas"]}
        return Decision("RollingBack", changes, wanted, revision, problem=problem)
    changes["canary"] = None
    failed = view.status.get("failedRevision") and not forget_failure
    return Decision("RolledBack" if failed else "Stable", changes, {revision: replicas}, revision, problem=problem)


def _start(view: View, stable: Record, target: Target) -> Decision:
    """Begin a rollout at step 0."""
    now = timestamp(view.now)
    weight = steps_of(view)[0].weight or 0
    canary = {
        **target.track(),
        "replicas": canary_replicas(view.spec.replicas, weight),
        "ready": view.ready(target.revision),
        "weight": weight,
        "actualWeight": 0,
        "step": 0,
        "stepTime": now,
        "startTime": now,
        "failures": 0,
        "analysis": [],
    }
    changes: dict[str, Any] = {"canary": canary, "failedRevision": None, "failedMessage": None}
    token = view.annotations.get(RETRY_ANNOTATION)
    if token:
        changes["retriedAnnotation"] = token[:256]
    text = f"rolling out {target.version} over {stable['version']}, first weight {weight}"
    decision = _tracks(view, stable, canary, target)
    return _with(decision, {**decision.changes, **changes}, (Event("Normal", "RolloutStarted", text),))


def _advance(view: View, stable: Record, canary: Record, target: Target) -> Decision:
    """Measure, then go on, wait, roll back or promote."""
    reason = _failure(view, canary)
    if reason is not None:
        return _fail(view, stable, canary, reason)
    canary, verdict = _measured(view, canary)
    analysis = view.spec.rollout.analysis
    if analysis is not None and canary["failures"] > analysis.failure_limit and verdict is not None:
        return _fail(view, stable, canary, f"analysis failed: {verdict.message}")
    steps = steps_of(view)
    index = min(int(canary["step"]), len(steps) - 1)
    done = _step_done(view, canary, steps, index)
    if done is not None and done < 0:
        return _fail(
            view, stable, canary, f"fewer than {analysis.min_requests if analysis else 0} requests in the step"
        )
    if done == 0 and index == len(steps) - 1:
        return _promote(view, stable, canary)
    events: tuple[Event, ...] = ()
    if done == 0:
        index += 1
        weight = steps[index].weight if steps[index].weight is not None else canary["weight"]
        canary = {**canary, "step": index, "stepTime": timestamp(view.now), "weight": weight}
        if steps[index].weight is not None:
            text = f"{canary['version']}: weight {weight}, step {index + 1} of {len(steps)}"
            events = (Event("Normal", "WeightSet", text),)
        done = None
    decision = _tracks(view, stable, canary, target)
    return _with(
        decision, decision.changes, events, _soonest(done, _next_measure(view, canary), _deadline(view, canary))
    )


def _step_done(view: View, canary: Record, steps: list[Step], index: int) -> float | None:
    """Return 0 when the step is done, seconds when it is known how long it takes, None to wait, -1 when it failed."""
    step, analysis = steps[index], view.spec.rollout.analysis
    wanted = canary_replicas(view.spec.replicas, int(canary["weight"]))
    if view.ready(canary["revision"]) < wanted:
        return None
    if step.weight == FULL:
        return 0
    passed = any(one["verdict"] == PASS and one["time"] >= canary["stepTime"] for one in canary.get("analysis") or ())
    if step.weight is not None:
        pause_follows = index + 1 < len(steps) and steps[index + 1].weight is None
        return 0 if analysis is None or pause_follows or passed else None
    left = (parse_timestamp(canary["stepTime"]) + timedelta(seconds=step.pause_seconds or 0) - view.now).total_seconds()
    if left > 0:
        return left
    if analysis is None or passed or analysis.on_insufficient_data == "Pass":
        return 0
    return -1 if analysis.on_insufficient_data == "Fail" else None


def _measured(view: View, canary: Record) -> tuple[dict[str, Any], Verdict | None]:
    """Return the canary with the measurement that was taken for this plan, if it was conclusive."""
    analysis = view.spec.rollout.analysis
    if analysis is None or view.samples is None:
        return dict(canary), None
    verdict = judge(analysis, view.samples)
    if verdict.verdict == INSUFFICIENT:
        return dict(canary), None
    entry = {
        "time": timestamp(view.now),
        "requests": verdict.requests,
        "verdict": verdict.verdict,
        "message": verdict.message[:1000],
    }
    failures = int(canary["failures"]) + (verdict.verdict == FAIL)
    history = [entry, *(canary.get("analysis") or ())][:KEPT]
    return {**canary, "analysis": history, "failures": failures, "lastMeasureTime": entry["time"]}, verdict


def measure_due(view: View) -> bool:
    """Tell whether the pods should be scraped for this plan."""
    canary = view.status.get("canary")
    if view.spec.rollout.analysis is None or canary is None:
        return False
    if view.status.get("failedRevision") == canary["revision"] or not view.ready(canary["revision"]):
        return False
    due = _next_measure(view, canary)
    return due is not None and due <= 0


def _next_measure(view: View, canary: Record) -> float | None:
    """Return the seconds until the next measurement; 0 or less when it is due."""
    analysis = view.spec.rollout.analysis
    if analysis is None:
        return None
    since = max(canary.get("lastMeasureTime") or "", canary["stepTime"])
    return analysis.interval_seconds - (view.now - parse_timestamp(since)).total_seconds()


def _deadline(view: View, canary: Record) -> float | None:
    """Return the seconds until missing readiness is a failure, None while all pods are ready."""
    if view.ready(canary["revision"]) >= canary_replicas(view.spec.replicas, int(canary["weight"])):
        return None
    limit = timedelta(seconds=view.spec.rollout.progress_deadline_seconds)
    return (parse_timestamp(canary["stepTime"]) + limit - view.now).total_seconds()


def _failure(view: View, canary: Record) -> str | None:
    """Return why the canary must be taken back whatever was measured, or None."""
    seen = trouble(view, canary["revision"])
    if seen is not None and seen.hopeless:
        return f"{seen.reason}: {seen.message}"
    left = _deadline(view, canary)
    if left is not None and left <= 0:
        ready, wanted = view.ready(canary["revision"]), canary["replicas"]
        why = f": {seen.message}" if seen is not None else ""
        seconds = view.spec.rollout.progress_deadline_seconds
        return f"ProgressDeadlineExceeded: {ready} of {wanted} pods ready after {seconds} s{why}"
    return None


def _fail(view: View, stable: Record, canary: Record, why: str) -> Decision:
    """Remember the failed revision and take the traffic away."""
    decision = _roll_back(view, stable, canary)
    entry = {
        "version": canary["version"],
        "revision": canary["revision"],
        "startTime": canary["startTime"],
        "endTime": timestamp(view.now),
        "outcome": "RolledBack",
        "message": why[:1000],
    }
    changes = {
        **decision.changes,
        "failedRevision": canary["revision"],
        "failedMessage": why[:4000],
        "history": [entry, *(view.status.get("history") or ())][:KEPT],
    }
    text = f"{canary['version']} is taken back, {stable['version']} serves: {why}"
    return _with(decision, changes, (Event("Warning", "RolledBack", text[:1000]),))


def _roll_back(view: View, stable: Record, canary: Record) -> Decision:
    """No traffic to the canary; restore the stable track; then remove the canary."""
    revision, replicas = stable["revision"], view.spec.replicas
    ready = view.ready(revision)
    changes: dict[str, Any] = {"stable": {**stable, "replicas": replicas, "ready": ready}}
    if ready >= replicas:
        changes["canary"] = None
        return Decision("RolledBack", changes, {revision: replicas}, revision)
    changes["canary"] = _track(view, canary, 0)
    wanted = {revision: replicas, canary["revision"]: int(canary["replicas"])}
    return Decision("RollingBack", changes, wanted, revision)


def _promote(view: View, stable: Record, canary: Record) -> Decision:
    """The canary's pods are the stable track now."""
    replicas = view.spec.replicas
    track = {name: canary[name] for name in ("version", "digest", "revision")}
    promoted = {**track, "replicas": replicas, "ready": view.ready(canary["revision"])}
    text = f"{canary['version']} serves all traffic, {stable['version']} is removed"
    changes = {"stable": promoted, "canary": None, "history": _served(view, promoted, replaces=stable)}
    return Decision(
        "Stable", changes, {track["revision"]: replicas}, track["revision"], (Event("Normal", "Promoted", text),)
    )


def _tracks(view: View, stable: Record, canary: Record, target: Target) -> Decision:
    """Return the pods of both tracks: the stable one gives up a pod for each ready canary pod, and keeps one."""
    replicas = view.spec.replicas
    wanted = canary_replicas(replicas, int(canary["weight"]))
    ready = view.ready(canary["revision"])
    keep = max(1, replicas - min(ready, wanted)) if int(canary["weight"]) < FULL else int(stable["replicas"])
    changes = {
        "stable": {**stable, "replicas": keep, "ready": view.ready(stable["revision"])},
        "canary": _track(view, {**canary, "replicas": wanted}, int(canary["weight"])),
    }
    replicas_by_revision = {stable["revision"]: keep, canary["revision"]: wanted}
    return Decision("RollingOut", changes, replicas_by_revision, target=target)


def _track(view: View, canary: Record, weight: int) -> dict[str, Any]:
    ready, stable = view.ready(canary["revision"]), view.ready((view.status.get("stable") or {}).get("revision", ""))
    actual = round(FULL * ready / (ready + stable)) if weight and ready else 0
    return {**canary, "ready": ready, "weight": weight, "actualWeight": actual}


def _served(view: View, track: Record, replaces: Record | None = None) -> list[dict[str, Any]]:
    now = timestamp(view.now)
    entries = []
    for old in view.status.get("history") or ():
        entry = dict(old)
        if replaces is not None and entry["revision"] == replaces["revision"] and entry["outcome"] == "Serving":
            entry |= {"endTime": now, "outcome": "Replaced", "message": f"replaced by {track['version']}"}
        entries.append(entry)
    new = {"version": track["version"], "revision": track["revision"], "startTime": now, "outcome": "Serving"}
    return [new, *entries][:KEPT]


def _soonest(*seconds: float | None) -> float | None:
    known = [max(one, 0.2) for one in seconds if one is not None]
    return min(known) if known else None


def _with(decision: Decision, changes: Record, events: tuple[Event, ...], again: float | None = None) -> Decision:
    return Decision(
        decision.phase,
        changes,
        decision.replicas,
        decision.only_revision,
        events,
        again if again is not None else decision.again,
        decision.problem,
        decision.target,
    )
