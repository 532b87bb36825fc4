"""The texts of `kubectl get` for a TrainingJob."""

from __future__ import annotations

from typing import Final, Literal

from modelmill.api.training_job_status import TrainingJobStatus
from modelmill.contracts.result import GATE_FAILED, PUBLISHED
from modelmill.training.view import View

STAGES: Final = {"Pending": "0/3", "Fetching": "1/3 fetch", "Training": "2/3 train", "Publishing": "3/3 publish"}
NOT_TERMINAL: Final = (PUBLISHED, GATE_FAILED)
"""Outcomes after which the TrainingJob is in order."""


def phase(view: View) -> Literal["Idle", "Running", "Suspended", "Failed"]:
    """Return the one word for scripts."""
    if view.status.current_run is not None:
        return "Running"
    if view.spec.run_policy.suspend:
        return "Suspended"
    last = view.status.last_run
    return "Failed" if last is not None and last.outcome not in NOT_TERMINAL else "Idle"


def progress(status: TrainingJobStatus) -> str:
    """Return which stage runs."""
    return STAGES[status.current_run.phase] if status.current_run is not None else "-"


def best(view: View) -> str | None:
    """Return the primary metric of the last version."""
    metric = view.spec.evaluation.primary.metric
    last = view.status.last_run
    value = last.metrics.get(metric) if last is not None else None
    return f"{metric}={float(value):.4g}" if value is not None else None
