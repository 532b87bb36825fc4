"""Objects that were written too long ago are left out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from modelmill.contracts.data import Window
from modelmill.contracts.stage import Data
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import folders
from modelmill_trainer.object_window import ObjectWindow
from modelmill_trainer.stores import Entry
from tests.unit.trainer.runs import spec_of

NOW = 1_800_000_000.0
DAY = 86_400.0


def window(age: str = "7d") -> ObjectWindow:
    made = ObjectWindow.of(Window(objects_newer_than=age), NOW)
    assert made is not None
    return made


def test_only_a_window_of_objects_is_one() -> None:
    assert ObjectWindow.of(None, NOW) is None
    assert ObjectWindow.of(Window(rows=5), NOW) is None


def test_older_objects_are_left_out() -> None:
    entries = [Entry(f"{days}.csv", 1, written=NOW - days * DAY) for days in (0, 6.9, 7, 30)]
    entries.append(Entry("of another clock.csv", 1, written=NOW + DAY))
    assert [entry.name for entry in window().chosen(entries, "s3://b/")] == ["0.csv", "6.9.csv", "of another clock.csv"]
    assert window("999999999w").chosen(entries, "s3://b/") == entries
    assert window().told(3) == "3 objects written after 2027-01-08T08:00:00Z (objectsNewerThan 7d)"


def test_when_nothing_came_the_newest_is_told() -> None:
    with pytest.raises(
        StageError, match="newest of the 2 objects of s3://b/ was written 2027-01-05T08:00:00Z"
    ) as caught:
        window().chosen([Entry("a", 1, written=NOW - 10 * DAY), Entry("b", 1, written=NOW - 11 * DAY)], "s3://b/")
    assert (caught.value.reason, caught.value.rejected) == ("DataEmpty", True)


def test_a_store_without_times_is_told() -> None:
    with pytest.raises(StageError, match=r"data\.window\.objectsNewerThan: the store of s3://b/ does not say"):
        window().chosen([Entry("a", 1, written=NOW), Entry("b", 1)], "s3://b/")


@pytest.mark.parametrize("age", ["7", "soon", ""])
def test_an_age_that_is_none_is_told(age: str) -> None:
    with pytest.raises(StageError, match=r"data\.window\.objectsNewerThan is"):
        window(age)


def test_a_run_reads_the_new_objects_only(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    for name, days in (("old.csv", 8), ("new.csv", 1)):
        frame = pd.DataFrame({"x": range(60), "y": [place % 5 + days for place in range(60)]})
        frame.to_csv(rows / name, index=False)
        written = time.time() - days * DAY
        os.utime(rows / name, (written, written))
    data = Data(f"file://{rows}/", "csv", "y", window=Window(objects_newer_than="7d"))
    facts = fetch(spec_of(str(tmp_path), data=data), folders(tmp_path / "work"))
    assert [item.name for item in facts.objects] == ["new.csv"]
    assert facts.rows + facts.holdout_rows == 60
    assert facts.window.startswith("1 objects written after 20")
