"""How wrong a version was on its hold-out, as its ModelVersion tells it: what labels that come later are compared with."""

from __future__ import annotations

import math

from modelmill.api.objects import ModelVersion
from modelmill.contracts.verdict import Holdout


def holdout_of(version: ModelVersion | None) -> Holdout | None:
    """Return its error there: the share of wrong labels by `accuracy`, or `mae` with its variance by `rmse`.

    None without such metrics, or the number of rows that they were measured on.
    """
    if version is None or version.spec.lineage is None or not version.spec.lineage.holdout_rows:
        return None
    rows = version.spec.lineage.holdout_rows
    accuracy, mae, rmse = (_metric(version, name) for name in ("accuracy", "mae", "rmse"))
    if accuracy is not None and 0 <= accuracy <= 1:
        error = 1 - accuracy
        return Holdout(error, error * (1 - error) / rows, classes=True)
    if mae is None or mae < 0:
        return None
    # Without rmse the errors are taken to be exponential, whose deviation is their mean.
    spread = max(rmse**2 - mae**2, 0.0) if rmse is not None else mae**2
    return Holdout(mae, spread / rows, classes=False)


def _metric(version: ModelVersion, name: str) -> float | None:
    """Return a metric of the version, None where it has none that is a finite number."""
    try:
        value = float(version.spec.metrics.get(name, "nan"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
