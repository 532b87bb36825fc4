"""Strategy BlueGreen: the new version stands whole beside the old one, then all traffic is switched at once."""

from __future__ import annotations

from modelmill.api.inference_service_status import EffectiveRollout
from modelmill.api.rollout import BlueGreen, Rollout, Step
from modelmill.serving.capacity import FULL
from modelmill.serving.rollout.canary import CAREFUL_ANALYSIS

SCALE_DOWN_DELAY_SECONDS = 30


def effective(rollout: Rollout) -> EffectiveRollout:
    """Return what is done: time behind the preview Service, a person's word, the switch, time to switch back."""
    settings = rollout.blue_green or BlueGreen()
    steps = [Step(pause_seconds=settings.pre_promotion_seconds)] if settings.pre_promotion_seconds else []
    steps += [] if settings.auto_promotion else [Step(pause="Manual")]
    steps += [Step(weight=FULL)]
    steps += [Step(pause_seconds=settings.post_promotion_seconds)] if settings.post_promotion_seconds else []
    measures = settings.pre_promotion_seconds or settings.post_promotion_seconds
    analysis = (rollout.analysis or CAREFUL_ANALYSIS) if measures else None
    return EffectiveRollout(strategy="BlueGreen", steps=tuple(steps), analysis=analysis)
