"""Where a candidate is in its rollout: computed once, asked by everything else. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelmill.api.analysis import Analysis
from modelmill.api.inference_service_status import CanaryTrack
from modelmill.api.rollout import Step
from modelmill.api.traffic import HeaderRoute
from modelmill.kube.conditions import find, parse_timestamp, timestamp
from modelmill.serving.capacity import FULL, candidate_pods, divided, share
from modelmill.serving.rollout.findings import INSUFFICIENT, PASS
from modelmill.serving.rollout.strategies import effective
from modelmill.serving.view import View


@dataclass(frozen=True, slots=True)
class Position:
    """Where a candidate is.

    strategy, steps, analysis: what is done. index: the step that is being done; the steps may have become fewer meanwhile.
    weight: share of traffic wanted in it, percent. wanted, ready: pods of the candidate.
    ends: when the step's time is over; None for a step that takes no time.
    deadline_left: seconds until missing readiness, or a weight that is not given, is a failure; None while nothing is missing.
    deadline_seconds: how long that is from its beginning.
    measure_left: seconds until the next measurement is due, at most 0 when it is; None without an analysis.
    passed: as many measurements in a row as are asked for passed in this step. resumed: a person let it go on in this
    step. paused: why it waits for a person.
    routed: the gateways give the weight; without them, the stable track has the pods that were added for it.
    share: by pods what comes nearest to the weight, percent; None where it is met exactly.
    """

    strategy: str

    steps: Sequence[Step]
    analysis: Analysis | None
    index: int
    weight: int
    wanted: int
    ready: int
    began: datetime
    now: datetime
    ends: datetime | None
    deadline_left: float | None
    deadline_seconds: int
    measure_left: float | None
    passed: bool
    resumed: bool
    paused: str | None
    routed: bool
    share: int | None

    @property
    def measures(self) -> bool:
        """Whether the candidate gets requests to be measured by: its share, those to its preview, or mirrored ones."""
        return self.analysis is not None and (self.weight > 0 or self.strategy in ("BlueGreen", "Shadow"))

    @property
    def step(self) -> Step:
        """The step that is being done."""
        return self.steps[self.index]

    @property
    def last(self) -> bool:
        """Whether it is the last step."""
        return self.index == len(self.steps) - 1

    @property
    def seconds_left(self) -> float:
        """Seconds until the step's time is over, at most 0 when it is."""
        return (self.ends - self.now).total_seconds() if self.ends is not None else 0.0

    @property
    def measure_again(self) -> float | None:
        """Seconds after which the next measurement may be tried, when this plan has had its own; None without an analysis."""
        if self.analysis is None or self.measure_left is None or not self.measures:
            return None
        if self.measure_left > 0:
            return self.measure_left
        return float(self.analysis.interval_seconds) if self.passed else retry_seconds(self.analysis)

    def lacks_data(self, candidate: CanaryTrack) -> bool:
        """Tell whether the step's time is over and only too few figures keep it from ending."""
        if self.analysis is None or self.ends is None or self.seconds_left > 0 or self.passed or not self.measures:
            return False
        last = next(iter(candidate.analysis), None)
        held = last is not None and last.verdict == INSUFFICIENT and last.time > candidate.step_time
        return held and self.deadline_left is None

    @property
    def weighed(self) -> str:
        """The weight in words, with how near to it the numbers of pods come."""
        return f"weight {self.weight}" + (f" (by pods {self.share} %)" if self.share is not None else "")

    def describe(self) -> str:
        """Return what the step waits for and what comes then. Changes only with the step and the readiness."""
        if not self.routed and self.ready >= self.wanted:
            waits = "waits until the gateways give the weight, or the stable version has the pods for it"
            waits += f", for at most {self.deadline_seconds} s" if self.deadline_left is not None else ""
        elif self.ready < self.wanted:
            missing = self.wanted - self.ready
            waits = f"waits for {missing} of {self.wanted} pods, for at most {self.deadline_seconds} s"
        elif self.paused is not None or self.step.pause is not None:
            waits = "waits for a person"
        elif self.step.pause_seconds is not None and self.ends is not None:
            waits = f"pauses until {timestamp(self.ends)}"
        else:
            waits = f"{self.ready} pods ready"
        if self.analysis is not None and self.ends is not None and self.measures and not self.passed:
            waits += f", {_needed(self.analysis)}"
        then = "promotion" if self.last else _name(self.steps[self.index + 1])
        return f"step {self.index + 1} of {len(self.steps)}, {self.weighed}: {waits}; then {then}"


