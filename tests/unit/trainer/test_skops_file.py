from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from modelmill.artifacts import check_model
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
    monkeypatch.setattr(cli, "_spec", lambda _: steps.append("spec") or SimpleNamespace(prepare_image=""))
    monkeypatch.setattr(cli, "folders", lambda *_: None)
    monkeypatch.setattr(cli, "_run", lambda stage, *_: steps.append(stage))
    assert cli.main(["publish"]) == 0
    assert steps == ["hidden", "spec", "publish"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomForestClassifier(n_estimators=3, random_state=0),
        lambda: HistGradientBoostingClassifier(max_iter=3, random_state=0),
        KNeighborsClassifier,
    ],
)
def test_the_same_model_has_the_same_bytes(tmp_path: Path, make: Callable[[], Any]) -> None:
    """skops itself names files and nodes by addresses in memory, and writes the time."""
    x = np.random.default_rng(0).normal(size=(60, 3))
    first, second = (make().fit(x, x[:, 0] > 0) for _ in range(2))
    skops_file.write(first, tmp_path / "first.skops")
    skops_file.write(second, tmp_path / "second.skops")
    assert (tmp_path / "first.skops").read_bytes() == (tmp_path / "second.skops").read_bytes()
    check_model(tmp_path / "first.skops", "skops")
    loaded = skops_file.load(tmp_path / "first.skops")
    assert (loaded.predict(x) == first.predict(x)).all()


def test_dictionaries_of_a_model_may_have_the_names_of_the_schema(tmp_path: Path) -> None:
    weights = {"file": 1.0, "__id__": 2.0}
    skops_file.write(LogisticRegression(class_weight=weights), tmp_path / "m.skops")
    assert skops_file.load(tmp_path / "m.skops").class_weight == weights
