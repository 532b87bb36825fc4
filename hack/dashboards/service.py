"""The dashboard of one InferenceService.

Its queries ask the servers' own counters, so that it shows the same with the rules loaded and without: no recording is needed.
"""

from __future__ import annotations

from typing import Any, Final

from hack.dashboards.panels import (
    ALPHABETICAL,
    NEWEST_FIRST,
    Panel,
    Query,
    Row,
    annotation,
    asked,
    chosen,
    dashboard,
    datasource,
)
from modelmill.contracts import names
from modelmill.contracts.drift import UNKNOWN_ROWS

PODS: Final = 'namespace="$namespace",pod=~"$inferenceservice-[0-9a-z]{10}-.+"'
"""Pods of the service, of each version: a pod's name has that of the service and the hash of its revision."""
VERSION: Final = f'{PODS},model_version="$model_version"'
PRESENT: Final = f'bin!="{names.BIN_MISSING}"'
WINDOW: Final = "[$window]"
RATE: Final = "[$__rate_interval]"
SHIFTED: Final = ((0.0, "green"), (0.1, "yellow"), (0.2, "red"))
"""Colours by PSI; the last begins at the default of spec.monitoring.drift.psiThreshold."""


def psi(counter: str, reference: str, *by: str) -> str:
    """Return the PSI over $window of each subject that `by` tells apart, without what chance adds.

    c: rows in a bin, of n; r: share of a bin in training; B: how many bins. Half a row more in each bin keeps the logarithm
    finite. See docs/reference/monitoring.md.
    """
    subject, bins = ",".join(by), ",".join((*by, "bin"))
    increase = f"increase({counter}{{{VERSION},{PRESENT}}}{WINDOW})"
    c, n = f"sum by ({bins}) ({increase})", f"sum by ({subject}) ({increase})"
    r = f"max by ({bins}) ({reference}{{{VERSION},{PRESENT}}})"
    rows = f"scalar(max({names.METRIC_REFERENCE_ROWS}{{{VERSION}}}) or vector({UNKNOWN_ROWS:.0f}))"
    trained, count = f"sum by ({subject}) ({r}) * {rows}", f"count by ({subject}) ({r})"
    q = f"(({c} + 0.5) / on ({subject}) group_left () ({n} + 0.5 * {count}))"
    p = f"(({r} * {rows} + 0.5) / on ({subject}) group_left () ({trained} + 0.5 * {count}))"
    chance = f"({count} - 1) * (1 / {n} + 1 / ({trained}))"
    return f"clamp_min(sum by ({subject}) (({q} - {p}) * ln({q} / {p})) - {chance}, 0) and {n} > 0"


def _increase(metric: str, by: str = "", only: str = "") -> str:
    return f"sum by ({by}) (increase({metric}{{{VERSION}{only}}}{WINDOW}))"


def _rate(metric: str, by: str, only: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{PODS}{only}}}{RATE}))"


