"""Strategy Canary: step by step, measured."""

from __future__ import annotations

from modelmill.api.analysis import Analysis, Check
from modelmill.api.inference_service_status import EffectiveRollout
from modelmill.api.rollout import Rollout, Step
from modelmill.serving.capacity import FULL

_PAUSE_SECONDS = 60
CAREFUL_STEPS = (
    Step(weight=10),
    Step(pause_seconds=_PAUSE_SECONDS),
    Step(weight=50),
    Step(pause_seconds=_PAUSE_SECONDS),
)
CAREFUL_ANALYSIS = Analysis(
    interval_seconds=30,
    min_requests=20,
    # A quiet service must not wait for ever; condition and history say that its version was not judged.
    on_insufficient_data="Pass",
    checks=[
        Check(metric="ErrorRatio", maximum="0.01"),
        # The server's histogram has bounds 2.5 times apart: a smaller ratio would be tripped by neighbouring buckets alone.
        Check(metric="LatencyP95Seconds", max_ratio_to_stable="3"),
    ],
)
_LAST = Step(weight=FULL)


def effective(rollout: Rollout) -> EffectiveRollout:
    """Return what is done: the given steps, ended by weight 100, or the careful ones with an analysis."""
    if not rollout.steps:
        analysis = rollout.analysis or CAREFUL_ANALYSIS
        return EffectiveRollout(strategy="Canary", steps=(*CAREFUL_STEPS, _LAST), analysis=analysis)
    last = next((step.weight for step in reversed(rollout.steps) if step.weight is not None), None)
    steps = tuple(rollout.steps) if last == FULL else (*rollout.steps, _LAST)
    return EffectiveRollout(strategy="Canary", steps=steps, analysis=rollout.analysis)
