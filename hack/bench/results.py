"""What was measured of the control loops, and what is read off it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from hack.bench.audit import Tally
from hack.bench.sightings import Sightings


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; NaN of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


@dataclass(frozen=True)
class Outcome:
    """One series of `count` objects. cpu_seconds: of the loop's process tree, until it rested."""

    count: int
    sightings: Sightings
    cpu_seconds: float
    tally: Tally


@dataclass(frozen=True)
class Round:
    """A paced series and a burst of one program."""

    paced: Outcome
    burst: Outcome


@dataclass
class Measured:
    """All rounds of one loop. memory_mib: by how much its program grew per 1,000 objects; NaN when that was not measured."""

    title: str
    rounds: list[Round] = field(default_factory=list)
    memory_mib: float = float("nan")

    def name(self) -> str:
        """Return the title without its emphasis."""
        return self.title.replace("*", "")

    def latency(self, share: float) -> float:
        """Return the ms to the first child that this share of the objects did not exceed, over the rounds together."""
        return percentile([one for found in self.rounds for one in found.paced.sightings.latencies()], share)

    def lost(self) -> int:
        """Return how many objects of all series had no child and status when patience was over."""
        outcomes = [one for found in self.rounds for one in (found.paced, found.burst)]
        return sum(one.count - one.sightings.complete() for one in outcomes)

    def cpu_ms(self) -> float:
        """Return the CPU time per object of the paced series."""
        return 1000 * sum(one.paced.cpu_seconds for one in self.rounds) / self._paced()

    def burst_count(self) -> int:
        """Return how many objects one burst has."""
        return self.rounds[0].burst.count

    def burst_seconds(self) -> float:
        """Return the median of the rounds: until every object of a burst had child and status; infinite when one never had."""
        seconds = [
            one.burst.sightings.seconds() if one.burst.sightings.complete() == one.burst.count else float("inf")
            for one in self.rounds
        ]
        return statistics.median(seconds)

    def writes(self) -> float:
        """Return the writes per object of the paced series, Events left out."""
        return sum(one.paced.tally.writes() for one in self.rounds) / self._paced()

    def events(self) -> float:
        """Return the Events per object of the paced series."""
        return sum(one.paced.tally.events() for one in self.rounds) / self._paced()

    def refused(self) -> float:
        """Return the refused writes per object, of paced series and bursts together."""
        outcomes = [one for found in self.rounds for one in (found.paced, found.burst)]
        return sum(one.tally.refusals() for one in outcomes) / sum(one.count for one in outcomes)

    def by_resource(self) -> dict[str, float]:
        """Return the writes per object of the paced series by resource, refused ones with that word."""
        total = sum((one.paced.tally for one in self.rounds), Tally())
        named = [*total.taken.items(), *((f"{name} refused", count) for name, count in total.refused.items())]
        return {name: count / self._paced() for name, count in sorted(named)}

    def _paced(self) -> int:
        return sum(one.paced.count for one in self.rounds)