def _quantile(share: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{names.METRIC_REQUEST_DURATION}_bucket', 'model_version,le')})"


FEATURE_PSI: Final = psi(names.METRIC_FEATURE_BIN, names.METRIC_FEATURE_REFERENCE, "feature")
PREDICTION_PSI: Final = psi(names.METRIC_PREDICTION_BIN, names.METRIC_PREDICTION_REFERENCE)
VALUES: Final = _increase(names.METRIC_FEATURE_BIN, "feature")
PREDICTIONS: Final = _increase(names.METRIC_PREDICTION_BIN)
LABELS: Final = _increase(names.METRIC_FEEDBACK)
AGE: Final = f"time() - max({names.METRIC_TRAINED_TIMESTAMP}{{{VERSION}}})"
ANSWERS: Final = _rate(names.METRIC_REQUESTS, "model_version")
SERVER_ERRORS: Final = (
    f"""({_rate(names.METRIC_REQUESTS, "model_version", ',code=~"5.."')} or 0 * {ANSWERS}) / ({ANSWERS} > 0)"""
)
ONLY_MISSING: Final = f',bin="{names.BIN_MISSING}"'
REFUSED: Final = _increase(names.METRIC_FEATURE_INVALID, "feature")
FAR: Final = _increase(names.METRIC_FEATURE_OUT_OF_RANGE, "feature", ',distance="far"')
WRONG: Final = _increase(names.METRIC_FEEDBACK, "", ',result="wrong"')
JUDGED: Final = _increase(names.METRIC_FEEDBACK, "", ',result=~"correct|wrong"')
MAGNITUDE: Final = names.METRIC_FEATURE_MAGNITUDE
MAGNITUDE_SHIFT: Final = (
    f"abs({_increase(f'{MAGNITUDE}_sum', 'feature')} / ({_increase(f'{MAGNITUDE}_count', 'feature')} > 0)"
    f" - max by (feature) ({names.METRIC_FEATURE_REFERENCE_MAGNITUDE_MEAN}{{{VERSION}}}))"
)
INFO: Final = f"count by (model_version) ({names.METRIC_MODEL_INFO}{{{PODS}}})"


def _mean(summary: str) -> str:
    return f"{_increase(f'{summary}_sum')} / ({_increase(f'{summary}_count')} > 0)"


AT_A_GLANCE: Final = Row(
    "At a glance: version $model_version",
    [
        Panel(title="Requests a second", form="stat", unit="reqps", says="Of all versions, of all codes.",
              queries=[Query(f"sum(rate({names.METRIC_REQUESTS}{{{PODS}}}{RATE}))", "requests")]),
        Panel(title="Rows in the window", form="stat", says="Predictions of this version within $window. Too few, and nothing "
              "is judged: spec.monitoring.drift.minRows.", queries=[Query(PREDICTIONS, "rows")]),
        Panel(title="Greatest PSI of a feature", form="stat", steps=SHIFTED,
              says="Population stability index of the feature that shifted most, without what chance adds.",
              queries=[Query(f"max({FEATURE_PSI})", "PSI")]),
        Panel(title="PSI of the prediction", form="stat", steps=SHIFTED,
              says="Population stability index of the predictions, without what chance adds.",
              queries=[Query(PREDICTION_PSI, "PSI")]),
        Panel(title="Labels in the window", form="stat", says="Rows whose label came back within $window.",
              queries=[Query(LABELS, "labels")]),
        Panel(title="Age of the model", form="stat", unit="s", says="Time since the training of this version ended.",
              queries=[Query(AGE, "age")]),
    ],
)  # fmt: skip
TRAFFIC: Final = Row(
    "Traffic",
    [
        Panel(title="Requests by version and code", unit="reqps", least=0, says="Finished requests a second.",
              queries=[Query(_rate(names.METRIC_REQUESTS, "model_version,code"), "{{model_version}} {{code}}")]),
        Panel(title="Server errors by version", unit="percentunit", least=0, steps=((0.0, "green"), (0.05, "red")),
              says="Share of answers with a code from 500 on.", queries=[Query(SERVER_ERRORS, "{{model_version}}")]),
        Panel(title="Time to answer", unit="s", least=0, says="From the head of a request to its answer.",
              queries=[Query(_quantile(share), f"{{{{model_version}}}} {told}")
                       for share, told in (("0.5", "median"), ("0.95", "95 %"), ("0.99", "99 %"))]),
        Panel(title="Requests in progress", least=0, says="Being answered or waiting in a server.",
              queries=[Query(f"sum by (model_version) ({names.METRIC_IN_PROGRESS}{{{PODS}}})", "{{model_version}}")]),
        Panel(title="Pods by version", least=0, says="Servers that were scraped.", queries=[Query(INFO, "{{model_version}}")]),
        Panel(title="Alerts", form="state-timeline", steps=((0.0, "orange"),),
              says="Pending and firing alerts of the rules. With the embedded engine there are none here: see "
              "kubectl describe.",
              queries=[Query('count by (alertname,feature,problem,alertstate) (ALERTS{alertname=~"Modelmill.+",'
                             'namespace="$namespace",inferenceservice="$inferenceservice"})',
                             "{{alertname}} {{feature}} {{problem}} {{alertstate}}")]),
    ],
)  # fmt: skip
DRIFT: Final = Row(
    "Drift from the training data of $model_version",
    [
        Panel(title="Heat map: PSI by feature", form="status-history", steps=SHIFTED, least=0, points=100,
              says="A row for each watched feature; red from 0.2 on. What chance adds is taken off.",
              queries=[Query(FEATURE_PSI, "{{feature}}")]),
        Panel(title="PSI of the prediction", steps=SHIFTED, least=0, says="What chance adds is taken off.",
              queries=[Query(PREDICTION_PSI, "prediction")]),
        Panel(title="Rows in the window", least=0, says="Values of each feature within $window, missing ones too.",
              queries=[Query(VALUES, "{{feature}}"), Query(PREDICTIONS, "prediction")]),
        Panel(title="Importance of the watched features", form="bargauge", unit="percentunit", least=0,
              says="Share by which each feature counts in the decision whether the service has drifted.",
              queries=[Query(f"max by (feature) ({names.METRIC_FEATURE_IMPORTANCE}{{{VERSION}}})", "{{feature}}")]),
    ],
)  # fmt: skip
DATA_QUALITY: Final = Row(
    "Data quality: stop and look",
    [
        Panel(title="Missing, beyond training", unit="percentunit", steps=((0.0, "green"), (0.05, "red")),
              says="Share of values that are missing, less the share in training.",
              queries=[Query(f"{_increase(names.METRIC_FEATURE_BIN, 'feature', ONLY_MISSING)} / ({VALUES} > 0)"
                             f" - max by (feature) ({names.METRIC_FEATURE_REFERENCE}{{{VERSION}{ONLY_MISSING}}})",
                             "{{feature}}")]),
        Panel(title="Refused values", unit="percentunit", least=0, steps=((0.0, "green"), (0.05, "red")),
              says="Requests refused for a value of the feature, by all values of it.",
              queries=[Query(f"{REFUSED} / (({VALUES} + {REFUSED}) > 0)", "{{feature}}")]),
        Panel(title="Far out of range", unit="percentunit", least=0, steps=((0.0, "green"), (0.05, "red")),
              says="Share of values beyond the range of training by more than its width.",
              queries=[Query(f"{FAR} / ({VALUES} > 0)", "{{feature}}")]),
        Panel(title="Shift of the magnitude", least=0, steps=((0.0, "green"), (0.602, "red")),
              says="Powers of ten between the mean magnitude of a number and that of training: 0.3 is a factor of two. A wrong "
              "unit shifts all values by the same.", queries=[Query(MAGNITUDE_SHIFT, "{{feature}}")]),
    ],
)  # fmt: skip
QUALITY: Final = Row(
    "Quality by labels",
    [
        Panel(title="Wrong predictions", unit="percentunit", least=0, says="Share of labels within $window that differ from "
              "the prediction; of classifiers.",
              queries=[Query(f"{WRONG} / ({JUDGED} > 0)", "error")]),
        Panel(title="Absolute and squared error", least=0, says="Mean absolute error and root of the mean squared error of the "
              "labels within $window; of regressions.",
              queries=[Query(_mean(names.METRIC_ABSOLUTE_ERROR), "mean absolute error"),
                       Query(f"sqrt({_mean(names.METRIC_SQUARED_ERROR)})", "root mean squared error")]),
        Panel(title="Labels and coverage", unit="percentunit", least=0, says="Labels by predictions of the same window.",
              queries=[Query(f"{LABELS} / ({PREDICTIONS} > 0)", "coverage")]),
        Panel(title="Delay of labels", unit="s", least=0, says="Mean time from an answer to its label.",
              queries=[Query(_mean(names.METRIC_FEEDBACK_DELAY), "delay")]),
    ],
)  # fmt: skip


def service() -> dict[str, Any]:
    """Return the dashboard."""
    info = names.METRIC_MODEL_INFO
    variables = [
        datasource(),
        asked("namespace", "Namespace", f"label_values({info}, namespace)", order=ALPHABETICAL),
        asked(
            "inferenceservice",
            "InferenceService",
            f'label_values({info}{{namespace="$namespace"}}, pod)',
            pattern="^(.+)-[0-9a-z]{10}-.+$",
            order=ALPHABETICAL,
        ),
        asked("model_version", "Version", f"label_values({info}{{{PODS}}}, model_version)", order=NEWEST_FIRST),
        chosen("window", "Window", ("5m", "15m", "1h", "6h", "1d", "7d"), "1h"),
    ]
    new = annotation(
        "Versions", f"{INFO} unless on (model_version) {INFO.replace('})', '} offset 2m)')}", "{{model_version}}"
    )
    return dashboard(
        "modelmill-service",
        "Modelmill / InferenceService",
        "Traffic, drift, data quality and quality of one InferenceService.",
        variables,
        [AT_A_GLANCE, TRAFFIC, DRIFT, DATA_QUALITY, QUALITY],
        [new],
    )
