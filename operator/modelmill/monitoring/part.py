"""The part of an InferenceService that monitors: what its pods counted, the rules for Prometheus, and what alerts mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from modelmill.api.base import Alert
from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.monitoring import DATA_QUALITY, EMBEDDED_PREFIX, Monitoring
from modelmill.api.monitoring_status import MonitoringStatus
from modelmill.api.objects import (
    InferenceService,
    ModelVersion,
    read_inference_service,
    read_model_version,
    read_training_job,
    status_manifest,
)
from modelmill.api.references import RETRAINS
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.api.training_job_status import TrainingJobStatus
from modelmill.contracts.counts import COUNTS_KEY, DRIFT_RING, History, decode, encode
from modelmill.contracts.verdict import Holdout
from modelmill.engine.deployments import pods_of_deployment
from modelmill.engine.interface import Aside, World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.engine.table import Concern
from modelmill.kube.conditions import parse_timestamp
from modelmill.kube.labels import MANAGED_BY, MANAGED_BY_LABEL, SERVICE_LABEL
from modelmill.kube.objects import Key, Manifest, ObjectInvalid, beside_status
from modelmill.kube.resources import CONFIG_MAPS, DEPLOYMENTS
from modelmill.monitoring.engine import EMBEDDED, PROMETHEUS, Engine, effective, rules_served
from modelmill.monitoring.evaluating import Evaluation, alerts_of, evaluate, memory_of
from modelmill.monitoring.holdout import holdout_of
from modelmill.monitoring.observing import MOST_SECONDS, Observed, Observer, Pods
from modelmill.monitoring.readiness import READY, ready
from modelmill.monitoring.rules.config_map import RULES_SUFFIX
from modelmill.monitoring.seen import Seen
from modelmill.monitoring.stack import KINDS, Stack, kinds_served
from modelmill.monitoring.telling import TYPES, column, conditions, events, status_of

FIELDS: Final = ("alerts", "monitoring", "drift")
"""Fields of the status that only this part decides (and the intake, which adds alerts)."""
COUNTS_SUFFIX: Final = "-modelmill-counts"
RUNBOOKS: Final = "docs/operations/alerts.md"
MAX_ALERTS: Final = 32


def monitoring_part(pods: Pods, stack: Stack | None = None) -> Part:
    """Return the part. pods: asks pods what they counted. stack: what is known of the cluster's Prometheus."""
    return Part(
        "monitoring",
        Watching(Observer(pods), stack or Stack()),
        FIELDS,
        (*TYPES, READY),
        (
            Child(CONFIG_MAPS, True, suffix=RULES_SUFFIX),
            Child(CONFIG_MAPS, True, suffix=COUNTS_SUFFIX),
            *(Child(kind, True) for kind in KINDS),
        ),
    )


class Watching:
    """Says what monitoring wants. What was counted is in memory and in a ConfigMap; the rest is in the status."""

    def __init__(self, observer: Observer, stack: Stack) -> None:
        self._observer = observer
        self._stack = stack

    async def __call__(self, parent: Manifest, world: World, now: datetime) -> Contribution:
        """Return the contribution; see `engine.parts.Contribute`. The status that it is given has the tracks."""
        service = read_inference_service(parent)
        key = Key(service.namespace, service.name)
        monitoring, stable = service.spec.monitoring, service.status.stable
        if monitoring is None or stable is None or service.metadata.deleting:
            self._observer.forget(key)
        if service.metadata.deleting:
            return UNCHANGED
        retrain = monitoring.retrain if monitoring is not None else None
        job = world.get(TRAINING_JOBS, service.namespace, retrain.training_job) if retrain is not None else None
        engine = effective(
            monitoring.engine if monitoring is not None else "Auto", rules_served=rules_served(world, service.namespace)
        )
        observed = found = kept = holdout = None
        if monitoring is not None and stable is not None:
            kept = _kept(service, world)
            holdout = holdout_of(_version(service, stable.version, world))
            pods, others = _pods(service, stable.revision, world)
            observed = await self._observer.observed(
                key, monitoring, (stable.revision, stable.version), pods, kept, now, others, _most_seconds(engine)
            )
            if observed.moment is not None:
                known = service.status.monitoring
                fine = known is not None and known.fine_revision == stable.revision
                found = _evaluated(monitoring, observed, holdout, fine=fine)
                self._observer.remember(key, found.memory.document())
        served = kinds_served(world, service.namespace)
        rules = self._stack.children(service, holdout, served) if engine == PROMETHEUS else []
        return plan(service, engine, now, job, observed, found, kept, rules)


