"""The times of a crontab line: fields, both days, changes of the clock, and lines that never come."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.api.cron import next_time, parse
from modelmill.api.schedule import ZONE_PATTERN
from modelmill.kube.conditions import timestamp

NEW_YORK, BERLIN, LORD_HOWE, APIA = "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"


def times(line: str, zone: str, after: str, count: int) -> list[str]:
    assert re.fullmatch(ZONE_PATTERN, zone)
    moment, found = datetime.fromisoformat(after).replace(tzinfo=UTC), []
    for _ in range(count):
        following = next_time(line, zone, moment)
        assert following is not None
        moment = following
        found.append(timestamp(moment).removesuffix(":00Z"))
    return found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("0 3 * * *", ["2026-01-03T03:00", "2026-01-04T03:00"]),
        ("*/20 * * * *", ["2026-01-02T03:20", "2026-01-02T03:40", "2026-01-02T04:00"]),
        ("5,50-52 3 * * *", ["2026-01-02T03:05", "2026-01-02T03:50", "2026-01-02T03:51", "2026-01-02T03:52"]),
        ("0 10-20/5 * * *", ["2026-01-02T10:00", "2026-01-02T15:00", "2026-01-02T20:00", "2026-01-03T10:00"]),
        ("0 3 * * 1", ["2026-01-05T03:00", "2026-01-12T03:00"]),
        ("0 3 * * MON,WED", ["2026-01-05T03:00", "2026-01-07T03:00"]),
        ("0 3 * * 0", ["2026-01-04T03:00"]),
        ("0 3 * * 7", ["2026-01-04T03:00"]),
        ("0 3 * * 5-7", ["2026-01-03T03:00", "2026-01-04T03:00", "2026-01-09T03:00"]),
        ("0 3 31 * *", ["2026-01-31T03:00", "2026-03-31T03:00", "2026-05-31T03:00"]),
        ("0 3 1 FEB-MAR *", ["2026-02-01T03:00", "2026-03-01T03:00", "2027-02-01T03:00"]),
        ("0 3 29 2 *", ["2028-02-29T03:00", "2032-02-29T03:00"]),
        ("0 3 13 * FRI", ["2026-01-09T03:00", "2026-01-13T03:00", "2026-01-16T03:00"]),
        ("0 3 */2 * MON", ["2026-01-05T03:00", "2026-01-19T03:00"]),
    ],
)
def test_fields(line: str, found: list[str]) -> None:
    """2026-01-02 is a Friday. Where both days are given either suffices; one that begins with * is not given (crontab(5))."""
    assert times(line, "UTC", "2026-01-02T03:04:05", len(found)) == found


@pytest.mark.parametrize(
    ("line", "zone", "after", "found"),
    [
        # The 8th of March 2026: 02:00 to 03:00 is left out, and 02:30 comes an hour later, once.
        ("30 2 * * *", NEW_YORK, "2026-03-08T05:00", ["2026-03-08T07:30", "2026-03-09T06:30"]),
        ("*/30 * * * *", NEW_YORK, "2026-03-08T06:00", ["2026-03-08T06:30", "2026-03-08T07:00", "2026-03-08T07:30"]),
        ("30 * * * *", NEW_YORK, "2026-03-08T06:00", ["2026-03-08T06:30", "2026-03-08T07:30"]),
        # The 1st of November 2026: 01:00 to 02:00 comes twice. 01:30 is once, every half hour goes on.
        ("30 1 * * *", NEW_YORK, "2026-11-01T04:00", ["2026-11-01T05:30", "2026-11-02T06:30"]),
        ("30 * * * *", NEW_YORK, "2026-11-01T05:00", ["2026-11-01T05:30", "2026-11-01T06:30", "2026-11-01T07:30"]),
        ("0 3 * * 1", "Asia/Seoul", "2026-01-02T00:00", ["2026-01-04T18:00", "2026-01-11T18:00"]),
        ("15 0 * * *", BERLIN, "2026-03-28T00:00", ["2026-03-28T23:15", "2026-03-29T22:15"]),
        # Lord Howe leaves out half an hour, Samoa left out the 30th of December 2011.
        ("0 * * * *", LORD_HOWE, "2026-10-03T14:30", ["2026-10-03T16:00", "2026-10-03T17:00"]),
        ("0 3 30 12 *", APIA, "2011-12-29T00:00", ["2011-12-30T13:00", "2012-12-29T13:00"]),
    ],
)
def test_changes_of_the_clock(line: str, zone: str, after: str, found: list[str]) -> None:
    assert times(line, zone, after, len(found)) == found


def test_what_never_comes_and_what_is_wrong() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert next_time("0 0 30 2 *", "UTC", now) is None
    assert next_time("0 0 29 2 *", "UTC", datetime(2096, 3, 1, tzinfo=UTC)) == datetime(2104, 2, 29, tzinfo=UTC)
    with pytest.raises(ValueError, match="the hour 22-2 ends before it begins"):
        parse("0 22-2 * * *")
    for zone in ("Nowhere/City", "a", "Europe"):
        with pytest.raises(ValueError, match=f"the time zone {zone} is not known"):
            next_time("0 0 * * *", zone, now)


@pytest.mark.parametrize(
    "line",
    ["0 0 * *", "0 0 * * * *", "60 0 * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * * 8", "@daily",
     "0  0 * * *", " 0 0 * * *", "0 0 * * *\n", "*/0 * * * *", "5/15 * * * *", "0 0 * * mon", "", "a b c d e"],
)  # fmt: skip
def test_lines_that_the_api_refuses(line: str) -> None:
    # Go's $ is the end of the text.
    with pytest.raises(ValueError, match="cron"):
        parse(line)


@pytest.mark.parametrize("zone", ["../etc/passwd", "/etc/localtime", "UTC ", "", "Europe//Berlin", "+01:00"])
def test_zones_that_the_api_refuses(zone: str) -> None:
    assert not re.fullmatch(ZONE_PATTERN, zone)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([NEW_YORK, BERLIN, LORD_HOWE, "UTC", "Asia/Kathmandu"]),
    st.integers(0, 59),
    st.one_of(st.none(), st.integers(0, 23)),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
)
def test_no_day_and_no_hour_is_left_out(zone: str, minute: int, hour: int | None, after: datetime) -> None:
    moment = after.replace(tzinfo=UTC)
    line = f"{minute} {'*' if hour is None else hour} * * *"
    longest = timedelta(hours=25 if hour is not None else 2)
    for _ in range(3):
        following = next_time(line, zone, moment)
        assert following is not None
        assert moment < following <= moment + longest
        moment = following
