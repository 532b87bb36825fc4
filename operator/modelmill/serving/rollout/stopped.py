"""A service without pods, by spec.suspend or spec.replicas 0, and how it comes back.

A version is judged by its requests, and there are none. So no rollout begins while a service is stopped, and one that goes on
ends: it begins anew when the pods of the stable version are back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final, Literal

from modelmill.api.inference_service_status import StableTrack
from modelmill.api.tracks import STOPPED
from modelmill.engine.interface import Event
from modelmill.kube.conditions import FALSE, find, parse_timestamp
from modelmill.serving.health import NEVER_STARTED, UNSCHEDULABLE, trouble
from modelmill.serving.history import with_superseded
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.rollout.tracks import SOON
from modelmill.serving.view import View

RESUMING: Final = "Resuming"
_WHY = {"Suspended": "spec.suspend is true", "ScaledToZero": "spec.replicas is 0"}


def stopped(view: View, held: Decision) -> Decision:
    """Return the decision about the stable track alone, of a service that is to have no pods; any other as it is."""
    if view.replicas or held.status.stable is None:
        return held
    phase: Literal["Suspended", "ScaledToZero"] = "Suspended" if view.spec.suspend else "ScaledToZero"
    status, events = replace(held.status, phase=phase, previous=None), held.events
    candidate = view.status.canary
    taken_back = candidate is not None and candidate.revision == status.failed_revision
    if candidate is not None and candidate.revision != held.status.stable.revision and not taken_back:
        status = replace(status, history=with_superseded(view, candidate, _WHY[phase]))
    if view.status.phase != phase:
        text = f"{_WHY[phase]}: the pods of {held.status.stable.version} go"
        events = (*events, Event("Normal", phase, text))
    return replace(held, status=status, events=events)


def stopped_message(view: View, version: str) -> str:
    """Return why a stopped service has no pods, and what brings them back."""
    if view.spec.suspend:
        return f"{_WHY['Suspended']}: {version} is kept without pods; set it to false to serve again"
    return f"{_WHY['ScaledToZero']}: {version} is kept without pods; kubectl scale brings them back"


def was_stopped(view: View) -> bool:
    """Tell whether the service was stopped, as its status says, and is not known to be back."""
    return view.status.phase in (*STOPPED, RESUMING)


def patience(view: View, stable: StableTrack) -> float | None:
    """Return the seconds until another version may take the place of pods that were to come back, at most 0 when it may now.

    None while they are waited for however long that takes: where there is no room for them, there is none for a candidate's.
    """
    if view.ready(stable.revision) >= view.replicas:
        return None
    seen = trouble(view, stable.revision)
    if seen is not None and (seen.refused or seen.reason == UNSCHEDULABLE):
        return None
    if seen is not None and (seen.hopeless or seen.reason in NEVER_STARTED):
        return 0.0
    available = find((view.deployments.get(stable.revision) or {}).get("status") or {}, "Available")
    if available is None or available["status"] != FALSE:
        return None
    until = parse_timestamp(available["lastTransitionTime"]) + timedelta(
        seconds=view.spec.rollout.progress_deadline_seconds
    )
    return (until - view.now).total_seconds()


def resumed(view: View, held: Decision, again: float | None) -> Decision:
    """Return the decision about the stable track alone, of a service whose pods are to come back.

    Nothing is rolled out meanwhile: a candidate would be the only one that answers. That they are back is written down before
    a candidate takes their room, or a plan that did not see its status written would wait for them again. again: seconds
    until something else is to be done than to wait.
    """
    stable = held.status.stable
    if stable is None:
        return held
    if view.ready(stable.revision) < view.replicas:
        return replace(held, status=replace(held.status, phase=RESUMING), again=again)
    return replace(held, again=SOON)
