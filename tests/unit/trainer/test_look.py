"""A look at the data on a folder: what came, grew, changed and went since a run read it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from modelmill.contracts import look as contract
from modelmill.contracts import names
from modelmill.contracts.data import Window
from modelmill.contracts.stage import Data, Look, encode
from modelmill_trainer import look as looking
from modelmill_trainer.cli import main
from modelmill_trainer.counting import count_rows
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import folders
from modelmill_trainer.look import look
from tests.unit.trainer.runs import spec_of

LONG_AGO = 1_000_000_000.0
BEGAN = LONG_AGO + 100


def rows(count: int, start: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"x": range(start, start + count), "y": [value % 7 for value in range(start, start + count)]})


class Source:
    """Data in a folder, which a run has read."""

    def __init__(self, folder: Path, **data: Any) -> None:
        self.folder = folder
        (folder / "rows").mkdir()
        self.put("a.csv", rows(50))
        told: dict[str, Any] = {"uri": f"file://{folder}/rows/", "format": "csv", "target": "y"}
        self.spec = spec_of(str(folder), data=Data(**(told | data)), listed=True)
        self.remembered = folder / "models" / contract.listing_folder(self.spec.run_uid)

    def put(self, name: str, frame: pd.DataFrame, written: float = LONG_AGO) -> None:
        path = self.folder / "rows" / name
        path.parent.mkdir(exist_ok=True)
        frame.to_csv(path, index=False)
        os.utime(path, (written, written))

    def run(self) -> None:
        fetch(self.spec, folders(self.folder / "work"))

    def look(self, min_rows: int | None = None) -> contract.Seen:
        return look(replace(self.spec, look=Look(BEGAN, min_rows)))


def counts(seen: contract.Seen) -> tuple[int, int | None, int]:
    return seen.new, seen.rows, seen.removed


def test_nothing_is_new_of_what_the_run_read(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.run()
    assert counts(source.look(10)) == (0, 0, 0)
    assert counts(source.look()) == (0, None, 0)
    assert source.look() == source.look(), "the digest is of the data alone"


def test_the_stage_runs_with_the_environment_of_its_pod_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod of a look has no folders: only HOME and what it is told are in its environment."""
    source = Source(tmp_path)
    source.run()
    for name in (names.ENV_INPUT, names.ENV_OUTPUT, names.ENV_HOLDOUT):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(names.ENV_STAGE, encode(replace(source.spec, look=Look(BEGAN, None))))
    monkeypatch.setenv(names.ENV_TERMINATION_PATH, str(tmp_path / "ending"))
    monkeypatch.setattr("modelmill_trainer.cli.hide_keys", lambda: None)
    assert main(["look"]) == 0
    seen = contract.decode_seen((tmp_path / "ending").read_text())
    assert seen is not None
    assert counts(seen) == (0, None, 0)


