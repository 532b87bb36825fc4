"""Models of every format: found, loaded, and asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelmill_trainer import skops_file
from modelmill_trainer.failure import StageError
from modelmill_trainer.models import Model, OnnxModel, SklearnModel, find_model, load_left
from modelmill_trainer.signature import require_features
from tests.unit.trainer.runs import facts_of

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


def left_with(output: Path, estimator: Any, data: tuple[str, ...] = ("a", "b"), /, **said: Any) -> Model:
    """Return what is loaded of an estimator that the train stage left as skops, with a document that says this."""
    skops_file.write(estimator, output / "model.skops")
    (output / "model.json").write_text(json.dumps({"format": "skops", **said}))
    return load_left(find_model(output), list(data), [False, True])


def not_loaded(call: Callable[[], object]) -> str:
    with pytest.raises(StageError) as caught:
        call()
    assert caught.value.reason == "ModelInvalid"
    return caught.value.line()


def test_an_estimator_without_names_takes_the_features_that_the_document_names_in_their_order(tmp_path: Path) -> None:
    order = ["b", "a"]
    estimator = LinearRegression().fit(FRAME[order].to_numpy(), 3 * FRAME["b"] - FRAME["a"])
    for data in (("a", "b"), ("x", "a", "y", "b")):
        model = left_with(tmp_path, estimator, data, features=order)
        assert model.features == order
        rows = FRAME.assign(x=9.0, y=9.0)[list(data)]
        assert model.outputs(rows)["predict"] == pytest.approx((3 * FRAME["b"] - FRAME["a"]).to_numpy())


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (["a", "b", "c"], "takes 2 features without names, features of model.json names 3"),
        (["a"], "takes 2 features without names, features of model.json names 1"),
        (["a", "incom"], "incom"),
        (["a", "a"], "different names"),
        ([], "different names"),
        ("ab", "different names"),
        ({"a": 1}, "different names"),
        ([1, 2], "different names"),
        ([["a"], ["b"]], "different names"),
    ],
)
def test_features_that_an_estimator_without_names_cannot_take(tmp_path: Path, features: Any, said: str) -> None:
    estimator = LinearRegression().fit(FRAME.to_numpy(), FRAME["a"])
    data = ("a", "b", "c")

    def load() -> None:
        require_features(left_with(tmp_path, estimator, data, features=features), facts_of(features=data))

    assert said in not_loaded(load)


def test_without_a_document_the_names_are_asked_for(tmp_path: Path) -> None:
    estimator = LinearRegression().fit(FRAME.to_numpy(), FRAME["a"])
    assert "name those that it takes in features of model.json" in not_loaded(
        lambda: left_with(tmp_path, estimator, ("a", "b", "c"))
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"features": ["a", "incom"]}, "features"),
        ({"features": ["b", "a"]}, "fitted with a, b"),
        ({"features": ["a"]}, "features"),
        ({"classes": ["nope", "yep"]}, "classes"),
        ({"classes": ["up", "down"]}, "classes"),
        ({"classes": ["down", "up", "left"]}, "classes"),
        ({"classes": ["down"]}, "classes"),
        ({"classes": "down"}, "different"),
        ({"classes": []}, "different"),
        ({"classes": [{}]}, "different"),
        ({"task": "regression"}, "task"),
        ({"task": "guessing"}, "task"),
    ],
)
def test_a_document_that_contradicts_a_named_estimator(tmp_path: Path, said: dict[str, Any], words: str) -> None:
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, np.where(LABELS, "up", "down"))
    text = not_loaded(lambda: left_with(tmp_path, estimator, **said))
    assert words in text
    assert "model.json" in text


def test_a_document_that_says_what_the_estimator_says(tmp_path: Path) -> None:
    labels = np.where(LABELS, "up", "down")
    model = left_with(
        tmp_path,
        LogisticRegression().fit(FRAME, labels),
        features=["a", "b"],
        classes=["down", "up"],
        task="classification",
    )
    assert (model.features, model.classes) == (["a", "b"], ("down", "up"))
    assert left_with(tmp_path, LogisticRegression().fit(FRAME, LABELS), classes=[False, True]).classes == (False, True)
    numbers = LogisticRegression().fit(FRAME, LABELS.astype(int))
    assert left_with(tmp_path, numbers, classes=[0, 1]).classes == (0, 1)
    assert "classes" in not_loaded(lambda: left_with(tmp_path, numbers, classes=[False, True]))
    line = LinearRegression().fit(FRAME, FRAME["a"])
    assert "regression" in not_loaded(lambda: left_with(tmp_path, line, classes=["down", "up"]))


@pytest.mark.parametrize("zipmap", [False, True])
def test_classes_that_a_graph_does_not_predict_are_refused(tmp_path: Path, zipmap: bool) -> None:
    made = LogisticRegression().fit(FRAME.to_numpy(np.float32), np.where(LABELS, "up", "down"))
    content = to_onnx(made, FRAME.to_numpy(np.float32)[:1], target_opset=17, options={"zipmap": zipmap})
    (tmp_path / "model.onnx").write_bytes(content.SerializeToString())
    for classes in (["nope", "yep"], ["down", "yep"]):
        (tmp_path / "model.json").write_text(json.dumps({"format": "onnx", "classes": classes}))
        model = load_left(find_model(tmp_path), ["a", "b"], [])
        assert "model.json" in not_loaded(lambda model=model: model.outputs(FRAME))  # type: ignore[misc]


def test_features_that_are_not_the_named_inputs_of_a_graph_are_refused(tmp_path: Path) -> None:
    made = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, LABELS.astype(int))
    types = [(name, FloatTensorType([None, 1])) for name in FRAME]
    content = convert_sklearn(
        make_pipeline(ColumnTransformer([("all", "passthrough", list(FRAME))]), made).fit(FRAME, LABELS.astype(int)),
        initial_types=types,
        target_opset=17,
        options={"zipmap": False},
    )
    (tmp_path / "model.onnx").write_bytes(content.SerializeToString())
    for features, refuses in ((["b", "a"], False), (["a", "c"], True)):
        (tmp_path / "model.json").write_text(json.dumps({"format": "onnx", "features": features}))
        if refuses:
            assert "a, c" in not_loaded(lambda: load_left(find_model(tmp_path), ["a", "b", "c"], [0, 1]))
        else:
            assert load_left(find_model(tmp_path), ["a", "b", "c"], [0, 1]).features == features


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        LinearRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_model_that_is_not_fitted_is_refused(tmp_path: Path, estimator: Any) -> None:
    assert "is not fitted" in not_loaded(lambda: left_with(tmp_path, estimator))


def test_what_a_document_for_a_graph_says_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph(LABELS.astype(int)))
    for said in ({"features": "ab"}, {"features": ["a", "a"]}, {"classes": "ab"}, {"classes": [0, 0]}):
        (tmp_path / "model.json").write_text(json.dumps({"format": "onnx", **said}))
        assert "different" in not_loaded(lambda: load_left(find_model(tmp_path), ["a", "b"], []))


@pytest.mark.parametrize("name", ["model.skops", "model.onnx"])
def test_a_link_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/proc/self/environ")
    assert "is a link" in refused(tmp_path).line()
