"""What an InferenceService says about itself: conditions in kstatus form and the texts of `kubectl get`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelmill.api.inference_service_status import CanaryTrack, InferenceServiceStatus, StableTrack
from modelmill.api.tracks import STOPPED
from modelmill.api.versions import REJECTED
from modelmill.engine.interface import Event
from modelmill.kube.conditions import FALSE, TRUE, Condition, find
from modelmill.kube.labels import (
    ABORT_ANNOTATION,
    PROMOTE_ANNOTATION,
    PROMOTE_FULL_ANNOTATION,
    RESUME_ANNOTATION,
    RETRY_ANNOTATION,
    ROLLBACK_ANNOTATION,
    SERVICE_LABEL,
)
from modelmill.kube.texts import fitted
from modelmill.serving.autoscaled import SCALING_ACTIVE, scaling_active
from modelmill.serving.health import Trouble, trouble
from modelmill.serving.rollout.alerted import HELD, held, held_for_good
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.rollout.findings import FAIL
from modelmill.serving.rollout.position import position_of
from modelmill.serving.rollout.stopped import RESUMING, stopped_message
from modelmill.serving.rollout.strategies import effective
from modelmill.serving.traffic.ports import speaks_grpc
from modelmill.serving.traffic.preview import preview_name
from modelmill.serving.view import View

CONDITIONS = ("Ready", "Available", "Reconciling", "Stalled", "RolledBack", SCALING_ACTIVE)
MAX_EVENT = 1000
Track = StableTrack | CanaryTrack


def status_of(view: View, decision: Decision) -> InferenceServiceStatus:
    """Return the decision's status with what is computed from it."""
    status, stable, canary = decision.status, decision.status.stable, decision.status.canary
    tracks = [track for track in (stable, canary) if track is not None]
    ready, wanted = sum(track.ready for track in tracks), sum(track.replicas for track in tracks)
    rollout = effective(view.spec.rollout)
    return replace(
        status,
        effective=rollout,
        selector=f"{SERVICE_LABEL}={view.name}",
        url=view.url if decision.replicas else status.url,
        replicas=ready,
        ready_replicas=f"{ready}/{wanted or view.replicas}",
        weight=f"{canary.actual_weight}/{canary.weight}" if canary is not None else "-",
        step=_step(view, canary) if canary is not None else "-",
        rollback_held=held_for_good(view.with_status(status)),
    )


def _step(view: View, canary: CanaryTrack) -> str:
    at = position_of(view, canary)
    return f"{at.index + 1}/{len(at.steps)}"


def conditions(view: View, decision: Decision) -> list[Condition]:
    """Return the conditions of the decision."""
    stable, canary = decision.status.stable, decision.status.canary
    if stable is None:
        problem = decision.problem
        reason, message = (problem.reason, problem.message) if problem is not None else ("Pending", "")
        return [
            Condition("Ready", FALSE, reason, message),
            Condition("Available", FALSE, "NoReadyPods", "no version is deployed yet"),
            Condition("Reconciling", FALSE, "Settled", "nothing is being changed"),
            _stalled(view, decision, None),
        ]
    seen = trouble(view, stable.revision) or (trouble(view, canary.revision) if canary is not None else None)
    told = [
        _ready(view, decision, stable, canary, seen),
        _available(view, decision, stable, canary),
        _reconciling(view, decision, stable, canary, seen),
        _stalled(view, decision, seen),
        *scaling_active(view, decision),
    ]
    held_back = held(view.with_status(decision.status))
    if decision.status.failed_revision:
        rolled_back = _rolled_back(decision.status)
        told.append(replace(rolled_back, message="; ".join(filter(None, (rolled_back.message, held_back)))))
    elif held_back:
        told.append(Condition("RolledBack", FALSE, HELD, held_back))
    return told


def warnings(view: View, decision: Decision, told: Sequence[Condition]) -> tuple[Event, ...]:
    """Return the Events of conditions that are new: a first version that has come to a standstill, and an alert held.

    The standstill of a rollout has its own. told: the conditions of the decision.
    """
    return (*_stands_still(view, decision, told), *_holds(view, decision))


def _holds(view: View, decision: Decision) -> tuple[Event, ...]:
    """Return the Event of an alert for which the version before does not come back, once for each reason."""
    text = held(view.with_status(decision.status)) if decision.status.stable is not None else None
    if not text or any(text in one.message for one in view.status.conditions if one.type == "RolledBack"):
        return ()
    return (Event("Warning", HELD, fitted(text, MAX_EVENT)),)


