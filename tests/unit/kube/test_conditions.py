"""Times of conditions and statuses, as anybody who may write a status can leave them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modelmill.kube.conditions import EARLIEST, LATEST, parse_timestamp, timestamp

PLAIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", PLAIN),
        ("2026-01-02T08:34:05+05:30", PLAIN),
        ("2026-01-02T03:04:05.123456789Z", PLAIN.replace(microsecond=123456)),
        ("2026-01-02t03:04:05z", PLAIN),
        ("2026-01-02T03:04:05,5Z", PLAIN.replace(microsecond=500_000)),
        ("2026-01-02T03:04:05x5Z", PLAIN),
        ("2026-01-02T03:04:05Ztwice", PLAIN),
        ("2026-01-02T03:04:05-24:00", PLAIN + timedelta(hours=24)),
        ("2026-01-02T03:04:05+99:99", PLAIN - timedelta(hours=99, minutes=99)),
        ("0000-02-29T00:00:00Z", EARLIEST),
        ("0001-01-01T00:00:00+14:00", EARLIEST),
        ("9999-12-31T23:59:59-14:00", LATEST),
    ],
)
def test_every_time_that_the_api_server_takes_is_one_to_reckon_with(text: str, moment: datetime) -> None:
    assert parse_timestamp(text) == moment
    for century in (timedelta(days=36_500), timedelta(days=-36_500)):
        assert timestamp(parse_timestamp(text) + century)


@pytest.mark.parametrize("text", ["", "None", "today", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is Python's
        parse_timestamp(text)
