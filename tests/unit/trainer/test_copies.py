"""Copies of training data in the store, and data that are brought back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts.snapshot import document_key, object_key
from modelmill.contracts.stage import Data, Holdout, StageSpec, Trial
from modelmill_trainer import copies
from modelmill_trainer.facts import Facts, read_facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from tests.unit.trainer.runs import spec_of


def spec(folder: Path, **data: Any) -> StageSpec:
    told: dict[str, Any] = {"uri": f"file://{folder}/rows/", "format": "csv", "target": "y", "copy": True}
    return spec_of(str(folder), data=Data(**(told | data)))


def put(folder: Path, name: str, start: int = 0, count: int = 40) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.arange(float(start), start + count)
    pd.DataFrame({"x": x, "y": x % 7}).to_csv(path, index=False)


def fetched(told: StageSpec, folder: Path, name: str = "work") -> tuple[Facts, Folders]:
    where = folders(folder / name)
    return fetch(told, where), where


def stored(folder: Path) -> dict[str, bytes]:
    root = folder / "models"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    put(tmp_path, "rows/a.csv")
    put(tmp_path, "rows/b/again.csv")
    put(tmp_path, "rows/c.csv", 100)
    return tmp_path


def test_equal_objects_are_kept_once_and_the_document_has_the_digest_of_the_data(source: Path) -> None:
    facts, _ = fetched(spec(source), source)
    assert sorted(stored(source)) == sorted(
        {document_key(facts.digest), *(object_key(item.sha256) for item in facts.objects)}
    )
    assert len(stored(source)) == 3
    assert facts.told().copied
    assert facts.digest == fetched(spec(source, copy=False), source, "plain")[0].digest


def test_without_copy_nothing_is_kept(source: Path) -> None:
    facts, where = fetched(spec(source, copy=False), source)
    assert stored(source) == {}
    assert not facts.told().copied
    assert read_facts(where.snapshot) == facts


def test_what_is_there_is_not_written_again(source: Path) -> None:
    fetched(spec(source), source)
    before = {path: path.stat().st_ino for path in (source / "models").rglob("*")}
    fetched(spec(source), source, "again")
    assert {path: path.stat().st_ino for path in (source / "models").rglob("*")} == before
    put(source, "rows/d.csv", 200)
    fetched(spec(source), source, "more")
    assert len(stored(source)) == len([path for path in before if path.is_file()]) + 2


def test_a_copy_without_its_document_is_finished_by_the_next_run(source: Path) -> None:
    facts, _ = fetched(spec(source), source)
    whole = stored(source)
    (source / "models" / document_key(facts.digest)).unlink()
    (source / "models" / object_key(facts.objects[0].sha256)).unlink()
    fetched(spec(source), source, "again")
    assert stored(source) == whole


def test_data_that_were_rejected_are_not_kept(source: Path) -> None:
    with pytest.raises(StageError, match="'z' is not a column"):
        fetched(spec(source, target="z"), source)
    assert stored(source) == {}


@pytest.mark.parametrize("apart", [True, False])
def test_data_come_back_after_the_source_has_changed(source: Path, apart: bool) -> None:
    holdout = Holdout(uri=f"file://{source}/held/") if apart else Holdout()
    put(source, "held/h.csv", 300)
    facts, where = fetched(spec(source, holdout=holdout), source)
    rows, held = where.train("csv").read_bytes(), where.held_out("csv").read_bytes()
    for path in (*(source / "rows").rglob("*.csv"), *(source / "held").rglob("*.csv")):
        path.unlink()
    again, back = fetched(spec(source, holdout=holdout, copy=False, snapshot=facts.digest), source, "back")
    assert (back.train("csv").read_bytes(), back.held_out("csv").read_bytes()) == (rows, held)
    assert again == facts


def test_the_rows_held_out_are_not_in_a_trials_folders(source: Path) -> None:
    put(source, "held/h.csv", 300)
    holdout = Holdout(uri=f"file://{source}/held/")
    facts, _ = fetched(spec(source, holdout=holdout), source)
    told = replace(spec(source, holdout=holdout, copy=False, snapshot=facts.digest), trial=Trial(0, fraction=0.25))
    trial, where = fetched(told, source, "trial")
    frame = pd.concat([pd.read_csv(where.train("csv")), pd.read_csv(where.held_out("csv"))])
    assert frame["x"].max() < 300
    assert (trial.digest, trial.holdout_objects) == (facts.digest, ())


def test_a_digest_that_is_none_is_named() -> None:
    with pytest.raises(StageError, match=r"data\.snapshot: 'latest' is no digest") as caught:
        copies.bring("latest", spec_of("/nowhere").store, Path("/nowhere"), holdout=True)
    assert caught.value.reason == "SpecInvalid"


@pytest.mark.parametrize(
    ("damage", "reason", "words"),
    [
        ("no document", "SnapshotMissing", "lacks its document"),
        ("no object", "SnapshotMissing", "lacks its object a.csv"),
        ("other document", "SnapshotDamaged", "is damaged in its document"),
        ("other object", "SnapshotDamaged", "is damaged in its object a.csv"),
        ("longer object", "SnapshotDamaged", "is damaged in its object a.csv"),
        ("shorter object", "SnapshotDamaged", "is damaged in its object a.csv"),
    ],
)
def test_a_copy_that_is_not_whole_is_told_with_its_mend(
    source: Path, monkeypatch: pytest.MonkeyPatch, damage: str, reason: str, words: str
) -> None:
    monkeypatch.setattr("modelmill.store.transfer.repeat.__defaults__", ((), lambda _: None), raising=False)
    facts, _ = fetched(spec(source), source)
    root = source / "models"
    document, item = root / document_key(facts.digest), root / object_key(facts.objects[0].sha256)
    content = item.read_bytes()
    match damage:
        case "no document":
            document.unlink()
        case "no object":
            item.unlink()
        case "other document":
            document.write_bytes(document.read_bytes().replace(b"a.csv", b"b.csv"))
        case "other object":
            item.write_bytes(content.replace(b"3", b"4"))
        case "longer object":
            item.write_bytes(content + b"1,2\n")
        case _:
            item.write_bytes(content[:-4])
    with pytest.raises(StageError) as caught:
        fetched(spec(source, copy=False, snapshot=facts.digest), source, "back")
    assert caught.value.reason == reason
    (message,) = caught.value.messages
    assert words in message
    assert "bring it back" in message
    assert facts.digest in message


def test_an_object_of_the_store_with_another_content_is_not_taken_for_the_copy(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelmill.store.transfer.repeat.__defaults__", ((), lambda _: None), raising=False)
    facts, _ = fetched(spec(source, copy=False), source)
    there = source / "models" / object_key(facts.objects[0].sha256)
    there.parent.mkdir(parents=True)
    there.write_bytes(b"cut")
    with pytest.raises(StageError, match="other content than was written") as caught:
        fetched(spec(source), source, "again")
    assert caught.value.reason == "UploadFailed"


def test_an_object_that_no_request_takes_is_told_before_anything_is_written(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MAX_OBJECT", 100)
    with pytest.raises(StageError, match=r"divide it, or use data\.snapshot: Digest"):
        fetched(spec(source), source)
    assert stored(source) == {}