def position_of(view: View, candidate: CanaryTrack) -> Position:
    """Return where the candidate is."""
    rollout = effective(view.spec.rollout)
    steps, analysis = rollout.steps, rollout.analysis
    if candidate.skips_steps is not None:
        steps, analysis = (Step(weight=FULL),), None
    index = min(candidate.step, len(steps) - 1)
    weight = weight_at(steps, index)
    wanted, ready = _wanted(view, rollout.strategy, steps, index), view.ready(candidate.revision)
    ends = _end(view, candidate, steps, index, analysis)
    routed = _routed(view, candidate, rollout.strategy, weight, header_at(steps, index))
    return Position(
        strategy=rollout.strategy,
        steps=steps,
        analysis=analysis,
        index=index,
        weight=weight,
        wanted=wanted,
        ready=ready,
        began=parse_timestamp(candidate.step_time),
        now=view.now,
        ends=ends,
        deadline_left=_deadline_left(view, candidate) if ready < wanted else _route_left(view, candidate, routed),
        deadline_seconds=view.spec.rollout.progress_deadline_seconds,
        measure_left=_measure_left(view, candidate, analysis, ends) if analysis is not None else None,
        passed=analysis is not None and enough_passed(candidate, analysis),
        resumed=candidate.resumed,
        paused=candidate.paused,
        routed=routed,
        share=_share(view, rollout.strategy, weight),
    )


def divides(view: View, strategy: str, weight: int) -> bool:
    """Tell whether the numbers of pods are what makes the weight."""
    return view.route is None and strategy != "BlueGreen" and 0 < weight < FULL


def _routed(view: View, candidate: CanaryTrack, strategy: str, weight: int, header: HeaderRoute | None) -> bool:
    if view.route is not None:
        return view.route.carries(weight, candidate.revision, header)
    if not divides(view, strategy, weight) or not view.surge or view.status.stable is None:
        return True
    _, stable = divided(view.replicas, weight, view.surge)
    return candidate.actual_weight > 0 or view.ready(view.status.stable.revision) >= stable


def _share(view: View, strategy: str, weight: int) -> int | None:
    if not divides(view, strategy, weight) or not view.replicas:
        return None
    actual = share(*divided(view.replicas, weight, view.surge))
    return round(actual) if actual != weight else None


def _wanted(view: View, strategy: str, steps: Sequence[Step], index: int) -> int:
    """Return the candidate's pods: those of its weight, or those that are made before it has one."""
    if strategy == "BlueGreen":
        return view.replicas
    weight = weight_at(steps, index)
    if weight:
        return candidate_pods(view.replicas, weight, view.surge)
    return steps[0].set_canary_replicas or (1 if header_at(steps, index) is not None else 0)


def weight_at(steps: Sequence[Step], index: int) -> int:
    """Return the weight in a step: a pause keeps that of the step before, 0 in the beginning."""
    return next((step.weight for step in reversed(steps[: index + 1]) if step.weight is not None), 0)


def header_at(steps: Sequence[Step], index: int) -> HeaderRoute | None:
    """Return the header by which requests reach the candidate in a step, whatever its weight."""
    return next((step.header_route for step in reversed(steps[: index + 1]) if step.header_route is not None), None)


def was_measured(candidate: CanaryTrack, verdict: str) -> bool:
    """Tell whether a measurement in this step had the verdict. One of the second in which it began was of the step before."""
    since = candidate.routed_time or candidate.step_time
    return any(one.verdict == verdict and one.time > since for one in candidate.analysis)


