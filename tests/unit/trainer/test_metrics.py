"""How good a model is, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modelmill_trainer.failure import StageError
from modelmill_trainer.metrics import MAX_OWN_METRICS, evaluate, own_metrics, primary_of, require_finite


def test_regression_metrics_by_hand() -> None:
    found = evaluate("regression", np.array([1.0, 2.0, 4.0]), {"predict": np.array([1.0, 3.0, 3.0])}, ())
    assert found["mae"] == pytest.approx(2 / 3)
    assert found["rmse"] == pytest.approx((2 / 3) ** 0.5)
    assert found["r2"] == pytest.approx(1 - 2 / (14 / 3))
    assert found["mape"] == pytest.approx((0.5 + 0.25) / 3)


def test_mape_is_left_out_where_a_target_is_zero() -> None:
    assert "mape" not in evaluate("regression", np.array([0.0, 2.0]), {"predict": np.array([1.0, 3.0])}, ())


def test_classification_metrics_by_hand() -> None:
    outputs = {
        "predict": np.array(["b", "a", "b", "b"], object),
        "predict_proba": np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]),
    }
    found = evaluate("classification", np.array(["b", "a", "a", "b"], object), outputs, ("a", "b"))
    assert found["accuracy"] == 0.75
    assert found["precision_macro"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["recall_macro"] == pytest.approx((0.5 + 1) / 2)
    assert found["roc_auc"] == 1.0
    assert found["log_loss"] == pytest.approx(-np.log([0.8, 0.9, 0.4, 0.7]).mean())


def of_two_classes(*sure: float) -> dict[str, float]:
    outputs = {
        "predict": np.array([1 if one > 0.5 else 0 for one in sure]),
        "predict_proba": np.array([[1 - one, one] for one in sure], dtype="float32"),
    }
    return evaluate("classification", np.array([0, 1, 1, 0]), outputs, (0, 1))


def test_probabilities_that_miss_0_and_1_by_rounding_are_measured() -> None:
    found = of_two_classes(-1.2e-7, 1.00000012, 0.5, 0.25)
    assert found["log_loss"] == pytest.approx(-np.log([1, 1, 0.5, 0.75]).mean(), abs=1e-6)


@pytest.mark.parametrize("sure", [1.1, -0.1])
def test_what_is_no_probability_has_no_log_loss(sure: float) -> None:
    found = of_two_classes(sure, 0.9, 0.5, 0.25)
    assert "log_loss" not in found
    assert found["accuracy"] > 0


def test_a_label_that_the_model_never_saw_counts_as_a_mistake() -> None:
    outputs = {"predict": np.array([0, 1]), "predict_proba": np.array([[0.9, 0.1], [0.2, 0.8]])}
    found = evaluate("classification", np.array([0, 7]), outputs, (0, 1))
    assert found["accuracy"] == 0.5
    assert "log_loss" not in found
    assert "roc_auc" not in found


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(StageError, match="1 of 2 rows"):
        evaluate("regression", np.array([1.0, 2.0]), {"predict": np.array([1.0, bad])}, ())


@pytest.mark.parametrize(
    "text",
    [
        '{"metrics": {"loss": NaN}}',
        '{"metrics": {"loss": "1"}}',
        '{"metrics": {"loss": true}}',
        '{"metrics": {"loss": 1%s}}' % ("0" * 400),
    ],
)
def test_own_metrics_must_be_finite_numbers(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(StageError, match="loss is") as caught:
        own_metrics(tmp_path / "metrics.json")
    assert caught.value.reason == "MetricInvalid"


@pytest.mark.parametrize("name", ["a\nb", '"}{x=', "<script>", "{{ $value }}", "", "x" * 129, "1st"])
def test_names_of_own_metrics_are_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"metrics": {name: 1}}))
    with pytest.raises(StageError, match="is none for a metric") as caught:
        own_metrics(tmp_path / "metrics.json")
    assert "\n" not in caught.value.line()


def test_own_metrics(tmp_path: Path) -> None:
    assert own_metrics(tmp_path / "none.json") == {}
    (tmp_path / "metrics.json").write_text(json.dumps({"metrics": {"loss": 2}}))
    assert own_metrics(tmp_path / "metrics.json") == {"loss": 2.0}
    (tmp_path / "metrics.json").write_text("[]")
    with pytest.raises(StageError, match="must be"):
        own_metrics(tmp_path / "metrics.json")


def test_metrics_of_true_and_false() -> None:
    outputs = {
        "predict": np.array([True, False, True]),
        "predict_proba": np.array([[0.2, 0.8], [0.6, 0.4], [0.4, 0.6]]),
    }
    found = evaluate("classification", np.array([True, False, False]), outputs, (False, True))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["roc_auc"] == 1.0
    # A champion of whole numbers has the same labels.
    assert evaluate("classification", np.array([True, False, False]), outputs, (0, 1)) == found


def test_labels_of_no_class_are_refused() -> None:
    with pytest.raises(StageError, match="'yes', which is none of its classes") as caught:
        evaluate(
            "classification", np.array(["a", "b"], object), {"predict": np.array(["yes", "no"], object)}, ("a", "b")
        )
    assert caught.value.reason == "ModelInvalid"


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"predict": np.array([1.0, np.nan, np.inf])}, "predicts NaN or infinity for 2 of 3 rows here"),
        ({"predict_proba": np.array([[0.5, np.nan], [0.5, 0.5]])}, "NaN or infinity for 1 of 2 rows here"),
    ],
)
def test_what_is_not_finite_is_counted_by_row(outputs: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(StageError) as caught:
        require_finite(outputs, "here")
    assert said in caught.value.line()


def test_labels_are_finite() -> None:
    require_finite({"predict": np.array(["a", None], object)}, "here")
    require_finite({"predict": np.array([True])}, "here")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps({"metrics": {f"m{place}": 1 for place in range(MAX_OWN_METRICS + 1)}}), "at most 32"),
        ("[" * 100_000, "must be"),
        (json.dumps({"metrics": {"loss": 1}}) + " " * (2 << 20) + "x", ""),
    ],
)
def test_own_metrics_that_are_many_deep_or_long(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "metrics.json").write_text(content)
    if not said:
        assert own_metrics(tmp_path / "metrics.json") == {"loss": 1.0}  # what follows is not read
        return
    with pytest.raises(StageError, match=said):
        own_metrics(tmp_path / "metrics.json")


@pytest.mark.parametrize(
    ("task", "metric", "direction", "found"),
    [
        ("regression", None, "Minimize", ("r2", "Maximize")),
        ("classification", None, "Minimize", ("accuracy", "Maximize")),
        ("regression", "mae", "Minimize", ("mae", "Minimize")),
    ],
)
def test_the_primary_metric(task: str, metric: str | None, direction: str, found: tuple[str, str]) -> None:
    assert primary_of(task, metric, direction) == found
