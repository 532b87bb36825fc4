"""All crash plans: every write of every scenario, struck once in every mode; what is wrong all the time; what others do."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from modelmill import app
from modelmill.kube.objects import Resource
from modelmill.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from tests.crash.deeds import ByHand, Deed, deeds, deeds_to_parents
from tests.crash.faults import (
    GONE_BEFORE_ANSWER,
    KILLED_AFTER,
    KILLED_BEFORE,
    ONCE,
    REASONS,
    REPLY_LOST,
    STOPPED,
    SUSPENDED,
    Write,
)
from tests.crash.oracles import MADE_TWICE, Outcome, compared, play
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.taken import Strangers, is_aside
from tests.crash.two_leaders import TwoLeaders
from tests.crash.watching import Delivery
from tests.crash.world import CONFIG, World
from tests.support.virtual_time import now as loop_time

REFUSED_SECONDS = 600
REFUSED_TIMES = 10
TOLD_SECONDS = 30
TAKEN_SECONDS = 100
LONGEST_WAIT = 400
"""Seconds: longer than any back-off."""
TOLD = ("403", "422")
"""Refusals that a person must mend."""
PATIENCE_SECONDS = 900
"""How long people wait for what need not come."""
MOMENTS = 5
"""At how many writes of a scenario something is done that is not done at each."""
KILL_LOOPS = 5
KILL_LOOP_SECONDS = 120
COUNTED = (DEPLOYMENTS, REPLICA_SETS, PODS)
"""Kinds by whose objects there are more or fewer pods for a while, and so other shares of the requests."""
BEHIND = (4.0, 20.0)
"""Seconds by which the API server is behind that a new operator lists from."""


class Plan(Protocol):
    """One run of a scenario with a fault. Its text is its name; the same name is the same plan.

    fault: its number in docs/reliability.md.
    """

    @property
    def scenario(self) -> Scenario: ...

    @property
    def fault(self) -> str: ...

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong; nothing when all is well."""


@dataclass(frozen=True)
class CrashPlan:
    """A write is struck once, or something is wrong all the time, or both.

    write, mode: what is struck how; none when `setting` is what is wrong. settings: attributes of the world.
    An older list (F7) is no answer that the operator can get, since it asks for the newest (a test of the client says so):
    whoever believes one may begin a run of what is gone already, and only that nothing of it is left is asked then.
    """

    scenario: Scenario
    write: Write | None = None
    mode: str = ""
    setting: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    def __str__(self) -> str:
        struck = f"{self.write}: {self.mode}" if self.write is not None else ""
        return f"{self.scenario.name}: {', '.join(part for part in (struck, self.setting) if part)}"

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong; nothing when all is well."""
        struck: list[Write] = []

        def strike(_world: World, write: Write) -> str | None:
            if write != self.write or struck:
                return None
            struck.append(write)
            return self.mode

        # Until it has caught up, an operator that sees an older list is away for the length of a run.
        # A ledger that it writes over with what was before is told to be lost.
        hasty = (self.scenario.hasty or bool(self.scenario.keeps)) and "behind" in self.settings
        kept = {kind.kind for kind in self.scenario.keeps}
        lost = self.mode == GONE_BEFORE_ANSWER and self.write is not None and self.write.kind in kept
        outcome = play(self.scenario, strike, may_stop=hasty or lost, **self.settings)
        problems = outcome.problems if lost else compared(clean(self.scenario), outcome)
        if self.fault == "F7":
            problems = [problem for problem in outcome.problems if MADE_TWICE not in problem]
        if self.write is not None and not struck:
            problems.append("the write never came")
        return problems


@dataclass
class Refusal:
    """A write that is refused again and again, and then goes through.

    times: how often it is refused; None for `REFUSED_SECONDS`. told: seconds until a condition had the refusal's words; None
    while none has.
    """

    scenario: Scenario
    write: Write
    status: str
    times: int | None = None
    began: float | None = None
    tries: int = 0
    told: float | None = None
    seen: int = 0
    fault: str = "F4"

    def __str__(self) -> str:
        long = f"{REFUSED_SECONDS} s" if self.times is None else f"{self.times} times"
        return f"{self.scenario.name}: {self.write}: {self.status} for {long}"

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong: it is told, it is not tried too often, and it heals."""
        outcome = play(self.scenario, self._strike, each_second=self._look, quiet=LONGEST_WAIT)
        # A person in haste acts by what the status says, which is late when the status is what is refused.
        late = self.scenario.hasty and self.write.verb == "status"
        # What a candidate had while no status could be written, and has lost since, is on no record.
        shares = self.write.verb != "status"
        problems = outcome.problems if late else compared(clean(self.scenario), outcome, None, shares=shares)
        if self.began is None:
            return [*problems, "the write never came"]
        lasts = self.times is None and self.write.verb != "status"
        if lasts and self.status in TOLD and (self.told is None or self.told > TOLD_SECONDS):
            problems.append(f"it is told after {self.told} s")
        if self.tries > REFUSED_SECONDS:
            problems.append(f"it is tried {self.tries} times")
        return problems

    def _strike(self, _world: World, write: Write) -> str | None:
        same = (write.verb, write.kind, write.name) == (self.write.verb, self.write.kind, self.write.name)
        if not same or write.time < self.write.time:
            return None
        if self.began is None:
            self.began = loop_time()
        over = loop_time() > self.began + REFUSED_SECONDS if self.times is None else self.tries >= self.times
        if over:
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


