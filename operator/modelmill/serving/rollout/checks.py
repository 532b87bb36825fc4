"""The table of checks: what each metric says of what both tracks counted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from modelmill.api.analysis import ACCURACY, DISAGREEMENT, ERROR_RATIO, MEAN_ABSOLUTE_ERROR, PREDICTION_PSI, Check
from modelmill.measuring.samples import QUANTILES
from modelmill.serving.rollout.findings import INSUFFICIENT, Finding, Samples
from modelmill.serving.rollout.mirrored_checks import of_disagreement
from modelmill.serving.rollout.queries import of_query
from modelmill.serving.rollout.request_checks import of_requests
from modelmill.serving.rollout.value_checks import of_accuracy, of_drift, of_errors

CHECKS: Final[Mapping[str, Callable[[Check, Samples, int], Finding]]] = {
    **{metric: partial(of_requests, metric) for metric in (ERROR_RATIO, *QUANTILES)},
    PREDICTION_PSI: of_drift,
    ACCURACY: of_accuracy,
    MEAN_ABSOLUTE_ERROR: of_errors,
    DISAGREEMENT: of_disagreement,
}

NO_FIGURES: Final = "no figures from"


def judged(check: Check, samples: Samples, min_requests: int) -> Finding:
    """Return what the check says. min_requests: fewest observations, where the check does not say how many."""
    if check.prometheus is not None:
        return of_query(check.prometheus, check, samples)
    if samples.silent and samples.silent == samples.pods:
        # Whether there were requests is not known: none of them was counted.
        return Finding(INSUFFICIENT, silence(samples))
    return CHECKS[check.metric or ERROR_RATIO](check, samples, check.min_samples or min_requests)


def silence(samples: Samples) -> str:
    """Return what is told of pods that gave no figures."""
    return f"{NO_FIGURES} {samples.silent} of {samples.pods} pods at /metrics"
