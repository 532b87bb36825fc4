"""The part of an InferenceService that monitors: the rules for Prometheus, and what its alerts mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from modelmill.api.base import Alert
from modelmill.api.inference_service import Monitoring
from modelmill.api.inference_service_status import InferenceServiceStatus, MonitoringStatus
from modelmill.api.objects import (
    InferenceService,
    read_inference_service,
    read_training_job,
    status_manifest,
    without_status,
)
from modelmill.api.references import RETRAINS
from modelmill.api.resources import INFERENCE_SERVICES, TRAINING_JOBS
from modelmill.engine.interface import Aside, World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.engine.table import Concern
from modelmill.kube.conditions import FALSE, TRUE, UNKNOWN, Condition
from modelmill.kube.labels import RULES_LABEL
from modelmill.kube.objects import Key, Manifest, ObjectInvalid, beside_status
from modelmill.kube.resources import CONFIG_MAPS
from modelmill.monitoring.alertmanager import DRIFT
from modelmill.monitoring.rules import RULES_SUFFIX, build_rules, rules_name

FIELDS: Final = ("alerts", "monitoring", "drift")
"""Fields of the status that only this part decides (and the intake, which adds alerts)."""
READY: Final = "MonitoringReady"
MAX_NAMED = 4


async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
    """Return what monitoring adds to an InferenceService whose status has the tracks; see `engine.parts.Contribute`."""
    service = read_inference_service(parent)
    if service.metadata.deleting:
        return UNCHANGED
    monitoring = service.spec.monitoring
    retrain = monitoring.retrain if monitoring is not None else None
    job = world.get(TRAINING_JOBS, service.namespace, retrain.training_job) if retrain is not None else None
    return plan(service, job)


def plan(service: InferenceService, job: Manifest | None = None) -> Contribution:
    """Return what monitoring adds. job: the TrainingJob that its alerts start, None when there is none. Pure."""
    monitoring = service.spec.monitoring
    if monitoring is None:
        off = InferenceServiceStatus(monitoring=MonitoringStatus(state="NotConfigured"), drift="off")
        return Contribution(status=_fields(off))
    track = service.status.stable
    stable, answers = (track.version, track.ready > 0) if track is not None else (None, False)
    alerts = tuple(alert for alert in service.status.alerts if alert.version in (None, stable))
    drifted = sorted((alert for alert in alerts if alert.kind == DRIFT), key=_value, reverse=True)
    drift = "-" if stable is None else "alert" if drifted else "no alert" if answers else "-"
    status = InferenceServiceStatus(alerts=alerts, monitoring=_monitoring(alerts, drifted), drift=drift)
    rules = build_rules(service)
    return Contribution(
        aside=[Aside([rules], condition=READY)] if rules is not None else [],
        status=_fields(status),
        conditions=[
            _drift_detected(drifted, monitoring, stable, answers=answers),
            _ready(service, monitoring, stable, job),
        ],
    )


PART: Final = Part(
    "monitoring",
    contribute,
    FIELDS,
    ("DriftDetected", READY),
    (Child(CONFIG_MAPS, True, suffix=RULES_SUFFIX),),
)


def keys_of_training_job(job: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceServices whose alerts start the TrainingJob: whether it takes them is in their conditions."""
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    started = world.found_by(INFERENCE_SERVICES, namespace, RETRAINS, name)
    return [Key(namespace, service["metadata"]["name"]) for service in started]


RETRAINING: Final = Concern(keys_of_training_job, reads=beside_status)
"""Whether a TrainingJob takes alerts is in its spec."""


def _fields(status: InferenceServiceStatus) -> dict[str, object]:
    told = status_manifest(status)
    return {name: told[name] for name in FIELDS if name in told}


def _value(alert: Alert) -> float:
    """Return the measured value for sorting; one that is no number comes last."""
    try:
        value = float(alert.value or "-inf")
    except ValueError:
        return float("-inf")
    return value if value == value else float("-inf")


def _monitoring(alerts: Sequence[Alert], drifted: Sequence[Alert]) -> MonitoringStatus:
    if not drifted:
        return MonitoringStatus(state="Alert" if alerts else "OK")
    return MonitoringStatus(state="Alert", worst_feature=drifted[0].feature or None, value=drifted[0].value or None)


def _drift_detected(
    drifted: Sequence[Alert], monitoring: Monitoring, stable: str | None, *, answers: bool
) -> Condition:
    drift = monitoring.drift
    if stable is None:
        return Condition("DriftDetected", UNKNOWN, "NoStableVersion", "nothing is measured before a version serves")
    if not drifted and not answers:
        text = f"nothing is measured while no pod of {stable} is ready"
        return Condition("DriftDetected", UNKNOWN, "NoReadyPods", text)
    if not drifted:
        text = (
            f"no alert says that a feature's PSI is above {drift.psi_threshold} over {drift.window_seconds} s; "
            f"with fewer than {drift.min_rows} rows, or where no Prometheus loads the rules, nothing is said"
        )
        return Condition("DriftDetected", FALSE, "NoAlert", text)
    named = ", ".join(_named(alert) for alert in drifted[:MAX_NAMED])
    more = f" and {len(drifted) - MAX_NAMED} more" if len(drifted) > MAX_NAMED else ""
    text = f"{named}{more}, above {drift.psi_threshold}; {stable} keeps serving; {_consequence(monitoring)}"
    return Condition("DriftDetected", TRUE, "FeatureDrift", text)


def _named(alert: Alert) -> str:
    return f"{alert.feature or alert.name} has PSI {alert.value or 'not told'}"


def _consequence(monitoring: Monitoring) -> str:
    retrain = monitoring.retrain
    if retrain is None:
        return "nothing is retrained, since spec.monitoring.retrain is not set"
    if DRIFT not in retrain.alerts:
        return f"nothing is retrained, since spec.monitoring.retrain.alerts lacks {DRIFT}"
    job = retrain.training_job
    return f"TrainingJob {job} retrains if its triggers.alerts is enabled: kubectl get trainingjobs.modelmill.dev {job}"


def _ready(service: InferenceService, monitoring: Monitoring, stable: str | None, job: Manifest | None) -> Condition:
    if monitoring.retrain is not None:
        broken = _broken_loop(monitoring.retrain.training_job, job)
        if broken is not None:
            return broken
    if stable is None:
        return Condition(READY, FALSE, "NoStableVersion", "rules are written when a version serves")
    text = (
        f"rules for {stable} are in ConfigMap {rules_name(service.name)}; they work once Prometheus loads the "
        f"ConfigMaps labelled {RULES_LABEL}=true"
    )
    return Condition(READY, TRUE, "RulesWritten", text)


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
