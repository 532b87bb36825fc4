"""The typical values that `:explain` compares with, and what it tells of a row that has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from modelmill.contracts.artifact import CATEGORICAL, NUMERIC, TEXT, FeatureProfile, Tensor
from modelmill_server.core.explanation import Explainer, typical
from modelmill_server.queries.columns import Feature, features_of
from modelmill_server.queries.query import Query

MOSTLY_TRUE = FeatureProfile(NUMERIC, (0.1, 0.85), (0.5,), missing_ratio=0.05)


def feature(datatype: str) -> Feature:
    (one,) = features_of([Tensor("active", datatype, (-1,))])
    return one


@pytest.mark.parametrize(
    ("profile", "value"),
    [
        (MOSTLY_TRUE, True),
        (FeatureProfile(NUMERIC, (0.9, 0.1), (0.5,)), False),
        (FeatureProfile(NUMERIC, (1.0,)), None),  # all equal: the bins do not say which of the two it is
        (FeatureProfile(CATEGORICAL, (0.9, 0.1), categories=("true", "false")), True),
        (FeatureProfile(CATEGORICAL, (0.9, 0.1), categories=("false", "true")), False),
        (FeatureProfile(CATEGORICAL, (0.9, 0.1), categories=("True", "False")), True),
    ],
)
def test_the_typical_truth_value_is_the_more_frequent_one(profile: FeatureProfile, value: bool | None) -> None:
    assert typical(feature("BOOL"), profile) is value


def test_lengths_of_texts_make_no_text_typical() -> None:
    assert typical(feature("BYTES"), FeatureProfile(TEXT, (0.5, 0.5), (12.5,))) is None


class Linear:
    """A model that adds 0.85 where its one feature is true."""

    primary = "predict"
    outputs = ("predict",)
    features = (feature("BOOL"),)
    artifact = SimpleNamespace(
        profile=SimpleNamespace(features={"active": MOSTLY_TRUE}),
        manifest=SimpleNamespace(signature=SimpleNamespace(task="regression")),
    )

    def predict(self, query: Query) -> list[Any]:
        return [SimpleNamespace(array=np.array([0.85 * value for value in query.columns[0]]))]


def test_a_row_with_the_typical_truth_value_has_no_explanation_to_give() -> None:
    model: Any = Linear()
    told = Explainer(model, 100).explain(Query([[True, False]], 2, ("predict",)))
    assert told["baseline"] == {"active": True}
    assert told["explanations"] == [{"active": 0.0}, {"active": pytest.approx(-0.85)}]
