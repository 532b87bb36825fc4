"""The texts of `kubectl get` for a TrainingJob."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

from modelmill.api.objects import ModelVersion
from modelmill.api.training_job_status import FinishedRun, TrainingJobStatus
from modelmill.api.versions import REJECTED, version_number
from modelmill.contracts.result import GATE_FAILED, PUBLISHED, UNCHANGED
from modelmill.training.observation import REPLACED
from modelmill.training.view import View

STAGES: Final = {"Pending": "0/3", "Fetching": "1/3 fetch", "Training": "2/3 train", "Publishing": "3/3 publish"}
NOT_TERMINAL: Final = (PUBLISHED, GATE_FAILED, UNCHANGED)
"""Outcomes after which the TrainingJob is in order."""


def phase(view: View) -> Literal["Idle", "Running", "Suspended", "Failed"]:
    """Return the one word for scripts."""
    if view.status.current_run is not None:
        return "Running"
    if view.spec.run_policy.suspend:
        return "Suspended"
    last = view.status.last_run
    return "Failed" if last is not None and needs_mending(last) else "Idle"


def needs_mending(last: FinishedRun) -> bool:
    """Return whether the run failed and a person has to do something: not when the next one is about to start."""
    return last.outcome not in NOT_TERMINAL and last.cause != REPLACED


def progress(status: TrainingJobStatus) -> str:
    """Return which stage runs."""
    return STAGES[status.current_run.phase] if status.current_run is not None else "-"


def best(view: View, made: Sequence[ModelVersion] = ()) -> str | None:
    """Return the best value of the primary metric and whose it is; None when no version has it.

    made: versions that this plan makes, which the view does not have yet.
    """
    primary = view.spec.evaluation.primary
    known = {one.name: one for one in [*made, *view.versions]}
    values = [
        (value, version_number(one.name), one.name)
        for one in known.values()
        if one.spec.approval != REJECTED
        and not one.metadata.deleting
        and (value := _number(one.spec.metrics.get(primary.metric))) is not None
    ]
    if not values:
        return None
    # Of equals the newest.
    value, _, name = max(values, key=lambda one: (one[0] if primary.direction == "Maximize" else -one[0], one[1]))
    return f"{primary.metric}={value:.4g} ({name})"


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
