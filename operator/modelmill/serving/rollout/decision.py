"""What a rollout decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.engine.interface import Event
from modelmill.serving.target import Problem


@dataclass(frozen=True, slots=True)
class Decision:
    """What the tracks should be.

    status: with phase, tracks, failure and history as they will be. replicas: pods wanted by revision; the Deployment of any
    other revision goes when nothing needs it any more. only_revision: the revision that gets all the traffic, None while two
    share it by their ready pods. again: seconds until it must be looked at without an event.
    """

    status: InferenceServiceStatus
    replicas: Mapping[str, int] = field(default_factory=dict)
    only_revision: str | None = None
    events: tuple[Event, ...] = ()
    again: float | None = None
    problem: Problem | None = None
