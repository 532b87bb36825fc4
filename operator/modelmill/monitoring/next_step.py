"""What the loop of a service does next, in words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from modelmill.api.monitoring import DATA_QUALITY
from modelmill.kube.conditions import timestamp
from modelmill.kube.texts import fitted
from modelmill.monitoring.seen import Seen


def next_step(seen: Seen) -> str | None:
    """Return what the loop does next, and when; None where nothing is to come."""
    retrain, job = seen.monitoring.retrain, seen.job
    if any(alert.kind == DATA_QUALITY for alert in seen.alerts):
        return "stop and look: while something is wrong with the data, no alert starts a run"
    kinds = set(retrain.alerts) if retrain is not None else set()
    acting = [alert for alert in seen.alerts if alert.kind in kinds]
    if acting and retrain is not None and job is not None:
        name = retrain.training_job
        waiting = {one.id: one for one in job.pending_triggers}
        held = next((waiting[alert.id] for alert in acting if alert.id in waiting), None)
        if job.current_run is not None:
            return f"TrainingJob {name}: run {job.current_run.number} is in progress"
        if held is not None:
            return fitted(f"TrainingJob {name} waits: {held.message}", 1024)
        if seen.coming is not None:
            return f"{seen.coming} is being rolled out: what it waits for is in the condition Reconciling"
        answers = (run for run in job.runs if any(alert.id in run.triggers for alert in acting))
        answer = next(answers, None)
        if answer is not None:
            return f"nothing: run {answer.number} of TrainingJob {name} answered, and ended {answer.outcome}"
        return f"TrainingJob {name} decides: kubectl -n {seen.namespace} describe trainingjobs.modelmill.dev {name}"
    if seen.alerts and seen.coming is not None:
        return f"{seen.coming} is being rolled out: what it waits for is in the condition Reconciling"
    if seen.alerts:
        return "nothing by itself: see the conditions"
    soonest = min(seen.found.findings, key=lambda one: one.fires_at, default=None) if seen.found is not None else None
    if soonest is None:
        return None
    if seen.engine == "Embedded":
        when = timestamp(datetime.fromtimestamp(soonest.fires_at, UTC))
        return f"{soonest.kind} is told as an alert at {when} if it lasts"
    return f"{soonest.kind} is told as an alert by Prometheus if it lasts {soonest.lasting:.0f} s"
