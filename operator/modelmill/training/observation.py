"""How the run in progress is doing, read from its Job and pods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from modelmill.api.training_job_status import CurrentRun
from modelmill.contracts import names
from modelmill.contracts.result import (
    DATA_REJECTED,
    FAILED,
    GATE_FAILED,
    PUBLISHED,
    SCORED,
    UNCHANGED,
    DataFacts,
    ResultError,
    StageResult,
    decode,
    decode_data,
)
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import word
from modelmill.training.view import View
from modelmill.workloads import jobs, refusals
from modelmill.workloads.pod_status import OOM_KILLED, Ended, container_statuses, ended

Phase = Literal["Pending", "Fetching", "Preparing", "Searching", "Training", "Evaluating", "Publishing"]
PHASES: dict[str, Phase] = {
    names.STAGE_FETCH: "Fetching",
    names.STAGE_TRAIN: "Training",
    names.STAGE_EVALUATE: "Evaluating",
    names.STAGE_PUBLISH: "Publishing",
}
BEGINNINGS: Final[dict[str, Phase]] = {
    names.STAGE_FETCH: "Fetching",
    names.STAGE_PREPARE: "Preparing",
    names.STAGE_DIVIDE: "Preparing",
    **PHASES,
}
"""The phase by the stage that has begun, in order, with the stages that not every run has."""
OF_THE_USER: Final = {names.STAGE_TRAIN: "TrainingFailed", names.STAGE_PREPARE: "PrepareFailed"}
"""Cause of a run by the container that failed without a result, where it runs an image of the user."""
REPLACED: Final = "Replaced"
"""Cause of a run that was given up for the next one: the operator's own word, which no stage can say."""
HELP: Final = {
    "ImagePullFailed": "correct the image in the spec, or the registry's credentials",
    "ContainerConfigInvalid": "correct the spec, or make what it names",
    "Unschedulable": "ask for less or for other nodes in spec.podTemplate, or make room",
    "PodsRefused": "ask for what is permitted in spec.podTemplate, or permit more",
}
"""What helps against an obstacle."""
ANEW: Final = "after a change of the spec the run is started anew"
OUT_OF_MEMORY: Final = "OutOfMemory"
RESULT_LOST: Final = "ResultLost"
LOST: Final = frozenset({"JobDeleted", RESULT_LOST, "JobFailed"})
"""Causes that are told from what is not there. The cache may be behind: `witness` asks the API server first."""