@dataclass(frozen=True)
class Happening:
    """Something is done by others just before a write, or, when that is None, when the scenario has come to rest."""

    scenario: Scenario
    deed: Deed
    write: Write | None

    @property
    def fault(self) -> str:
        """Its number in docs/reliability.md."""
        return self.deed.fault

    def __str__(self) -> str:
        when = f"before {self.write}" if self.write is not None else "at rest"
        return f"{self.scenario.name}: {when}: {self.deed}"

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong; nothing when all is well."""
        done: list[Write] = []

        def strike(world: World, write: Write) -> None:
            if write == self.write and not done:
                done.append(write)
                self.deed.carry_out(world)

        at_rest = self.deed.carry_out if self.write is None else None
        # A ledger that somebody destroys is told to be lost, and the run ends.
        lost = isinstance(self.deed, ByHand) and self.deed.loses and self.deed.resource in self.scenario.keeps
        heals = self.deed.heals and not lost
        patience = {} if heals else {"patience": PATIENCE_SECONDS}
        outcome = play(self.scenario, strike, may_stop=not heals, at_rest=at_rest, **patience)
        # A candidate has all requests while only its pods are ready, and that is recorded.
        shares = self.deed.resource not in COUNTED
        problems = compared(clean(self.scenario), outcome, shares=shares) if heals else outcome.problems
        if self.write is not None and not done:
            problems.append("the write never came")
        return problems


@dataclass(frozen=True)
class Taken:
    """A stranger's object has the name of a child on which nothing depends, and goes."""

    scenario: Scenario
    write: Write
    fault: str = "F15"

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.write}: its name is a stranger's for {TAKEN_SECONDS} s"

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong: what waits for it waits no longer than that, and nothing else waits."""
        strangers = Strangers([(self.write.kind, re.escape(self.write.name))], TAKEN_SECONDS)
        outcome = play(self.scenario, strangers.strike, quiet=LONGEST_WAIT)
        problems = compared(clean(self.scenario), outcome, most_writes=None)
        return problems if strangers.taken else [*problems, "the write never came"]


@dataclass(frozen=True)
class KillLoop:
    """The operator is killed every one to five seconds for two minutes."""

    scenario: Scenario
    seed: int
    fault: str = "F12"

    def __str__(self) -> str:
        return f"{self.scenario.name}: killed every 1 to 5 s for {KILL_LOOP_SECONDS} s, seed {self.seed}"

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong; nothing when all is well."""
        moments = random.Random(str(self))
        until: list[float] = []

        def kill(world: World) -> None:
            if world.operator.alive:
                world.operator.kill()
            begin(world)

        def begin(world: World) -> None:
            if loop_time() < until[0]:
                world.later(moments.uniform(1.0, 5.0), lambda: kill(world))

        def each_second(world: World) -> None:
            if not until:
                until.append(loop_time() + KILL_LOOP_SECONDS)
                begin(world)

        hasty = self.scenario.hasty
        outcome = play(self.scenario, may_stop=hasty, each_second=each_second)
        return outcome.problems if hasty else compared(clean(self.scenario), outcome, most_writes=None)


@cache
def clean(scenario: Scenario) -> Outcome:
    """Return the undisturbed run. The kinds that there are at each write are kept too."""
    present: dict[Write | None, frozenset[Resource]] = {}

    def look(world: World, write: Write | None) -> None:
        present[write] = frozenset(kind for kind, objects in world.api.objects.items() if objects)

    outcome = play(scenario, look, at_rest=lambda world: look(world, None))
    outcome.present = present
    if outcome.seconds > scenario.within:
        outcome.problems.append(f"it took {outcome.seconds:.0f} s instead of {scenario.within}")
    return outcome


