"""How many runs that nobody asked for are in progress in the whole cluster at once, and whose turn is next.

Whose turn it is follows from the statuses of all TrainingJobs alone, so that a restart, or another leader, goes on where it
was. One that may run but for that says since when in its status, and the oldest are first; so it stands in the line before it
is told whether it has a place, and two that look at the same time do not both take the last one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from modelmill.api.resources import TRAINING_JOBS
from modelmill.engine.interface import World
from modelmill.kube.conditions import find
from modelmill.kube.objects import Key, Manifest
from modelmill.training.triggers.table import UNATTENDED
from modelmill.training.view import Turn

VARIABLE: Final = "maxConcurrentRetrains"
"""Value of the chart, as people know it."""


@dataclass(frozen=True, slots=True)
class Turns:
    """most: runs that nobody asked for, in progress at once; None for any number."""

    most: int | None = None

    def of(self, job: Manifest, world: World) -> Turn:
        """Return whether a TrainingJob may start a run that nobody asked for."""
        if self.most is None:
            return Turn(has=True)
        if self.most == 0:
            return Turn(why=f"the operator starts no run that nobody asked for ({VARIABLE} is 0)")
        if _waits(job) is None:
            return Turn(stands_in_line=False, why="stands in the line of all TrainingJobs")
        jobs = world.list(TRAINING_JOBS)
        before = sum(place < _place(job) for place in _line(jobs))
        running = sum(map(_runs, jobs))
        if before < self.most - running:
            return Turn(has=True)
        text = f"{running} runs that nobody asked for are in progress in the cluster, {VARIABLE} is {self.most}"
        return Turn(why=f"{text}; {before} TrainingJobs have waited longer")

    def next(self, world: World) -> Iterable[Key]:
        """Return those whose turn may be next: a run that ended makes room."""
        if not self.most:
            return ()
        return [Key(namespace, name) for _, namespace, name in sorted(_line(world.list(TRAINING_JOBS)))[: self.most]]

    def reads(self, job: Manifest) -> object:
        """Return what others look at of a TrainingJob."""
        return (_runs(job), _waits(job)) if self.most else None


def _line(jobs: Iterable[Manifest]) -> list[tuple[str, str, str]]:
    return [_place(one) for one in jobs if _waits(one) is not None]


def _place(job: Manifest) -> tuple[str, str, str]:
    return _waits(job) or "", job["metadata"]["namespace"], job["metadata"]["name"]


def _waits(job: Manifest) -> str | None:
    """Return since when the TrainingJob waits for its turn."""
    since = _fields(job.get("status")).get("turnSince")
    return since if isinstance(since, str) and not _out_of_order(job) else None


def _runs(job: Manifest) -> bool:
    current = _fields(_fields(job.get("status")).get("currentRun"))
    return current.get("reason") in UNATTENDED and not _out_of_order(job)


def _out_of_order(job: Manifest) -> bool:
    """Tell whether nobody follows the TrainingJob: it would keep its place for ever."""
    ready = find(_fields(job.get("status")), "Ready") or {}
    return ready.get("reason") == "SpecInvalid" or "deletionTimestamp" in job["metadata"]


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
