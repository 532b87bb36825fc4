"""What monitoring adds to the plan of an InferenceService: the rules for Prometheus, and what its alerts mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelmill.api.inference_service import InferenceServiceSpec, Monitoring
from modelmill.api.versions import firing_alerts
from modelmill.kube.conditions import FALSE, TRUE, UNKNOWN, Condition
from modelmill.kube.labels import RULES_LABEL
from modelmill.kube.objects import Manifest
from modelmill.monitoring.alertmanager import DRIFT
from modelmill.monitoring.rules import build_rules, rules_name

OWNED_FIELDS = ("alerts", "monitoring", "drift")
"""Fields of the status that only this module decides (and the intake, which adds alerts)."""
MAX_NAMED = 4


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a plan. apply: level children. status: values of OWNED_FIELDS; one that is not here is to be absent."""

    apply: Sequence[Manifest] = ()
    status: Mapping[str, Any] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()

    def merged_into(self, status: Mapping[str, Any]) -> dict[str, Any]:
        """Return `status` with the fields of this fragment in the place of its own. Conditions are left to the caller."""
        return {name: value for name, value in status.items() if name not in OWNED_FIELDS} | dict(self.status)


def fragment(parent: Manifest) -> Fragment:
    """Return what monitoring adds to the plan of `parent`, an InferenceService with the status that is to be written.

    Raises pydantic.ValidationError for a spec that the schema would have refused.
    """
    spec = InferenceServiceSpec.model_validate(parent["spec"])
    if spec.monitoring is None:
        return Fragment(status={"monitoring": {"state": "NotConfigured"}, "drift": "off"})
    status = parent.get("status") or {}
    stable = (status.get("stable") or {}).get("version")
    rules = build_rules(parent)
    alerts = [alert for alert in firing_alerts(status) if alert.get("version") in (None, stable)]
    drifted = sorted((alert for alert in alerts if alert["kind"] == DRIFT), key=_value, reverse=True)
    shown: dict[str, Any] = {"monitoring": _monitoring(alerts, drifted), "drift": "alert" if drifted else "ok"}
    if stable is None:
        shown["drift"] = "off"
    if alerts:
        shown["alerts"] = alerts
    return Fragment(
        apply=[rules] if rules is not None else [],
        status=shown,
        conditions=[_drift_detected(drifted, spec.monitoring, stable), _ready(parent, stable)],
    )


def _value(alert: Mapping[str, Any]) -> float:
    """Return the measured value for sorting; one that is no number comes last."""
    try:
        value = float(alert.get("value") or "-inf")
    except ValueError:
        return float("-inf")
    return value if value == value else float("-inf")


def _monitoring(alerts: Sequence[Mapping[str, Any]], drifted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = {"state": "Alert" if alerts else "OK"}
    if drifted:
        worst = {"worstFeature": drifted[0].get("feature"), "value": drifted[0].get("value")}
        shown |= {name: value for name, value in worst.items() if value}
    return shown


def _drift_detected(drifted: Sequence[Mapping[str, Any]], monitoring: Monitoring, stable: str | None) -> Condition:
    drift = monitoring.drift
    if stable is None:
        return Condition("DriftDetected", UNKNOWN, "NoStableVersion", "nothing is measured before a version serves")
    if not drifted:
        text = (
            f"no alert says that a feature's PSI is above {drift.psi_threshold} over {drift.window_seconds} s; "
            f"with fewer than {drift.min_rows} rows nothing is said"
        )
        return Condition("DriftDetected", FALSE, "NoAlert", text)
    named = ", ".join(_named(alert) for alert in drifted[:MAX_NAMED])
    more = f" and {len(drifted) - MAX_NAMED} more" if len(drifted) > MAX_NAMED else ""
    text = f"{named}{more}, above {drift.psi_threshold}; {stable} keeps serving; {_consequence(monitoring)}"
    return Condition("DriftDetected", TRUE, "FeatureDrift", text)


def _named(alert: Mapping[str, Any]) -> str:
    return f"{alert.get('feature') or alert['name']} has PSI {alert.get('value') or 'not told'}"


def _consequence(monitoring: Monitoring) -> str:
    retrain = monitoring.retrain
    if retrain is None:
        return "nothing is retrained, since spec.monitoring.retrain is not set"
    if DRIFT not in retrain.alerts:
        return f"nothing is retrained, since spec.monitoring.retrain.alerts lacks {DRIFT}"
    job = retrain.training_job
    return f"TrainingJob {job} retrains if its triggers.alerts is enabled: kubectl get trainingjobs.modelmill.dev {job}"


def _ready(parent: Manifest, stable: str | None) -> Condition:
    if stable is None:
        return Condition("MonitoringReady", FALSE, "NoStableVersion", "rules are written when a version serves")
    text = (
        f"rules for {stable} are in ConfigMap {rules_name(parent['metadata']['name'])}; they work once Prometheus loads the "
        f"ConfigMaps labelled {RULES_LABEL}=true"
    )
    return Condition("MonitoringReady", TRUE, "RulesWritten", text)