def plan(
    service: InferenceService,
    engine: Engine,
    now: datetime,
    job: Manifest | None = None,
    observed: Observed | None = None,
    found: Evaluation | None = None,
    kept: History | None = None,
    rules: Sequence[Aside] = (),
) -> Contribution:
    """Return what monitoring adds. Pure.

    job: the TrainingJob that its alerts start, None when there is none. observed, found: what the pods counted and what that
    says, None before they were asked. kept: what the ConfigMap has of it. rules: what Prometheus raises alerts by.
    """
    monitoring = service.spec.monitoring
    if monitoring is None:
        off = InferenceServiceStatus(monitoring=MonitoringStatus(state="NotConfigured"), drift="off")
        return Contribution(status=_fields(off))
    track = service.status.stable
    stable, answers = (track.version, track.ready > 0) if track is not None else (None, False)
    alerts = _alerts(service, engine, stable, observed, found)
    canary = service.status.canary
    coming = canary.version if canary is not None and canary.version != stable else None
    before = service.status.conditions
    seen = Seen(
        service.namespace,
        monitoring,
        engine,
        stable,
        answers,
        observed,
        found,
        alerts,
        _status(job),
        now,
        coming,
        before,
    )
    told = status_of(seen, service.status.monitoring)
    status = InferenceServiceStatus(alerts=alerts, monitoring=told, drift=column(seen, told.state))
    counts = build_counts(service, observed, found, kept)
    described = conditions(seen, told)
    return Contribution(
        aside=[
            *rules,
            *([Aside([counts], condition=READY, changing=True)] if counts is not None else []),
        ],
        keep=[(CONFIG_MAPS, counts_name(service.name))] if stable is not None and counts is None else [],
        status=_fields(status),
        conditions=[
            *described,
            ready(seen, job, [one for aside in rules for one in aside.apply]),
        ],
        events=events(before, described, stable),
        requeue_after=observed.again if observed is not None else None,
    )


def counts_name(service: str) -> str:
    """Return the name of the ConfigMap with what the pods of an InferenceService counted."""
    return f"{service}{COUNTS_SUFFIX}"


def build_counts(
    service: InferenceService, observed: Observed | None, found: Evaluation | None, kept: History | None
) -> Manifest | None:
    """Return the ConfigMap with what was counted, None while that is to stay as it is: it is written once a slot."""
    if observed is None or found is None or not observed.heard or not _slot_began(observed.history, kept):
        return None
    history = replace(observed.history, memory=found.memory.document())
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": counts_name(service.name),
            "namespace": service.namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, SERVICE_LABEL: service.name},
        },
        "data": {COUNTS_KEY: encode(history)},
    }


