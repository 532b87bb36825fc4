"""Reading what the observer saw."""

from __future__ import annotations

import pytest

from hack.bench.sightings import Sightings

LINES = [
    "seen jobs a - 10.000\n",
    "seen pods a-x1 a 10.010\n",
    "seen pods a-x2 a 10.500\n",
    "status jobs a - 10.020\n",
    "status jobs a - 10.900\n",
    "seen jobs b - 10.100\n",
    "seen pods b-x1 b 10.130\n",
]


def test_first_sights_count() -> None:
    found = Sightings.read(LINES, "jobs", "pods")
    assert found.parents == {"a": 10.0, "b": 10.1}
    assert found.latencies() == pytest.approx([10, 30])
    assert found.statuses == {"a": 10.02}


def test_complete_is_child_and_status() -> None:
    found = Sightings.read(LINES, "jobs", "pods")
    assert found.complete() == 1
    assert Sightings.read([*LINES, "status jobs b - 12.5\n"], "jobs", "pods").complete() == 2


def test_a_burst_lasts_until_the_last_child_or_status() -> None:
    assert Sightings.read(LINES, "jobs", "pods").seconds() == pytest.approx(0.13)
    late = Sightings.read([*LINES, "status jobs b - 12.5\n"], "jobs", "pods")
    assert late.seconds() == pytest.approx(2.5)


def test_one_parent_with_one_child_and_no_status_has_a_time() -> None:
    assert Sightings.read(LINES[:2], "jobs", "pods").seconds() == pytest.approx(0.01)


def test_a_line_that_is_being_written_and_kinds_of_others_are_left_out() -> None:
    found = Sightings.read([*LINES[:1], "seen services a a 10.001\n", "seen pods a-x1 a 10.0"], "jobs", "pods")
    assert (found.children, found.latencies()) == ({}, [])


def test_a_child_without_its_parent_has_no_latency() -> None:
    assert Sightings.read(LINES[1:2], "jobs", "pods").latencies() == []
