"""Whether a run should start, and why: a chain of checks over the reasons to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from modelmill.api.versions import firing_alerts, newest_approved
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.labels import RUN_ANNOTATION
from modelmill.training.view import View

SPEC = "Spec"
MANUAL = "Manual"
ALERT = "Alert"
MAX_ALERTS = 32


@dataclass(frozen=True, slots=True)
class Waiting:
    """A reason to run that may not start one now. `until` is seconds from now, None when only a person helps."""

    id: str
    reason: str
    message: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about the reasons to run.

    reason: set when a run should start now. alerts: identities of every unanswered alert; the run answers them all.
    waiting: reasons that wait, for the status.
    """

    reason: str | None = None
    message: str = ""
    alerts: tuple[str, ...] = ()
    waiting: tuple[Waiting, ...] = ()


def retrain_suspended(view: View) -> bool:
    """Tell whether alerts start no more runs because too many failed in a row."""
    return int(view.status.get("consecutiveFailures", 0)) >= view.spec.retrain.max_consecutive_failures


def decide(view: View) -> Decision:
    """Return whether a run should start. A run in progress lets everything wait; one run answers all reasons at once."""
    alerts = unanswered_alerts(view)
    ids = tuple(str(alert["id"]) for alert in alerts)
    hold = _hold(view)
    waiting: list[Waiting] = []
    for reason, message in _person_reasons(view):
        if hold is None:
            return Decision(reason, message, ids)
        waiting.append(Waiting(reason, reason, hold))
    if alerts:
        text = ", ".join(_sentence(alert) for alert in alerts[:4]) + (" and more" if len(alerts) > 4 else "")
        blocker = Waiting("", ALERT, hold) if hold is not None else _alert_hold(view)
        if blocker is None:
            return Decision(ALERT, text, ids)
        waiting += [Waiting(one, ALERT, f"{text}: {blocker.message}"[:1000], blocker.until) for one in ids]
    return Decision(alerts=ids, waiting=tuple(waiting[:MAX_ALERTS]))


def unanswered_alerts(view: View) -> list[Mapping[str, Any]]:
    """Return the firing alerts that may start a run and that no run has answered, oldest first."""
    if not view.spec.triggers.alerts.enabled:
        return []
    answered = set((view.status.get("currentRun") or {}).get("triggers") or ())
    for run in view.status.get("runs") or ():
        answered.update(run.get("triggers") or ())
    alerts = [alert for alert in all_alerts(view) if alert["id"] not in answered]
    return sorted(alerts, key=lambda alert: (alert["startsAt"], alert["id"]))[:MAX_ALERTS]


def all_alerts(view: View) -> list[Mapping[str, Any]]:
    """Return the firing alerts of this object and of the InferenceServices that retrain by it."""
    alerts = list(firing_alerts(view.status))
    for service in _services(view):
        kinds = service["spec"]["monitoring"]["retrain"]["alerts"]
        alerts += [alert for alert in firing_alerts(service.get("status") or {}) if alert["kind"] in kinds]
    return alerts


def rolling_out(view: View) -> str | None:
    """Return the approved version that is on its way to replace the one that serves, or None.

    An alert about a version whose remedy is being rolled out must not start another run; when the rollout is taken back the
    service remembers a failed revision and the alert counts again.
    """
    newest = newest_approved(view.versions, view.spec.model)
    if newest is None:
        return None
    name = str(newest["metadata"]["name"])
    for service in _services(view):
        status = service.get("status") or {}
        stable = (status.get("stable") or {}).get("version")
        follows = (service["spec"].get("model") or {}).get("follow") is not None
        if follows and stable is not None and stable != name and not status.get("failedRevision"):
            return name
    return None


def _services(view: View) -> list[Mapping[str, Any]]:
    """Return the InferenceServices that retrain by this TrainingJob."""
    return [
        service
        for service in view.services
        if ((service["spec"].get("monitoring") or {}).get("retrain") or {}).get("trainingJob") == view.name
    ]


def _person_reasons(view: View) -> list[tuple[str, str]]:
    reasons = []
    if view.trained_hash() != view.status.get("trainedHash"):
        first = "trainedHash" not in view.status
        reasons.append((SPEC, "created" if first else "what it trains was changed"))
    token = view.annotations.get(RUN_ANNOTATION)
    if token and token[:256] != view.status.get("handledAnnotation"):
        reasons.append((MANUAL, f"annotation {RUN_ANNOTATION} is {token[:64]!r}"))
    return reasons


def _hold(view: View) -> str | None:
    """Return why no run may start at all, or None."""
    if view.status.get("currentRun"):
        return f"run {view.status['currentRun']['number']} is in progress"
    if view.spec.run_policy.suspend:
        return "spec.runPolicy.suspend is true"
    return None


def _alert_hold(view: View) -> Waiting | None:
    """Return why an alert may not start a run now, or None."""
    successor = rolling_out(view)
    if successor is not None:
        return Waiting(
            "", ALERT, f"{successor} is newer than the version that the alerts are about and is being rolled out"
        )
    if retrain_suspended(view):
        failures = view.status["consecutiveFailures"]
        return Waiting("", ALERT, f"{failures} runs in a row failed; start one with the annotation {RUN_ANNOTATION}")
    last = view.status.get("lastRun")
    if last is None:
        return None
    until = parse_timestamp(last["finishTime"]) + timedelta(seconds=view.spec.retrain.cooldown_seconds)
    if view.now >= until:
        return None
    return Waiting("", ALERT, f"cooldown until {timestamp(until)}", (until - view.now).total_seconds())


def _sentence(alert: Mapping[str, Any]) -> str:
    about = f" of {alert['feature']}" if alert.get("feature") else ""
    value = f" ({alert['value']})" if alert.get("value") else ""
    return f"{alert['name']}{about}{value}"
