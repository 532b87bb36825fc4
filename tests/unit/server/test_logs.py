"""Log lines that no client can make many, long or false."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modelmill_server.telemetry.logs import LINE, MOST_CHARACTERS, MOST_ENTRIES, BoundedFormatter, RateLimit

SOON = 60.0  # a limit, not an expectation


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the server's logger writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(BoundedFormatter(LINE))
    handler.addFilter(RateLimit(period=0.5))
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def hostile(text: Any) -> None:
    logging.getLogger("any.library").error("a call failed: %s", text, exc_info=ValueError(text))


def test_entries_of_a_kind_are_bounded_counted_and_told(stream: io.StringIO) -> None:
    other = logging.getLogger("modelmill_server")
    for number in range(MOST_ENTRIES + 500):
        hostile(number)
    other.error("of another kind")
    assert stream.getvalue().count("ERROR any.library") == MOST_ENTRIES
    assert "of another kind" in stream.getvalue()
    end = time.monotonic() + SOON
    while "left out: 500 of test_logs.py:" not in stream.getvalue():
        assert time.monotonic() < end
        time.sleep(0.02)
    hostile("later")
    assert "a call failed: later" in stream.getvalue()


def test_entry_is_bounded_and_cannot_pass_for_another(stream: io.StringIO) -> None:
    hostile("\r\n2026-01-01 00:00:00,000 INFO modelmill_server: ready\x1b[2J\0\x9b" + "a" * 16_000_000)
    written = stream.getvalue()
    assert len(written) < 2 * MOST_CHARACTERS
    assert "characters …" in written
    first, *rest = written.splitlines()
    assert first.endswith("a call failed: \\x0d")
    assert all(line.startswith("    ") for line in rest)
    assert not set(written) & set("\r\0\x1b\x9b")
