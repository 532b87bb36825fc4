"""The steps of a rollout: their weights, when one is done, and when it must be looked at again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelmill.api.inference_service import Analysis, Step
from modelmill.kube.conditions import find, parse_timestamp, timestamp
from modelmill.serving.analysis import PASS
from modelmill.serving.view import View

FULL = 100
SOON = 0.2
"""Seconds until a plan is made that has to see what this one wrote."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a step is. done: the next one may begin. again: seconds until that may change by itself. failed: why not."""

    done: bool = False
    again: float | None = None
    failed: str = ""


def steps_of(view: View) -> list[Step]:
    """Return the steps that are done: those of the spec, ended by weight 100."""
    rollout = view.spec.rollout
    steps = [] if rollout.strategy == "Direct" else list(rollout.steps)
    last = next((step.weight for step in reversed(steps) if step.weight is not None), None)
    return steps if last == FULL else [*steps, Step(weight=FULL)]


def index_of(canary: Record, steps: Sequence[Step]) -> int:
    """Return the step that is being done; the steps may have become fewer meanwhile."""
    return min(int(canary["step"]), len(steps) - 1)


def weight_at(steps: Sequence[Step], index: int) -> int:
    """Return the weight in a step: a pause keeps that of the step before, 0 in the beginning."""
    return next((step.weight for step in reversed(steps[: index + 1]) if step.weight is not None), 0)


def canary_replicas(replicas: int, weight: int) -> int:
    """Return the canary's pods for a weight: rounded to the nearest, at least one, all at 100."""
    if weight == 0:
        return 0
    return replicas if weight == FULL else max(1, min(replicas, (replicas * weight + 50) // 100))


def progress(view: View, canary: Record) -> Progress:
    """Return where the canary's step is."""
    steps, analysis = steps_of(view), view.spec.rollout.analysis
    index = index_of(canary, steps)
    step, weight = steps[index], weight_at(steps, index)
    left = deadline_left(view, canary, weight)
    if left is not None:
        return Progress(again=left)
    ends = _end(view, canary, steps, index)
    wait = (ends - view.now).total_seconds() if ends is not None else 0.0
    passed = has_passed(canary)
    if passed and step.weight is not None:
        return Progress(done=True)
    if analysis is None or weight == 0 or ends is None:
        return Progress(again=wait) if wait > 0 else Progress(done=True)
    if wait > 0:
        return Progress(again=min(wait, measure_again(view, canary, analysis)))
    if passed:
        return Progress(done=True)
    # The time is over without a verdict. Only a measurement that was taken, and had too few requests, decides.
    if view.samples is not None and analysis.on_insufficient_data == "Pass":
        return Progress(done=True)
    if view.samples is not None and analysis.on_insufficient_data == "Fail":
        seconds = int((ends - parse_timestamp(canary["stepTime"])).total_seconds())
        text = f"InsufficientData: fewer than {analysis.min_requests} requests to the new version in {seconds} s"
        return Progress(failed=text)
    return Progress(again=measure_again(view, canary, analysis))


def was_measured(canary: Record, verdict: str) -> bool:
    """Tell whether a measurement in this step had the verdict. One of the second in which it began was of the step before."""
    return any(one["verdict"] == verdict and one["time"] > canary["stepTime"] for one in canary.get("analysis") or ())


def has_passed(canary: Record) -> bool:
    """Tell whether a measurement in this step passed."""
    return was_measured(canary, PASS)


def measure_left(view: View, canary: Record, analysis: Analysis) -> float:
    """Return the seconds until the next measurement is due, at most 0 when it is: each interval, and when the time is over."""
    last, began = canary.get("lastMeasureTime") or "", canary["stepTime"]
    due = parse_timestamp(max(last, began)) + timedelta(seconds=analysis.interval_seconds)
    if last <= began:
        steps = steps_of(view)
        ends = _end(view, canary, steps, index_of(canary, steps))
        due = due if ends is None else min(due, ends)
    return (due - view.now).total_seconds()


def measure_again(view: View, canary: Record, analysis: Analysis) -> float:
    """Return the seconds after which the next measurement may be tried, when this plan has had its own."""
    left = measure_left(view, canary, analysis)
    if left > 0:
        return left
    return float(analysis.interval_seconds) if has_passed(canary) else retry_seconds(analysis)


def retry_seconds(analysis: Analysis) -> float:
    """Return the seconds after which a measurement with too few requests is tried again."""
    return max(1.0, analysis.interval_seconds / 4)


def deadline_left(view: View, canary: Record, weight: int) -> float | None:
    """Return the seconds until missing readiness is a failure; None while all pods of the weight are ready.

    The time runs from the beginning of the step, or from when the Deployment says that pods became unavailable.
    """
    if view.ready(canary["revision"]) >= canary_replicas(view.spec.replicas, weight):
        return None
    since = parse_timestamp(canary["stepTime"])
    deployment = view.deployment(canary["revision"])
    available = find((deployment or {}).get("status") or {}, "Available")
    if available is not None:
        gone = available["status"] == "False"
        since = max(since, parse_timestamp(available["lastTransitionTime"]) if gone else view.now)
    limit = timedelta(seconds=view.spec.rollout.progress_deadline_seconds)
    return (since + limit - view.now).total_seconds()


def describe(view: View, canary: Record) -> str:
    """Return what the canary's step waits for and what comes then. Changes only with the step and the readiness."""
    steps, analysis = steps_of(view), view.spec.rollout.analysis
    index = index_of(canary, steps)
    weight = weight_at(steps, index)
    wanted, ready = canary_replicas(view.spec.replicas, weight), view.ready(canary["revision"])
    ends = _end(view, canary, steps, index)
    if ready < wanted:
        limit = view.spec.rollout.progress_deadline_seconds
        waits = f"waits for {wanted - ready} of {wanted} pods, for at most {limit} s"
    elif steps[index].pause_seconds is not None and ends is not None:
        waits = f"pauses until {timestamp(ends)}"
    else:
        waits = f"{ready} pods ready"
    if analysis is not None and ends is not None and weight and not has_passed(canary):
        waits += f", needs a measurement of at least {analysis.min_requests} requests that passes"
    last = index == len(steps) - 1
    then = "promotion" if last else _name(steps[index + 1])
    return f"step {index + 1} of {len(steps)}, weight {weight}: {waits}; then {then}"


def _name(step: Step) -> str:
    return f"weight {step.weight}" if step.weight is not None else f"a pause of {step.pause_seconds} s"


def _end(view: View, canary: Record, steps: Sequence[Step], index: int) -> datetime | None:
    """Return when the step's time is over; None for one that takes no time.

    A weight that no pause follows is measured for one interval from when its pods are ready.
    """
    step, analysis = steps[index], view.spec.rollout.analysis
    began = parse_timestamp(canary["stepTime"])
    if step.weight is None:
        return began + timedelta(seconds=step.pause_seconds or 0)
    pause_follows = index + 1 < len(steps) and steps[index + 1].weight is None
    if analysis is None or step.weight == FULL or pause_follows:
        return None
    since = max(began, view.ready_since(canary["revision"]) or began)
    return since + timedelta(seconds=analysis.interval_seconds)
