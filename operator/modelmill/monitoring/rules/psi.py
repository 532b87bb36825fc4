"""Recordings of how far the rows of a window are from the training data, for each feature and for the prediction.

The population stability index (PSI) is sum of (q - p) * ln(q / p) over the bins, where q is the share of a bin in the window
and p in the training data, each with half a row added to every bin. Two samples of the same distribution, of n and N rows, have
a PSI of about (B - 1)(1/n + 1/N) by chance (Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan
University, 2018), which is taken off, so that one threshold serves small windows and large ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modelmill.contracts import names
from modelmill.contracts.drift import UNKNOWN_ROWS
from modelmill.monitoring.rules.scope import PRESENT, Rule, Scope

REFERENCE_ROWS: Final = "inferenceservice:modelmill_reference_rows:max"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is counted in bins: the features, or the prediction.

    level: begins the names of the recordings (level:metric:operation). by: labels that tell one subject from another.
    """

    level: str
    metric: str
    counter: str
    reference: str
    by: tuple[str, ...]

    def name(self, what: str, operation: str, *, per_bin: bool = False) -> str:
        """Return the name of a recording, in the form of the Prometheus documentation, recording rules."""
        return f"{self.level}{'_bin' if per_bin else ''}:{self.metric}_{what}:{operation}"

    @property
    def counts(self) -> str:
        """Recording: rows of each bin in the window, and 0 for a bin of the reference without any."""
        return self.name("rows", "increase", per_bin=True)

    @property
    def reference_ratio(self) -> str:
        """Recording: share of each bin in the training data, the bin `missing` among them."""
        return self.name("reference_ratio", "max", per_bin=True)

    @property
    def expected(self) -> str:
        """Recording: share of each bin in the training data, of the values that are there."""
        return self.name("expected_ratio", "max", per_bin=True)

    @property
    def rows(self) -> str:
        """Recording: n, values in the window that are there."""
        return self.name("rows", "increase")

    @property
    def bins(self) -> str:
        """Recording: B, bins of values that are there."""
        return self.name("bins", "count")

    @property
    def reference_rows(self) -> str:
        """Recording: N, values of the training data that are there."""
        return self.name("reference_rows", "max")

    @property
    def live(self) -> str:
        """Recording: q."""
        return self.name("live_ratio", "smoothed", per_bin=True)

    @property
    def trained(self) -> str:
        """Recording: p."""
        return self.name("trained_ratio", "smoothed", per_bin=True)

    @property
    def psi(self) -> str:
        """Recording: PSI without what chance adds, at least 0."""
        return self.name("psi", "sum")


FEATURES: Final = Subject(
    "inferenceservice_feature",
    "modelmill_feature",
    names.METRIC_FEATURE_BIN,
    names.METRIC_FEATURE_REFERENCE,
    ("feature",),
)
PREDICTIONS: Final = Subject(
    "inferenceservice", "modelmill_prediction", names.METRIC_PREDICTION_BIN, names.METRIC_PREDICTION_REFERENCE, ()
)


def reference_rows(scope: Scope) -> Rule:
    """Return the recording of the rows of the reference profile, which those of both subjects need.

    Servers of an earlier release do not tell it.
    """
    return scope.record(REFERENCE_ROWS, f"max({scope.gauge(names.METRIC_REFERENCE_ROWS)}) or vector({UNKNOWN_ROWS})")


def recordings(subject: Subject, scope: Scope, window: int) -> list[Rule]:
    """Return the recordings up to PSI. Rules of a group run in order, each seeing what the one before recorded."""
    by, by_bin = ", ".join(subject.by), ", ".join((*subject.by, "bin"))
    each = f"on ({by}) group_left ()"
    ratio = scope.recorded(subject.reference_ratio)
    present = scope.recorded(subject.reference_ratio, PRESENT)
    counts = scope.recorded(subject.counts, PRESENT)
    rows, bins = scope.recorded(subject.rows), scope.recorded(subject.bins)
    trained_on, all_rows = scope.recorded(subject.reference_rows), scope.recorded(REFERENCE_ROWS)
    live, trained = scope.recorded(subject.live), scope.recorded(subject.trained)
    distance = f"({live} - on ({by_bin}) {trained}) * on ({by_bin}) ln({live} / on ({by_bin}) {trained})"
    chance = f"({bins} - 1) * on ({by}) (1 / {rows} + on ({by}) 1 / {trained_on})"
    expressions = {
        subject.reference_ratio: f"max by ({by_bin}) ({scope.gauge(subject.reference)})",
        # A bin that nobody has counted yet may have no live series: without it the sum would lack its part.
        subject.counts: f"sum by ({by_bin}) ({scope.increase(subject.counter, window)}) or on ({by_bin}) {ratio} * 0",
        subject.expected: f"{present} / {each} (sum by ({by}) ({present}) > 0)",
        subject.rows: f"sum by ({by}) ({counts})",
        subject.bins: f"count by ({by}) ({present})",
        subject.reference_rows: f"sum by ({by}) ({present}) * on () group_left () {all_rows}",
        subject.live: f"({counts} + 0.5) / {each} (({rows} > 0) + on ({by}) 0.5 * {bins})",
        subject.trained: f"({present} * on () group_left () {all_rows} + 0.5) / {each} "
        f"(({trained_on} > 0) + on ({by}) 0.5 * {bins})",
        subject.psi: f"clamp_min(sum by ({by}) ({distance}) - on ({by}) {chance}, 0)",
    }
    return [scope.record(record, expression) for record, expression in expressions.items()]
