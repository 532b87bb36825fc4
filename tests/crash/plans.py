"""All crash plans: every write of every scenario, struck once in every mode; and what is wrong all the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from modelmill.kube.resources import DEPLOYMENTS, JOBS, PODS
from tests.crash.faults import ONCE, REASONS, Write
from tests.crash.oracles import Outcome, compared, play
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.world import World
from tests.support.virtual_time import now as loop_time

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "pods are told 20 s late": {"late": {PODS: 20.0}},
    "Jobs are told 20 s late": {"late": {JOBS: 20.0}},
    "Deployments are told 20 s late": {"late": {DEPLOYMENTS: 20.0}},
    "every event is told three times": {"copies": 3},
    "the clock is 45 s ahead": {"skew": 45.0},
    "the clock is 45 s behind": {"skew": -45.0},
}


REFUSED_SECONDS = 600
TOLD_SECONDS = 30
LONGEST_WAIT = 400
"""Seconds: longer than any back-off."""
TOLD = ("403", "422")
"""Refusals that a person must mend."""


@dataclass(frozen=True)
class CrashPlan:
    """One run of a scenario. write, mode: what is struck how, once; none when `setting` is what is wrong."""

    scenario: Scenario
    write: Write | None = None
    mode: str = ""
    setting: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.setting or f'{self.write}: {self.mode}'}"

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong; nothing when all is well."""
        struck: list[Write] = []

        def strike(write: Write) -> str | None:
            if write != self.write or struck:
                return None
            struck.append(write)
            return self.mode

        outcome = play(self.scenario, strike, **self.settings)
        problems = compared(clean(self.scenario), outcome)
        if self.write is not None and not struck:
            problems.append("the write never came")
        return problems


@cache
def clean(scenario: Scenario) -> Outcome:
    """Return the undisturbed run."""
    outcome = play(scenario)
    if outcome.seconds > scenario.within:
        outcome.problems.append(f"it took {outcome.seconds:.0f} s instead of {scenario.within}")
    return outcome


def every_plan() -> Iterator[CrashPlan]:
    """Yield all plans, in the order of the scenarios and their writes."""
    for scenario in SCENARIOS:
        for setting, settings in SETTINGS.items():
            yield CrashPlan(scenario, setting=setting, settings=settings)
        for write in clean(scenario).writes:
            for mode in ONCE:
                yield CrashPlan(scenario, write, mode)


@dataclass
class Refusal:
    """A write that is refused again and again for `REFUSED_SECONDS`, and then goes through.

    told: seconds until a condition had the refusal's words; None while none has.
    """

    scenario: Scenario
    write: Write
    status: str
    began: float | None = None
    tries: int = 0
    told: float | None = None
    seen: int = 0

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.write}: {self.status} for {REFUSED_SECONDS} s"

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong: it is told, it is not tried too often, and it heals."""
        outcome = play(self.scenario, self._strike, each_second=self._look, quiet=LONGEST_WAIT)
        problems = compared(clean(self.scenario), outcome, most_writes=None)
        if self.began is None:
            return [*problems, "the write never came"]
        if self.write.verb != "status" and self.status in TOLD and (self.told is None or self.told > TOLD_SECONDS):
            problems.append(f"it is told after {self.told} s")
        if self.tries > REFUSED_SECONDS:
            problems.append(f"it is tried {self.tries} times")
        return problems

    def _strike(self, write: Write) -> str | None:
        same = (write.verb, write.kind, write.name) == (self.write.verb, self.write.kind, self.write.name)
        if not same or write.time < self.write.time:
            return None
        if self.began is None:
            self.began = loop_time()
        if loop_time() > self.began + REFUSED_SECONDS:
            return None
        self.tries += 1
        return self.status

    def _look(self, world: World) -> None:
        if self.began is None or self.told is not None or world.api.version == self.seen:
            return
        self.seen = world.api.version
        texts = [
            condition.get("message", "")
            for _, obj in world.api.every()
            for condition in (obj.get("status") or {}).get("conditions") or ()
        ]
        if any("fault at" in text for text in texts):
            self.told = loop_time() - self.began


def every_refusal() -> Iterator[Refusal]:
    """Yield a refusal of each write of each scenario."""
    for scenario in SCENARIOS:
        for write in clean(scenario).writes:
            for status in map(str, REASONS):
                yield Refusal(scenario, write, status)
