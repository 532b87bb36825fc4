"""Whether monitoring works: who raises the alerts, and whether they would start what they are to start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelmill.api.objects import read_training_job, without_status
from modelmill.kube.conditions import FALSE, TRUE, Condition
from modelmill.kube.labels import RULES_LABEL
from modelmill.kube.objects import Manifest, ObjectInvalid
from modelmill.kube.resources import CONFIG_MAPS, PROMETHEUS_RULES
from modelmill.monitoring.alertmanager import MAX_ALERTS, is_full
from modelmill.monitoring.engine import EMBEDDED
from modelmill.monitoring.seen import Seen

READY: Final = "MonitoringReady"
SILENT: Final = "PodsSilent"


def ready(seen: Seen, job: Manifest | None, rules: Sequence[Manifest]) -> Condition:
    """Return the condition.

    job: the TrainingJob that alerts start, None without one. rules: what Prometheus raises alerts by.
    """
    retrain, stable = seen.monitoring.retrain, seen.stable
    if retrain is not None:
        broken = _broken_loop(retrain.training_job, job)
        if broken is not None:
            return broken
    if stable is None:
        return Condition(READY, FALSE, "NoStableVersion", "nothing is watched before a version serves")
    if is_full(alert.id for alert in seen.alerts):
        text = (
            f"{MAX_ALERTS} alerts that were sent are recorded, and others are not: have those end where they come from"
        )
        return Condition(READY, FALSE, "TooManyAlerts", text)
    if seen.engine != EMBEDDED:
        return Condition(READY, TRUE, "RulesWritten", _written(stable, rules))
    silent = seen.observed.silent if seen.observed is not None else None
    before = next((one for one in seen.told if (one.type, one.reason) == (READY, SILENT)), None)
    if silent is None and before is not None:
        # An operator that was started anew has not asked twice yet.
        return Condition(READY, FALSE, SILENT, before.message)
    if silent:
        text = f"{silent} pods of {stable} are ready and tell no counts that can be read"
        return Condition(READY, FALSE, SILENT, f"{text}: what they answer is not watched; look at their /metrics")
    text = f"the operator reads the pods of {stable} and raises the alerts itself"
    return Condition(READY, TRUE, "Embedded", text)


def _written(stable: str, rules: Sequence[Manifest]) -> str:
    """Return where the rules are, and what must be so for alerts to come."""
    names = {one["kind"]: one["metadata"]["name"] for one in rules}
    if PROMETHEUS_RULES.kind not in names:
        return (
            f"rules for {stable} are in ConfigMap {names.get(CONFIG_MAPS.kind)}; they work once Prometheus loads the "
            f"ConfigMaps labelled {RULES_LABEL}=true"
        )
    others = "".join(f", {kind} {name}" for kind, name in names.items() if kind != PROMETHEUS_RULES.kind)
    return (
        f"rules for {stable} are in PrometheusRule {names[PROMETHEUS_RULES.kind]}{others}; they work once a Prometheus and an "
        "Alertmanager select these objects"
    )


def _broken_loop(name: str, job: Manifest | None) -> Condition | None:
    """Return why an alert would start nothing, None when it would start the TrainingJob."""
    if job is None:
        text = (
            f"spec.monitoring.retrain.trainingJob names {name}, which is not in this namespace: an alert starts nothing"
        )
        return Condition(READY, FALSE, "TrainingJobNotFound", f"{text}; create it, or name another one")
    try:
        enabled = read_training_job(without_status(job)).spec.triggers.alerts.enabled
    except ObjectInvalid as error:
        text = f"TrainingJob {name} cannot be read ({error}): an alert starts nothing; mend it"
        return Condition(READY, FALSE, "TrainingJobInvalid", text)
    if enabled:
        return None
    text = f"TrainingJob {name} does not take alerts: they start nothing; set its spec.triggers.alerts.enabled to true"
    return Condition(READY, FALSE, "AlertsNotEnabled", text)
