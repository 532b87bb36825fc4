"""Strategy Direct: all at once, when the new pods are ready."""

from __future__ import annotations

from modelmill.api.inference_service_status import EffectiveRollout
from modelmill.api.rollout import Rollout, Step
from modelmill.serving.capacity import FULL

_STEPS = (Step(weight=FULL),)


def effective(rollout: Rollout) -> EffectiveRollout:
    """Return what is done: one step of weight 100, unmeasured, since there is no time in which both versions serve."""
    return EffectiveRollout(strategy="Direct", steps=_STEPS)
