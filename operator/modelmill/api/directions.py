"""Which way a metric is better, for those whose name says it."""

from __future__ import annotations

from typing import Final

from modelmill.contracts.metrics import CLASSIFICATION_METRICS, LESS_IS_BETTER, REGRESSION_METRICS

_MORE: Final = [one for one in (*REGRESSION_METRICS, *CLASSIFICATION_METRICS) if one not in LESS_IS_BETTER]


def direction_rules(where: str) -> tuple[tuple[str, str], ...]:
    """Return CEL rules with their messages about `metric` and `direction` of an object. where: `self`, or a field of it.

    Metrics of other names are the user's, who knows their direction.
    """
    return (
        (
            f"!({where}.metric in {list(LESS_IS_BETTER)}) || {where}.direction == 'Minimize'",
            f"{', '.join(LESS_IS_BETTER)} are better when they are smaller: set direction to Minimize",
        ),
        (
            f"!({where}.metric in {_MORE}) || {where}.direction == 'Maximize'",
            "this metric is better when it is greater: set direction to Maximize",
        ),
    )