def settings() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield what is wrong all the time: the fault's number, its words and the attributes of the world."""
    for watch in app.watches(app.controllers(CONFIG)):
        yield "F6", f"{watch.resource.plural} are told 20 s late", {"delivery": Delivery(late={watch.resource: 20.0})}
    yield "F6", "pods are told a minute late", {"delivery": Delivery(late={PODS: 60.0})}
    yield "F8", "what changes again within 10 s is not told", {"delivery": Delivery(merged=10.0)}
    yield "F10", "every event is told three times", {"delivery": Delivery(copies=3)}
    yield "F10", "every event is told again after 30 s", {"delivery": Delivery(again=30.0)}
    yield "F10", "deletions are told 10 s late", {"delivery": Delivery(late_changes={"DELETED": 10.0})}
    yield "F10", "additions are told 10 s late", {"delivery": Delivery(late_changes={"ADDED": 10.0})}
    for skew in (45.0, 600.0):
        yield "F13", f"the clock is {skew:g} s ahead", {"skew": skew}
        yield "F13", f"the clock is {skew:g} s behind", {"skew": -skew}


FAULT_OF_MODE = {KILLED_AFTER: "F1", KILLED_BEFORE: "F2", REPLY_LOST: "F3"}


def strikes(scenario: Scenario) -> Iterator[CrashPlan]:
    """Yield what is wrong all the time, and what strikes each write once."""
    for fault, words, attributes in settings():
        yield CrashPlan(scenario, setting=words, settings=attributes, fault=fault)
    for write in clean(scenario).writes:
        for mode in ONCE:
            yield CrashPlan(scenario, write, mode, fault=FAULT_OF_MODE.get(mode, "F4"))
        if write.verb == "apply":
            yield CrashPlan(scenario, write, GONE_BEFORE_ANSWER, fault="F15")
        for behind in BEHIND:
            words = f"and the next operator sees what was {behind:g} s before"
            yield CrashPlan(scenario, write, KILLED_AFTER, words, {"behind": behind}, "F7")


def refusals(scenario: Scenario) -> Iterator[Refusal]:
    """Yield each write refused for long."""
    for write in clean(scenario).writes:
        for status in map(str, REASONS):
            yield Refusal(scenario, write, status)
            yield Refusal(scenario, write, status, REFUSED_TIMES)


def happenings(scenario: Scenario) -> Iterator[Happening]:
    """Yield what others do: to our own kinds before every write, to the rest before some, and at rest."""
    writes: list[Write | None] = [*clean(scenario).writes]
    few = [writes[len(writes) * number // MOMENTS] for number in range(MOMENTS)]
    for wanted, moments in ((deeds_to_parents(), writes), (deeds(), few)):
        for deed in wanted:
            for write in (*moments, None):
                if deed.resource is None or deed.resource in clean(scenario).present[write]:
                    yield Happening(scenario, deed, write)


def leaders(scenario: Scenario) -> Iterator[KillLoop | TwoLeaders]:
    """Yield operators that die again and again, and a leader that loses its lease at each write without noticing."""
    for seed in range(KILL_LOOPS):
        yield KillLoop(scenario, seed)
    for write in clean(scenario).writes:
        for mode in (STOPPED, SUSPENDED):
            yield TwoLeaders(scenario, write, mode, clean(scenario))


def names_taken(scenario: Scenario) -> Iterator[Taken]:
    """Yield each child on which nothing depends whose name is a stranger's when it is first made."""
    places = {(one.kind, one.name): one for one in reversed(clean(scenario).writes) if is_aside(one)}
    yield from (Taken(scenario, one) for _, one in sorted(places.items()))


FAMILIES: Sequence[Callable[[Scenario], Iterator[Plan]]] = (strikes, refusals, happenings, leaders, names_taken)


def plans_of(scenario: Scenario) -> list[Plan]:
    """Return every plan of a scenario."""
    return [plan for family in FAMILIES for plan in family(scenario)]


def named(name: str) -> Plan:
    """Return the plan of this name. Raises KeyError when there is none."""
    for scenario in SCENARIOS:
        if name.startswith(f"{scenario.name}: "):
            for plan in plans_of(scenario):
                if str(plan) == name:
                    return plan
    raise KeyError(name)
