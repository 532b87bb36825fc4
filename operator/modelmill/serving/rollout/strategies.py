"""The table of strategies: a strategy turns spec.rollout into steps and measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelmill.api.inference_service_status import EffectiveRollout
from modelmill.api.rollout import Rollout
from modelmill.serving.rollout import canary, direct

STRATEGIES: Mapping[str, Callable[[Rollout], EffectiveRollout]] = {
    "Canary": canary.effective,
    "Direct": direct.effective,
}


def effective(rollout: Rollout) -> EffectiveRollout:
    """Return how versions are rolled out with this spec."""
    return STRATEGIES[rollout.strategy](rollout)
