"""The times of a crontab line, in a time zone.

Written here since it is less than a library would be to keep: libraries differ in what matters, the hours that a change of the
clock leaves out or repeats. Here they are as in Vixie's cron.

Source: POSIX, crontab; cron(8) of Debian, on daylight saving time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from modelmill.api.schedule import FIELDS, MONTHS, WEEKDAYS, malformed

DAYS_AHEAD = 9 * 366
"""The 29th of February is at most eight years away."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """The values of each field; weekdays from Sunday, 0. hourly: the hour is `*`. either_day: both days are given."""

    minutes: Sequence[int]
    hours: Sequence[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    hourly: bool
    either_day: bool

    def on(self, day: date) -> bool:
        """Whether there are times on the day."""
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week


def parse(line: str) -> Cron:
    """Return the times of the line. Raises ValueError naming the field that is malformed, or that ends before it begins."""
    fields = line.split(" ")
    if len(fields) != len(FIELDS):
        raise ValueError(f"cron has {len(fields)} fields: it needs {len(FIELDS)}, {', '.join(FIELDS)}")
    for (name, (pattern, _)), text in zip(FIELDS.items(), fields, strict=True):
        if re.fullmatch(pattern, text) is None:
            raise ValueError(malformed(name))
    minute, hour, day, month, weekday = fields
    weekdays = _values("day of the week", weekday, 0, 7, {name: number for number, name in enumerate(WEEKDAYS)})
    return Cron(
        sorted(_values("minute", minute, 0, 59)),
        sorted(_values("hour", hour, 0, 23)),
        _values("day of the month", day, 1, 31),
        _values("month", month, 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
        frozenset(number % 7 for number in weekdays),
        hourly=hour.startswith("*"),
        either_day=not (day.startswith("*") or weekday.startswith("*")),
    )


def _values(field: str, text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    def number(word: str) -> int:
        return (names or {})[word] if word in (names or {}) else int(word)

    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        begin, end = number(first), number(last or first)
        if end < begin:
            raise ValueError(f"the {field} {span} ends before it begins")
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


@lru_cache(maxsize=1024)
def next_time(line: str, zone: str, after: datetime) -> datetime | None:
    """Return the first time after `after`, UTC; None when there is none within years, such as the 30th of February.

    Raises ValueError for a line that `parse` refuses, and for a time zone that is not known.
    """
    cron = parse(line)
    try:
        where = ZoneInfo(zone)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"the time zone {zone} is not known") from None
    # From the day before: what a change of the clock leaves out comes later than its day says.
    begin = after.astimezone(where).date() - _DAY
    for number in range(DAYS_AHEAD):
        day = begin + number * _DAY
        if cron.on(day):
            found = min((one for one in _times(cron, day, where) if one > after), default=None)
            if found is not None:
                return found
    return None


def _times(cron: Cron, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    for hour in cron.hours:
        for minute in cron.minutes:
            clock = datetime.combine(day, time(hour, minute), zone)
            moment = clock.astimezone(UTC)
            there = moment.astimezone(zone).replace(tzinfo=None) == clock.replace(tzinfo=None)
            if there or not cron.hourly:
                yield moment
            again = clock.replace(fold=1).astimezone(UTC)
            if cron.hourly and there and again > moment:
                yield again
