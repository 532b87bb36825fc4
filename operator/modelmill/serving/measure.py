"""Takes the measurements of a rollout: scrapes the pods of both tracks and subtracts what was counted before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from modelmill.kube.objects import Key, Manifest
from modelmill.serving.analysis import INSUFFICIENT, Sample, Samples, judge
from modelmill.serving.rollout import measure_due
from modelmill.serving.scrape import Scraper
from modelmill.serving.steps import retry_seconds
from modelmill.serving.view import View, revision_of
from modelmill.workloads.pod_status import is_ready

Counted = Mapping[str, Sample]
"""Counters since each pod's start, by the pod's uid."""


@dataclass(slots=True)
class _Memory:
    """What is remembered of one rollout. rollout: revision and start, so that a retry begins anew.

    baseline: counters at the last conclusive measurement. taken: those of a measurement whose record is not in the status
    yet. not_before: when the pods may be scraped again.
    """

    rollout: tuple[str, str]
    baseline: Counted = field(default_factory=dict)
    taken: tuple[str, Counted] | None = None
    not_before: datetime | None = None


class Measurer:
    """Measures rollouts over the time since the last conclusive measurement.

    The counters are kept in memory. After a restart the stable pods count from then on and the canary's from their start:
    a longer time than usual, but never wrong about the canary.
    """

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper
        self._memory: dict[Key, _Memory] = {}

    async def measured(self, view: View) -> View:
        """Return the view with the samples of a new measurement, when one is due; else as it is."""
        key = Key(view.namespace, view.name)
        canary, analysis = view.status.get("canary"), view.spec.rollout.analysis
        if canary is None or analysis is None:
            self._memory.pop(key, None)
            return view
        memory = await self._remember(key, view, canary)
        if not measure_due(view) or (memory.not_before is not None and view.now < memory.not_before):
            return view
        stable = view.status["stable"]["revision"]
        counted = await self._scraper.samples(_ready_pods(view, stable, canary["revision"]))
        samples = Samples(
            canary=_since(view, canary["revision"], counted, memory.baseline),
            stable=_since(view, stable, counted, memory.baseline),
            silent=sum(pod["metadata"]["uid"] not in counted for pod in _ready_pods(view, canary["revision"])),
        )
        pause = float(analysis.interval_seconds)
        if judge(analysis, samples).verdict == INSUFFICIENT:
            pause = retry_seconds(analysis)
        else:
            memory.taken = ("", counted)
        memory.not_before = view.now + timedelta(seconds=pause)
        return replace(view, samples=samples)

    def planned(self, view: View, status: Mapping[str, Any] | None) -> None:
        """Take note of the plan: a measurement that it records counts only once the record is in the status."""
        memory = self._memory.get(Key(view.namespace, view.name))
        if memory is None or memory.taken is None or view.samples is None:
            return
        recorded = ((status or {}).get("canary") or {}).get("lastMeasureTime")
        if recorded is None or recorded == (view.status.get("canary") or {}).get("lastMeasureTime"):
            self._count_from(memory, memory.taken[1])
        else:
            memory.taken = (recorded, memory.taken[1])
            memory.not_before = None

    async def _remember(self, key: Key, view: View, canary: Mapping[str, Any]) -> _Memory:
        rollout = (canary["revision"], canary["startTime"])
        memory = self._memory.get(key)
        if memory is None or memory.rollout != rollout:
            # Both tracks are compared over the same time: the stable pods have counted for longer.
            counted = await self._scraper.samples(_ready_pods(view, view.status["stable"]["revision"]))
            memory = self._memory[key] = _Memory(rollout, counted)
        if memory.taken is not None and memory.taken[0] and canary.get("lastMeasureTime") == memory.taken[0]:
            self._count_from(memory, memory.taken[1])
        return memory

    @staticmethod
    def _count_from(memory: _Memory, counted: Counted) -> None:
        # A pod that did not answer this time keeps its earlier counters.
        memory.baseline = {**memory.baseline, **counted}
        memory.taken = None


def _ready_pods(view: View, *revisions: str) -> list[Manifest]:
    return [pod for pod in view.pods if is_ready(pod) and revision_of(pod) in revisions]


def _since(view: View, revision: str, counted: Counted, baseline: Counted) -> Sample:
    total = Sample()
    for pod in _ready_pods(view, revision):
        uid = pod["metadata"]["uid"]
        if uid in counted:
            total = total.plus(counted[uid].minus(baseline.get(uid, Sample())))
    return total
