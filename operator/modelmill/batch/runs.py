"""How a run goes on: its Job is made, followed, and its result taken. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from modelmill.api.batch import Batch, BatchRun
from modelmill.batch.job import build_job
from modelmill.batch.view import View, not_done
from modelmill.contracts import names
from modelmill.contracts.batch import BatchResult, decode_result, manifest_uri
from modelmill.engine.interface import Event
from modelmill.kube.conditions import timestamp
from modelmill.kube.labels import BATCH_ANNOTATION
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import fitted
from modelmill.workloads import jobs
from modelmill.workloads.pod_status import OOM_KILLED, ended

RESULT_SECONDS: Final = 30
"""Time for the pods of a Job that has ended to be seen with what they told."""
LOOK_AGAIN_SECONDS: Final = 5.0
MIN_ROWS: Final = 500
"""Fewest rows whose drift is told, where spec.monitoring says nothing: fewer drift by chance."""
DEADLINE: Final = "DeadlineExceeded"
"""Why a Job failed whose pods were deleted for that."""
MEND: Final = (
    "it goes on by itself when that is mended; where the spec was wrong, correct it, and ask for another run by "
    f"{BATCH_ANNOTATION}"
)


@dataclass(frozen=True, slots=True)
class Step:
    """A run as it is now, Jobs to make, events, and in how many seconds something is due."""

    run: BatchRun
    create: tuple[Manifest, ...] = ()
    events: tuple[Event, ...] = ()
    again: float | None = None


def followed(view: View, entry: Batch, run: BatchRun, *, asked_again: bool) -> Step:
    """Return what is next of a run that is not over. asked_again: a person wants another one."""
    job = view.jobs.get(run.name)
    if job is None:
        return _begun(view, entry, run) if run.phase == "Pending" else _failed(view, run, _deleted(run))
    pods = view.pods.get(run.name, ())
    going = not_done(pods)
    seen = jobs.observe(job, going, view.now, view.refusals.get(run.name))
    done = min(_count(job), run.partitions)
    if isinstance(seen, jobs.Complete):
        return _completed(view, replace(run, partitions_done=run.partitions), seen, pods)
    run = replace(run, phase="Running", partitions_done=done)
    if isinstance(seen, jobs.Failed):
        awaited = None if seen.failure is not None or seen.reason == DEADLINE else _awaited(view, run, seen)
        return awaited or _failed(view, run, _why(entry, seen))
    if seen.obstacle:
        works = any((pod.get("status") or {}).get("phase") == "Running" for pod in going)
        if asked_again and not works:
            return _failed(view, run, f"Replaced: another run was asked for; {seen.obstacle}: {seen.message}")
        return Step(replace(run, message=fitted(f"{seen.obstacle}: {fitted(seen.message, 1500)}; {MEND}", 2000)))
    message = seen.message
    if not message and seen.previous is not None:
        message = f"trying again: {seen.previous.describe()}"
    return Step(replace(run, message=fitted(message, 2000) or None))


def _begun(view: View, entry: Batch, run: BatchRun) -> Step:
    version = view.versions.get(run.version)
    if run.name in view.foreign:
        words = f"JobNameTaken: there is a Job {run.name} that is not this service's: delete it, and begin another run"
        return _failed(view, run, words)
    artifact = version.spec.artifact if version is not None else None
    if version is None or artifact is None or artifact.digest != run.digest:
        words = f"VersionNotFound: {run.version} with the artifact {run.digest[:19]} is gone: begin another run"
        return _failed(view, run, words)
    return Step(run, create=(build_job(view.service, entry, run, version, view.image, model_code=view.model_code),))


def _completed(view: View, run: BatchRun, seen: jobs.Complete, pods: Sequence[Manifest]) -> Step:
    results = list(_results(pods))
    told = next((one for one in results if one.manifest), None)
    if told is None and len({one.partition for one in results}) >= run.partitions:
        words = f"ManifestMissing: every pod is done, and none wrote {manifest_uri(run.output)}: begin another run"
        return _failed(view, run, words)
    over = replace(run, phase="Succeeded", end_time=timestamp(seen.finished), manifest=manifest_uri(run.output))
    if told is None:
        awaited = _awaited(view, run, seen)
        if awaited is not None:
            return awaited
        words = "its pods are gone and with them its counts: the manifest has them"
        return Step(replace(over, message=words), events=(_event(over, "Normal", "BatchSucceeded", words),))
    count = "1 row was" if told.rejected == 1 else f"{told.rejected} rows were"
    left_out = f"{count} left out: {'; '.join(told.rejections)}" if told.rejected else ""
    over = replace(
        over,
        objects=told.objects,
        rows=told.rows,
        rejected=told.rejected,
        message=fitted(left_out, 2000) or None,
    )
    words = f"{told.rows} rows of {told.objects} objects were scored with {run.version}: {over.manifest}"
    events = [_event(over, "Normal", "BatchSucceeded", f"{words}; {left_out}" if left_out else words)]
    if told.psi is not None and told.rows >= _min_rows(view):
        over = replace(over, drifted_feature=fitted(told.feature, 128) or None, psi=f"{told.psi:.4g}")
        events += _drift(view, over, told)
    return Step(over, events=tuple(events))


def _awaited(view: View, run: BatchRun, seen: jobs.Complete | jobs.Failed) -> Step | None:
    """Return the run that waits for its pods to be seen as they ended, which a watch of its own tells; None after a time."""
    left = (seen.finished + timedelta(seconds=RESULT_SECONDS) - view.now).total_seconds()
    if left <= 0:
        return None
    words = "its Job has ended; what its pods told is awaited"
    return Step(replace(run, phase="Running", message=words), again=min(left, LOOK_AGAIN_SECONDS))


def _min_rows(view: View) -> int:
    monitoring = view.service.spec.monitoring
    return monitoring.drift.min_rows if monitoring is not None else MIN_ROWS


def _drift(view: View, run: BatchRun, told: BatchResult) -> Iterator[Event]:
    """Yield the event that tells of rows unlike those of the training, where spec.monitoring says from when they are."""
    monitoring = view.service.spec.monitoring
    if monitoring is None or told.psi is None or told.psi <= float(monitoring.drift.psi_threshold):
        return
    bound = monitoring.drift.psi_threshold
    words = (
        f"{fitted(told.feature, 128)} has PSI {told.psi:.4g} against the training data of {run.version}, above {bound}"
    )
    yield _event(run, "Warning", "BatchDrift", f"{words}: see drift in {run.manifest}")


def _why(entry: Batch, seen: jobs.Failed) -> str:
    """Return why a Job failed, beginning with one word."""
    if seen.reason == DEADLINE:
        field = f"spec.batch[{entry.name}].activeDeadlineSeconds"
        return (
            f"DeadlineExceeded: it took longer than {field}, {entry.active_deadline_seconds}: raise it, or partitions"
        )
    end = seen.failure
    if end is None:
        return f"JobFailed: {seen.message}"
    if end.reason == OOM_KILLED:
        return f"OutOfMemory: {end.describe()}; raise spec.batch[{entry.name}].resources.limits.memory"
    told = end.result()
    if told is not None and told.reason:
        return f"{told.reason}: {' '.join(told.reasons)}"
    return f"JobFailed: {end.describe()}"


def _deleted(run: BatchRun) -> str:
    return f"JobDeleted: its Job {run.name} was deleted while it ran; what is done stays at {run.output}"


def _failed(view: View, run: BatchRun, why: str) -> Step:
    over = replace(run, phase="Failed", end_time=timestamp(view.now), message=fitted(why, 3000))
    return Step(over, events=(_event(over, "Warning", "BatchFailed", why),))


def _event(run: BatchRun, kind: Literal["Normal", "Warning"], reason: str, words: str) -> Event:
    return Event(kind, reason, fitted(f"{run.name}: {words}", 1000))


def _results(pods: Sequence[Manifest]) -> Iterator[BatchResult]:
    ends = (ended(pod, names.STAGE_BATCH) for pod in jobs.newest_first(pods))
    found = (decode_result(end.message) for end in ends if end is not None and end.exit_code == 0)
    return (one for one in found if one is not None)


def _count(job: Manifest) -> int:
    count = (job.get("status") or {}).get("succeeded", 0)
    return count if isinstance(count, int) else 0
