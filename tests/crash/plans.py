"""All crash plans: every write of every scenario, struck once in every mode; and what is wrong all the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from modelmill.kube.resources import DEPLOYMENTS, JOBS, PODS
from tests.crash.faults import ONCE, Strike, Write
from tests.crash.oracles import Outcome, compared, play
from tests.crash.scenarios import SCENARIOS, Scenario

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "pods are told 20 s late": {"late": {PODS: 20.0}},
    "Jobs are told 20 s late": {"late": {JOBS: 20.0}},
    "Deployments are told 20 s late": {"late": {DEPLOYMENTS: 20.0}},
    "every event is told three times": {"copies": 3},
    "the clock is 45 s ahead": {"skew": 45.0},
    "the clock is 45 s behind": {"skew": -45.0},
}


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
    return play(scenario)


def every_plan() -> Iterator[CrashPlan]:
    """Yield all plans, in the order of the scenarios and their writes."""
    for scenario in SCENARIOS:
        for setting, settings in SETTINGS.items():
            yield CrashPlan(scenario, setting=setting, settings=settings)
        for write in clean(scenario).writes:
            for mode in ONCE:
                yield CrashPlan(scenario, write, mode)


def always(status: int, write: Write) -> Strike:
    """Return what refuses a write and its repetitions for ever."""
    return lambda other: (
        str(status) if (other.verb, other.kind, other.name) == (write.verb, write.kind, write.name) else None
    )
