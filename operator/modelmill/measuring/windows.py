"""From when pods are counted: counters only grow, and what is judged is what came since the measurement before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from modelmill.measuring.samples import Sample
from modelmill.measuring.scrape import Counted


@dataclass(slots=True)
class Window:
    """Counts from a baseline that moves on only when the judgement of what was counted is on record.

    A judgement is on record when a status that has it was accepted. Until then the same requests are counted again: a status
    may be refused, and a judgement that nobody has is none. baseline: where counting begins; a pod that is not there counts
    from its start. offered: counters of a judgement that may still be lost; record: what the status will say of it.
    """

    baseline: Counted = field(default_factory=dict)
    offered: Counted | None = None
    record: str = ""

    def since(self, counted: Counted, uids: Iterable[str]) -> Sample:
        """Return what these pods counted in the window; those that did not answer are left out."""
        total = Sample()
        for uid in uids:
            if uid in counted:
                total = total.plus(counted[uid].minus(self.baseline.get(uid, Sample())))
        return total

    def offer(self, counted: Counted) -> None:
        """Propose to begin the next window here."""
        self.offered, self.record = counted, ""

    def expect(self, record: str) -> None:
        """Wait with what was offered until the status has this record."""
        self.record = record

    def seen(self, record: str | None) -> None:
        """Begin the next window if the status has the record that was expected."""
        if self.record and record == self.record:
            self.move()

    def move(self) -> None:
        """Begin the next window at what was offered. A pod that did not answer keeps its earlier counters."""
        if self.offered is not None:
            self.baseline = {**self.baseline, **self.offered}
            self.offered, self.record = None, ""
