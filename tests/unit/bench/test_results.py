"""What is read off the rounds, which goals were kept, and the tables."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from hack.bench import goals, report
from hack.bench.alone import Death, Idle
from hack.bench.audit import Tally
from hack.bench.results import Measured, Outcome, Round, percentile
from hack.bench.sightings import Sightings


def outcome(latencies: list[float], *, cpu: float = 0.0, tally: Tally | None = None, lost: int = 0) -> Outcome:
    """A series with one object per latency (ms), all first seen at once; `lost` more have no child."""
    names = [str(number) for number in range(len(latencies))]
    children = {name: 100 + ms / 1000 for name, ms in zip(names, latencies, strict=True)}
    parents = dict.fromkeys([*names, *(f"lost-{number}" for number in range(lost))], 100.0)
    return Outcome(len(parents), Sightings(parents, children, dict(children)), cpu, tally or Tally())


def measured(
    title: str, *latencies: float, cpu: float = 0.0, tally: Tally | None = None, lost: int = 0, mib: float = math.nan
) -> Measured:
    paced = outcome(list(latencies), cpu=cpu, tally=tally)
    return Measured(title, [Round(paced, outcome(list(latencies), tally=tally, lost=lost))], mib)


def test_percentiles() -> None:
    values = [float(one) for one in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)) == (51, 100, 100)
    assert math.isnan(percentile([], 0.5))


def test_rounds_are_put_together() -> None:
    tally = Tally(Counter({"jobs": 3, "events": 6}), Counter({"jobs": 3}))
    one = Round(outcome([1, 2, 3], cpu=0.03, tally=tally), outcome([10, 1000], tally=tally))
    two = Round(outcome([4, 5, 600], cpu=0.09), outcome([10, 3000]))
    found = Measured("x", [one, two])
    assert [found.latency(0.5), found.latency(1)] == pytest.approx([4, 600])
    assert found.cpu_ms() == pytest.approx(20)
    assert found.burst_seconds() == pytest.approx(2)
    assert (found.writes(), found.events(), found.refused()) == (0.5, 1.0, 0.6)
    assert found.by_resource() == {"events": 1.0, "jobs": 0.5, "jobs refused": 0.5}


def test_a_burst_that_does_not_end_is_infinite_and_keeps_no_goal() -> None:
    bad = measured("ours", 1, lost=1)
    assert (bad.burst_seconds(), bad.lost()) == (math.inf, 1)
    assert not goals.beside(bad, measured("peer", 5), "first child, median", 1).kept
    assert "ms, 1 never |" in report.loops_table([bad])
    assert "2 in inf s" in report.loops_table([bad])


@pytest.mark.parametrize(("mine", "kept"), [(14.9, True), (15.1, False)])
def test_training_may_take_half_as_long_again_as_its_peer(mine: float, kept: bool) -> None:
    found = {"training": measured("**ours**", mine, cpu=0.01), "training-operator": measured("peer", 10, cpu=0.01)}
    rows = list(goals.against_peers(found))
    assert [one.title for one in rows] == [f"ours: {column}" for column in goals.TRAINING_COLUMNS]
    assert [one.kept for one in rows] == [kept, kept, True]
    assert rows[0].bound == "1.5 times 10.0 ms (peer)"
    assert rows[0].measured.startswith(f"{mine:.1f} ms, {mine / 10:.2f} of it")


def test_serving_is_compared_in_every_column() -> None:
    peer = measured("peer", 10, cpu=0.02, tally=Tally(Counter({"rollouts": 1}), Counter()), mib=1)
    worse = Tally(Counter({"services": 2}), Counter({"services": 1}))
    found = {"serving": measured("a", 11, cpu=0.03, tally=worse, mib=2), "serving-shared": peer, "argo-rollouts": peer}
    rows = list(goals.against_peers(found))
    assert [one.kept for one in rows] == [False] * len(goals.COLUMNS) + [True] * len(goals.COLUMNS)


def test_memory_that_was_not_measured_has_no_goal() -> None:
    found = {"serving": measured("a", 1), "argo-rollouts": measured("peer", 2, mib=5)}
    assert not [one for one in goals.against_peers(found) if "memory" in one.title]
    assert list(goals.of_memory(found)) == []
    assert report.loops_table([found["serving"]]).endswith("| - |")


def test_without_the_peer_there_is_no_goal() -> None:
    assert list(goals.against_peers({"training": measured("ours", 1), "serving": measured("ours", 1)})) == []


def test_goals_of_ours_alone() -> None:
    idle = Idle(3000, 60, 0, 0.2, 9.0, 2, 8.0, 200)
    found = [
        *goals.of_memory({"training": measured("a", 1, mib=14.3), "serving": measured("b", 1, mib=14.4)}),
        *goals.of_rest(idle),
        *goals.of_death(Death(0, [1.0, 3.5, 2.0], [16.0])),
    ]
    assert [one.kept for one in found] == [True, False, True, False, False, True]
    table = report.goals_table(found)
    assert "| 2.0 s, slowest of 3 3.5 s | 3 s | **missed** |" in table
    assert table.count("**missed**") == 3
    assert list(goals.of_death(Death(0))) == []


def test_every_row_of_the_table_has_its_columns() -> None:
    lines = report.loops_table([measured("a", 1), measured("b", 2)]).splitlines()
    assert len(lines) == 4
    assert {one.count("|") for one in lines} == {8}
