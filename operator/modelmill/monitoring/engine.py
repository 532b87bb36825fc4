"""Who raises the alerts of an InferenceService: Prometheus by rules, or the operator itself."""

from __future__ import annotations

from typing import Final, Literal

from modelmill.engine.interface import World
from modelmill.kube.resources import PROMETHEUS_RULES

Engine = Literal["Prometheus", "Embedded"]
PROMETHEUS: Final = "Prometheus"
EMBEDDED: Final = "Embedded"


def effective(wanted: Literal["Auto", "Prometheus", "Embedded"], *, rules_served: bool) -> Engine:
    """Return who raises the alerts. wanted: spec.monitoring.engine. rules_served: see `rules_served`. Pure."""
    if wanted == "Auto":
        return PROMETHEUS if rules_served else EMBEDDED
    return wanted


def rules_served(world: World, namespace: str) -> bool:
    """Tell whether the API server serves PrometheusRules that the operator may write in the namespace."""
    return world.watched(PROMETHEUS_RULES, namespace)
