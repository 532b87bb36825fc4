"""Data that a program of the user makes rows of: fetch, that program, divide; and what train may see of it."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from modelmill.contracts import result
from modelmill.contracts.stage import Data, Holdout, StageSpec
from modelmill_trainer import prepared
from modelmill_trainer.cli import main, most_bytes
from modelmill_trainer.facts import read_facts
from modelmill_trainer.failure import StageError, Unchanged
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from modelmill_trainer.lineage import lineage
from modelmill_trainer.prepared import divide, fetch_raw
from tests.unit.trainer.runs import spec_of

COUNT = 60


class Raw:
    """Two objects of lines `x;y`, which are no rows yet, and the folders of a run."""

    def __init__(self, folder: Path, **data: Any) -> None:
        (folder / "rows" / "deep").mkdir(parents=True)
        lines = [f"{n};{n % 7}" for n in range(COUNT)]
        (folder / "rows" / "a.txt").write_text("\n".join(lines[:30]))
        (folder / "rows" / "deep" / "b.txt").write_text("\n".join(lines[30:]))
        told: dict[str, Any] = {"uri": f"file://{folder}/rows/", "format": "csv", "target": "y"}
        self.spec: StageSpec = spec_of(str(folder), data=Data(**(told | data)), prepare_image="rows:1")
        self.folder = folder
        self.where: Folders = folders(folder / "work")

    def fetch(self) -> result.DataFacts:
        return fetch_raw(self.spec, self.where)

    def prepare(self) -> None:
        """Be the program: it sees the raw folder and writes to the prepared one."""
        assert self.where.raw is not None
        texts = [path.read_text() for path in sorted(self.where.raw.rglob("*.txt"))]
        rows = [line.split(";") for text in texts for line in text.splitlines()]
        self.leave("rows.csv", pd.DataFrame(rows, columns=["x", "y"]).to_csv(index=False))

    def leave(self, name: str, text: str) -> None:
        assert self.where.prepared is not None
        path = self.where.prepared / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_a_program_makes_of_the_objects_is_divided(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    found = raw.fetch()
    assert (found.rows, found.digest[:7]) == (0, "sha256:")
    raw.prepare()
    raw.leave("_SUCCESS", "")
    raw.leave("empty.csv", "")
    facts = divide(raw.spec, raw.where)
    assert facts.rows + facts.holdout_rows == COUNT
    assert facts.holdout_rows > 0
    assert facts.digest == found.digest, "the data are the objects that were read"
    assert [one.name for one in facts.objects] == ["a.txt", "deep/b.txt"]
    assert facts.prepared.startswith("sha256:")
    assert facts.told().prepared == facts.prepared
    assert read_facts(raw.where.snapshot) == facts
    train, held = (pd.read_csv(path) for path in (raw.where.train("csv"), raw.where.held_out("csv")))
    assert not set(train["x"]) & set(held["x"])


def test_train_sees_neither_the_objects_nor_what_was_prepared(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    raw.fetch()
    raw.prepare()
    divide(raw.spec, raw.where)
    seen = sorted(path.relative_to(raw.where.input).as_posix() for path in raw.where.input.rglob("*") if path.is_file())
    assert seen == ["params.json", "train/train.csv"]


def test_the_digest_of_the_rows_is_in_the_lineage_and_follows_them(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    raw.fetch()
    raw.prepare()
    first = divide(raw.spec, raw.where)
    told = lineage(raw.spec, first, "2026-01-01T00:00:00Z", "as it is")
    assert (told["prepare_image"], told["prepared_digest"]) == ("rows:1", first.prepared)
    assert divide(raw.spec, raw.where).prepared == first.prepared
    raw.leave("more.csv", "x,y\n100,1\n")
    second = divide(raw.spec, raw.where)
    assert second.prepared != first.prepared
    assert second.digest == first.digest
    assert second.rows + second.holdout_rows == COUNT + 1


def test_data_that_need_no_training_are_not_prepared(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    raw.spec = replace(raw.spec, unless_digest=raw.fetch().digest)
    with pytest.raises(Unchanged):
        raw.fetch()


def test_a_copy_is_of_the_objects_and_is_prepared_again(tmp_path: Path) -> None:
    raw = Raw(tmp_path, copy=True)
    found = raw.fetch()
    assert found.copied
    raw.prepare()
    first = divide(raw.spec, raw.where)
    assert first.copied
    for path in (tmp_path / "rows").rglob("*.txt"):
        path.unlink()
    raw.spec = replace(raw.spec, data=replace(raw.spec.data, copy=False, snapshot=found.digest))
    raw.where = folders(tmp_path / "again")
    raw.fetch()
    raw.prepare()
    again = divide(raw.spec, raw.where)
    assert (again.digest, again.prepared, again.train_sha256) == (first.digest, first.prepared, first.train_sha256)


@pytest.mark.parametrize(
    ("left", "reason", "words"),
    [
        ({}, "PreparedEmpty", "container prepare left no rows: write csv files into MODELMILL_OUTPUT"),
        ({"a.csv": "", "_b.csv": "x,y\n1,2\n"}, "PreparedEmpty", "left no rows"),
        ({"a.csv": "x,y\n"}, "TargetInvalid", "no value in any row"),
        ({"a.csv": "x,z\n" + "1,2\n" * 20}, "TargetMissing", "'y' is not a column"),
        ({"a.csv": "x,y\n1,2\n", "b.csv": "x,z\n1,2\n"}, "ColumnsDiffer", "b.csv lacks y"),
        ({"a.csv": "x,y\n1,2,3\n"}, "DataUnreadable", "a.csv"),
    ],
)
def test_what_is_wrong_with_its_rows_is_told(tmp_path: Path, left: dict[str, str], reason: str, words: str) -> None:
    raw = Raw(tmp_path)
    raw.fetch()
    (tmp_path / "work" / "prepared").mkdir()
    for name, text in left.items():
        raw.leave(name, text)
    with pytest.raises(StageError, match=words) as caught:
        divide(raw.spec, raw.where)
    assert caught.value.reason == reason
    assert caught.value.rejected


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    raw.fetch()
    raw.prepare()
    (tmp_path / "work" / "prepared" / "secret.csv").symlink_to(raw.where.snapshot)
    with pytest.raises(StageError, match=r"secret\.csv, which is no plain file"):
        divide(raw.spec, raw.where)
    (tmp_path / "work" / "prepared" / "secret.csv").unlink()
    os.mkfifo(tmp_path / "work" / "prepared" / "pipe.csv")
    with pytest.raises(StageError, match="no plain file"):
        divide(raw.spec, raw.where)
    (tmp_path / "work" / "prepared" / "pipe.csv").unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "more.csv").write_text("x,y\n1,2\n")
    (tmp_path / "work" / "prepared" / "folder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StageError, match="folder, which is no plain file"):
        divide(raw.spec, raw.where)


def test_what_has_no_plain_name_is_refused(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    raw.fetch()
    raw.prepare()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/work/prepared/\xff.csv")).write_text("x,y\n1,2\n")
    with pytest.raises(StageError, match="give it a plain name"):
        divide(raw.spec, raw.where)


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads everything: what the walk meets in the pod is played."""
    raw = Raw(tmp_path)
    raw.fetch()
    raw.prepare()
    refused = PermissionError(errno.EACCES, "Permission denied", "/modelmill/prepared/closed")

    def walk(_: Path, onerror: Any) -> list[Any]:
        onerror(refused)
        return []

    monkeypatch.setattr("modelmill_trainer.prepared.os.walk", walk)
    with pytest.raises(StageError, match="'closed', Permission denied") as caught:
        divide(raw.spec, raw.where)
    assert caught.value.rejected


