"""The status of a TrainingJob: conditions in kstatus form and the texts of `kubectl get`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelmill.contracts.result import DATA_REJECTED, GATE_FAILED, PUBLISHED
from modelmill.kube.conditions import FALSE, TRUE, UNKNOWN, Condition, merge
from modelmill.kube.labels import RUN_ANNOTATION
from modelmill.training import triggers
from modelmill.training.run import Progress
from modelmill.training.view import View

STAGES = {"Pending": "0/3", "Fetching": "1/3 fetch", "Training": "2/3 train", "Publishing": "3/3 publish"}
NOT_TERMINAL = (PUBLISHED, GATE_FAILED)


def build_status(
    view: View, status: Mapping[str, Any], decision: triggers.Decision, progress: Progress | None
) -> dict[str, Any]:
    """Return the whole status to write. `status` already holds what the run changed."""
    running = status.get("currentRun")
    last = status.get("lastRun")
    built = {name: value for name, value in status.items() if value is not None}
    conditions = [
        _ready(running, last, progress),
        _running(running, progress),
        _finished(running, last),
        _data_valid(last),
        _stalled(running, last, progress),
    ]
    if view.spec.run_policy.suspend:
        text = "spec.runPolicy.suspend is true: no run starts; reasons to run wait in status.pendingTriggers"
        conditions.append(Condition("Suspended", TRUE, "Suspended", text))
    failures = int(status.get("consecutiveFailures", 0))
    if failures >= view.spec.retrain.max_consecutive_failures:
        text = f"{failures} runs in a row failed; alerts start no more until a run is started with {RUN_ANNOTATION}"
        conditions.append(Condition("RetrainSuspended", TRUE, "TooManyFailures", text))
    built["conditions"] = merge(view.status.get("conditions") or (), conditions, view.generation, view.now)
    built["observedGeneration"] = view.generation
    built["phase"] = _phase(view, running, last)
    built["pendingTriggers"] = _pending(decision) if running or decision.reason is None else []
    built["progress"] = STAGES[running["phase"]] if running else "-"
    best = _best(view, last)
    if best:
        built["best"] = best
    for name in ("pendingTriggers", "alerts"):
        if not built.get(name):
            built.pop(name, None)
    return built


def _pending(decision: triggers.Decision) -> list[dict[str, str]]:
    return [{"id": one.id, "reason": one.reason, "message": one.message[:1000]} for one in decision.waiting]


def _ready(running: Mapping[str, Any] | None, last: Mapping[str, Any] | None, progress: Progress | None) -> Condition:
    if progress is not None and progress.blocked:
        return Condition("Ready", FALSE, progress.blocked, progress.message)
    if running:
        return Condition("Ready", TRUE, "RunInProgress", f"run {running['number']} makes {running['version']}")
    if last is None:
        return Condition("Ready", TRUE, "Accepted", "no run yet")
    if last["outcome"] == PUBLISHED:
        return Condition("Ready", TRUE, "Published", f"run {last['number']} published {last['version']}")
    if last["outcome"] == GATE_FAILED:
        text = f"run {last['number']} made {last['version']}, which failed its gates: {last.get('message', '')}"
        return Condition("Ready", TRUE, "GateFailed", text)
    return Condition("Ready", FALSE, last["cause"], f"run {last['number']}: {last['message']}")


def _running(running: Mapping[str, Any] | None, progress: Progress | None) -> Condition:
    if not running:
        return Condition("Running", FALSE, "Idle", "no run in progress")
    text = f"run {running['number']}, trigger {running['reason']}, try {running['attempt']}, Job {running['job']}"
    if progress is not None and progress.message:
        return Condition("Running", TRUE, progress.blocked or "Waiting", f"{text}: {progress.message}")
    return Condition("Running", TRUE, running["phase"], text)


def _finished(running: Mapping[str, Any] | None, last: Mapping[str, Any] | None) -> Condition:
    if running or last is None:
        return Condition("Finished", FALSE, "NotFinished", "no run has ended since the last start")
    text = f"run {last['number']} ended {last['finishTime']} with outcome {last['outcome']}"
    return Condition("Finished", TRUE, last["outcome"], text)


def _data_valid(last: Mapping[str, Any] | None) -> Condition:
    if last is not None and last["outcome"] == DATA_REJECTED:
        return Condition("DataValid", FALSE, last["cause"], last["message"])
    if last is not None and last["outcome"] in NOT_TERMINAL:
        text = f"run {last['number']} read data with digest {last.get('dataDigest', '?')}"
        return Condition("DataValid", TRUE, "Valid", text)
    return Condition("DataValid", UNKNOWN, "NotChecked", "the last run did not get as far as checking the data")


def _stalled(running: Mapping[str, Any] | None, last: Mapping[str, Any] | None, progress: Progress | None) -> Condition:
    if progress is not None and progress.blocked:
        return Condition("Stalled", TRUE, progress.blocked, progress.message)
    if not running and last is not None and last["outcome"] not in NOT_TERMINAL:
        text = f"{last['message']}; mend it and change the spec, or set the annotation {RUN_ANNOTATION} to a new text"
        return Condition("Stalled", TRUE, last["cause"], text)
    return Condition("Stalled", FALSE, "NotStalled", "nothing stands in the way")


def _phase(view: View, running: Mapping[str, Any] | None, last: Mapping[str, Any] | None) -> str:
    if running:
        return "Running"
    if view.spec.run_policy.suspend:
        return "Suspended"
    if last is not None and last["outcome"] not in NOT_TERMINAL:
        return "Failed"
    return "Idle"


def _best(view: View, last: Mapping[str, Any] | None) -> str | None:
    metric = view.spec.evaluation.primary.metric
    value = ((last or {}).get("metrics") or {}).get(metric)
    return f"{metric}={float(value):.4g}" if value is not None else None
