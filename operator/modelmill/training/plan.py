"""The plan of a TrainingJob: follow the run in progress, or start the next one, and say what is true. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from modelmill.api.versions import newest_approved
from modelmill.contracts.result import DATA_REJECTED, GATE_FAILED, PUBLISHED
from modelmill.engine.plan import Delete, Event, Plan
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.labels import RUN_ANNOTATION
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import JOBS
from modelmill.training import triggers
from modelmill.training.builders.job import (
    CHAMPION_ANNOTATION,
    TRAINED_HASH_ANNOTATION,
    build_job,
    job_name,
)
from modelmill.training.builders.model_version import build_model_version, metric_texts
from modelmill.training.run import Ending, Progress, observe
from modelmill.training.status import build_status
from modelmill.training.view import View
from modelmill.workloads.containers import Image

KEPT_RUNS = 10


@dataclass(frozen=True, slots=True)
class Step:
    """What one concern decided: children to make and delete, changes to the status, events, when to look again."""

    create: tuple[Manifest, ...] = ()
    delete: tuple[Delete, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    again: float | None = None
    progress: Progress | None = None


def plan(view: View, trainer: Image) -> Plan:
    """Return what the TrainingJob needs now."""
    if "deletionTimestamp" in view.parent["metadata"]:
        return Plan()
    running = view.status.get("currentRun")
    step = follow(view, running) if running else Step()
    decision = triggers.decide(view)
    if running is None and decision.reason is not None:
        step = start(view, decision, trainer)
    status = {**view.status, **step.changes}
    cleaned, expiry = expired_jobs(replace(view, status=status))
    waits = [one.until for one in decision.waiting if one.until is not None]
    again = [seconds for seconds in (step.again, expiry, *waits) if seconds is not None]
    return Plan(
        create=step.create,
        delete=(*step.delete, *cleaned),
        status=build_status(view, status, decision, step.progress),
        events=step.events,
        requeue_after=max(min(again), 0.1) if again else None,
    )


def start(view: View, decision: triggers.Decision, trainer: Image) -> Step:
    """Start a run: its Job first, then the status that says so.

    Both are deterministic until the status is written, so that a restart in between finds the same Job and goes on.
    """
    number = view.next_number()
    version = f"{view.spec.model}-{number}"
    existing = view.jobs.get(job_name(view, number))
    champion = newest_approved(view.versions, view.spec.model)
    job = existing or build_job(view, number, version, champion, trainer)
    annotations = job["metadata"]["annotations"]
    run = {
        "number": number,
        "reason": decision.reason,
        "triggers": list(decision.alerts),
        "trainedHash": annotations[TRAINED_HASH_ANNOTATION],
        "version": version,
        "job": job["metadata"]["name"],
        "phase": "Pending",
        "attempt": 1,
        "startTime": timestamp(view.now),
    }
    if annotations[CHAMPION_ANNOTATION]:
        run["champion"] = annotations[CHAMPION_ANNOTATION]
    changes: dict[str, Any] = {"currentRun": run, "trainedHash": run["trainedHash"]}
    token = view.annotations.get(RUN_ANNOTATION)
    if token:
        changes["handledAnnotation"] = token[:256]
    if decision.reason in (triggers.MANUAL, triggers.SPEC):
        # A person acted: alerts may start runs again.
        changes["consecutiveFailures"] = 0
    event = Event("Normal", "RunStarted", f"run {number} started, trigger {decision.reason}: {decision.message}"[:1000])
    return Step(
        create=() if existing else (job,),
        changes=changes,
        events=(event,),
        progress=Progress("Pending", 1),
    )


def follow(view: View, run: Mapping[str, Any]) -> Step:
    """Follow the run in progress to its end."""
    seen = observe(view.jobs.get(run["job"]), view.pods.get(run["job"], ()), view.now)
    if isinstance(seen, Ending):
        return finish(view, run, seen)
    current = {**run, "phase": seen.phase, "attempt": seen.attempt}
    current.pop("message", None)
    if seen.message:
        current["message"] = seen.message[:4000]
    events: tuple[Event, ...] = ()
    if seen.blocked and run.get("message") != current["message"]:
        events = (Event("Warning", seen.blocked, f"run {run['number']}: {seen.message}"[:1000]),)
    return Step(changes={"currentRun": current}, events=events, again=seen.again, progress=seen)


def finish(view: View, run: Mapping[str, Any], ending: Ending) -> Step:
    """Latch the result in the status; a run that published makes its ModelVersion first."""
    finished = timestamp(ending.finished)
    result = ending.result
    record: dict[str, Any] = {
        "number": run["number"],
        "reason": run["reason"],
        "triggers": answered(view, run, ending),
        "outcome": result.outcome,
        "job": run["job"],
        "attempts": ending.attempts,
        "startTime": run["startTime"],
        "finishTime": finished,
    }
    if ending.cause:
        record["cause"] = ending.cause[:64]
    if ending.message:
        record["message"] = ending.message[:4000]
    if result.data is not None:
        record["dataDigest"] = result.data.digest
    if result.metrics:
        record["metrics"] = metric_texts(result.metrics)
    if result.champion is not None:
        record["champion"] = result.champion.name
        record["championMetrics"] = metric_texts(result.champion.metrics)
    changes: dict[str, Any] = {"currentRun": None}
    create: tuple[Manifest, ...] = ()
    if ending.succeeded:
        record["version"] = run["version"]
        create = (build_model_version(view, run, result, finished),)
        changes["latestVersion"] = run["version"]
        changes["consecutiveFailures"] = 0
    else:
        changes["consecutiveFailures"] = int(view.status.get("consecutiveFailures", 0)) + 1
    changes["lastRun"] = record
    changes["runs"] = [record, *(view.status.get("runs") or ())][:KEPT_RUNS]
    return Step(create=create, changes=changes, events=(_ending_event(run, record, view),))


def answered(view: View, run: Mapping[str, Any], ending: Ending) -> list[str]:
    """Return the triggers that the run answers: those it was started for, and alerts that began while it trained.

    One drift shows in one feature after the other; a run that succeeded has seen the data that they are about.
    """
    ids = list(run.get("triggers") or ())
    if ending.succeeded:
        ids += [str(alert["id"]) for alert in triggers.unanswered_alerts(view) if alert["id"] not in ids]
    return ids[: triggers.MAX_ALERTS]


def expired_jobs(view: View) -> tuple[list[Delete], float | None]:
    """Return Jobs kept long enough after their run, and the seconds until the next one is.

    A Job may go only when its result is in the status; the API server's own TTL would not wait for that.
    """
    finish_times = {run["job"]: run["finishTime"] for run in view.status.get("runs") or ()}
    current = (view.status.get("currentRun") or {}).get("job")
    deletes, next_expiry = [], None
    for name, job in view.jobs.items():
        if name not in finish_times or name == current or "deletionTimestamp" in job["metadata"]:
            continue
        until = parse_timestamp(finish_times[name]) + timedelta(seconds=view.spec.run_policy.ttl_seconds_after_finished)
        left = (until - view.now).total_seconds()
        if left <= 0:
            deletes.append(Delete(JOBS, view.namespace, name, job["metadata"]["uid"]))
        elif next_expiry is None or left < next_expiry:
            next_expiry = left
    return deletes, next_expiry


def _ending_event(run: Mapping[str, Any], record: Mapping[str, Any], view: View) -> Event:
    number = run["number"]
    if record["outcome"] == PUBLISHED:
        metric = view.spec.evaluation.primary.metric
        value = (record.get("metrics") or {}).get(metric, "not reported")
        text = f"run {number} published {record['version']}, {metric}={value}"
        return Event("Normal", "RunPublished", text)
    if record["outcome"] == GATE_FAILED:
        text = (
            f"run {number}: {record['version']} failed its gates and is kept as Rejected: {record.get('message', '')}"
        )
        return Event("Warning", "GateFailed", text[:1000])
    reason = "DataRejected" if record["outcome"] == DATA_REJECTED else "RunFailed"
    return Event("Warning", reason, f"run {number}: {record.get('cause')}: {record.get('message')}"[:1000])