def test_more_than_the_memory_holds_is_told_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Raw(tmp_path)
    raw.fetch()
    raw.prepare()
    monkeypatch.setattr("modelmill_trainer.snapshot.available_memory", lambda: 10)
    with pytest.raises(StageError, match="what container prepare left") as caught:
        divide(raw.spec, raw.where)
    assert caught.value.reason == "OutOfMemory"


def test_names_that_cannot_be_files_are_told(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    path = tmp_path / "x"
    path.write_text("x")
    target = tmp_path / "target"
    target.mkdir()
    for *before, last in (("a", "a/b"), ("a/b", "a"), ("../x",), ("/etc/x",)):
        into = target / last.replace("/", "_")
        for name in before:
            prepared._put(prepared.Fetched(name, 1, "", path), into)
        with pytest.raises(StageError, match="rename it"):
            prepared._put(prepared.Fetched(last, 1, "", path), into)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["rows", "target", "x"]
    assert raw.where.raw is not None


def test_stages_that_run_alone_say_what_is_missing(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    with pytest.raises(StageError, match="run the fetch stage first"):
        divide(raw.spec, raw.where)
    with pytest.raises(StageError, match="MODELMILL_RAW is not set"):
        fetch_raw(raw.spec, replace(raw.where, raw=None))
    held = replace(raw.spec, data=replace(raw.spec.data, holdout=Holdout(uri="file:///held/")))
    with pytest.raises(StageError, match=r"data\.holdout\.fraction"):
        fetch_raw(held, raw.where)
    raw.fetch()
    raw.prepare()
    (raw.where.holdout / prepared.RAW_FILE).write_text("{}")
    with pytest.raises(StageError, match="is not what the fetch stage wrote"):
        divide(raw.spec, raw.where)


def test_the_command_line_runs_the_stages_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = Raw(tmp_path)
    told = {
        "prepare_image": "rows:1",
        "store": {"uri": f"file://{tmp_path}/models"},
        "data": {"uri": raw.spec.data.uri, "format": "csv", "target": "y"},
        "estimator": {"estimator": "sklearn.linear_model.Ridge"},
    }
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(told))
    at = ["--stage-file", str(file), "--work", str(tmp_path / "work")]
    assert main(["run", *at]) == 3
    assert "run knows no prepare" in capsys.readouterr().err
    assert main(["fetch", *at]) == 0
    raw.prepare()
    assert main(["divide", *at]) == 0
    assert main(["train", *at]) == 0


def test_messages_fit_into_the_share_of_a_pod_with_more_containers(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    assert most_bytes(raw.spec) == 2048
    assert most_bytes(replace(raw.spec, prepare_image="")) == result.MAX_BYTES
    long = result.StageResult(result.FAILED, "StoreUnreachable", ("words " * 600,))
    assert len(result.encode(long, most_bytes(raw.spec)).encode()) <= 2048


def test_a_run_without_prepare_has_no_such_digest(tmp_path: Path) -> None:
    raw = Raw(tmp_path)
    (tmp_path / "rows" / "a.txt").write_text("x,y\n" + "\n".join(f"{n},{n % 7}" for n in range(50)))
    (tmp_path / "rows" / "deep" / "b.txt").unlink()
    facts = fetch(replace(raw.spec, prepare_image=""), raw.where)
    assert facts.prepared == ""
    assert "prepared_digest" not in lineage(replace(raw.spec, prepare_image=""), facts, "", "")
