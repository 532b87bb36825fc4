"""What the observer saw of one series: lines `seen PLURAL NAME OWNER SECONDS` and `status PLURAL NAME - SECONDS`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sightings:
    """Moments in seconds of one clock, by the name of the parent: first sight of it, of a child and of its status."""

    parents: dict[str, float] = field(default_factory=dict)
    children: dict[str, float] = field(default_factory=dict)
    statuses: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: Iterable[str], parent: str, child: str) -> Sightings:
        """Read lines of the observer's file. parent, child: plurals. A line that is not complete is left out."""
        found = cls()
        for line in lines:
            fields = line.split()
            if len(fields) != 5 or not line.endswith("\n"):
                continue
            what, plural, name, owner, moment = fields
            if what == "status":
                kept, key = found.statuses, name
            elif plural == parent:
                kept, key = found.parents, name
            elif plural == child:
                kept, key = found.children, owner
            else:
                continue
            kept.setdefault(key, float(moment))
        return found

    def latencies(self) -> list[float]:
        """Return the ms from first sight of each parent to first sight of its child, of those that have one."""
        return [1000 * (self.children[name] - moment) for name, moment in self.parents.items() if name in self.children]

    def complete(self) -> int:
        """Return how many parents have a child and a status."""
        return len(self.parents.keys() & self.children.keys() & self.statuses.keys())

    def seconds(self) -> float:
        """Return the time from first sight of the first parent to the last child or status. Raises ValueError when empty."""
        return max([*self.children.values(), *self.statuses.values()]) - min(self.parents.values())
