"""Takes the measurements of a rollout: asks the pods of both tracks and subtracts what was counted before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from modelmill.api.inference_service_status import CanaryTrack, InferenceServiceStatus
from modelmill.kube.objects import Key, Manifest
from modelmill.measuring.prometheus import Answers
from modelmill.measuring.scrape import Counted
from modelmill.measuring.windows import Window
from modelmill.serving.rollout.analysis import CONCLUSIVE, judge
from modelmill.serving.rollout.decide import measure_due
from modelmill.serving.rollout.findings import INSUFFICIENT, Samples
from modelmill.serving.rollout.position import Position, retry_seconds
from modelmill.serving.rollout.queries import queries_of
from modelmill.serving.rollout.shadow import as_mirrored
from modelmill.serving.view import View

ASK_AGAIN_SECONDS = 1.0
FORGOTTEN_AFTER = timedelta(hours=1)
"""Every service is looked at more often than this; one that is not any more has been deleted."""


class Pods(Protocol):
    """Asks pods what they counted; see `measuring.scrape.Scraper`."""

    async def counted(self, key: Key, pods: list[Manifest]) -> Counted | None:
        """Return what the pods counted, None while they are asked."""

    def forget(self, key: Key) -> None:
        """Give the question up."""


class Queries(Protocol):
    """Asks a Prometheus server; see `measuring.prometheus.Prometheus`."""

    async def answers(self, key: Key, queries: Sequence[str]) -> Answers | None:
        """Return the answers by query, None while it is asked."""

    def forget(self, key: Key) -> None:
        """Give the question up."""


@dataclass(slots=True)
class _Memory:
    """What is remembered of one rollout. rollout: revision and start, so that a retry begins anew.

    window: None until the stable pods were asked for the first time. asks: the pods, or Prometheus, are being asked.
    answers: of Prometheus, for the measurement whose pods are still asked. not_before: when they may be asked again. seen: when
    the service was last looked at.
    """

    rollout: tuple[str, str]
    seen: datetime
    window: Window | None = None
    asks: bool = False
    answers: Answers | None = None
    not_before: datetime | None = None


class Measurer:
    """Measures rollouts over the time since the last conclusive measurement.

    The counters are kept in memory. After a restart the stable pods count from then on and the candidate's from their start:
    a longer time than usual, but never wrong about the candidate.
    """

    def __init__(self, pods: Pods, queries: Queries) -> None:
        self._pods = pods
        self._queries = queries
        self._memory: dict[Key, _Memory] = {}

    def asks(self, key: Key) -> bool:
        """Tell whether the pods of the service are being asked, so that it must be looked at again soon."""
        memory = self._memory.get(key)
        return memory is not None and memory.asks

    async def measured(self, view: View, at: Position | None) -> View:
        """Return the view with the samples of a new measurement, when one is due and the pods have answered; else as it is."""
        key = Key(view.namespace, view.name)
        stable, candidate = view.status.stable, view.status.canary
        if stable is None or candidate is None or at is None or at.analysis is None:
            self.forget(key)
            return view
        memory = self._of_rollout(key, view, candidate)
        if memory.window is None:
            # Both tracks are compared over the same time: the stable pods have counted for longer.
            counted = await self._ask(key, memory, view.ready_pods(stable.revision))
            if counted is None:
                return view
            memory.window = Window(counted)
        memory.window.seen(candidate.last_measure_time)
        if not measure_due(view, candidate, at) or (memory.not_before is not None and view.now < memory.not_before):
            return view
        queries = queries_of(view, stable, candidate, at.analysis)
        answers = await self._answered(key, memory, list(queries.values()))
        if answers is None:
            return view
        old, new = view.ready_pods(stable.revision), view.ready_pods(candidate.revision)
        counted = await self._ask(key, memory, [*old, *new])
        if counted is None:
            return view
        memory.answers = None
        samples = Samples(
            candidate=memory.window.since(counted, _uids(new)),
            stable=memory.window.since(counted, _uids(old)),
            pods=len(new),
            version=candidate.version,
            stable_version=stable.version,
            answers={query: answers[asked] for query, asked in queries.items() if asked in answers},
            silent=sum(uid not in counted or not counted[uid].codes for uid in _uids(new)),
        )
        if at.strategy == "Shadow" and not at.weight:
            samples = as_mirrored(samples, candidate.revision)
        pause = float(at.analysis.interval_seconds)
        verdict = judge(at.analysis, samples).verdict
        if verdict == INSUFFICIENT:
            pause = retry_seconds(at.analysis)
        elif verdict in CONCLUSIVE:
            memory.window.offer(counted)
        memory.not_before = view.now + timedelta(seconds=pause)
        return replace(view, samples=samples)

    def planned(self, view: View, status: InferenceServiceStatus) -> None:
        """Take note of the status that was planned from `measured`'s view.

        A plan records a measurement only when that says something new, since each record is a write. Without a record the
        next window begins at once. With one it begins when the status that has the record comes back in a view: a write that
        is refused leaves nothing behind, and the same requests are counted and judged once more, now if need be. So they are
        when the plan ends the rollout: no window follows a status that says so.
        """
        memory = self._memory.get(Key(view.namespace, view.name))
        if memory is None or memory.window is None or memory.window.offered is None or view.samples is None:
            return
        if status.canary is None:
            memory.not_before = None
            return
        recorded = status.canary.last_measure_time
        if recorded is None or (view.status.canary is not None and recorded == view.status.canary.last_measure_time):
            memory.window.move()
        else:
            memory.window.expect(recorded)
            memory.not_before = None

    def _of_rollout(self, key: Key, view: View, candidate: CanaryTrack) -> _Memory:
        rollout = (candidate.revision, candidate.start_time)
        memory = self._memory.get(key)
        if memory is None or memory.rollout != rollout:
            self.forget(key)
            for old in [one for one, kept in self._memory.items() if view.now - kept.seen > FORGOTTEN_AFTER]:
                self.forget(old)
            memory = self._memory[key] = _Memory(rollout, view.now)
        memory.seen = view.now
        return memory

    def forget(self, key: Key) -> None:
        """Forget what was counted for the service."""
        if self._memory.pop(key, None) is not None:
            self._pods.forget(key)
            self._queries.forget(key)

    async def _answered(self, key: Key, memory: _Memory, queries: Sequence[str]) -> Answers | None:
        if memory.answers is None:
            memory.answers = await self._queries.answers(key, queries)
            memory.asks = memory.answers is None
        return memory.answers

    async def _ask(self, key: Key, memory: _Memory, pods: list[Manifest]) -> Counted | None:
        counted = await self._pods.counted(key, pods)
        memory.asks = counted is None
        return counted


def _uids(pods: list[Manifest]) -> list[str]:
    return [pod["metadata"]["uid"] for pod in pods]
