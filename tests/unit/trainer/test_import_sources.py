"""What may be at a source: each wrong thing is refused with its reason, before anything of it is opened."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelmill.contracts import names
from modelmill_trainer.failure import StageError
from modelmill_trainer.imports import source
from modelmill_trainer.imports.process import STEPS, Phase
from modelmill_trainer.imports.source import bring
from modelmill_trainer.imports.stage import Opener, import_model, told_spec
from modelmill_trainer.stores import open_folder
from modelmill_trainer.watched import Step
from tests.support.foreign_models import asked, plain_onnx, write_mlmodel

ONNX = plain_onnx().SerializeToString()
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def put(**files: bytes | str) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        for name, content in files.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    return made


def flavor(name: str, **fields: str) -> Callable[[Path], None]:
    return lambda folder: write_mlmodel(folder, {name: fields})


def many(folder: Path) -> None:
    write_mlmodel(folder, {"onnx": {"data": "model.onnx"}})
    for number in range(source.MAX_OBJECTS):
        (folder / f"{number}").write_text("x")


WRONG: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "nothing there": ("onnx", put(), "SourceEmpty"),
    "an empty file": ("onnx", put(model_onnx=b""), "SourceEmpty"),
    "no file of the format": ("onnx", put(readme_md="hello"), "SourceEmpty"),
    "two files": ("onnx", put(one_onnx=ONNX, two_onnx=ONNX), "SourceAmbiguous"),
    "a pickle": ("skops", put(model_skops=pickle.dumps({})), "PickleRefused"),
    "a compressed pickle": ("skops", put(model_skops=b"\x78\x9cabc"), "PickleRefused"),
    "another format": ("onnx", put(model_onnx="tree\nversion=v4\n"), "FormatDiffers"),
    "no MLmodel": ("mlflow", put(model_onnx=ONNX), "SourceInvalid"),
    "an MLmodel that is no YAML": ("mlflow", put(MLmodel="{"), "SourceInvalid"),
    "an MLmodel that is a text": ("mlflow", put(MLmodel="hello"), "SourceInvalid"),
    "an MLmodel that is deep": ("mlflow", put(MLmodel="[" * 5000), "SourceInvalid"),
    "an MLmodel that explodes": ("mlflow", put(MLmodel=BOMB), "SourceInvalid"),
    "the flavor sklearn": ("mlflow", flavor("sklearn", pickled_model="model.pkl"), "PickleRefused"),
    "no flavor but python_function": ("mlflow", flavor("pytorch"), "SourceInvalid"),
    "a flavor without its file": ("mlflow", flavor("onnx", data="model.onnx"), "SourceInvalid"),
    "a flavor whose file is elsewhere": ("mlflow", flavor("onnx", data="../secret"), "SourceInvalid"),
    "a folder of many": ("mlflow", many, "SourceTooLarge"),
}


def brought(folder: Path, form: str, **changes: str) -> source.Found:
    spec = asked(f"file://{folder}", form, folder.parent / "store", **changes)
    return bring(spec, open_folder(spec.uri, None, None, "spec.source.uri"), folder.parent / "work")


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_model_is_refused_for_good(what: str, tmp_path: Path) -> None:
    form, make, reason = WRONG[what]
    folder = tmp_path / "source"
    folder.mkdir()
    make(folder)
    with pytest.raises(StageError) as refused:
        brought(folder, form)
    assert (refused.value.reason, refused.value.final) == (reason, True)


def test_a_place_that_is_not_there_is_empty(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"correct spec\.source\.uri"):
        brought(tmp_path / "nowhere", "onnx")


def test_the_words_name_the_mend(tmp_path: Path) -> None:
    write_mlmodel(tmp_path, {"sklearn": {"pickled_model": "model.pkl"}})
    with pytest.raises(StageError, match=r"skops\.io\.dump or as ONNX"):
        brought(tmp_path, "mlflow")


def test_a_file_that_is_too_large_is_not_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(ONNX)
    monkeypatch.setattr(source, "MAX_BYTES", len(ONNX) - 1)
    with pytest.raises(StageError, match="at most") as refused:
        brought(tmp_path, "onnx")
    assert refused.value.reason == "SourceTooLarge"


def test_another_file_than_the_digest_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(ONNX)
    right = f"sha256:{hashlib.sha256(ONNX).hexdigest()}"
    assert brought(tmp_path, "onnx", digest=right).sha256 == right.removeprefix("sha256:")
    with pytest.raises(StageError) as refused:
        brought(tmp_path, "onnx", digest="sha256:" + "0" * 64)
    assert refused.value.reason == "SourceDiffers"


def test_a_file_that_grows_while_it_is_read_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(ONNX)
    monkeypatch.setattr("modelmill.store.transfer.PAUSES", ())
    only = source._only

    def growing(*arguments: object) -> object:
        entry = only(*arguments)  # type: ignore[arg-type]
        path.write_bytes(ONNX * 2)
        return entry

    monkeypatch.setattr(source, "_only", growing)
    with pytest.raises(StageError) as refused:
        brought(tmp_path, "onnx")
    assert (refused.value.reason, refused.value.final) == ("DataChanged", False)


def test_names_of_mlmodel_are_the_inputs(tmp_path: Path) -> None:
    write_mlmodel(tmp_path, {"onnx": {"data": "data/m.onnx"}}, ["power", "weight"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "m.onnx").write_bytes(ONNX)
    assert brought(tmp_path, "mlflow").inputs == ("power", "weight")


ENDS = {
    "import os; os.kill(os.getpid(), 11)": ("ModelInvalid", "SIGSEGV"),
    "import os; os.kill(os.getpid(), 9)": ("OutOfMemory", "killed"),
    "raise SystemExit(77)": ("ModelInvalid", "exit code 77"),
    "import time; time.sleep(600)": ("ModelInvalid", "took longer"),
    "pass": ("ModelInvalid", "no valid result"),
}


@pytest.mark.parametrize("program", ENDS)
def test_however_the_process_ends_the_import_says_so(program: str, tmp_path: Path) -> None:
    reason, words = ENDS[program]
    (tmp_path / "model.onnx").write_bytes(ONNX)
    steps = {**STEPS, Phase.CHECK: Step("its file was checked", 2)}
    opener = Opener(command=[sys.executable, "-c", program], steps=steps)
    with pytest.raises(StageError, match=words) as refused:
        import_model(asked(f"file://{tmp_path}", "onnx", tmp_path / "store"), opener)
    assert refused.value.reason == reason
    assert not list((tmp_path / "store").rglob("*"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v": 1}', '{"v": 2}'])
def test_a_spec_that_is_none_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_IMPORT, text)
    with pytest.raises(StageError, match=names.ENV_IMPORT):
        told_spec()
