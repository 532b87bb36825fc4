"""`data.window.objectsNewerThan`: objects that were written too long ago are as if they were not there.

Of the window's measures this one alone looks at the clock. Which objects it chose is kept in data.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from modelmill.contracts.data import Window, span
from modelmill_trainer.failure import StageError, rejected
from modelmill_trainer.stores import Entry

FIELD: Final = "data.window.objectsNewerThan"
OLDEST: Final = datetime(1, 1, 1, tzinfo=UTC).timestamp()
"""Of what a date can say: an age that reaches further leaves nothing out."""


@dataclass(frozen=True, slots=True)
class ObjectWindow:
    """Objects written after a moment. age: as the spec has it. since: in seconds since 1970."""

    age: str
    since: float

    @classmethod
    def of(cls, window: Window | None, now: float) -> ObjectWindow | None:
        """Return the objects' window for a run that begins `now`; None where there is none. Raises StageError (SpecInvalid)."""
        if window is None or window.objects_newer_than is None:
            return None
        age = window.objects_newer_than
        try:
            seconds, timed = span(age)
        except ValueError:
            seconds, timed = 0.0, False
        if not timed:
            raise StageError("SpecInvalid", f"{FIELD} is {age!r}: write a span of time like 7d")
        return cls(age, max(OLDEST, now - seconds))

    def chosen(self, entries: Sequence[Entry], uri: str) -> list[Entry]:
        """Return the objects in the window. Raises StageError: DataEmpty when none of them is, SpecInvalid without times."""
        times = [entry.written for entry in entries if entry.written is not None]
        if len(times) < len(entries):
            raise StageError("SpecInvalid", f"{FIELD}: the store of {uri} does not say when its objects were written")
        kept = self.within(entries)
        if entries and not kept:
            raise rejected(
                "DataEmpty",
                f"{FIELD} is {self.age}, and the newest of the {len(entries)} objects of {uri} was written "
                f"{_moment(max(times))}: see why no data came, or widen the window",
            )
        return kept

    def within(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the objects that the store says were written in the window, which may be none."""
        return [entry for entry in entries if entry.written is not None and entry.written > self.since]

    def told(self, count: int) -> str:
        """Return which part of the data it is, of which `count` objects were brought."""
        return f"{count} objects written after {_moment(self.since)} (objectsNewerThan {self.age})"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
