"""What monitoring tells in the status of an InferenceService: numbers, conditions, and what the loop does next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from modelmill.api.base import Alert
from modelmill.api.base import Condition as Recorded
from modelmill.api.monitoring import DATA_QUALITY, DRIFT, ERRORS, QUALITY, SKEW, STALENESS
from modelmill.api.monitoring_status import MAX_PROBLEMS, MonitoringStatus, QualityStatus
from modelmill.contracts import counts as c
from modelmill.contracts import verdict as v
from modelmill.contracts.counts import DRIFT_RING, QUALITY_RING, Counts
from modelmill.engine.interface import Event
from modelmill.kube.conditions import FALSE, TRUE, UNKNOWN, Condition, parse_timestamp, timestamp
from modelmill.kube.texts import fitted
from modelmill.monitoring.evaluating import ERRORS_SECONDS, Evaluation
from modelmill.monitoring.metrics import metrics_of
from modelmill.monitoring.next_step import next_step
from modelmill.monitoring.seen import Seen, State

DRIFT_DETECTED: Final = "DriftDetected"
DATA_SUSPECT: Final = "DataSuspect"
QUALITY_DEGRADED: Final = "QualityDegraded"
STALE: Final = "Stale"
ERRORS_HIGH: Final = "ErrorsHigh"
TYPES: Final = (DRIFT_DETECTED, DATA_SUSPECT, QUALITY_DEGRADED, STALE, ERRORS_HIGH)
_OF_KIND: Final = {DATA_QUALITY: DATA_SUSPECT, QUALITY: QUALITY_DEGRADED, STALENESS: STALE, ERRORS: ERRORS_HIGH}
MAX_NAMED: Final = 4


def status_of(seen: Seen, before: MonitoringStatus | None) -> MonitoringStatus:
    """Return what the status says. Numbers stay as they were until a slot ends, or something else changes."""
    state = state_of(seen)
    fresh = replace(_numbers(seen), state=state, engine=seen.engine, next=next_step(seen))
    # Kept while nothing was read, as after a restart; that of another revision says nothing about this one.
    fine = before.fine_revision if before is not None else None
    if seen.found is not None and seen.observed is not None and seen.found.memory.fine:
        fine = seen.observed.history.revision
    fresh = replace(fresh, fine_revision=fine)
    fired = next((alert for alert in seen.alerts if alert.kind in (DRIFT, SKEW)), None)
    if fired is not None and fired.feature:
        fresh = replace(fresh, worst_feature=fired.feature, value=fired.value or fresh.value)
    if before is None or _coarse(before) != _coarse(fresh) or _is_old(seen, before):
        return fresh
    return before


def state_of(seen: Seen) -> State:
    """Return the state in one word."""
    if seen.alerts:
        return "Alert"
    found = seen.found
    if seen.stable is None or not seen.answers or found is None or seen.observed is None or not seen.observed.heard:
        return "Unknown"
    if found.findings:
        return "Pending"
    if found.judged_from is not None:
        return "Unknown"
    if not found.verdict.rows:
        return "NoData"
    return "InsufficientData" if found.verdict.drifted is None else "OK"


def column(seen: Seen, state: str) -> str:
    """Return the word of the DRIFT column."""
    kinds = {alert.kind for alert in seen.alerts}
    if kinds & {DRIFT, SKEW}:
        return "alert" if DRIFT in kinds else "skew"
    if DATA_QUALITY in kinds:
        return "bad data"
    found, observed = seen.found, seen.observed
    if seen.stable is None or state == "Unknown" or found is None or observed is None or not observed.heard:
        return "-"
    if found.judged_from is not None:
        return "bad data"
    if not found.verdict.rows:
        return "no data"
    if found.verdict.drifted is None:
        return "few rows"
    return "pending" if any(one.kind in (DRIFT, SKEW) for one in found.findings) else "ok"


def conditions(seen: Seen, status: MonitoringStatus) -> list[Condition]:
    """Return the conditions: whether it has drifted, and of the others those that there is something to say of.

    status: what is told beside them; its numbers do not change with each reading.
    """
    told = [_drift_detected(seen, status)]
    for kind, type_ in _OF_KIND.items():
        firing = [alert for alert in seen.alerts if alert.kind == kind]
        if firing:
            text = f"{_sentences(firing)}; {_consequence(seen, kind)}"
            told.append(Condition(type_, TRUE, kind, fitted(text, 4096)))
        elif kind == STALENESS and seen.monitoring.staleness is not None and seen.stable is not None:
            told.append(Condition(type_, FALSE, "Fresh", _freshness(seen, seen.monitoring.staleness.max_age_seconds)))
        elif kind == QUALITY and seen.stable is not None and (_labelled(seen) or _statuses(seen, type_)):
            # What was told once goes on being told: silence would look like health, of the version that comes next too.
            told.append(_quality(seen, seen.stable))
        elif kind == ERRORS and seen.stable is not None:
            told += _errors(seen, seen.stable)
    return told


def events(before: Sequence[Recorded], after: Sequence[Condition], stable: str | None) -> list[Event]:
    """Return what is told of conditions that came true, or are it no more. before: those of the status. stable: what serves."""
    held = {one.type: one for one in before if one.type in TYPES and one.status == TRUE}
    told = []
    for condition in after:
        if condition.type not in TYPES:
            continue
        was = held.pop(condition.type, None)
        if condition.status == TRUE and was is None:
            told.append(Event("Warning", condition.type, fitted(condition.message, 1000)))
        elif was is not None and condition.status != TRUE:
            word = "Unknown" if condition.status == UNKNOWN else "Resolved"
            told.append(Event("Normal", f"{condition.type}{word}", fitted(condition.message, 1000)))
    text = f"no alert says so of {stable}, which serves" if stable is not None else "no version serves any more"
    gone = (
        Event("Normal", f"{one.type}Resolved", fitted(f"{text}; it was: {one.message}", 1000)) for one in held.values()
    )
    return [*told, *gone]


def _numbers(seen: Seen) -> MonitoringStatus:
    found, observed = seen.found, seen.observed
    if found is None or observed is None or observed.moment is None or not observed.heard:
        return MonitoringStatus(state="Unknown")
    verdict = found.verdict
    worst, prediction = verdict.worst, verdict.prediction
    trained = observed.history.reference.trained
    return MonitoringStatus(
        state="Unknown",
        measured_time=timestamp(observed.moment),
        rows=int(verdict.rows),
        worst_feature=fitted(worst.name, 128) if worst is not None else None,
        value=_index(worst.index) if worst is not None else None,
        share=f"{verdict.share:.2f}" if verdict.drifted is not None else None,
        prediction=_index(prediction.index) if prediction is not None and prediction.shifted is not None else None,
        problems=tuple(fitted(f"{one.feature}: {one.message}", 256) for one in verdict.problems[:MAX_PROBLEMS]),
        quality=_quality_status(seen, found, observed.history.rings[QUALITY_RING].total(observed.moment.timestamp())),
        trained_time=timestamp(datetime.fromtimestamp(trained, UTC)) if trained else None,
    )


def _index(value: float) -> str:
    return f"{max(value, 0.0):.3f}"


def _quality_status(seen: Seen, found: Evaluation, counts: Counts) -> QualityStatus | None:
    quality = found.quality
    if not quality.labels or quality.error is None:
        return None
    predictions = counts.get((c.PREDICTIONS,), 0.0)
    delays = counts.get((c.DELAY, "count"), 0.0)
    return QualityStatus(
        labels=int(quality.labels),
        coverage=f"{min(quality.labels / predictions, 1.0):.0%}" if predictions else None,
        delay=f"{counts.get((c.DELAY, 'sum'), 0.0) / delays:.0f}s" if delays else None,
        error=f"{quality.error:.4g}",
        limit=f"{quality.limit:.4g}" if quality.limit is not None else None,
        metrics={name: f"{value:.4g}" for name, value in metrics_of(counts).items()} or None,
    )


def _coarse(status: MonitoringStatus) -> tuple[Any, ...]:
    """Return what is told at once when it changes."""
    kinds = tuple(one.partition(":")[0] for one in status.problems)
    told = (status.state, status.engine, status.next, status.fine_revision, status.worst_feature)
    return (*told, kinds, status.measured_time is None)


def _is_old(seen: Seen, before: MonitoringStatus) -> bool:
    """Tell whether the numbers are of a slot that is over."""
    observed = seen.observed
    if observed is None or observed.moment is None or before.measured_time is None:
        return False
    ring = observed.history.rings[DRIFT_RING]
    measured = parse_timestamp(before.measured_time).timestamp()
    return ring.number(measured) != ring.number(observed.moment.timestamp())


def _drift_detected(seen: Seen, status: MonitoringStatus) -> Condition:
    drift = seen.monitoring.drift
    if seen.stable is None:
        return Condition(DRIFT_DETECTED, UNKNOWN, "NoStableVersion", "nothing is measured before a version serves")
    firing = [alert for alert in seen.alerts if alert.kind in (DRIFT, SKEW)]
    if firing:
        kind = SKEW if all(alert.kind == SKEW for alert in firing) else DRIFT
        text = f"{_sentences(firing)}; {seen.stable} keeps serving; {_consequence(seen, kind)}"
        return Condition(DRIFT_DETECTED, TRUE, kind, fitted(text, 4096))
    found = _measured(seen)
    if found is None:
        return _not_measured(seen, DRIFT_DETECTED, seen.stable)
    verdict = found.verdict
    if found.judged_from is not None:
        when = timestamp(datetime.fromtimestamp(found.judged_from, UTC))
        last = "" if verdict.problems else f", at {when} if nothing more comes"
        named = f" ({verdict.problems[0].feature}: {verdict.problems[0].message})" if verdict.problems else ""
        text = (
            f"something was wrong with the data within the last {drift.window_seconds} s{named}: drift is judged again "
            f"when a whole window is free of that{last}"
        )
        return Condition(DRIFT_DETECTED, UNKNOWN, DATA_SUSPECT, text)
    if not verdict.rows and not verdict.features:
        text = f"the artifact of {seen.stable} has no reference of its training data to compare with"
        return Condition(DRIFT_DETECTED, UNKNOWN, "NoReference", text)
    if not verdict.rows:
        text = f"no row came to {seen.stable} {_lately(seen)}"
        return Condition(DRIFT_DETECTED, UNKNOWN, "NoData", text)
    if verdict.drifted is None:
        text = (
            f"{status.rows} rows within {drift.window_seconds} s are too few to judge by: {drift.min_rows} are needed "
            "(drift.minRows); a longer drift.windowSeconds has more"
        )
        return Condition(DRIFT_DETECTED, UNKNOWN, "InsufficientData", text)
    if any(one.kind in (DRIFT, SKEW) for one in found.findings):
        text = f"it has drifted, and not for {drift.lasting_seconds} s yet"
        return Condition(DRIFT_DETECTED, FALSE, "Pending", text)
    text = (
        f"less than {drift.min_share} of the importance of the features of {seen.stable} has shifted, and the prediction has "
        f"not; a shift is a PSI above {drift.psi_threshold} over {drift.window_seconds} s"
    )
    return Condition(DRIFT_DETECTED, FALSE, "NoDrift", text)


def _lately(seen: Seen) -> str:
    """Return how long nothing came: after a promotion or a restart less than a window is known."""
    window = seen.monitoring.drift.window_seconds
    observed = seen.observed
    if observed is not None and observed.moment is not None:
        ring = observed.history.rings[DRIFT_RING]
        begun = min(ring.slots, default=0) * ring.seconds
        if ring.slots and observed.moment.timestamp() - begun < window - ring.seconds:
            return f"since its rows are counted, which is less than the window of {window} s"
    return f"within {window} s"


def _measured(seen: Seen) -> Evaluation | None:
    """Return what was found where pods of the version tell it now; None where none does."""
    heard = seen.answers and seen.observed is not None and seen.observed.heard
    return seen.found if heard else None


def _not_measured(seen: Seen, type_: str, version: str) -> Condition:
    if not seen.answers:
        return Condition(type_, UNKNOWN, "NoReadyPods", f"nothing is measured while no pod of {version} is ready")
    return Condition(type_, UNKNOWN, "NotMeasured", f"no pod of {version} has told its counts yet")


def _labelled(seen: Seen) -> bool:
    found = _measured(seen)
    return found is not None and bool(found.quality.labels)


def _statuses(seen: Seen, type_: str) -> set[str]:
    """Return the status of a condition as it was told before; nothing of one that was not."""
    return {one.status for one in seen.told if one.type == type_}


def _quality(seen: Seen, version: str) -> Condition:
    """Return what labels say of the version that serves, where no alert says that it is worse."""
    found = _measured(seen)
    if found is None:
        return _not_measured(seen, QUALITY_DEGRADED, version)
    least, window = seen.monitoring.quality.min_labels, seen.monitoring.quality.window_seconds
    quality = found.quality
    if quality.limit is None:
        text = "the version has no figures of its hold-out to compare with: set spec.monitoring.quality.maximum"
        return Condition(QUALITY_DEGRADED, UNKNOWN, "NoReference", text)
    if quality.worse is None:
        text = f"fewer than {least} labels of predictions of {version} came within {window} s: too few to judge by"
        return Condition(QUALITY_DEGRADED, UNKNOWN, "InsufficientData", text)
    error = f"the error of the labelled predictions of {version} is"
    if found.quality_from is not None:
        when = timestamp(datetime.fromtimestamp(found.quality_from, UTC))
        so = f"{error} above {quality.limit:.4g}, which may come of" if quality.worse else "labels may be of rows with"
        text = f"{so} data that were wrong: judged again from {when} on"
        return Condition(QUALITY_DEGRADED, UNKNOWN, DATA_SUSPECT, text)
    if quality.worse:
        text = f"{error} above {quality.limit:.4g}, and no alert says so yet"
        return Condition(QUALITY_DEGRADED, FALSE, "Pending", text)
    return Condition(QUALITY_DEGRADED, FALSE, "NotWorse", f"{error} not significantly above {quality.limit:.4g}")


def _errors(seen: Seen, version: str) -> list[Condition]:
    """Return what is to be said of errors where no alert fires: nothing of a version that is judged and fine.

    After an alert it is told until the version that then serves is judged.
    """
    open_before = bool(_statuses(seen, ERRORS_HIGH) & {TRUE, UNKNOWN})
    found = _measured(seen)
    if found is None:
        return [_not_measured(seen, ERRORS_HIGH, version)] if open_before else []
    if any(one.kind == ERRORS for one in found.findings):
        text = f"more than {v.ERROR_MOST:.0%} of the answers of {version} are errors, and no alert says so yet"
        return [Condition(ERRORS_HIGH, FALSE, "Pending", text)]
    if open_before and ERRORS in found.undecided:
        text = f"fewer than {v.ERROR_REQUESTS} answers of {version} within {ERRORS_SECONDS:.0f} s: too few to judge by"
        return [Condition(ERRORS_HIGH, UNKNOWN, "InsufficientData", text)]
    return []


def _freshness(seen: Seen, most: int) -> str:
    """Return how old the version is, and when it is too old."""
    observed = seen.observed
    trained = observed.history.reference.trained if observed is not None else None
    if trained is None:
        return f"no alert says that {seen.stable} is older than {most} s"
    begun, over = (timestamp(datetime.fromtimestamp(one, UTC)) for one in (trained, trained + most))
    return f"{seen.stable} was trained at {begun}, and is too old at {over}"


def _sentences(alerts: Sequence[Alert]) -> str:
    text = "; ".join(_sentence(alert) for alert in alerts[:MAX_NAMED])
    more = f" and {len(alerts) - MAX_NAMED} more" if len(alerts) > MAX_NAMED else ""
    return f"{text}{more}"


def _sentence(alert: Alert) -> str:
    """Return the alert in words: its summary, or its name with what it is about."""
    if alert.message:
        return alert.message.rstrip(".")
    about = f" of {alert.feature}" if alert.feature else ""
    return f"{alert.name}{about}: {alert.value or 'no value told'}"


def _consequence(seen: Seen, kind: str) -> str:
    back = seen.monitoring.rollback
    if back is not None and kind in back.kinds:
        return f"whether the version before comes back: see RolledBack and status.history; {_retrained(seen, kind)}"
    return _retrained(seen, kind)


def _retrained(seen: Seen, kind: str) -> str:
    retrain = seen.monitoring.retrain
    if kind == DATA_QUALITY:
        return "stop and look: nothing is retrained on such data"
    if kind == ERRORS:
        return "no training mends that"
    if retrain is None:
        return "nothing is retrained, since spec.monitoring.retrain is not set"
    if kind not in retrain.alerts:
        return f"nothing is retrained, since spec.monitoring.retrain.alerts lacks {kind}"
    name, namespace = retrain.training_job, seen.namespace
    return f"what TrainingJob {name} does: kubectl -n {namespace} describe trainingjobs.modelmill.dev {name}"
