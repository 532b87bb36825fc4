"""What the rules of one service select: the series of its pods, and what the rules themselves recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelmill.contracts.names import BIN_MISSING
from modelmill.monitoring.promql import literal, matchers

Rule = dict[str, Any]
"""One rule as a file of Prometheus has it."""

REMEMBERED_SECONDS: Final = 900
"""How long a gauge is known after its last sample: while pods are replaced, none of them may be there to be asked."""
PRESENT: Final = {"bin": BIN_MISSING}
"""What the bin of a value that is there is not."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One version that an InferenceService serves. revision: of its stable track."""

    namespace: str
    service: str
    version: str
    revision: str

    @property
    def identity(self) -> dict[str, str]:
        """Labels of what is recorded."""
        return {"namespace": self.namespace, "inferenceservice": self.service, "model_version": self.version}

    def _series(self, metric: str, pods: str, labels: Mapping[str, str]) -> str:
        equal = {"namespace": self.namespace, "model_version": self.version}
        return metric + matchers(equal, {"pod": pods, **labels})

    @property
    def _stable(self) -> str:
        return f"{literal(self.service)}-{literal(self.revision)}-.+"

    def increase(self, metric: str, seconds: int, **labels: str) -> str:
        """Return by how much each counter of the stable revision's pods grew. labels: regular expressions."""
        return f"increase({self._series(metric, self._stable, labels)}[{seconds}s])"

    def labels(self, metric: str, seconds: int, **labels: str) -> str:
        """Return by how much each counter of labels of the version grew, which all pods of the service are told."""
        # A version may be served by another service of the namespace, whose name may begin alike.
        pods = f"{literal(self.service)}-[0-9a-z]{{{max(len(self.revision), 1)}}}-.+"
        return f"increase({self._series(metric, pods, labels)}[{seconds}s])"

    def gauge(self, metric: str) -> str:
        """Return the last value of each gauge of the stable revision's pods."""
        return f"last_over_time({self._series(metric, self._stable, {})}[{REMEMBERED_SECONDS}s])"

    def recorded(self, name: str, unequal: Mapping[str, str] | None = None, **equal: str) -> str:
        """Return what the rules recorded under a name."""
        return name + matchers({**self.identity, **equal}, unequal=unequal)

    def record(self, name: str, expression: str, **labels: str) -> Rule:
        """Return the rule that records an expression, whose own labels are besides those of the service."""
        return {"record": name, "expr": expression, "labels": {**self.identity, **labels}}