def keys_of_training_job(job: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceServices whose alerts start the TrainingJob: whether it takes them is in their conditions."""
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    started = world.found_by(INFERENCE_SERVICES, namespace, RETRAINS, name)
    return [Key(namespace, service["metadata"]["name"]) for service in started]


def _read_of_job(job: Manifest) -> object:
    """Return what a service tells of the TrainingJob: whether it takes alerts, and what it does about them."""
    status = job.get("status") or {}
    return beside_status(job), *(status.get(name) for name in ("currentRun", "lastRun", "pendingTriggers"))


RETRAINING: Final = Concern(keys_of_training_job, reads=_read_of_job)


def _slot_began(now: History, kept: History | None) -> bool:
    """Tell whether the last slot of what was counted is not among what is kept."""
    if kept is None or kept.revision != now.revision:
        return True
    slots, known = now.rings[DRIFT_RING], kept.rings.get(DRIFT_RING)
    return known is None or known.seconds != slots.seconds or not slots.slots.keys() <= known.slots.keys()


def _evaluated(monitoring: Monitoring, observed: Observed, holdout: Holdout | None, *, fine: bool) -> Evaluation:
    """Return what the counts say. fine: whether the status says that the revision was judged and had not drifted."""
    assert observed.moment is not None
    memory = memory_of(observed.history.memory)
    # The status is written before the ConfigMap that has the rest.
    memory = replace(memory, fine=memory.fine or fine)
    return evaluate(monitoring, observed.history, holdout, memory, observed.moment.timestamp())


def _alerts(
    service: InferenceService,
    engine: Engine,
    stable: str | None,
    observed: Observed | None,
    found: Evaluation | None,
) -> tuple[Alert, ...]:
    """Return the alerts that fire about the version that serves: those delivered, and those that the operator found."""
    recorded = [alert for alert in service.status.alerts if alert.version in (None, stable)]
    delivered = [alert for alert in recorded if not alert.id.startswith(EMBEDDED_PREFIX)]
    mine: Sequence[Alert] = [alert for alert in recorded if alert.id.startswith(EMBEDDED_PREFIX)]
    if engine != EMBEDDED or stable is None:
        mine = []
    elif found is not None and observed is not None and observed.moment is not None:
        mine = alerts_of(service.uid, stable, found, mine, observed.moment.timestamp(), _served_since(service))
    # Whoever may send alerts must not push out what was found here; of that one alert a feature comes last.
    own = sorted(mine, key=lambda alert: alert.kind == DATA_QUALITY)
    return tuple([*own, *delivered][:MAX_ALERTS])


def _served_since(service: InferenceService) -> float:
    """Return since when the revision serves, Unix time; 0 where that is not on record."""
    stable = service.status.stable
    revision = stable.revision if stable is not None else None
    since = (one.start_time for one in service.status.history if (one.revision, one.outcome) == (revision, "Serving"))
    start = next(since, None)
    return parse_timestamp(start).timestamp() if start is not None else 0.0


def _kept(service: InferenceService, world: World) -> History | None:
    """Return what is in the ConfigMap of the service; None when there is none that is its own and can be read."""
    found = world.get(CONFIG_MAPS, service.namespace, counts_name(service.name))
    if found is None:
        return None
    owners = found["metadata"].get("ownerReferences") or ()
    if not any(owner.get("uid") == service.uid for owner in owners):
        return None
    try:
        return decode((found.get("data") or {}).get(COUNTS_KEY, ""))
    except ValueError:
        return None


def _most_seconds(engine: Engine) -> float:
    """Return the longest time between two readings: what only the status is made of needs no more than one a slot."""
    return MOST_SECONDS if engine == EMBEDDED else math.inf


def _pods(service: InferenceService, revision: str, world: World) -> tuple[list[Manifest], list[Manifest]]:
    """Return the pods of a revision, and those of other revisions."""
    found: tuple[list[Manifest], list[Manifest]] = ([], [])
    for deployment in world.owned(DEPLOYMENTS, service.namespace, service.uid):
        mine = deployment["metadata"]["name"] == f"{service.name}-{revision}"
        found[not mine].extend(pods_of_deployment(deployment, world))
    return found


def _version(service: InferenceService, name: str, world: World) -> ModelVersion | None:
    """Return a version, None when it is not there or cannot be read."""
    found = world.get(MODEL_VERSIONS, service.namespace, name)
    try:
        return read_model_version(found) if found is not None else None
    except ObjectInvalid:
        return None


def _status(job: Manifest | None) -> TrainingJobStatus | None:
    """Return the status of a TrainingJob, None when it cannot be read."""
    try:
        return read_training_job(job).status if job is not None else None
    except ObjectInvalid:
        return None


def _fields(status: InferenceServiceStatus) -> dict[str, Any]:
    told = status_manifest(status)
    return {name: told[name] for name in FIELDS if name in told}
