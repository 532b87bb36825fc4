"""What a train stage may leave in place of a file."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from modelmill_trainer.failure import StageError
from modelmill_trainer.metrics import own_metrics
from modelmill_trainer.models import find_model
from modelmill_trainer.plain_files import NotPlain, read_plain


def listening(path: Path) -> None:
    os.chdir(path.parent)  # the path of a socket is short
    socket.socket(socket.AF_UNIX).bind(path.name)


def linked(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def dangling(path: Path) -> None:
    path.symlink_to("/nonexistent")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 42)


LEFT: dict[str, Callable[[Path], None]] = {
    "a link": linked, "a link to nothing": dangling, "a link to a device": endless, "a pipe": os.mkfifo,
    "a socket": listening, "a folder": Path.mkdir, "4 TiB of nothing": sparse,
}  # fmt: skip


@pytest.mark.parametrize("what", LEFT)
@pytest.mark.parametrize("name", ["model.skops", "model.onnx", "model.json"])
def test_a_model_is_a_plain_file_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    LEFT[what](tmp_path / name)
    with pytest.raises(StageError, match=name) as caught:
        find_model(tmp_path)
    assert caught.value.reason == "ModelInvalid"


@pytest.mark.parametrize("what", [what for what in LEFT if "TiB" not in what])
def test_metrics_are_a_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.chdir(tmp_path)
    LEFT[what](tmp_path / "metrics.json")
    with pytest.raises(StageError, match=r"metrics\.json") as caught:
        own_metrics(tmp_path / "metrics.json")
    assert caught.value.reason == "MetricInvalid"


@pytest.mark.parametrize("file", ["../up.onnx", "/etc/passwd", "a/b.onnx", "..", ".", "a\x00b", "model\n.onnx"])
def test_the_file_of_a_document_lies_beside_it(tmp_path: Path, file: str) -> None:
    output = tmp_path / "output"
    (output / "a").mkdir(parents=True)
    for path in (tmp_path / "up.onnx", output / "a" / "b.onnx"):
        path.write_bytes(b"1")
    (output / "model.json").write_text(json.dumps({"format": "onnx", "file": file}))
    with pytest.raises(StageError) as caught:
        find_model(output)
    assert caught.value.reason in ("ModelInvalid", "ModelMissing")
    assert "\n" not in caught.value.line()


def test_names_of_other_files_are_told_in_one_line_and_bounded(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number}\n\x1b[2J\u202e{'x' * 200}").touch()
    with pytest.raises(StageError) as caught:
        find_model(tmp_path)
    assert caught.value.reason == "ModelMissing"
    assert caught.value.line().isprintable()
    assert len(caught.value.line()) < 4000


@pytest.mark.parametrize("when", [-1e9, 1e12, 253402300800.0])
def test_a_time_that_no_calendar_has_is_not_believed(tmp_path: Path, when: float) -> None:
    (tmp_path / "model.onnx").write_bytes(b"1")
    os.utime(tmp_path / "model.onnx", (when, when))
    assert 0 <= find_model(tmp_path).modified <= os.stat(tmp_path).st_mtime + 60


def test_a_file_that_grows_is_read_to_the_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_plain(tmp_path / "a", 5) == b"12345"
    with pytest.raises(NotPlain, match="at most 4"):
        read_plain(tmp_path / "a", 4)
