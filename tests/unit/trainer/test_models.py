"""Models of every format: found, loaded, and asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression

from modelmill_trainer.failure import StageError
from modelmill_trainer.models import OnnxModel, SklearnModel, find_model, load_left

FRAME = pd.DataFrame({"a": np.linspace(-1, 1, 40), "b": np.linspace(1, -3, 40) ** 2})
LABELS = (FRAME["a"] > 0).to_numpy()


def graph(target: Any) -> bytes:
    made = LogisticRegression().fit(FRAME.to_numpy(np.float32), target)
    content: bytes = to_onnx(
        made, FRAME.to_numpy(np.float32)[:1], target_opset=17, options={"zipmap": False}
    ).SerializeToString()
    return content


def refused(output: Path) -> StageError:
    with pytest.raises(StageError) as caught:
        find_model(output)
    return caught.value


@pytest.mark.parametrize(
    ("target", "classes", "kind"),
    [
        (LABELS.astype(int), (False, True), "b"),
        (LABELS.astype(int), (0, 1), "i"),
        (np.where(LABELS, "up", "down"), ("down", "up"), "O"),
    ],
)
def test_labels_of_a_graph_are_those_of_the_data(target: Any, classes: tuple[Any, ...], kind: str) -> None:
    model = OnnxModel(graph(target), ["a", "b"], None, classes)
    outputs = model.outputs(FRAME)
    assert outputs["predict"].dtype.kind == kind
    assert {type(label) for label in outputs["predict"].tolist()} == {type(classes[0])}
    assert [classes[place] for place in outputs["predict_proba"].argmax(axis=1)] == outputs["predict"].tolist()


def test_a_graph_of_other_classes_is_refused() -> None:
    model = OnnxModel(graph(LABELS.astype(int)), ["a", "b"], None, ("a", "b", "c"))
    with pytest.raises(StageError, match=r"probabilities of shape \(40, 2\) for the 3 classes"):
        model.outputs(FRAME)


def test_an_estimator_of_true_and_false_keeps_them() -> None:
    model = SklearnModel(LogisticRegression().fit(FRAME, LABELS), ["a", "b"])
    assert model.classes == (False, True)
    assert model.outputs(FRAME)["predict"].dtype == bool


def test_an_estimator_without_names_takes_the_features_of_the_data() -> None:
    estimator = LinearRegression().fit(FRAME.to_numpy(), FRAME["a"])
    assert SklearnModel(estimator, ["a", "b"]).outputs(FRAME)["predict"] == pytest.approx(FRAME["a"].to_numpy())
    with pytest.raises(StageError, match="takes 2 features without names, the data has 3"):
        SklearnModel(estimator, ["a", "b", "c"])


def test_what_is_neither_classifier_nor_regressor_is_refused() -> None:
    with pytest.raises(StageError, match="the model is a KMeans") as caught:
        SklearnModel(KMeans(2).fit(FRAME), ["a", "b"])
    assert caught.value.reason == "ModelInvalid"


@pytest.mark.parametrize(
    ("document", "reason", "said"),
    [
        ("[" * 100_000, "ModelInvalid", "it needs a format"),
        ("{}", "ModelInvalid", "it needs a format"),
        ('{"format": "pickle"}', "ModelInvalid", "'pickle' is none of skops, onnx"),
        ('{"format": "onnx", "file": "../secret"}', "ModelInvalid", "must be a plain name"),
        ('{"format": "onnx", "file": "/etc/passwd"}', "ModelInvalid", "must be a plain name"),
        ('{"format": "onnx", "file": "gone.onnx"}', "ModelMissing", "gone.onnx"),
    ],
)
def test_a_document_that_leads_nowhere_is_refused(tmp_path: Path, document: str, reason: str, said: str) -> None:
    (tmp_path / "model.json").write_text(document)
    failure = refused(tmp_path)
    assert failure.reason == reason
    assert said in failure.line()


def test_the_document_comes_first_then_skops_then_onnx(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere").reason == refused(tmp_path).reason == "ModelMissing"
    (tmp_path / "model.onnx").write_bytes(graph(LABELS.astype(int)))
    assert find_model(tmp_path).form == "onnx"
    (tmp_path / "model.skops").write_bytes(b"")
    assert find_model(tmp_path).form == "skops"
    (tmp_path / "model.json").write_text(
        json.dumps({"format": "onnx", "features": ["b", "a"], "classes": [False, True]})
    )
    left = find_model(tmp_path)
    assert left.file.name == "model.onnx"
    model = load_left(left, ["a", "b"], [])
    assert (model.features, model.classes) == (["b", "a"], (False, True))


@pytest.mark.parametrize("name", ["model.skops", "model.onnx"])
def test_a_link_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/proc/self/environ")
    assert "is a link" in refused(tmp_path).line()
