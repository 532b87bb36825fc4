"""What a model's answers are made of, for models of which it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill_trainer.interpretation import PAIRS, PLAYERS, Answered, Interpretation, interpret
from modelmill_trainer.models import Outputs


@dataclass
class Known:
    """A model that is a function of the rows. asked: how many rows it answered."""

    answer: Callable[[pd.DataFrame], Outputs]
    features: list[str]
    task: str = "regression"
    classes: tuple[Any, ...] = ()
    asked: int = field(default=0)

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        self.asked += len(frame)
        return self.answer(frame)


def table(rows: int = 300, more: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(4)
    frame = pd.DataFrame({"a": random.normal(size=rows), "b": random.normal(size=rows)})
    frame["kind"] = random.choice(["x", "y", "z"], rows).astype(object)
    names = [f"n{number}" for number in range(more)]
    return pd.concat([frame, pd.DataFrame(random.normal(size=(rows, more)), columns=names)], axis=1)


def sum_of_parts(frame: pd.DataFrame) -> Outputs:
    return {"predict": 3 * frame["a"].to_numpy() - frame["b"].to_numpy() + 5 * (frame["kind"] == "y").to_numpy()}


def found(model: Known, frame: pd.DataFrame, target: np.ndarray | None = None) -> Interpretation:
    outputs = model.answer(frame)
    rows = Answered(frame, outputs["predict"] if target is None else target, outputs, frame)
    return interpret(model, rows, model.features, 7)


def test_the_dependence_of_a_sum_is_each_part() -> None:
    frame = table()
    made = found(Known(sum_of_parts, list(frame)), frame)
    a, b, kind = made.dependences
    for one, slope in ((a, 3), (b, -1)):
        assert one.numeric
        grid = np.array(one.grid, dtype=float)
        assert one.answers[:, 0] - one.answers[0, 0] == pytest.approx(slope * (grid - grid[0]))
    by_kind = dict(zip(kind.grid, kind.answers[:, 0].tolist(), strict=True))
    assert by_kind["y"] - by_kind["x"] == pytest.approx(5)
    assert by_kind["z"] - by_kind["x"] == pytest.approx(0)


def test_contributions_to_a_sum_are_its_parts_and_add_up() -> None:
    frame = table()
    for one in found(Known(sum_of_parts, list(frame)), frame).explained:
        amounts = {item.feature: item.amount for item in one.contributions}
        assert one.base + sum(amounts.values()) == pytest.approx(one.score)
        row = frame.iloc[one.row - 1]
        # Of the mean of the 100 rows of the background, which is drawn.
        assert amounts["a"] == pytest.approx(3 * (row["a"] - frame["a"].mean()), abs=1.2)
        assert amounts["b"] == pytest.approx(-(row["b"] - frame["b"].mean()), abs=0.4)


def test_what_two_features_do_only_together_is_shared_by_both() -> None:
    frame = pd.DataFrame({"a": np.tile([0.0, 1.0], 50), "b": np.tile([0.0, 0.0, 1.0, 1.0], 25)})
    model = Known(lambda rows: {"predict": rows["a"].to_numpy() * rows["b"].to_numpy()}, ["a", "b"])
    first = found(model, frame).explained[0]
    assert first.score == 1
    for item in first.contributions:
        assert item.amount == pytest.approx(0.375, abs=4 * item.error + 0.06)


def test_features_beyond_the_most_important_are_one_and_the_predictions_are_bounded() -> None:
    frame = table(40, more=300)
    model = Known(sum_of_parts, list(frame))
    made = found(model, frame)
    assert len(made.dependences) == 6
    last = made.explained[0].contributions[-1]
    assert (last.feature, last.value, last.amount) == (None, 303 - PLAYERS, 0.0)
    assert model.asked <= 6 * 20 * 200 + 3 * 2 * PAIRS * (PLAYERS + 2)


def test_of_a_classifier_the_probability_of_its_answer_is_explained() -> None:
    def answer(rows: pd.DataFrame) -> Outputs:
        chance = 1 / (1 + np.exp(-rows["a"].to_numpy()))
        return {"predict": np.where(chance > 0.5, "yes", "no"), "predict_proba": np.column_stack([1 - chance, chance])}

    frame = table()
    target = np.where(np.arange(len(frame)) % 7 == 0, "no", answer(frame)["predict"]).astype(object)
    made = found(Known(answer, ["a", "b"], "classification", ("no", "yes")), frame[["a", "b"]], target)
    assert made.lines == ("yes",)
    assert [one.why for one in made.explained] == ["right, and the surest", "wrong, and the surest", "the least sure"]
    for one in made.explained:
        assert 0.5 <= one.score <= 1
        assert next(item for item in one.contributions if item.feature == "b").amount == 0
    assert np.diff(made.dependences[0].answers[:, 0]).min() > 0


def test_of_many_classes_without_probabilities_three_shares_are_shown() -> None:
    frame = table()
    model = Known(lambda rows: {"predict": rows["kind"].to_numpy()}, ["kind"], "classification", ("x", "y", "z", "w"))
    made = found(model, frame[["kind"]])
    assert len(made.lines) == 3
    assert made.dependences[0].answers.tolist() == [
        [float(line == place) for line in made.lines] for place in made.dependences[0].grid
    ]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_one_row_and_gaps_are_enough(rows: int) -> None:
    frame = table(rows)
    frame["b"] = np.nan
    made = found(Known(lambda some: {"predict": some["a"].to_numpy()}, list(frame)), frame)
    assert made.missing == ""
    assert 1 <= len(made.explained) <= rows
    assert "b" not in [one.feature for one in made.dependences]  # there is no value to look at


def refuse(_: pd.DataFrame) -> Outputs:
    raise RuntimeError("x y is\nno row of mine")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refuse, "RuntimeError: x y is no row of mine"),
        (lambda rows: {"predict": np.full(len(rows), np.nan)}, "predicts NaN"),
    ],
)
def test_a_model_that_fails_on_such_rows_has_no_interpretation(answer: Callable[..., Outputs], said: str) -> None:
    frame = table()
    rows = Answered(frame, np.zeros(300), {"predict": np.zeros(300)}, frame)
    made = interpret(Known(answer, list(frame)), rows, list(frame), 7)
    assert said in made.missing
    assert made.explained == made.dependences == ()


def test_the_same_inputs_give_the_same() -> None:
    frame = table()
    one, other = (found(Known(sum_of_parts, list(frame)), frame) for _ in range(2))
    assert one.explained == other.explained
    assert all((a.answers == b.answers).all() for a, b in zip(one.dependences, other.dependences, strict=True))