def test_rows_of_new_objects_and_those_by_which_an_object_has_grown_are_counted(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.run()
    before = source.look().digest
    source.put("b.csv", rows(7, 100), written=BEGAN + 5)
    source.put("a.csv", rows(53), written=BEGAN + 5)
    seen = source.look(1000)
    assert counts(seen) == (2, 10, 0)
    assert seen.objects == 2
    assert seen.digest != before


def test_counting_ends_when_there_is_enough(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.run()
    source.put("b.csv", rows(7, 100), written=BEGAN + 5)
    source.put("c.csv", pd.DataFrame(), written=BEGAN + 5)
    (tmp_path / "rows" / "c.csv").write_bytes(b"\xff\xfe not read any more")
    assert counts(source.look(5)) == (2, 7, 0)
    with pytest.raises(StageError, match=r"c\.csv cannot be read as csv") as caught:
        source.look(8)
    assert caught.value.reason == "DataUnreadable"


def test_what_is_gone_or_shrinks_is_told_and_is_not_new_rows(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.put("b.csv", rows(20, 100))
    source.run()
    (tmp_path / "rows" / "b.csv").unlink()
    source.put("a.csv", rows(30), written=BEGAN + 5)
    assert counts(source.look(1)) == (1, 0, 1)
    (tmp_path / "rows" / "a.csv").unlink()
    assert counts(source.look(1)) == (0, 0, 2)


def test_marks_and_empty_objects_are_not_data(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.run()
    source.put("_tmp/b.csv", rows(5), written=BEGAN + 5)
    (tmp_path / "rows" / "empty.csv").write_bytes(b"")
    assert counts(source.look(1)) == (0, 0, 0)


def test_after_a_run_that_left_no_word_what_was_written_since_it_began_is_new(tmp_path: Path) -> None:
    """It failed before its data were read: what there was when it began is not new again."""
    source = Source(tmp_path)
    source.put("b.csv", rows(20, 100), written=BEGAN + 5)
    assert not source.remembered.exists()
    assert counts(source.look(1000)) == (1, 20, 0)


def test_a_run_that_is_tried_again_has_read_what_any_try_has_read(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.run()
    source.put("b.csv", rows(20, 100), written=BEGAN + 5)
    source.run()
    source.run()
    assert len(list(source.remembered.iterdir())) == 2
    assert counts(source.look(1)) == (0, 0, 0)
    source.put("a.csv", rows(52), written=BEGAN + 9)
    assert counts(source.look(1000)) == (1, 2, 0)


def test_objects_outside_of_the_window_are_not_new(tmp_path: Path) -> None:
    source = Source(tmp_path, window=Window(objects_newer_than="7d"))
    source.put("now.csv", rows(50), written=Path(tmp_path).stat().st_mtime)
    source.run()
    source.put("old.csv", rows(5), written=LONG_AGO + 7)
    assert counts(source.look(1)) == (0, 0, 0)


def test_an_unreadable_object_fails_the_run_in_its_own_words_and_is_not_new_then(tmp_path: Path) -> None:
    source = Source(tmp_path)
    (tmp_path / "rows" / "bad.csv").write_bytes(b"x,y\n\xff,1\n")
    with pytest.raises(StageError, match="not UTF-8"):
        source.run()
    assert counts(source.look(1)) == (0, 0, 0)


def test_a_run_without_the_trigger_leaves_nothing(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.spec = replace(source.spec, listed=False)
    source.run()
    assert not source.remembered.exists()


@pytest.mark.parametrize(
    "content", [b"[]", b'{"objects": [1]}', b'{"objects": [{"name": "a"}]}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_memory_is_told(tmp_path: Path, content: bytes) -> None:
    source = Source(tmp_path)
    source.run()
    (name,) = source.remembered.iterdir()
    name.unlink()
    digest = contract.digest_of(content).partition(":")[2]
    (source.remembered / f"sha256-{digest}.json").write_bytes(content)
    with pytest.raises(StageError) as caught:
        source.look()
    assert caught.value.reason == "ListingDamaged"


def test_a_memory_with_another_content_than_its_name_says_is_told(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.run()
    (name,) = source.remembered.iterdir()
    name.write_bytes(b"{}")
    with pytest.raises(StageError) as caught:
        source.look()
    assert caught.value.reason == "DataChanged"


def test_more_bytes_than_a_look_reads_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MAX_COUNTED", 30)
    source = Source(tmp_path)
    source.put("b.csv", rows(200, 100), written=BEGAN + 5)
    with pytest.raises(StageError, match="minNewObjects") as caught:
        source.look(1)
    assert caught.value.reason == "LookTooLarge"
    assert counts(source.look()) == (1, None, 0)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_are_counted_as_training_reads_them(tmp_path: Path, form: str) -> None:
    frame = pd.DataFrame({"text": ["one\ntwo", 'a "quoted, b"', ""], "x": [1.0, 2.0, 3.0]})
    path = tmp_path / "rows"
    writers: dict[str, Any] = {
        "csv": lambda: frame.to_csv(path, index=False),
        "parquet": lambda: frame.to_parquet(path),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
    }
    writers[form]()
    assert count_rows(path, form, "rows") == 3
    path.write_bytes(b"" if form != "parquet" else b"PAR1 no")
    if form == "parquet":
        with pytest.raises(StageError, match="rows cannot be read as parquet"):
            count_rows(path, form, "rows")
    else:
        assert count_rows(path, form, "rows") == 0


def test_what_a_look_tells_comes_through_and_nothing_else_does() -> None:
    for seen in (contract.Seen("sha256:1", 3, 2, 1), contract.Seen("sha256:1", 3, 2, 1, 40)):
        assert contract.decode_seen(contract.encode_seen(seen)) == seen
    raw = json.loads(contract.encode_seen(contract.Seen("sha256:1", 3, 2, 1)))
    assert contract.decode_seen("") is None
    assert contract.decode_seen("[" * 100_000) is None
    for wrong in ({"new": -1}, {"new": True}, {"rows": "4"}, {"digest": None}, {"objects": 1 << 40}):
        assert contract.decode_seen(json.dumps({**raw, "seen": {**raw["seen"], **wrong}})) is None
    assert contract.decode_seen(json.dumps({**raw, "v": 2})) is None


def test_what_was_written_after_a_time_is_told_apart_and_counted_first(tmp_path: Path) -> None:
    """Data of before the drift cannot help against it, though no run has read them."""
    source = Source(tmp_path)
    source.run()
    source.put("b.csv", rows(70, 100), written=BEGAN + 5)
    source.put("c.csv", rows(7, 500), written=BEGAN + 50)
    seen = look(replace(source.spec, look=Look(BEGAN, None, BEGAN + 20, 30)))
    assert (seen.new, seen.rows, seen.after, seen.recent, seen.recent_rows) == (2, None, BEGAN + 20, 1, 7)
    both = look(replace(source.spec, look=Look(BEGAN, 60, BEGAN + 20, 30)))
    assert (both.rows, both.recent_rows) == (77, 7)
    assert contract.decode_seen(contract.encode_seen(both)) == both
    enough = look(replace(source.spec, look=Look(BEGAN, 5, BEGAN + 20, 5)))
    assert (enough.rows, enough.recent_rows) == (7, 7), "no more is read than is needed"
    objects = look(replace(source.spec, look=Look(BEGAN, None, BEGAN + 20, None)))
    assert (objects.recent, objects.recent_rows) == (1, None)
