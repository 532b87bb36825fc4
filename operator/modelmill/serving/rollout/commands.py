"""What persons ask for by annotations of the InferenceService: a new text asks once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from modelmill.api.inference_service_status import Answered, CanaryTrack
from modelmill.engine.interface import Event
from modelmill.kube import labels
from modelmill.kube.conditions import timestamp
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.rollout.going_back import Aim
from modelmill.serving.rollout.position import Position, position_of
from modelmill.serving.view import View

MAX_TEXT: Final = 256
ABORTED: Final = "Aborted"
"""First word of why a candidate is taken back that a person aborts."""
ANNOTATIONS: Final = {
    "pause": labels.PAUSE_ANNOTATION,
    "resume": labels.RESUME_ANNOTATION,
    "promote": labels.PROMOTE_ANNOTATION,
    "promote_full": labels.PROMOTE_FULL_ANNOTATION,
    "abort": labels.ABORT_ANNOTATION,
    "rollback": labels.ROLLBACK_ANNOTATION,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: texts of annotations that were not answered yet, by the names of `Answered`.

    answered: what the status says when this plan's is written.
    """

    new: Mapping[str, str]
    answered: Answered | None

    def says(self, name: str) -> bool:
        """Tell whether the annotation has a new text."""
        return name in self.new


def asked_of(view: View) -> Asked:
    """Return what is asked. An annotation that is removed may be set to the same text again."""
    annotations = view.service.metadata.annotations
    texts = {name: (annotations.get(full) or "").strip()[:MAX_TEXT] for name, full in ANNOTATIONS.items()}
    before = view.status.answered or Answered()
    new = {name: text for name, text in texts.items() if text and text != getattr(before, name)}
    answered = Answered(**{name: text or None for name, text in texts.items()})
    return Asked(new, answered if answered != Answered() else None)


def obey(view: View, candidate: CanaryTrack, at: Position, asked: Asked) -> tuple[CanaryTrack, tuple[Event, ...]]:
    """Return the candidate after pause, promote and resume, of which the first that was asked for counts, and what is told.

    A pause counts before the others: it is the one that harms nobody when two hands disagree.
    """
    said = [name for name in ("pause", "promote_full", "promote", "resume") if asked.says(name)]
    candidate, told = _obeyed(view, candidate, at, asked)
    besides = (_ignored(asked, name, f"{ANNOTATIONS[said[0]]} was set besides, and counts first") for name in said[1:])
    return candidate, (*told, *besides)


def _obeyed(view: View, candidate: CanaryTrack, at: Position, asked: Asked) -> tuple[CanaryTrack, tuple[Event, ...]]:
    now = timestamp(view.now)
    if asked.says("pause"):
        if candidate.paused is not None:
            return candidate, (_ignored(asked, "pause", f"the rollout of {candidate.version} is paused already"),)
        paused = replace(candidate, paused="Person", pause_time=now)
        text = f"{candidate.version} is paused at weight {at.weight} by a person: {asked.new['pause']}"
        return paused, (Event("Normal", "Paused", text),)
    if asked.says("promote_full"):
        fast = replace(entered(candidate, 0, now), skips_steps="Person")
        text = f"{candidate.version} is promoted as soon as its pods are ready, without further steps and measurements"
        text += f": {asked.new['promote_full']}"
        return fast, (Event("Normal", "PromotedByPerson", text),)
    if asked.says("promote"):
        if at.last:
            text = f"{candidate.version} is in its last step, which only waits for its pods or its time"
            return candidate, (_ignored(asked, "promote", text),)
        moved = entered(candidate, at.index + 1, now)
        text = (
            f"{candidate.version}: step {at.index + 1} of {len(at.steps)} is ended by a person: {asked.new['promote']}"
        )
        return moved, (Event("Normal", "PromotedByPerson", text),)
    if asked.says("resume"):
        if candidate.paused is None:
            return candidate, (_ignored(asked, "resume", f"the rollout of {candidate.version} is not paused"),)
        resumed = replace(candidate, paused=None, pause_time=None, resumed=True, inconclusive=0)
        text = f"{candidate.version} goes on from weight {at.weight}: {asked.new['resume']}"
        return resumed, (Event("Normal", "Resumed", text),)
    return candidate, ()


def entered(candidate: CanaryTrack, step: int, now: str) -> CanaryTrack:
    """Return the candidate at the beginning of a step. now: RFC 3339."""
    return replace(
        candidate,
        step=step,
        step_time=now,
        paused=None,
        pause_time=None,
        resumed=False,
        routed_time=None,
        inconclusive=0,
    )


def paused_by_step(view: View, candidate: CanaryTrack) -> tuple[CanaryTrack, tuple[Event, ...]]:
    """Return the candidate, paused where its step waits for a person's word that was not said."""
    at = position_of(view, candidate)
    if at.step.pause is None or candidate.resumed or candidate.paused is not None or at.ready < at.wanted:
        return candidate, ()
    text = f"{candidate.version} waits for a person: kubectl annotate --overwrite inferenceservices.modelmill.dev {view.name}"
    event = Event("Normal", "Paused", f"{text} {labels.RESUME_ANNOTATION}=TEXT, or {labels.ABORT_ANNOTATION}=TEXT")
    return replace(candidate, paused="Manual", pause_time=timestamp(view.now)), (event,)


def ignored(view: View, decision: Decision, aim: Aim, asked: Asked) -> tuple[Event, ...]:
    """Return what is told of words that nothing came of."""
    candidate = view.status.canary
    if aim.accepted:
        return _unheard(asked, f"{labels.ROLLBACK_ANNOTATION} was set besides, and counts first")
    if view.status.phase not in ("RollingOut", "Paused") or candidate is None:
        return _unheard(asked, "no rollout is going on")
    later, status = decision.status.canary, decision.status
    goes_on = later is not None and later.revision == candidate.revision and status.phase in ("RollingOut", "Paused")
    promoted = status.stable is not None and status.stable.revision == candidate.revision
    if goes_on or promoted:
        return ()
    aborted = (status.failed_message or "").startswith(ABORTED) and status.failed_revision == candidate.revision
    return _unheard(asked, f"the rollout of {candidate.version} has ended", abort=not aborted)


def _unheard(asked: Asked, why: str, *, abort: bool = True) -> tuple[Event, ...]:
    """Return what is told of commands about a rollout that are not followed. why: what is in their way. abort: that one too."""
    about = ("pause", "resume", "promote", "promote_full", *(("abort",) if abort else ()))
    return tuple(_ignored(asked, name, why) for name in about if asked.says(name))


def _ignored(asked: Asked, name: str, why: str) -> Event:
    return Event("Warning", "CommandIgnored", f"{ANNOTATIONS[name]}={asked.new[name]}: {why}")
