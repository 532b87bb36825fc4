"""A run because alerts fire about the TrainingJob, or about services that retrain by it."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.api.base import Alert
from modelmill.kube.conditions import parse_timestamp
from modelmill.training.triggers.reason import Reason
from modelmill.training.view import View

KIND = "Alert"
MAX_ANSWERED = 256


def reasons(view: View) -> Sequence[Reason]:
    """Return a reason for each firing alert that no run has answered, oldest first; none when alerts start no runs."""
    if not view.spec.triggers.alerts.enabled:
        return ()
    done = answered(view)
    # Two services may tell of the same episode.
    by_id = {one.id: one for one in firing(view) if one.id not in done}
    waiting = sorted(by_id.values(), key=lambda one: (one.starts_at, one.id))
    return [Reason(one.id, KIND, _sentence(one), parse_timestamp(one.starts_at)) for one in waiting]


def firing(view: View) -> Sequence[Alert]:
    """Return the firing alerts of this object and, of the kinds that they name, of the services that retrain by it."""
    alerts = list(view.status.alerts)
    for service in view.retraining_services():
        retrain = service.spec.monitoring.retrain if service.spec.monitoring is not None else None
        kinds = retrain.alerts if retrain is not None else ()
        alerts += [alert for alert in service.status.alerts if alert.kind in kinds]
    return alerts


def answered(view: View) -> set[str]:
    """Return the identities of the alerts that a run has answered, or is answering."""
    current = view.status.current_run
    ids = {*view.status.answered_alerts, *(current.triggers if current is not None else ())}
    return ids.union(*(run.triggers for run in view.status.runs))


def still_answered(view: View) -> tuple[str, ...]:
    """Return the answered alerts that still fire: they are kept when the run that answered them is forgotten."""
    done = answered(view)
    return tuple(dict.fromkeys(one.id for one in firing(view) if one.id in done))[:MAX_ANSWERED]


def _sentence(alert: Alert) -> str:
    about = f" of {alert.feature}" if alert.feature else ""
    value = f" ({alert.value})" if alert.value else ""
    return f"{alert.name}{about}{value}"