def _stands_still(view: View, decision: Decision, told: Sequence[Condition]) -> tuple[Event, ...]:
    stable = decision.status.stable
    stalled = next(one for one in told if one.type == "Stalled")
    known = {(one.type, one.status, one.reason) for one in view.status.conditions}
    if stable is None or decision.status.phase != "Deploying" or stalled.status != TRUE:
        return ()
    if (stalled.type, stalled.status, stalled.reason) in known:
        return ()
    return (Event("Warning", stalled.reason, fitted(f"{stable.version}: {stalled.message}", MAX_EVENT)),)


def _ready(
    view: View, decision: Decision, stable: StableTrack, canary: CanaryTrack | None, seen: Trouble | None
) -> Condition:
    answering, phase = sum(track.ready for track in _taking_traffic(stable, canary)), decision.status.phase
    count = f"{stable.ready} of {stable.replicas} pods ready"
    if phase in STOPPED:
        # What is wanted is reached, which is what Ready means to kstatus; that nothing answers is said by Available.
        return Condition("Ready", TRUE, phase, stopped_message(view, stable.version))
    if phase == "Deploying" or answering < view.needed:
        text = f"{stable.version}: {count}"
        if seen is None:
            return Condition("Ready", FALSE, "PodsNotReady", text)
        return Condition("Ready", FALSE, seen.reason, f"{text}: {seen.message}")
    text = f"{stable.version} serves with {count}{_own_image(view)}"
    if decision.problem is not None:
        return Condition(
            "Ready", TRUE, decision.problem.reason, f"{text} and goes on serving: {decision.problem.message}"
        )
    if canary is not None and phase in ("RollingOut", "Paused"):
        doing = "is being rolled out" if phase == "RollingOut" else "waits for a person"
        return Condition("Ready", TRUE, phase, f"{text}; {canary.version} {doing}")
    if phase == "RolledBack":
        text += f"; {_taken_back(decision.status)}{_rejected(view, stable)}{_gone_back(decision.status)}"
        return Condition("Ready", TRUE, "RolledBack", text)
    text += _rejected(view, stable) + _grounds(decision.status, stable) + _gone_back(decision.status)
    return Condition("Ready", TRUE, phase, text)


def _own_image(view: View) -> str:
    """Return what is not known with an image of the user, where the spec names one."""
    image = view.spec.runtime.image
    if image is None:
        return ""
    lost = "whether it replays golden rows is not known, and drift and checks of a rollout go by the metrics that it serves"
    return f"; its server is spec.runtime.image {image}: {lost}"


def _taken_back(status: InferenceServiceStatus) -> str:
    """Return which version was taken back, if the history still has it, and why."""
    failed = (one.version for one in status.history if one.revision == status.failed_revision)
    name = next(failed, "what should serve")
    return f"{name} was taken back: {fitted(status.failed_message or '', 3000)}"


def _grounds(status: InferenceServiceStatus, stable: StableTrack) -> str:
    """Return why the version serves, where that is worth a word: it was not judged."""
    served = next((one for one in status.history if one.outcome == "Serving"), None)
    told = served is not None and served.revision == stable.revision and served.message
    return f"; {served.message}" if served is not None and told else ""


def _rejected(view: View, stable: StableTrack) -> str:
    """Return that the version that serves was rejected, if it was: nothing that may serve has taken its place."""
    version = view.versions.get(stable.version)
    if version is None or version.spec.approval != REJECTED:
        return ""
    return (
        f"; {stable.version} is rejected and serves until another version does: approve one, or set {RETRY_ANNOTATION}"
    )


def _gone_back(status: InferenceServiceStatus) -> str:
    """Return that it was gone back, by a person or for an alert, while that is in effect."""
    back = status.rollback
    if back is None:
        return ""
    if back.alert is not None:
        return f"; {', '.join(back.left)} skipped since {back.time}, by spec.monitoring.rollback"
    return f"; {', '.join(back.left)} skipped since {back.time}: {ROLLBACK_ANNOTATION} asked for {back.version}"


def _available(view: View, decision: Decision, stable: StableTrack, canary: CanaryTrack | None) -> Condition:
    answering = [track.version for track in _taking_traffic(stable, canary)]
    if not answering and not view.replicas:
        return Condition("Available", FALSE, decision.status.phase, stopped_message(view, stable.version))
    if not answering:
        return Condition("Available", FALSE, "NoReadyPods", f"no pod is ready, {view.url} does not answer")
    grpc = f", gRPC at {view.grpc_address}" if speaks_grpc(view.spec, view.deployments.values()) else ""
    return Condition("Available", TRUE, "Serving", f"{' and '.join(answering)} at {view.url}{grpc}")


def _taking_traffic(stable: StableTrack, canary: CanaryTrack | None) -> list[Track]:
    """Return the tracks whose ready pods get requests; a candidate of weight 0 only while there is no other."""
    tracks: list[Track] = [stable] if canary is None else [stable, canary]
    ready = [track for track in tracks if track.ready]
    return [track for track in ready if isinstance(track, StableTrack) or track.weight] or ready


