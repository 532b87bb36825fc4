from __future__ import annotations

from pathlib import Path

import pytest
import skops.io
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from modelmill_trainer import cli, skops_file
from modelmill_trainer.failure import StageError


def left(path: Path, source: str) -> Path:
    words = CountVectorizer(input=source, vocabulary=["a"])
    skops.io.dump(make_pipeline(words, LinearRegression()), path)
    return path


def test_a_model_that_opens_files_is_refused_before_it_is_run(tmp_path: Path) -> None:
    skops_file.load(left(tmp_path / "content.skops", "content"))
    with pytest.raises(StageError, match="CountVectorizer that opens the files") as caught:
        skops_file.load(left(tmp_path / "filename.skops", "filename"))
    assert caught.value.reason == "ModelInvalid"


def test_every_stage_hides_the_keys_before_it_does_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(cli, "hide_keys", lambda: steps.append("hidden"))
    monkeypatch.setattr(cli, "_spec", lambda _: steps.append("spec"))
    monkeypatch.setattr(cli, "folders", lambda *_: None)
    monkeypatch.setattr(cli, "_run", lambda stage, *_: steps.append(stage))
    assert cli.main(["publish"]) == 0
    assert steps == ["hidden", "spec", "publish"]
