"""The rollout as a pure state machine: from the view, what each track should be next.

Invariants: traffic only to ready pods; the stable track gives up pods only as the candidate's become ready; a candidate that
is given up loses its traffic first, then the stable track grows back, then its pods go; a failed revision is not tried again
until its inputs change or a person asks; everything is resumed from the status.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from modelmill.api.inference_service_status import CanaryTrack, StableTrack
from modelmill.api.versions import REJECTED
from modelmill.engine.interface import Event
from modelmill.kube.conditions import timestamp
from modelmill.kube.labels import (
    ABORT_ANNOTATION,
    RETRY_ANNOTATION,
)
from modelmill.serving.health import trouble
from modelmill.serving.history import MAX_TEXT, was_whole, with_rolled_back, with_served, with_superseded
from modelmill.serving.rollout.alerted import alerted
from modelmill.serving.rollout.commands import ABORTED, Asked, asked_of, entered, ignored, obey, paused_by_step
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.rollout.going_back import Aim, aim_of, at_rest, in_window, served_before, stayed, without_failure
from modelmill.serving.rollout.measured import end_of, measured, paused_by_analysis
from modelmill.serving.rollout.mirroring import makes_mirror, mirrored_first
from modelmill.serving.rollout.position import Position, position_of
from modelmill.serving.rollout.previous import with_previous
from modelmill.serving.rollout.promotion import promoted
from modelmill.serving.rollout.state import step_state
from modelmill.serving.rollout.stopped import patience, resumed, stopped, was_stopped
from modelmill.serving.rollout.tracks import SOON, drain, hold, soonest, tracks, with_weight_now
from modelmill.serving.target import Problem, Target, asks_to_retry, may_be_tried, retry_text
from modelmill.serving.traffic.shares import only_revision
from modelmill.serving.view import View


def decide(view: View, at: Position | None) -> Decision:
    """Return what the tracks should be next. `at`: where the candidate is, None without one."""
    asked = asked_of(view)
    aim = alerted(view, aim_of(view, asked.new.get("rollback")), asked=bool(asked.new))
    status = replace(view.status, answered=asked.answered, rollback=aim.back)
    if aim.accepted:
        # Whoever asks to go back and to try again in one breath goes back: that harms nobody.
        status = replace(without_failure(status), retried_annotation=retry_text(view) or status.retried_annotation)
    view = view.with_status(status)
    decision = _decide(view, at, aim, asked)
    events = (*aim.events, *decision.events, *ignored(view, decision, aim, asked))
    return with_previous(view, replace(decision, events=events))


def _decide(view: View, at: Position | None, aim: Aim, asked: Asked) -> Decision:
    target = mirrored_first(view, aim)
    problem = target if isinstance(target, Problem) else None
    stable, candidate = view.status.stable, view.status.canary
    if stable is None:
        return stopped(view, _first(view, target))
    if not was_whole(view, stable):
        if isinstance(target, Problem) or target.revision == stable.revision or not may_be_tried(view, target):
            return stopped(view, _prove(view, _kept(stable, target), problem))
        if not view.ready(stable.revision):
            return stopped(view, _first(view, target))
    going = candidate is not None and at is not None and not given_up(view, candidate, at)
    if candidate is not None and going and asked.says("abort") and not aim.accepted:
        return stopped(view, _aborted(view, stable, candidate, target, asked.new["abort"]))
    if not view.replicas:
        return stopped(view, hold(view, _kept(stable, target), problem))
    left = patience(view, stable) if _may_start(view, stable, target) else None
    if was_stopped(view) and (left is None or left > 0):
        return resumed(view, hold(view, _kept(stable, target), problem), left)
    if candidate is not None and at is not None:
        return _rolled(view, stable, candidate, at, target, asked)
    if isinstance(target, Problem):
        # Nothing better is known: what serves goes on serving, and the condition says what is wrong.
        return hold(view, stable, problem)
    if target.revision == stable.revision:
        held = hold(view, _kept(stable, target), None)
        return replace(held, status=at_rest(held.status))
    if not _may_start(view, stable, target):
        return hold(view, stable, None)
    return _start(view, stable, target, wished=aim.accepted)


def _rolled(
    view: View, stable: StableTrack, candidate: CanaryTrack, at: Position, target: Target | Problem, asked: Asked
) -> Decision:
    """Let the candidate go on, or go."""
    if isinstance(target, Problem):
        return drain(view, stable, candidate, target, _why_not(view, candidate, target))
    if target.revision != candidate.revision:
        return drain(view, stable, candidate, None, _why_not(view, candidate, target))
    if given_up(view, candidate, at):
        return drain(view, stable, candidate, None, "it was not to serve when its rollout had to go on")
    return _advance(view, stable, replace(candidate, inputs=target.inputs), at, asked)


def _may_start(view: View, stable: StableTrack, target: Target | Problem) -> bool:
    """Tell whether another version is to serve, and nothing keeps its rollout from beginning."""
    if isinstance(target, Problem) or target.revision == stable.revision:
        return False
    return may_be_tried(view, target) and not (view.route is not None and view.route.reason)


def given_up(view: View, candidate: CanaryTrack, at: Position) -> bool:
    """Tell whether the candidate is being removed, whatever the target is now.

    A candidate that lost its traffic drains: the stable track grows back into its room and then its pods go, over several
    plans. Meanwhile it may become what should serve again, by another edit of the spec. It is then not taken up where it
    stands, for it stands nowhere: weight 0 belongs to none of its steps but a leading pause. So it is removed to the end, and
    begins anew at step 0. Two things tell a draining candidate after a restart too: its revision is remembered as failed, or
    its recorded weight is 0 in a step that has one.
    """
    return (candidate.weight == 0 and at.weight > 0) or view.status.failed_revision == candidate.revision


def measure_due(view: View, candidate: CanaryTrack, at: Position) -> bool:
    """Tell whether a measurement should be taken for this plan."""
    if (
        at.measure_left is None
        or not at.measures
        or given_up(view, candidate, at)
        or not view.ready(candidate.revision)
    ):
        return False
    return at.measure_left <= 0


def _first(view: View, target: Target | Problem) -> Decision:
    """Nothing serves yet: deploy the target at once."""
    status = view.status
    if isinstance(target, Problem):
        return Decision(replace(status, phase="Pending", stable=None, canary=None), problem=target)
    replicas = view.replicas
    stable = StableTrack(
        version=target.version,
        digest=target.digest,
        revision=target.revision,
        inputs=target.inputs,
        server_image=target.server_image,
        replicas=replicas,
        ready=view.ready(target.revision),
    )
    for track in (status.stable, status.canary):
        if track is not None and track.revision != target.revision:
            seen = trouble(view, track.revision)
            why = f"{seen.reason}: {seen.message}" if seen is not None else "never ready"
            history = with_superseded(view, track, f"{why}; {target.version} is deployed instead")
            status = replace(status, history=history)
    return Decision(
        replace(status, phase="Deploying", stable=stable, canary=None),
        {target.revision: replicas},
        only_revision(view, target.revision),
        (Event("Normal", "Deploying", f"deploying {target.version} as the first version"),),
        SOON if view.ready(target.revision) else None,
    )


def _prove(view: View, stable: StableTrack, problem: Problem | None) -> Decision:
    """The first version is being deployed: it serves when all its pods are ready."""
    held = hold(view, stable, problem)
    if view.ready(stable.revision) < max(1, view.replicas):
        return replace(held, status=replace(held.status, phase="Deploying"))
    event = Event("Normal", "Serving", f"{stable.version} serves with {view.replicas} pods")
    status = replace(held.status, phase="Stable", history=with_served(view, stable))
    return replace(held, status=status, events=(event,), again=SOON)


def _start(view: View, stable: StableTrack, target: Target, *, wished: bool) -> Decision:
    """Begin a rollout at step 0. wished: a person names the version in this plan."""
    now = timestamp(view.now)
    candidate = CanaryTrack(
        version=target.version,
        digest=target.digest,
        revision=target.revision,
        inputs=target.inputs,
        server_image=target.server_image,
        replicas=0,
        ready=0,
        weight=0,
        actual_weight=0,
        step=0,
        step_time=now,
        start_time=now,
        skips_steps="Mirror" if makes_mirror(view, stable, target) else _skips(view, target, wished=wished),
    )
    at = position_of(view, candidate)
    decision = tracks(view, stable, candidate, at)
    token = retry_text(view)
    status = without_failure(decision.status)
    if token:
        status = replace(status, retried_annotation=token)
    text = f"rolling out {target.version} over {stable.version}, first {at.weighed}"
    text += f", with the server {target.server_image}" if target.inputs == stable.inputs else ""
    event = Event("Normal", "RolloutStarted", text)
    state = step_state(at, None)
    again = soonest(SOON if state.done else state.again)
    return replace(decision, status=status, events=(event,), again=again)


def _skips(view: View, target: Target, *, wished: bool) -> Literal["Rollback", "RollbackWindow"] | None:
    """Return why the target is promoted without steps; None when it takes them."""
    back = view.status.rollback
    wished = wished or (back is not None and back.version == target.version)
    if wished and served_before(view, target.version):
        return "Rollback"
    return "RollbackWindow" if in_window(view, target.revision) else None


def _advance(view: View, stable: StableTrack, candidate: CanaryTrack, at: Position, asked: Asked) -> Decision:
    """Measure, then go on, wait, take back or promote."""
    candidate = _noted(view, candidate, at)
    reason = _failure(view, stable, candidate, at)
    if reason is not None:
        return _fail(view, stable, candidate, reason)
    candidate, verdict = measured(view, candidate, at)
    reason = end_of(candidate, at, verdict)
    if reason:
        return _fail(view, stable, candidate, reason)
    candidate, held = paused_by_analysis(view, candidate, at)
    candidate, told = obey(view, candidate, at, asked)
    candidate, paused = paused_by_step(view, candidate)
    at = position_of(view, candidate)
    decision = _step(view, stable, candidate, at)
    return replace(decision, events=(*held, *told, *paused, *decision.events))


def _step(view: View, stable: StableTrack, candidate: CanaryTrack, at: Position) -> Decision:
    """Go on, wait, take back or promote."""
    if at.paused is not None:
        return replace(tracks(view, stable, candidate, at), again=soonest(at.deadline_left, at.measure_again))
    state = step_state(at, view.samples)
    if state.failed:
        return _fail(view, stable, candidate, state.failed)
    if state.done and at.last:
        return promoted(view, stable, candidate, at)
    if not state.done:
        decision = tracks(view, stable, candidate, at)
        return replace(decision, again=soonest(state.again, at.measure_again))
    events: tuple[Event, ...] = ()
    candidate, paused = paused_by_step(view, entered(candidate, at.index + 1, timestamp(view.now)))
    at = position_of(view, candidate)
    candidate = _noted(view, candidate, at)
    if at.step.weight is not None:
        text = f"{candidate.version}: {at.weighed}, step {at.index + 1} of {len(at.steps)}"
        events = (Event("Normal", "WeightSet", text),)
    state = step_state(at, view.samples)
    again = soonest(SOON if state.done else state.again, at.measure_again)
    return replace(tracks(view, stable, candidate, at), events=(*events, *paused), again=again)


def _noted(view: View, candidate: CanaryTrack, at: Position) -> CanaryTrack:
    """Return the candidate with the time at which the gateways were first seen to give the weight of the step."""
    if not at.routed or view.route is None or candidate.routed_time is not None:
        return candidate
    return replace(candidate, routed_time=timestamp(view.now))


def _failure(view: View, stable: StableTrack, candidate: CanaryTrack, at: Position) -> str | None:
    """Return why the candidate must be taken back whatever was measured, or None."""
    seen = trouble(view, candidate.revision)
    if seen is not None and seen.hopeless:
        return f"{seen.reason}: {seen.message}"
    if at.deadline_left is not None and at.deadline_left <= 0:
        missing, why = _missing(view, stable, candidate, at)
        return f"ProgressDeadlineExceeded: {missing} after {at.deadline_seconds} s{why}"
    return None


def _missing(view: View, stable: StableTrack, candidate: CanaryTrack, at: Position) -> tuple[str, str]:
    """Return what the step waits for, and why it does not come, as far as that is known."""
    if at.ready < at.wanted:
        missing, late = f"{at.ready} of {at.wanted} pods ready", candidate.revision
    elif view.route is None:
        missing, late = f"{view.ready(stable.revision)} pods of {stable.version} ready, too few", stable.revision
    else:
        why = f"; {view.route.message}" if view.route.message else view.route.waits
        return f"the gateways have not taken weight {at.weight}", why
    seen = trouble(view, late)
    return missing, f": {seen.message}" if seen is not None else ""


def _fail(view: View, stable: StableTrack, candidate: CanaryTrack, why: str) -> Decision:
    """Remember the failed revision and take the traffic away."""
    decision = drain(view, stable, candidate)
    status = replace(
        decision.status,
        rollback=stayed(view.status.rollback, stable, candidate),
        phase="RolledBack" if decision.status.canary is None else "RollingBack",
        failed_revision=candidate.revision,
        failed_inputs=candidate.inputs,
        failed_message=why[: MAX_TEXT * 4],
        history=with_rolled_back(view, with_weight_now(view, candidate), why),
    )
    text = f"{candidate.version} is taken back, {stable.version} serves: {why}"
    return replace(decision, status=status, events=(Event("Warning", "RolledBack", text[:MAX_TEXT]),))


def _aborted(view: View, stable: StableTrack, candidate: CanaryTrack, target: Target | Problem, text: str) -> Decision:
    """Take the candidate back since a person says so, whatever else is to become of it.

    Whoever asks to abort and to try again in one breath aborts: that harms nobody.
    """
    if isinstance(target, Target) and target.revision == candidate.revision:
        candidate = replace(candidate, inputs=target.inputs)
    failed = _fail(view, stable, candidate, f"{ABORTED}: by a person, {ABORT_ANNOTATION}={text}")
    if not asks_to_retry(view):
        return failed
    told = f"{RETRY_ANNOTATION}={retry_text(view)}: {ABORT_ANNOTATION} was set besides, and counts first"
    status = replace(failed.status, retried_annotation=retry_text(view))
    return replace(failed, status=status, events=(*failed.events, Event("Warning", "CommandIgnored", told)))


def _kept(stable: StableTrack, target: Target | Problem) -> StableTrack:
    """Return the track with the inputs of now, where another spec makes the same pods."""
    if isinstance(target, Problem) or target.revision != stable.revision:
        return stable
    return replace(stable, inputs=target.inputs)


def _why_not(view: View, candidate: CanaryTrack, target: Target | Problem) -> str:
    """Return why the candidate is not to serve: what happened to its version, and what is to serve instead."""
    if isinstance(target, Problem):
        instead = target.message
    elif target.version == candidate.version:
        instead = f"another revision of {target.version} is to serve"
    else:
        instead = f"{target.version} is to serve"
    version = view.versions.get(candidate.version)
    if version is None or (isinstance(target, Problem) and target.reason == "VersionRejected"):
        return instead
    if version.spec.approval == REJECTED:
        return f"{candidate.version} was rejected; {instead}"
    return f"{candidate.version} is being deleted; {instead}" if version.metadata.deleting else instead
