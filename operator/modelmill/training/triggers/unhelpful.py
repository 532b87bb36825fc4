"""Runs that did not help: the alert that they were for is soon back about the version that they made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from modelmill.api.base import Alert
from modelmill.api.monitoring import DRIFT, QUALITY, SKEW
from modelmill.api.objects import InferenceService
from modelmill.api.training_job_status import FinishedRun
from modelmill.api.versions import stable_versions
from modelmill.contracts.result import PUBLISHED
from modelmill.kube.conditions import parse_timestamp
from modelmill.training.triggers import alerts
from modelmill.training.view import View

SAME: Final = {DRIFT: (DRIFT, SKEW), SKEW: (DRIFT, SKEW), QUALITY: (QUALITY,)}
"""By kind of an alert, the kinds that are the same trouble: a drift that is there from a promotion on is called skew."""
LEAST: Final = timedelta(days=1)
MOST: Final = 100


def counted(view: View) -> tuple[int, ...]:
    """Return the numbers of the runs in a row that did not help, in their order; none after a version that lasts."""
    found = list(view.status.unhelpful_runs)
    done = alerts.answered(view)
    for alert, service in alerts.firing(view):
        run = _maker(view, alert, service)
        if run is not None and run.number not in found and alert.id not in done and _is_back(view, alert, run):
            found.append(run.number)
    lasting = lasts_from(view)
    return () if lasting is not None and lasting <= view.now and not _marked(view, found) else tuple(found[-MOST:])


def lasts_from(view: View) -> datetime | None:
    """Return when the newest version counts as one that lasts, which ends the row; None where none serves."""
    newest = _newest(view)
    services = view.retraining_services()
    if newest is None or (services and newest.version not in stable_versions(services)):
        return None
    return parse_timestamp(newest.finish_time) + _trial_time(view)


def _marked(view: View, found: list[int]) -> bool:
    newest = _newest(view)
    return newest is not None and newest.number in found


def _newest(view: View) -> FinishedRun | None:
    return next((run for run in view.status.runs if run.outcome == PUBLISHED), None)


def _maker(view: View, alert: Alert, service: InferenceService | None) -> FinishedRun | None:
    """Return the run of an alert that made the version which this alert is about."""
    stable = service.status.stable if service is not None else None
    version = alert.version or (stable.version if stable is not None else None)
    made = (run for run in view.status.runs if run.outcome == PUBLISHED and run.version == version)
    run = next(made, None)
    return run if run is not None and run.reason == alerts.KIND else None


def _is_back(view: View, alert: Alert, run: FinishedRun) -> bool:
    soon = parse_timestamp(alert.starts_at) <= parse_timestamp(run.finish_time) + _trial_time(view)
    return soon and any(kind in run.alerts for kind in SAME.get(alert.kind, ()))


def _trial_time(view: View) -> timedelta:
    return max(2 * timedelta(seconds=view.spec.retrain.cooldown_seconds), LEAST)
