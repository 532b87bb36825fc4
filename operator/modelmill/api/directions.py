"""Which way a metric is better, for those whose name says it."""

from __future__ import annotations

from typing import Final

from modelmill.contracts.metrics import CLASSIFICATION_METRICS, LESS_IS_BETTER, REGRESSION_METRICS

_MORE = [one for one in (*REGRESSION_METRICS, *CLASSIFICATION_METRICS) if one not in LESS_IS_BETTER]
DIRECTION_RULES: Final = (
    (
        f"!(self.metric in {list(LESS_IS_BETTER)}) || self.direction == 'Minimize'",
        f"{', '.join(LESS_IS_BETTER)} are better when they are smaller: set direction to Minimize",
    ),
    (
        f"!(self.metric in {_MORE}) || self.direction == 'Maximize'",
        "this metric is better when it is greater: set direction to Maximize",
    ),
)
"""CEL rules of an object with `metric` and `direction`. Metrics of other names are the user's, who knows their direction."""
