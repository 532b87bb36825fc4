"""The alerts, each with its runbook. Their texts are templates of Prometheus, so no text of a user is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modelmill.api import monitoring as kinds
from modelmill.api.monitoring import Monitoring
from modelmill.contracts import verdict as v
from modelmill.kube.objects import Manifest
from modelmill.monitoring.alertmanager import KIND_LABEL
from modelmill.monitoring.evaluating import ERRORS_SECONDS
from modelmill.monitoring.promql import number
from modelmill.monitoring.rules import data_quality, drift, served
from modelmill.monitoring.rules.scope import Rule, Scope
from modelmill.monitoring.rules.served import Limit

PREFIX: Final = "Modelmill"
"""Begins the names of the alerts; the rest is their kind."""
SERVICE: Final = "{{ $labels.inferenceservice }}"
VERSION: Final = "{{ $labels.model_version }}"
_WORST: Final = (
    f'{{{{ with printf "{drift.WORST}{{namespace=%q,inferenceservice=%q,model_version=%q}}" '
    "$labels.namespace $labels.inferenceservice $labels.model_version | query }}"
)
WORST_FEATURE: Final = _WORST + '{{ . | first | label "feature" }}{{ end }}'
WORST_PSI: Final = _WORST + '{{ . | first | value | printf "%.3f" }}{{ end }}'


def alerts(scope: Scope, monitoring: Monitoring, limit: Limit | None, runbooks: str) -> Iterator[Rule]:
    """Yield the alerts. limit: of the error of labels, None for no alert on them. runbooks: address of their page."""
    window = monitoring.drift.window_seconds
    yield _alert(
        kinds.DATA_QUALITY,
        scope.recorded(data_quality.PROBLEM),
        window // 4,
        f"The data of {SERVICE} are wrong: {{{{ $labels.problem }}}} of {{{{ $labels.feature }}}}.",
        f"What is asked of {VERSION} is not what it was trained on, in a way that no training mends: measured "
        f'{{{{ $value | printf "%.4g" }}}} over {window} s. Nothing is retrained, and drift and quality are not judged.',
        runbooks,
    )
    yield from _of_drift(scope, monitoring, runbooks)
    if limit is not None:
        yield _of_quality(scope, monitoring, limit, runbooks)
    yield _of_errors(scope, runbooks)
    if monitoring.staleness is not None:
        yield _alert(
            kinds.STALENESS,
            f"{scope.recorded(served.AGE)} > {monitoring.staleness.max_age_seconds}",
            0,
            f"{VERSION}, which {SERVICE} serves, is {{{{ $value | humanizeDuration }}}} old.",
            f"It was to be no older than {monitoring.staleness.max_age_seconds} s.",
            runbooks,
            value="%.0f",
        )


def _of_drift(scope: Scope, monitoring: Monitoring, runbooks: str) -> Iterator[Rule]:
    drifted = f"{scope.recorded(drift.DRIFTED)} == 1"
    fine = f"on () {scope.recorded(drift.FINE, revision=scope.revision)}"
    settings = monitoring.drift
    measured = (
        f"{WORST_FEATURE} differs most, with a PSI of {WORST_PSI}; the limits are {number(settings.psi_threshold)} and "
        f"{number(settings.min_share)} of the importance, over {settings.window_seconds} s."
    )
    what = {
        kinds.DRIFT: (
            f"{drifted} and {fine}",
            f"What is asked of {SERVICE} has drifted from the training data of {VERSION}.",
        ),
        kinds.SKEW: (
            f"{drifted} unless {fine}",
            f"What is asked of {SERVICE} never was like the training data of {VERSION}.",
        ),
    }
    for kind, (expression, summary) in what.items():
        yield _alert(
            kind,
            expression,
            settings.lasting_seconds,
            summary,
            measured,
            runbooks,
            annotations={"feature": WORST_FEATURE, "value": WORST_PSI},
        )


def _of_quality(scope: Scope, monitoring: Monitoring, limit: Limit, runbooks: str) -> Rule:
    quality = monitoring.quality
    error, labels = scope.recorded(served.ERROR), scope.recorded(served.LABELS)
    noise = f"{v.SIGMAS} * sqrt({scope.recorded(served.VARIANCE)} + {limit.variance!r})"
    return _alert(
        kinds.QUALITY,
        f"{error} and {error} - {limit.value!r} > {noise} and {labels} >= {quality.min_labels} "
        f"unless on () {data_quality.suppressed(scope, monitoring.drift)} "
        f"unless on () {_told_of_data(scope, quality.window_seconds)}",
        int(monitoring.lasting_seconds(kinds.QUALITY)),
        f"{VERSION}, which {SERVICE} serves, is worse than its limit.",
        f'By the labels of {quality.window_seconds} s its error is {{{{ $value | printf "%.4g" }}}}, and the limit '
        f"{limit.value:.4g}.",
        runbooks,
        value="%.4g",
    )


def _told_of_data(scope: Scope, seconds: int) -> str:
    """Return an expression that has a value where an alert on the data fired within so many seconds.

    Labels of what was predicted from wrong data are in the window of labels, which is longer than that of the data.
    """
    told = scope.recorded("ALERTS", alertname=f"{PREFIX}{kinds.DATA_QUALITY}", alertstate="firing")
    return f"count_over_time({told}[{seconds}s])"


def _of_errors(scope: Scope, runbooks: str) -> Rule:
    failed, requests = scope.recorded(served.FAILED), scope.recorded(served.REQUESTS)
    noise = f"{v.SIGMAS} * sqrt({failed} * (1 - {failed}) / {requests})"
    return _alert(
        kinds.ERRORS,
        f"{failed} and {failed} - {noise} > {v.ERROR_MOST} and {requests} >= {v.ERROR_REQUESTS}",
        int(kinds.ERRORS_LASTING),
        f"{VERSION}, which {SERVICE} serves, fails.",
        f'The share of the requests that are answered 5xx is {{{{ $value | printf "%.3f" }}}} over {int(ERRORS_SECONDS)} s, '
        f"and more than {v.ERROR_MOST} beyond chance. Nothing is retrained.",
        runbooks,
        severity="critical",
    )


def _alert(
    kind: str,
    expression: str,
    seconds: int,
    summary: str,
    description: str,
    runbooks: str,
    *,
    severity: str = "warning",
    value: str = "%.3f",
    annotations: Manifest | None = None,
) -> Rule:
    """Return an alert. seconds: how long it must last. value: form of what was measured."""
    name = f"{PREFIX}{kind}"
    return {
        "alert": name,
        "expr": expression,
        "for": f"{seconds}s",
        "labels": {"severity": severity, KIND_LABEL: kind},
        "annotations": {
            "summary": summary,
            "description": description,
            "value": f'{{{{ $value | printf "{value}" }}}}',
            "runbook_url": f"{runbooks}#{name.lower()}",
            **(annotations or {}),
        },
    }
