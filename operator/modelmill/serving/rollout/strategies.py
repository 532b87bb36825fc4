"""The table of strategies: a strategy turns spec.rollout into steps and measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelmill.api.inference_service_status import EffectiveRollout
from modelmill.api.rollout import Rollout
from modelmill.serving.rollout import blue_green, canary, direct, shadow

STRATEGIES: Mapping[str, Callable[[Rollout], EffectiveRollout]] = {
    "BlueGreen": blue_green.effective,
    "Canary": canary.effective,
    "Direct": direct.effective,
    "Shadow": shadow.effective,
}


def effective(rollout: Rollout) -> EffectiveRollout:
    """Return how versions are rolled out with this spec."""
    return STRATEGIES[rollout.strategy](rollout)


def scale_down_delay(rollout: Rollout) -> int:
    """Return the seconds for which the pods of the version before are kept after a promotion."""
    if rollout.scale_down_delay_seconds is not None:
        return rollout.scale_down_delay_seconds
    return blue_green.SCALE_DOWN_DELAY_SECONDS if rollout.strategy == "BlueGreen" else 0