@dataclass(frozen=True, slots=True)
class RunActive:
    """A run that goes on.

    obstacle: CamelCase reason why it cannot go on, e.g. ImagePullFailed. needs_help: the obstacle does not go by itself.
    message: what it waits for. remedy: what helps against the obstacle. done: how many stages are over.
    look_again: seconds until it must be looked at without an event.
    """

    phase: Phase
    attempt: int
    message: str = ""
    obstacle: str = ""
    needs_help: bool = False
    remedy: str = ""
    done: int = 0
    look_again: float | None = None

    @property
    def told(self) -> str:
        """What it waits for and what helps, for people; empty when it waits for nothing."""
        return "; ".join(text for text in (self.message, self.remedy) if text)


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run that ended. cause: CamelCase word; empty when it was published. message: the whole story, for people."""

    result: StageResult
    attempts: int
    finished: datetime
    cause: str = ""
    message: str = ""

    @property
    def made_version(self) -> bool:
        """Whether there is an artifact to make a version of."""
        return self.result.outcome in (PUBLISHED, GATE_FAILED)


def observe(view: View, run: CurrentRun) -> RunActive | RunEnded:
    """Return how the run is doing by its Job."""
    if run.job not in view.jobs:
        text = "its Job was deleted while it ran; start a run with the annotation"
        return failed("JobDeleted", text, 1, view.now)
    pods = view.pods.get(run.job, ())
    seen, look_again = observed_job(view, run.job)
    if isinstance(seen, jobs.Complete):
        return _completed(seen, pods)
    if isinstance(seen, jobs.Failed):
        return job_failed(seen, pods)
    return active(seen, look_again)


def observed_job(view: View, name: str) -> tuple[jobs.Observation, float | None]:
    """Return how a Job of the run is doing, and in how many seconds a refusal of its pod is told that is not yet."""
    job, pods, refusal = view.jobs[name], view.pods.get(name, ()), view.refusals.get(name)
    waited = refusals.waiting_for_pod(job, pods, view.now) if refusal is not None else None
    told = waited is not None and waited >= refusals.PATIENCE
    seen = jobs.observe(job, pods, view.now, refusal if told else None)
    return seen, refusals.PATIENCE - waited if waited is not None and not told else None


def _completed(seen: jobs.Complete, pods: jobs.Pods) -> RunEnded:
    ends = [(pod, end) for pod in pods if (end := ended(pod, names.STAGE_PUBLISH)) is not None and end.exit_code == 0]
    if not ends:
        text = "its pod is gone and with it the result; start it again"
        return failed(RESULT_LOST, text, seen.attempts, seen.finished)
    pod, publish = ends[-1]
    # The kernel may kill a child of the container's program, which then ends well with half of the work done. Evaluate alone
    # watches its child, and goes on without what can be done without.
    ends_before = (ended(pod, stage) for stage in BEGINNINGS if stage != names.STAGE_EVALUATE)
    killed = next((end for end in ends_before if end is not None and end.reason == OOM_KILLED), None)
    if killed is not None:
        return _out_of_memory(killed, seen)
    try:
        result = decode(publish.message)
    except ResultError as error:
        return failed("ResultInvalid", f"container {names.STAGE_PUBLISH}: {error}", seen.attempts, seen.finished)
    if result.outcome == SCORED:
        text = f"container {names.STAGE_PUBLISH} told the result of a trial: use the image of this release for it"
        return failed("ResultInvalid", text, seen.attempts, seen.finished)
    if result.outcome in (FAILED, DATA_REJECTED):
        return RunEnded(result, seen.attempts, seen.finished, _cause(result), "; ".join(result.reasons))
    return RunEnded(result, seen.attempts, seen.finished, word(result.reason, ""), "; ".join(result.reasons))


def job_failed(seen: jobs.Failed, pods: jobs.Pods) -> RunEnded:
    """Return the end of a run by its Job that failed, with the data that were fetched."""
    ended_so = _job_failed(seen)
    # A tenant's program has a part in the later stages' words, and none in those of fetch.
    return ended_so if ended_so.result.data else replace(ended_so, result=replace(ended_so.result, data=fetched(pods)))


def _job_failed(seen: jobs.Failed) -> RunEnded:
    if seen.reason == "DeadlineExceeded":
        text = "it ran longer than spec.runPolicy.activeDeadlineSeconds"
        return failed("DeadlineExceeded", text, seen.attempts, seen.finished)
    failure = seen.failure
    if failure is None:
        return failed("JobFailed", seen.message, seen.attempts, seen.finished)
    if failure.reason == OOM_KILLED:
        return _out_of_memory(failure, seen)
    result = failure.result()
    if result is None:
        cause = OF_THE_USER.get(failure.container, "StageFailed")
        return failed(cause, failure.describe(), seen.attempts, seen.finished)
    if result.outcome == UNCHANGED and failure.container == names.STAGE_FETCH:
        return RunEnded(result, seen.attempts, seen.finished, word(result.reason, ""), "; ".join(result.reasons))
    exited = f"container {failure.container} exited with code {failure.exit_code}"
    if result.outcome not in (FAILED, DATA_REJECTED):
        # It said that it published and then failed: success needs exit code 0 as well.
        return failed("StageFailed", exited, seen.attempts, seen.finished)
    message = f"{exited}: {'; '.join(result.reasons) or result.reason}"
    # A tenant's code can write it, in train and evaluate: it may say why it failed, and states no facts.
    told = StageResult(result.outcome, result.reason, result.reasons)
    return RunEnded(told, seen.attempts, seen.finished, _cause(told), message)


def fetched(pods: jobs.Pods) -> DataFacts | None:
    """Return the data that the last fetch which went well found."""
    ends = (ended(pod, names.STAGE_FETCH) for pod in jobs.newest_first(pods))
    found = (decode_data(end.message) for end in ends if end is not None and end.exit_code == 0)
    return next((data for data in found if data is not None), None)


def _out_of_memory(end: Ended, seen: jobs.Complete | jobs.Failed) -> RunEnded:
    text = f"{end.describe()}; raise spec.podTemplate.resources.limits.memory"
    return failed(OUT_OF_MEMORY, text, seen.attempts, seen.finished)


def _cause(result: StageResult) -> str:
    """Return the word of a stage that failed: its own when it is one, since any image can leave a result."""
    return word(result.reason, result.outcome) if result.reason != REPLACED else result.outcome


def active(seen: jobs.Active, look_again: float | None) -> RunActive:
    """Return a Job that goes on as the run that it is of."""
    message = seen.message
    if not message and seen.previous is not None:
        message = f"trying again: {seen.previous.describe()}"
    phase = _phase(seen.pod) if seen.pod is not None else "Pending"
    done = (
        sum((end := ended(seen.pod, stage)) is not None and end.exit_code == 0 for stage in PHASES) if seen.pod else 0
    )
    remedy = f"{HELP.get(seen.obstacle, 'correct it')}: {ANEW}" if seen.obstacle else ""
    return RunActive(phase, seen.attempt, message, seen.obstacle, seen.needs_help, remedy, done, look_again)


def _phase(pod: Manifest) -> Phase:
    """Return the phase of the last stage that has begun."""
    begun = {
        status["name"]
        for status in container_statuses(pod)
        if (status.get("state") or {}).keys() & {"running", "terminated"}
    }
    return next((phase for stage, phase in reversed(BEGINNINGS.items()) if stage in begun), "Pending")


def failed(cause: str, message: str, attempts: int, finished: datetime) -> RunEnded:
    """Return the end of a run that failed."""
    return RunEnded(StageResult(FAILED, reason=cause, reasons=(message,)), attempts, finished, cause, message)
