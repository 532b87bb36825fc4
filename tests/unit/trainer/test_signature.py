"""What a model takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill_trainer.failure import StageError
from modelmill_trainer.models import Outputs
from modelmill_trainer.signature import left_out, left_out_note, make_signature, require_features
from tests.unit.trainer.runs import facts_of


@dataclass
class Taking:
    """A model that takes some features."""

    features: list[str] = field(default_factory=lambda: ["x", "kind"])
    task: str = "regression"
    classes: tuple[Any, ...] = ()

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        return {"predict": np.zeros(len(frame))}


def test_inputs_are_in_the_order_of_the_model_with_the_types_of_the_data() -> None:
    found = make_signature(Taking(["kind", "flag", "x"]), facts_of(), {"predict": np.zeros(1)})
    assert [(item.name, item.datatype, item.kind, item.nullable) for item in found.inputs] == [
        ("kind", "BYTES", "categorical", False),
        ("flag", "BOOL", "numeric", True),
        ("x", "FP64", "numeric", False),
    ]
    assert [(item.name, item.datatype, item.shape) for item in found.outputs] == [("predict", "FP64", (-1,))]


def test_columns_that_the_model_does_not_take_are_ignored() -> None:
    facts = facts_of(kinds=facts_of().kinds | {"id": "number", "never": "empty", "day": "date"})
    found = make_signature(Taking(["x"]), facts, {"predict": np.zeros(1)})
    assert found.ignored == ("flag", "kind", "y", "id", "never", "day")


@pytest.mark.parametrize(
    ("classes", "datatype"),
    [
        ((False, True), "BOOL"),
        ((0, 1, 2), "INT64"),
        ((0.5, 1.5), "FP64"),
        ((0, 1.5), "FP64"),
        (("a", "b"), "BYTES"),
    ],
)
def test_labels_have_the_type_of_the_classes(classes: tuple[Any, ...], datatype: str) -> None:
    model = Taking(task="classification", classes=classes)
    label, chances = make_signature(
        model, facts_of(), {"predict": np.zeros(1), "predict_proba": np.zeros((1, 2))}
    ).outputs
    assert (label.datatype, label.kind, label.classes) == (datatype, "categorical", classes)
    assert (chances.datatype, chances.shape, chances.classes) == ("FP64", (-1, len(classes)), classes)
    assert len(make_signature(model, facts_of(), {"predict": np.zeros(1)}).outputs) == 1


@pytest.mark.parametrize(
    ("features", "kinds", "said"),
    [
        (["x", "weight"], {}, "the model takes weight: the features of the data are x, flag, kind"),
        (["x", "y"], {}, "the model takes y"),
        (["x"], {"x": "date"}, "the model takes x (date)"),
    ],
)
def test_what_the_data_does_not_have_is_refused_by_name(features: list[str], kinds: dict[str, str], said: str) -> None:
    with pytest.raises(StageError) as caught:
        require_features(Taking(features), facts_of(kinds=facts_of().kinds | kinds))
    assert caught.value.reason == "ModelInvalid"
    assert said in caught.value.line()


def test_what_is_left_out_is_told_with_the_reason_that_its_values_give() -> None:
    names = ("x", "day", "said", "spare")
    facts = facts_of(
        features=names, kinds={"x": "number", "day": "text", "said": "text", "spare": "number", "y": "number"}
    )
    train = pd.DataFrame(
        {
            "x": np.arange(60.0),
            "day": ["2026-01-31"] * 60,
            "said": [f"words {place}" for place in range(60)],
            "spare": np.arange(60.0),
        }
    )
    assert (
        left_out_note(left_out(Taking(["x"]), facts, train))
        == "columns left out: day (dates), said (texts that are all different), spare"
    )
    assert left_out_note(left_out(Taking(list(names)), facts, train)) == ""
