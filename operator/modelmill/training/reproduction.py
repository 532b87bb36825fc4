"""A run that makes a version again: how it starts, and what its record says."""

from __future__ import annotations

from dataclasses import replace

from modelmill.api.training_job_status import CurrentRun, FinishedRun, Reproduced
from modelmill.contracts.result import FAILED, Reproduction, StageResult
from modelmill.engine.interface import Event
from modelmill.kube.conditions import timestamp
from modelmill.kube.labels import REPRODUCE_ANNOTATION
from modelmill.kube.objects import Manifest
from modelmill.training.builders.job import TRAINED_HASH_ANNOTATION, build_reproduction
from modelmill.training.builders.model_version import number_text
from modelmill.training.observation import RunEnded
from modelmill.training.triggers import reproduce
from modelmill.training.view import View
from modelmill.workloads.containers import Image

STRANGE = "ResultInvalid"


def asked(view: View, existing: Manifest | None, kind: str) -> str | None:
    """Return the version that the next run makes again, None for a run that makes a new one.

    existing: the next run's Job, made before an operator ended that could not write so. What it does, the run does.
    """
    if existing is not None:
        return (existing["metadata"].get("annotations") or {}).get(REPRODUCE_ANNOTATION)
    return reproduce.asked(view) if kind == reproduce.KIND else None


def begun(view: View, name: str, existing: Manifest | None, trainer: Image) -> tuple[CurrentRun, Manifest] | None:
    """Return the run that makes a version again, and its Job; None when there is no such version any more."""
    job = existing
    if job is None:
        version = next((one for one in view.versions if one.name == name), None)
        if version is None:
            return None
        job = build_reproduction(view, view.next_number, version, trainer)
    run = CurrentRun(
        number=view.next_number,
        reason=reproduce.KIND,
        trained_hash=job["metadata"]["annotations"][TRAINED_HASH_ANNOTATION],
        version=name,
        job=job["metadata"]["name"],
        phase="Pending",
        attempt=1,
        start_time=timestamp(view.now),
    )
    return run, job


def is_reproduction(run: CurrentRun | FinishedRun) -> bool:
    """Tell whether the run makes a version again, and so no new one."""
    return run.reason == reproduce.KIND


def without_version(ended: RunEnded) -> RunEnded:
    """Return the end of a run that was to make a version again: an image that published did not know what it was asked."""
    if not ended.made_version:
        return ended
    message = "the image of the recipe published a version instead of comparing it: it is of another release"
    return replace(ended, result=StageResult(FAILED, STRANGE, (message,)), cause=STRANGE, message=message)


def record_of(result: StageResult) -> Reproduced | None:
    """Return how the version compares, for the status."""
    found = result.reproduction
    if found is None:
        return None
    return Reproduced(
        version=found.version[:64],
        bytes="Same" if found.same else "Different",
        differences=_differences(found, result.metrics),
    )


def told(found: Reproduced) -> str:
    """Return in a sentence how the version compares."""
    if found.bytes == "Same":
        return f"{found.version} was made again: the served model has the same bytes"
    by_how_much = ", ".join(f"{name} {value}" for name, value in found.differences.items())
    return f"{found.version} was made again: the served model has other bytes; metrics differ by: {by_how_much or 'nothing'}"


def event(record: FinishedRun, found: Reproduced) -> Event:
    """Return what is told about a run that made a version again."""
    return Event("Normal", "RunReproduced", f"run {record.number}: {told(found)}"[:1000])


def _differences(found: Reproduction, metrics: dict[str, float]) -> dict[str, str]:
    both = sorted(found.metrics.keys() & metrics.keys())
    return {
        name: f"{'+' if metrics[name] > found.metrics[name] else ''}{number_text(metrics[name] - found.metrics[name])}"
        for name in both
        if metrics[name] != found.metrics[name]
    }
