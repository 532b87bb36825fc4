"""When a run that cannot go on makes way for the next one, instead of waiting for its deadline."""

from __future__ import annotations

from modelmill.api.training_job_status import CurrentRun
from modelmill.contracts.result import FAILED, StageResult
from modelmill.kube.labels import RUN_ANNOTATION
from modelmill.training.builders.job import RUN_SPEC_HASH_ANNOTATION
from modelmill.training.builders.search_jobs import data_job_name
from modelmill.training.observation import REPLACED, RunActive, RunEnded
from modelmill.training.triggers import holds, manual
from modelmill.training.view import View


def given_up(view: View, run: CurrentRun, seen: RunActive) -> RunEnded | None:
    """Return the end of a run that cannot go on, when the next one can start at once and there is a reason to; else None.

    The reason is a spec that its Job was not built from, or a person who asks for a run. A run that goes on is left alone.
    """
    if not seen.obstacle or holds.model_of_another(view) is not None or holds.suspended(view) is not None:
        return None
    if other_spec(view, run):
        why = "the spec was changed"
    elif manual.reasons(view):
        why = f"the annotation {RUN_ANNOTATION} asks for a run"
    else:
        return None
    message = f"{seen.message}; {why}: the next run starts at once"
    return RunEnded(StageResult(FAILED, REPLACED, (message,)), seen.attempt, view.now, REPLACED, message)


def other_spec(view: View, run: CurrentRun) -> bool:
    """Return whether the Job of the run was built from another spec than that of now."""
    job = view.jobs.get(run.job) or view.jobs.get(data_job_name(run.job))
    annotations = (job["metadata"].get("annotations") or {}) if job is not None else {}
    built_from = annotations.get(RUN_SPEC_HASH_ANNOTATION)
    return built_from != view.run_spec_hash() if built_from is not None else run.trained_hash != view.trained_hash()
