"""Recordings of whether the service has drifted: the features by their importance, and the prediction."""

from __future__ import annotations

from typing import Final

from modelmill.api.monitoring import DriftMonitoring
from modelmill.contracts import names
from modelmill.contracts.verdict import PREDICTION, ROUNDING
from modelmill.monitoring.promql import number
from modelmill.monitoring.rules.data_quality import suppressed
from modelmill.monitoring.rules.psi import FEATURES, PREDICTIONS
from modelmill.monitoring.rules.scope import Rule, Scope

IMPORTANCE: Final = "inferenceservice_feature:modelmill_feature_importance_ratio:max"
SHIFTED_FEATURE: Final = "inferenceservice_feature:modelmill_feature_shifted:bool"
SHARE: Final = "inferenceservice:modelmill_shifted_importance:ratio"
SHIFTED: Final = "inferenceservice:modelmill_shifted:bool"
DRIFTED: Final = "inferenceservice:modelmill_drifted:bool"
WORST: Final = "inferenceservice_feature:modelmill_drift_worst:psi"
FINE: Final = "inferenceservice:modelmill_not_drifted:bool"
"""1 since the first judged moment at which the revision had not drifted."""
FINE_REMEMBERED: Final = "1d"


def decision(scope: Scope, drift: DriftMonitoring) -> list[Rule]:
    """Return the recordings of whether the service has drifted, by what, and whether it ever had not."""
    threshold = number(drift.psi_threshold)
    share = repr(float(drift.min_share) - ROUNDING)
    psi, rows = scope.recorded(FEATURES.psi), scope.recorded(FEATURES.rows)
    importance, shifted = scope.recorded(IMPORTANCE), scope.recorded(SHIFTED_FEATURE)
    prediction = f"{scope.recorded(PREDICTIONS.psi)} > bool {threshold}"
    enough = f"{scope.recorded(PREDICTIONS.rows)} >= {drift.min_rows}"
    any_shifted = f"max({scope.recorded(SHIFTED)})"
    alone = f"{scope.recorded(PREDICTIONS.psi)} and on () {scope.recorded(SHIFTED, subject=PREDICTION)} == 1"
    bins = scope.recorded(FEATURES.bins)
    equal = f"0 * {bins} + on () group_left () (1 / count({bins}))"
    disturbed = suppressed(scope, drift)
    never = scope.recorded(FINE, revision=scope.revision)
    return [
        # Servers of an earlier release do not tell it: then all features weigh alike.
        scope.record(
            IMPORTANCE, f"max by (feature) ({scope.gauge(names.METRIC_FEATURE_IMPORTANCE)}) or on (feature) {equal}"
        ),
        scope.record(SHIFTED_FEATURE, f"({psi} > bool {threshold}) and on (feature) {rows} >= {drift.min_rows}"),
        scope.record(
            SHARE,
            f"sum({importance} * on (feature) {shifted}) / (sum({importance} and on (feature) {shifted}) > 0) "
            f"or 0 * count({shifted})",
        ),
        scope.record(SHIFTED, f"{scope.recorded(SHARE)} >= bool {share}", subject="features"),
        scope.record(SHIFTED, f"({prediction}) and on () {enough}", subject=PREDICTION),
        scope.record(DRIFTED, f"{any_shifted} unless on () {disturbed} or 0 * {any_shifted}"),
        scope.record(
            WORST,
            f"({psi} and on (feature) topk(1, {psi} * on (feature) {importance} and on (feature) {shifted} == 1)) "
            f'or on () label_replace({alone}, "feature", "{PREDICTION}", "", "")',
        ),
        scope.record(
            FINE,
            # A window that is disturbed proves nothing, neither that all was fine.
            f"1 + ({any_shifted} == 0 unless on () {disturbed}) or max(last_over_time({never}[{FINE_REMEMBERED}]))",
            revision=scope.revision,
        ),
    ]
