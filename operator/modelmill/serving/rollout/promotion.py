"""The end of a rollout that went well: the candidate's pods are the stable track. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from modelmill.api.inference_service_status import Answered, CanaryTrack, StableTrack, WentBack
from modelmill.engine.interface import Event
from modelmill.kube.labels import PROMOTE_FULL_ANNOTATION, ROLLBACK_ANNOTATION
from modelmill.serving.history import with_served
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.rollout.findings import INSUFFICIENT
from modelmill.serving.rollout.going_back import at_rest
from modelmill.serving.rollout.position import Position
from modelmill.serving.rollout.previous import kept_for_a_while
from modelmill.serving.rollout.tracks import SOON, hold
from modelmill.serving.view import View

_WHY_FAST: Final = {
    "Person": f"promoted by a person, {PROMOTE_FULL_ANNOTATION}",
    "Rollback": f"it served before, and a person asked for it, {ROLLBACK_ANNOTATION}",
    "Mirror": "the same version, with pods that can mirror requests for strategy Shadow",
    "RollbackWindow": "it served before, within spec.rollout.rollbackWindow",
}


def promoted(view: View, stable: StableTrack, candidate: CanaryTrack, at: Position) -> Decision:
    """The candidate's pods are the stable track now."""
    track = StableTrack(
        version=candidate.version,
        digest=candidate.digest,
        revision=candidate.revision,
        inputs=candidate.inputs,
        server_image=candidate.server_image,
        replicas=candidate.replicas,
        ready=candidate.ready,
    )
    held = hold(view, track, None)
    # While a weight of 100 is waited for, there is nothing to judge by: the steps before it have decided.
    counted = [one for one in candidate.analysis if at.step.weight is None or one.time <= candidate.step_time]
    last = next(iter(counted), None)
    grounds = f"not judged by requests: {last.message}" if last is not None and last.verdict == INSUFFICIENT else ""
    grounds = _fast(view, candidate) or grounds
    back = _left(view, stable, track)
    taken_back = back is not None and back.alert is not None
    why = _why_left(view, back) if back is not None else ""
    history = with_served(view, track, replaces=stable, grounds=grounds, why=why, taken_back=taken_back)
    kept = kept_for_a_while(view, stable)
    status = at_rest(replace(held.status, history=history, previous=kept))
    text = f"{candidate.version} serves all traffic, {stable.version} is "
    text += f"kept until {kept.until}" if kept is not None else "removed"
    if grounds:
        text += f"; {grounds}"
    return replace(held, status=status, events=(Event("Normal", "Promoted", text),), again=SOON)


def _fast(view: View, candidate: CanaryTrack) -> str:
    """Return why the candidate took no steps, with what the person said; empty when it took them."""
    answered, back = view.status.answered or Answered(), view.status.rollback
    if candidate.skips_steps == "Rollback" and back is not None and back.alert is not None:
        return f"it served before; {back.alert}"
    said = {"Person": answered.promote_full, "Rollback": answered.rollback}.get(candidate.skips_steps or "")
    return ": ".join(filter(None, (_WHY_FAST.get(candidate.skips_steps or ""), said)))


def _left(view: View, stable: StableTrack, track: StableTrack) -> WentBack | None:
    """Return the way back by which the version is left that is replaced; None when it is not."""
    back = view.status.rollback
    return back if back is not None and back.version == track.version and stable.version in back.left else None


def _why_left(view: View, back: WentBack) -> str:
    answered = view.status.answered or Answered()
    return back.alert or f"left for {back.version}, {ROLLBACK_ANNOTATION}: {answered.rollback or back.version}"
