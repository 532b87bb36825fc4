"""So many runs that nobody asked for at once in the whole cluster; the others wait, the oldest first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import pytest

from modelmill.kube.conditions import timestamp
from modelmill.kube.objects import Manifest
from modelmill.training.part import training_part
from modelmill.training.turns import Turns
from modelmill.tuning.reports import Reports
from modelmill.tuning.sampler import InProcess
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, ApiServer, Seen, finished, service, value_of

Object = dict[str, Any]


def job(name: str, **status: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "ml"}, "status": status}


def waiting(name: str, seconds: int) -> Object:
    return job(name, turnSince=timestamp(o.later(seconds)))


def running(name: str, reason: str = "Alert") -> Object:
    return job(name, currentRun={"reason": reason})


@dataclass
class Cache:
    jobs: list[Manifest]

    def list(self, *_: object) -> list[Manifest]:
        return self.jobs


def have(most: int, *jobs: Object) -> list[str]:
    cache: Any = Cache(list(jobs))
    return [one["metadata"]["name"] for one in jobs if Turns(most).of(one, cache).has]


def test_the_oldest_in_the_line_have_their_turn() -> None:
    line = [waiting("a", 30), waiting("b", 10), waiting("c", 20)]
    assert have(1, *line) == ["b"]
    assert have(2, *line) == ["b", "c"]
    assert have(2, *line, running("d")) == ["b"]
    assert have(1, *line, running("d", "Schedule")) == []
    assert have(0, *line) == []


def test_a_run_that_a_person_asked_for_holds_nobody() -> None:
    assert have(1, waiting("a", 1), running("b", "Manual")) == ["a"]


def test_who_does_not_stand_in_the_line_has_to_first() -> None:
    assert have(5, job("a")) == []
    cache: Any = Cache([])
    assert not Turns(5).of(job("a"), cache).stands_in_line
    assert Turns().of(job("a"), cache).has


def test_one_that_nobody_follows_keeps_no_place() -> None:
    invalid = [{"type": "Ready", "status": "False", "reason": "SpecInvalid"}]
    stuck = job("a", turnSince=timestamp(o.NOW), conditions=invalid)
    held = job("b", currentRun={"reason": "Alert"}, conditions=invalid)
    assert have(1, stuck, held, waiting("c", 5)) == ["c"]


@dataclass
class Cluster:
    """TrainingJobs on each of which an alert fires all the time, planned in any order; the cache is what was written."""

    most: int
    count: int
    jobs: dict[str, Object] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in (f"job-{number}" for number in range(self.count)):
            parent = finished(retrain={"cooldownSeconds": 0, "maxRunsPerDay": 96})
            parent["metadata"] = {**parent["metadata"], "name": name}
            parent["spec"] = {**parent["spec"], "model": name}
            self.jobs[name] = parent

    @property
    def running(self) -> list[str]:
        return [name for name, one in self.jobs.items() if "currentRun" in one["status"]]

    def plan(self, name: str, now: datetime) -> None:
        alert = o.alert(f"{name}-{len(self.started)}", startsAt=timestamp(now))
        of_runs = {one["metadata"]["name"]: one for one in self.made.get(name, ())}
        cache = Seen(
            self.jobs[name],
            services=[service([alert], name)],
            training_jobs=list(self.jobs.values()),
            jobs=of_runs,
            now=now,
        )
        part = training_part(IMAGE, ApiServer(cache), InProcess(), Reports(""), Turns(self.most))
        made = value_of(part.contribute(self.jobs[name], cache, now))
        if "currentRun" in (made.status or {}) and name not in self.running:
            self.started.append(name)
        self.made.setdefault(name, []).extend(o.job(one) for one in made.create)
        self.jobs[name] = {**self.jobs[name], "status": made.status}

    made: dict[str, list[Object]] = field(default_factory=dict)

    def end(self, name: str, now: datetime) -> None:
        status = self.jobs[name]["status"]
        run = status.pop("currentRun")
        kept = {one: run[one] for one in ("number", "reason", "job", "startTime")}
        record = {**kept, "outcome": "Published", "attempts": 1, "finishTime": timestamp(now)}
        status |= {"lastRun": record, "runs": [record, *status["runs"]][:10]}
        self.made[name] = []


@pytest.mark.parametrize(("most", "count"), [(1, 3), (2, 5)])
def test_never_more_at_once_and_nobody_starves(most: int, count: int) -> None:
    cluster, chance = Cluster(most, count), Random(f"{most} {count}")
    for turn in range(60 * count):
        now = o.later(10 + turn)
        cluster.plan(chance.choice(list(cluster.jobs)), now)
        assert len(cluster.running) <= most
        if cluster.running and chance.random() < 0.3:
            cluster.end(chance.choice(cluster.running), now)
    turns = {name: cluster.started.count(name) for name in cluster.jobs}
    assert min(turns.values()) >= max(turns.values()) / 2 > 1, turns
