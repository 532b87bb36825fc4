from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline

from modelmill.contracts import skops
from modelmill.contracts.skops import opens_files


def within(vectorizer: Any) -> list[Any]:
    hidden = RandomForestClassifier()
    hidden.estimators_ = np.array([vectorizer], dtype=object)
    return [
        vectorizer,
        make_pipeline(vectorizer, LinearRegression()),
        Pipeline([("columns", ColumnTransformer([("text", vectorizer, "words")]))]),
        {"deep": [(vectorizer,)]},
        hidden,
    ]


@pytest.mark.parametrize("kind", [CountVectorizer, TfidfVectorizer, HashingVectorizer])
@pytest.mark.parametrize("source", ["filename", "file"])
def test_a_vectorizer_that_opens_files_is_found_wherever_it_is(kind: type[Any], source: str) -> None:
    assert [opens_files(model) for model in within(kind(input=source))] == [kind.__name__] * 5
    assert [opens_files(model) for model in within(kind())] == [""] * 5


def test_a_model_that_holds_itself_is_looked_through_once() -> None:
    model = make_pipeline(LinearRegression())
    model.steps.append(("again", model))
    assert opens_files(model) == ""


def test_a_model_of_too_many_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skops, "MAX_PARTS", 10)
    with pytest.raises(ValueError, match="more than 10 parts"):
        opens_files([[] for _ in range(20)])
