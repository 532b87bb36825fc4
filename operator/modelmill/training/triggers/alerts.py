"""A run because alerts fire about the TrainingJob, or about services that retrain by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from modelmill.api.base import Alert
from modelmill.api.monitoring import DATA_QUALITY, DRIFT, EMBEDDED_PREFIX, QUALITY, SKEW, STALENESS
from modelmill.api.objects import InferenceService
from modelmill.api.versions import REJECTED
from modelmill.contracts.result import PUBLISHED
from modelmill.kube.conditions import parse_timestamp
from modelmill.training.triggers.reason import Hold, Reason
from modelmill.training.view import View

KIND: Final = "Alert"
CHANGES: Final = (DRIFT, SKEW, QUALITY)
"""Kinds that say that the data, or what is to be learned, have changed."""
OWN_WINDOW: Final = timedelta(hours=2)
"""How long before an alert on the TrainingJob itself the episode may have begun: nobody says which window it is about."""
SLACK: Final = timedelta(minutes=5)
"""A window must first have some rows of the new time, and the clock of a store may differ."""
DELIVERY: Final = timedelta(minutes=10)
"""Least time that is allowed for: counters are read, rules evaluated and alerts sent in steps of up to minutes."""
MAX_ANSWERED = 256


def reasons(view: View) -> Sequence[Reason]:
    """Return a reason for each alert of a change that no run has answered, oldest first; none when alerts start no runs."""
    return _reasons(view, CHANGES)


def stale(view: View) -> Sequence[Reason]:
    """Return a reason for each alert that the model is too old, likewise."""
    return _reasons(view, (STALENESS,))


def firing(view: View) -> Iterator[tuple[Alert, InferenceService | None]]:
    """Yield the firing alerts of this object and, of the kinds that they name, of the services that retrain by it."""
    yield from ((alert, None) for alert in view.status.alerts if alert.kind in (*CHANGES, STALENESS))
    for service in view.retraining_services():
        retrain = service.spec.monitoring.retrain if service.spec.monitoring is not None else None
        kinds = retrain.alerts if retrain is not None else ()
        yield from ((alert, service) for alert in service.status.alerts if alert.kind in kinds)


def answered(view: View) -> set[str]:
    """Return the identities of the alerts that a run has answered, or is answering."""
    current = view.status.current_run
    return _for_good(view).union(current.triggers if current is not None else ())


def still_answered(view: View) -> tuple[str, ...]:
    """Return the answered alerts that still fire: they are kept when the run that answered them is forgotten."""
    done = _for_good(view)
    return tuple(dict.fromkeys(one.id for one, _ in firing(view) if one.id in done))[:MAX_ANSWERED]


def _for_good(view: View) -> set[str]:
    """Return the identities of the alerts that no later run will be for.

    A run whose version was rejected, or that made none, answers only where no new rows are waited for: elsewhere its alert
    waits for more data.
    """
    rejected = {one.name for one in view.versions if one.spec.approval == REJECTED}
    again = view.spec.triggers.alerts.waits_for_rows
    done: set[str] = set()
    in_vain: set[str] = set()
    for run in view.status.runs:
        helped = run.outcome == PUBLISHED and run.version not in rejected
        (done if helped or not again else in_vain).update(run.triggers)
    return done | ({*view.status.answered_alerts} - in_vain)


def stop_and_look(view: View) -> Hold | None:
    """Data that are broken are no reason to train on them."""
    found = [
        (alert, f"InferenceService {one.name}") for one in view.retraining_services() for alert in one.status.alerts
    ]
    found += [(alert, f"TrainingJob {view.name}") for alert in view.status.alerts]
    broken = next(((alert, whose) for alert, whose in found if alert.kind == DATA_QUALITY), None)
    if broken is None:
        return None
    alert, whose = broken
    told = f"{alert.name}: {alert.message}" if alert.message else _sentence(alert)
    text = f"{whose} has the alert {told}; no alert starts a run before that is mended"
    return Hold(DATA_QUALITY, text)


def _reasons(view: View, kinds: Sequence[str]) -> Sequence[Reason]:
    if not view.spec.triggers.alerts.enabled:
        return ()
    done = answered(view)
    found = [(one, service) for one, service in firing(view) if one.kind in kinds and one.id not in done]
    oldest_first = sorted(found, key=lambda pair: (pair[0].starts_at, pair[0].id))
    # Two services may tell of the same episode.
    return list({one.id: _reason(one, service) for one, service in oldest_first}.values())


def _reason(alert: Alert, service: InferenceService | None) -> Reason:
    since = parse_timestamp(alert.starts_at)
    return Reason(alert.id, KIND, _sentence(alert), since, alert.kind, _changed_after(alert, since, service))


def _changed_after(alert: Alert, begun: datetime, service: InferenceService | None) -> datetime | None:
    """Return since when it has changed; None of an alert that is about no change.

    Rows of before are of both times, and a model of them is none of the new one. Alerts that the operator found begin when
    that began; those of Prometheus when it had lasted.
    """
    if alert.kind not in CHANGES:
        return None
    monitoring = service.spec.monitoring if service is not None else None
    if monitoring is None:
        return begun - OWN_WINDOW
    if alert.id.startswith(EMBEDDED_PREFIX):
        return begun - SLACK
    return begun - SLACK - timedelta(seconds=monitoring.lasting_seconds(alert.kind))


def _sentence(alert: Alert) -> str:
    about = f" of {alert.feature}" if alert.feature else ""
    value = f" ({alert.value})" if alert.value else ""
    return f"{alert.name}{about}{value}"
