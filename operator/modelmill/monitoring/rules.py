"""Prometheus rules of one InferenceService: the population stability index (PSI) of every feature, and an alert on it.

The pods count rows by the bins of the reference profile. Prometheus adds the counters of all replicas over a window and
computes PSI = sum over the bins of (q - p) * ln(q / p): p is the share of the bin in the training data, q its share in the
window, both at least 1e-4. Only pods of the stable version are counted, so that a rollout is not taken for drift.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelmill.api.inference_service import DriftMonitoring
from modelmill.api.objects import InferenceService
from modelmill.contracts import names
from modelmill.kube.labels import MANAGED_BY, MANAGED_BY_LABEL, RULES_LABEL, SERVICE_LABEL
from modelmill.monitoring.alertmanager import DRIFT, KIND_LABEL
from modelmill.monitoring.promql import literal, matchers, number

FLOOR = "1e-4"
"""Least share of a bin: keeps the logarithm finite."""

FEATURE_DRIFT = "ModelmillFeatureDrift"
PREDICTION_DRIFT = "ModelmillPredictionDrift"
PREDICTION = "prediction"


@dataclass(frozen=True, slots=True)
class _Subject:
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
    def rows(self) -> str:
        """Recording: rows in the window."""
        return self.name("rows", "increase")

    @property
    def live(self) -> str:
        """Recording: q, share of each bin in the window."""
        return self.name("live_ratio", "increase", per_bin=True)

    @property
    def expected(self) -> str:
        """Recording: p, share of each bin in the training data."""
        return self.name("reference_ratio", "max", per_bin=True)

    @property
    def psi(self) -> str:
        """Recording: PSI."""
        return self.name("psi", "sum")


FEATURES = _Subject(
    "inferenceservice_feature",
    "modelmill_feature",
    names.METRIC_FEATURE_BIN,
    names.METRIC_FEATURE_REFERENCE,
    ("feature",),
)
PREDICTIONS = _Subject(
    "inferenceservice", "modelmill_prediction", names.METRIC_PREDICTION_BIN, names.METRIC_PREDICTION_REFERENCE, ()
)

RULES_SUFFIX = "-modelmill-rules"


def rules_name(service: str) -> str:
    """Return the name of the ConfigMap with the rules of an InferenceService."""
    return f"{service}{RULES_SUFFIX}"


def build_rules(service: InferenceService) -> dict[str, Any] | None:
    """Return the ConfigMap with the rules, or None when nothing is monitored or no version serves yet."""
    monitoring, stable = service.spec.monitoring, service.status.stable
    if monitoring is None or stable is None:
        return None
    namespace, name = service.namespace, service.name
    document = {"groups": [_group(namespace, name, stable.version, stable.revision, monitoring.drift)]}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": rules_name(name),
            "namespace": namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, RULES_LABEL: "true", SERVICE_LABEL: name},
        },
        # The dot is in no namespace, so that two services never share a file when all are put into one folder.
        "data": {f"{namespace}.{name}.yaml": "\n".join(_yaml(document, "")) + "\n"},
    }


def _yaml(value: Mapping[str, Any], pad: str) -> Iterator[str]:
    """Yield the lines of a YAML mapping of texts, mappings and lists of mappings.

    A dumper takes longer than all the rest of a plan. Texts are in the form of JSON, which YAML's double quotes understand.
    """
    for name, item in value.items():
        if isinstance(item, str):
            yield f"{pad}{name}: {json.dumps(item)}"
        elif isinstance(item, dict):
            yield f"{pad}{name}:"
            yield from _yaml(item, pad + "  ")
        else:
            yield f"{pad}{name}:"
            for one in item:
                first, *rest = _yaml(one, pad + "  ")
                yield f"{pad}- {first[len(pad) + 2 :]}"
                yield from rest


def _group(namespace: str, service: str, version: str, revision: str, drift: DriftMonitoring) -> dict[str, Any]:
    identity = {"namespace": namespace, "inferenceservice": service, "model_version": version}
    series = matchers(
        {"namespace": namespace, "model_version": version},
        # A version may be served by another service of the namespace, and one version by two revisions of this one.
        {"pod": f"{literal(service)}-[0-9a-z]{{{max(len(revision), 1)}}}-.+"},
    )
    recorded = matchers(identity)
    rules: list[dict[str, Any]] = []
    for subject in (FEATURES, PREDICTIONS):
        rules += _recordings(subject, series, recorded, drift.window_seconds, identity)
    return {
        "name": f"modelmill/{namespace}/{service}",
        "rules": [*rules, _feature_alert(recorded, drift), _prediction_alert(recorded, drift)],
    }


def _recordings(
    subject: _Subject, series: str, recorded: str, window: int, identity: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the chain of recordings. Rules of a group run in order, each seeing what the one before recorded."""
    by, by_bin = ", ".join(subject.by), ", ".join((*subject.by, "bin"))
    counted = f"increase({subject.counter}{series}[{window}s])"
    some_rows = f"({subject.rows}{recorded} > 0)"
    live, expected = f"{subject.live}{recorded}", f"{subject.expected}{recorded}"
    # A bin of the reference without a live series counts as a share of 0; without it the sum would lack its part.
    ratio = f"sum by ({by_bin}) ({counted}) / on ({by}) group_left () {some_rows}"
    unseen = f"({expected} * 0 and on ({by}) {some_rows})"
    expressions = {
        subject.rows: f"sum by ({by}) ({counted})",
        subject.expected: f"clamp_min(max by ({by_bin}) ({subject.reference}{series}), {FLOOR})",
        subject.live: f"clamp_min(sum by ({by_bin}) ({ratio} or on ({by_bin}) {unseen}), {FLOOR})",
        subject.psi: f"sum by ({by}) (({live} - on ({by_bin}) {expected}) * on ({by_bin}) "
        f"ln({live} / on ({by_bin}) {expected}))",
    }
    return [
        {"record": record, "expr": expression, "labels": dict(identity)} for record, expression in expressions.items()
    ]


def _feature_alert(recorded: str, drift: DriftMonitoring) -> dict[str, Any]:
    return _alert(
        FEATURE_DRIFT,
        FEATURES,
        recorded,
        drift,
        {},
        "Feature {{ $labels.feature }} of {{ $labels.inferenceservice }} drifted from the training data of "
        "{{ $labels.model_version }}",
    )


def _prediction_alert(recorded: str, drift: DriftMonitoring) -> dict[str, Any]:
    return _alert(
        PREDICTION_DRIFT,
        PREDICTIONS,
        recorded,
        drift,
        {"feature": PREDICTION},
        "Predictions of {{ $labels.inferenceservice }} drifted from those of {{ $labels.model_version }} on its "
        "training data",
    )


def _alert(
    name: str, subject: _Subject, recorded: str, drift: DriftMonitoring, labels: dict[str, str], what: str
) -> dict[str, Any]:
    """Return the alert. Its texts are templates of Prometheus, so no text of the user is in them."""
    threshold = number(drift.psi_threshold)
    return {
        "alert": name,
        "expr": f"{subject.psi}{recorded} > {threshold} and {subject.rows}{recorded} >= {drift.min_rows}",
        "for": f"{drift.for_seconds}s",
        "labels": {"severity": "warning", KIND_LABEL: DRIFT, **labels},
        "annotations": {
            "summary": f'{what}: PSI {{{{ $value | printf "%.3f" }}}} above {threshold} over {drift.window_seconds} s.',
            "value": '{{ $value | printf "%.3f" }}',
        },
    }