def _reconciling(
    view: View, decision: Decision, stable: StableTrack, canary: CanaryTrack | None, seen: Trouble | None
) -> Condition:
    phase = decision.status.phase
    if phase == "Deploying":
        text = f"{stable.version} is being deployed; it serves when all {stable.replicas} pods are ready"
        return Condition("Reconciling", TRUE, "Deploying", text)
    if phase == RESUMING:
        text = f"the pods of {stable.version} come back; it serves with {stable.ready} of {stable.replicas}"
        return Condition("Reconciling", TRUE, RESUMING, text)
    if phase in ("RollingOut", "Paused") and canary is not None:
        return _rolling_out(view, canary, seen, phase)
    if phase == "RollingBack" and canary is not None:
        text = f"{canary.version} gets no traffic; its pods go when {stable.version} has {stable.replicas} ready pods"
        if view.route is not None:
            text += f" and the gateways have taken the weights{view.route.waits}"
        return Condition("Reconciling", TRUE, "RollingBack", text)
    if view.route is not None and view.route.waits:
        return Condition("Reconciling", TRUE, "RouteNotAnswered", f"the route is made{view.route.waits}")
    return Condition("Reconciling", FALSE, "Settled", "nothing is being changed")


def _rolling_out(view: View, canary: CanaryTrack, seen: Trouble | None, phase: str) -> Condition:
    """Return what a rollout waits for, what was measured, and what a person may do."""
    at = position_of(view, canary)
    lacking = canary.paused is None and at.lacks_data(canary)
    text = f"{canary.version}: {at.describe()}"
    if canary.paused is not None:
        text += (
            f"; paused since {canary.pause_time} ({canary.paused}): set the annotation {RESUME_ANNOTATION}, "
            f"{PROMOTE_ANNOTATION}, {PROMOTE_FULL_ANNOTATION} or {ABORT_ANNOTATION} to a new text"
        )
    last = next(iter(canary.analysis), None)
    if last is not None:
        # Of equal verdicts in a step only the first is on record.
        text += f"; measured {'at' if last.verdict == FAIL else 'since'} {last.time}: {last.verdict}, {last.message}"
    if canary.ready < canary.replicas and seen is not None:
        text += f"; {seen.message}"
    if view.route is not None:
        text += view.route.waits
    if lacking:
        where = "" if at.weight or at.strategy != "BlueGreen" else f" to the Service {preview_name(view.name)}"
        text += (
            f"; it goes on when there are more requests{where}, when a person sets {PROMOTE_ANNOTATION}, when "
            "spec.rollout.analysis asks for fewer (minRequests), or when "
            "it says what to do without them (onInsufficientData: Pass or Fail)"
        )
    return Condition("Reconciling", TRUE, "InsufficientData" if lacking else phase, text)


def _stalled(view: View, decision: Decision, seen: Trouble | None) -> Condition:
    problem, status = decision.problem, decision.status
    if problem is not None and problem.reason != "NoApprovedVersion":
        return Condition("Stalled", TRUE, problem.reason, problem.message)
    if seen is not None and seen.refused:
        mend = "raise the quota or the limit, or ask for less in spec.runtime.resources or spec.replicas; it is tried again"
        return Condition("Stalled", TRUE, seen.reason, f"{seen.message}; {mend}")
    if status.failed_revision:
        return Condition("Stalled", TRUE, "RolledBack", _rolled_back(status).message)
    if status.phase in ("Deploying", RESUMING) and status.stable is not None:
        if seen is not None and seen.hopeless:
            return Condition("Stalled", TRUE, seen.reason, seen.message)
        deployment = view.deployments.get(status.stable.revision) or {}
        progressing = find(deployment.get("status") or {}, "Progressing")
        if progressing is not None and progressing.get("reason") == "ProgressDeadlineExceeded":
            limit = view.spec.rollout.progress_deadline_seconds
            text = f"{status.stable.ready} of {status.stable.replicas} pods ready after {limit} s"
            return Condition("Stalled", TRUE, "ProgressDeadlineExceeded", text + (f": {seen.message}" if seen else ""))
    return Condition("Stalled", FALSE, "NotStalled", "nothing stands in the way")


def _rolled_back(status: InferenceServiceStatus) -> Condition:
    stable, back = status.stable.version if status.stable is not None else "-", status.rollback
    again = "the failed revision is not tried again until the version or spec.runtime changes"
    if back is not None and back.alert is not None and back.revision == status.failed_revision:
        again = f"{', '.join(back.left)} skipped until another version is approved"
    text = f"{status.failed_message or ''}; {stable} serves; {again}, or the annotation {RETRY_ANNOTATION} is set to a new text"
    return Condition("RolledBack", TRUE, "RolledBack", text)