def enough_passed(candidate: CanaryTrack, analysis: Analysis) -> bool:
    """Tell whether as many measurements in a row as are asked for passed in this step."""
    # A rollout that an earlier release measured has no count; what it recorded once, passed.
    return was_measured(candidate, PASS) and max(candidate.passes, 1) >= analysis.consecutive_success_limit


def retry_seconds(analysis: Analysis) -> float:
    """Return the seconds after which a measurement with too few requests is tried again."""
    return max(1.0, analysis.interval_seconds / 4)


def _measure_left(view: View, candidate: CanaryTrack, analysis: Analysis, ends: datetime | None) -> float:
    """A measurement is due each interval, and the first one of a step at the latest when its time is over."""
    last, began = candidate.last_measure_time or "", candidate.step_time
    due = parse_timestamp(max(last, began)) + timedelta(seconds=analysis.interval_seconds)
    if last <= began and ends is not None:
        due = min(due, ends)
    return (due - view.now).total_seconds()


def _deadline_left(view: View, candidate: CanaryTrack) -> float:
    """The time runs from the beginning of the step, or from when the Deployment says that pods became unavailable."""
    since = parse_timestamp(candidate.step_time)
    deployment = view.deployments.get(candidate.revision)
    available = find((deployment or {}).get("status") or {}, "Available")
    if available is not None:
        gone = available["status"] == "False"
        since = max(since, parse_timestamp(available["lastTransitionTime"]) if gone else view.now)
    limit = timedelta(seconds=view.spec.rollout.progress_deadline_seconds)
    return (since + limit - view.now).total_seconds()


def _route_left(view: View, candidate: CanaryTrack, routed: bool) -> float | None:
    """The time runs from when the step's pods are ready. A weight that was given once in the step has no deadline again."""
    if routed or candidate.routed_time is not None:
        return None
    since = parse_timestamp(candidate.step_time)
    since = max(since, view.ready_since(candidate.revision) or since)
    limit = timedelta(seconds=view.spec.rollout.progress_deadline_seconds)
    return (since + limit - view.now).total_seconds()


def _end(
    view: View, candidate: CanaryTrack, steps: Sequence[Step], index: int, analysis: Analysis | None
) -> datetime | None:
    """A weight that no pause follows is measured for one interval from when its pods are ready."""
    step, began = steps[index], parse_timestamp(candidate.step_time)
    if step.pause is not None or step.set_canary_replicas is not None or step.header_route is not None:
        return None
    if step.weight is None:
        # Pods that stand beside the stable ones are made in the first step, and measured from when they are ready.
        since = view.ready_since(candidate.revision) if index == 0 else None
        return max(began, since or began) + timedelta(seconds=step.pause_seconds or 0)
    following = steps[index + 1] if index + 1 < len(steps) else step
    pause_follows = following.pause_seconds is not None or following.pause is not None
    if analysis is None or step.weight == FULL or pause_follows:
        return None
    since = max(began, view.ready_since(candidate.revision) or began)
    if view.route is not None:
        since = parse_timestamp(candidate.routed_time) if candidate.routed_time is not None else view.now
    return since + timedelta(seconds=analysis.interval_seconds)


def _needed(analysis: Analysis) -> str:
    times = analysis.consecutive_success_limit
    if times == 1:
        text = f"needs a measurement of at least {analysis.min_requests} requests that passes"
    else:
        text = f"needs {times} measurements in a row of at least {analysis.min_requests} requests that pass"
    return f"{text} if there are as many" if analysis.on_insufficient_data == "Pass" else text


def _name(step: Step) -> str:
    if step.weight is not None:
        return f"weight {step.weight}"
    if step.set_canary_replicas is not None:
        return f"{step.set_canary_replicas} pods without traffic"
    if step.header_route is not None:
        return f"requests with the header {step.header_route.name}"
    return f"a pause of {step.pause_seconds} s" if step.pause_seconds is not None else "a pause until a person resumes"
