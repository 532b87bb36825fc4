"""From a table to rows to train on and rows to measure on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.stage import Data, Holdout, Trial
from modelmill_trainer.dataset import make_split
from modelmill_trainer.failure import StageError
from modelmill_trainer.kinds import kind_of
from modelmill_trainer.tables import Table


def table(**columns: Any) -> Table:
    frame = pd.DataFrame(columns)
    return Table(frame, {name: kind_of(frame[name], name) for name in frame}, ("a.csv",), (0,))


def cars(rows: int = 40) -> dict[str, Any]:
    return {
        "weight": np.arange(rows, dtype=float) * 10,
        "year": [1970 + place % 8 for place in range(rows)],
        "origin": ["USA", "Japan"] * (rows // 2),
        "mpg": np.arange(rows, dtype=float),
    }


def data(**changes: Any) -> Data:
    return Data(**({"uri": "file:///d", "format": "csv", "target": "mpg"} | changes))


def refused(*arguments: Any) -> StageError:
    with pytest.raises(StageError) as caught:
        make_split(*arguments)
    return caught.value


def test_latest_holds_out_the_greatest_values_and_keeps_excluded_columns_there() -> None:
    split = make_split(table(**cars()), None, data(exclude=("year",), holdout=Holdout(0.25, "Latest", "year")), 0)
    assert sorted(split.holdout["year"].unique()) == [1976, 1977]
    assert split.train["weight"].isin(split.holdout["weight"]).sum() == 0
    assert list(split.train.columns) == ["weight", "origin", "mpg"]
    assert list(split.holdout.columns) == ["weight", "year", "origin", "mpg"]


def test_latest_orders_dates_in_text_and_puts_rows_without_one_in_training() -> None:
    days = [f"2026-{1 + place % 12:02d}-01" for place in range(40)]
    days[11] = None  # type: ignore[call-overload]
    split = make_split(table(day=days, mpg=np.arange(40.0)), None, data(holdout=Holdout(0.12, "Latest", "day")), 0)
    assert split.holdout["day"].min() >= "2026-11-01"
    assert 11 in split.train["mpg"].tolist()


def rows(count: int, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "x": random.normal(size=count),
        "kind": random.choice(["a", "b", None], count),
        "mpg": random.normal(size=count),
    }


def twice_notes(columns: dict[str, Any], apart: Table | None = None, **spec: Any) -> list[str]:
    split = make_split(table(**columns), apart, data(**spec), 0)
    return [note for note in split.notes if "more than once" in note]


@pytest.mark.parametrize("holdout", [Holdout(0.2), Holdout(0.2, "Latest", "year")])
def test_rows_that_stand_more_than_once_are_told_when_they_are_many(holdout: Holdout) -> None:
    doubled = {name: [*values, *values] for name, values in cars().items()}
    assert twice_notes(doubled, holdout=holdout) == [
        "80 of the 80 rows stand more than once, with 40 different contents: remove the copies unless they are meant"
    ]
    assert twice_notes(cars(), holdout=holdout) == []


def test_few_equal_rows_and_rows_that_another_feature_tells_apart_are_not_told() -> None:
    for copies, told in ((2, []), (3, ["6 of the 43 rows stand more than once, with 3 different contents"])):
        some = {name: [*values, *list(values)[:copies]] for name, values in cars().items()}
        assert [note.partition(":")[0] for note in twice_notes(some)] == told
    numbered = {name: [*values, *values] for name, values in cars().items()} | {"id": range(80)}
    assert twice_notes(numbered) == []
    assert len(twice_notes(numbered, exclude=("id",))) == 1


def test_rows_to_train_on_that_stand_more_than_once_are_told_beside_a_hold_out_that_is_given() -> None:
    doubled = {name: [*values, *values] for name, values in cars().items()}
    (told,) = twice_notes(doubled, table(**cars()), holdout=Holdout(uri="file:///h"))
    assert told.startswith("80 of the 80 rows stand more than once")


def held(columns: dict[str, Any], fraction: float = 0.2, seed: int = 0, **spec: Any) -> set[float]:
    split = make_split(table(**columns), None, data(holdout=Holdout(fraction), **spec), seed)
    assert len(split.train) + len(split.holdout) == len(columns["mpg"])
    assert not set(split.train["mpg"]) & set(split.holdout["mpg"])
    return set(split.holdout["mpg"])


@given(st.integers(-(2**80), 2**80), st.sampled_from([0.2, 0.25, 0.5]))
def test_random_divides_every_row_once_and_repeats_with_the_seed(seed: int, fraction: float) -> None:
    assert held(cars(), fraction, seed) == held(cars(), fraction, seed)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_random_holds_out_about_the_fraction(fraction: float) -> None:
    # Five standard deviations of a fair draw.
    assert abs(len(held(rows(4000), fraction)) - 4000 * fraction) < 5 * (4000 * fraction * (1 - fraction)) ** 0.5


@given(st.integers(150, 300), st.integers(1, 200), st.integers(0, 5))
def test_rows_that_are_added_move_no_other_row(before: int, added: int, seed: int) -> None:
    """Of so many rows chance leaves more than the least that a hold-out has, which fewer are filled up to."""
    whole = rows(before + added, seed)
    first = {name: values[:before] for name, values in whole.items()}
    chosen = held(first)
    assert {value for value in held(whole) if value in set(first["mpg"])} == chosen


def test_neither_the_order_of_rows_and_columns_nor_an_excluded_or_new_empty_column_moves_a_row() -> None:
    columns = rows(200)
    chosen = held(columns)
    backwards = {name: values[::-1] for name, values in reversed(columns.items())}
    assert held(backwards) == chosen
    assert held(columns | {"id": np.arange(200)}, exclude=("id",)) == chosen
    assert held(columns | {"new": [None] * 200}) == chosen
    assert held(columns, seed=1) != chosen


def test_a_column_that_only_later_rows_have_moves_no_earlier_row() -> None:
    columns = rows(300)
    grown = columns | {"new": [None] * 200 + [1.5] * 100}
    first = {name: values[:200] for name, values in columns.items()}
    assert {value for value in held(grown) if value in set(first["mpg"])} == held(first)


def test_equal_rows_stay_together() -> None:
    columns = {name: np.repeat(values, 3) for name, values in rows(100).items()}
    split = make_split(table(**columns), None, data(), 0)
    assert set(split.holdout["mpg"].value_counts()) == {3}


@pytest.mark.parametrize("seed", range(30))
def test_a_small_table_has_enough_rows_on_both_sides_or_says_so(seed: int) -> None:
    split = make_split(table(**rows(25, seed)), None, data(), seed)
    assert len(split.holdout) >= 5
    assert len(split.train) >= 10
    if len(split.holdout) == 5:
        assert all("data.holdout.fraction 0.2 gives" in note for note in split.notes)


@pytest.mark.parametrize(
    ("columns", "fraction", "said"),
    [
        (rows(10), 0.2, "about 8 rows to train on and 2 to measure on have a value of 'mpg'"),
        ({"x": [1.0] * 1000, "mpg": [1.0, 2.0] * 500}, 0.2, ""),
        (
            {"x": [1.0] * 20, "mpg": [2.0] * 17 + [1.0] * 3},
            0.3,
            "the 20 rows with a value of 'mpg' have 2 different contents",
        ),
    ],
)
def test_a_tiny_or_constant_table_is_divided_or_refused_by_name(
    columns: dict[str, Any], fraction: float, said: str
) -> None:
    failure = refused(table(**columns), None, data(holdout=Holdout(fraction)), 0)
    assert failure.rejected
    assert failure.reason == ("TooFewRows" if said else "TargetInvalid")
    assert said in failure.line()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_a_fraction_that_leaves_nothing_is_refused(fraction: float) -> None:
    failure = refused(table(**cars()), None, data(holdout=Holdout(fraction)), 0)
    assert failure.reason == "SpecInvalid"
    assert "data.holdout.fraction" in failure.line()


def test_rows_without_a_target_are_dropped_and_counted() -> None:
    columns = cars()
    columns["mpg"][:6] = np.nan
    split = make_split(table(**columns), None, data(), 0)
    assert split.dropped == 6
    assert len(split.train) + len(split.holdout) == 34
    assert any("6 rows" in note for note in split.notes)


def test_an_empty_column_is_left_out_and_told() -> None:
    split = make_split(table(**cars(), nothing=[None] * 40), None, data(), 0)
    assert "nothing" not in split.features
    assert any("'nothing'" in note for note in split.notes)


def test_a_hold_out_apart_needs_the_features() -> None:
    apart = table(**{name: values for name, values in cars().items() if name != "weight"})
    failure = refused(table(**cars()), apart, data(holdout=Holdout(uri="file:///h")), 0)
    assert (failure.reason, failure.rejected) == ("ColumnMissing", True)
    assert "weight" in failure.line()


@pytest.mark.parametrize(
    ("change", "spec", "reason", "said"),
    [
        ({}, {"target": "MPG"}, "TargetMissing", "did you mean mpg?"),
        ({}, {"exclude": ("yaer",)}, "ColumnMissing", "did you mean year?"),
        ({}, {"exclude": ("mpg",)}, "SpecInvalid", "data.features.exclude names the target"),
        ({}, {"exclude": ("weight", "year", "origin")}, "ColumnMissing", "no column is left"),
        ({}, {"holdout": Holdout(0.2, "Latest", "yaer")}, "ColumnMissing", "data.holdout.column 'yaer'"),
        ({}, {"holdout": Holdout(0.2, "Latest", "origin")}, "ColumnInvalid", "numbers or dates"),
        ({"mpg": [None] * 40}, {}, "TargetInvalid", "no value in any row"),
        ({"mpg": [3.5] * 40}, {}, "TargetInvalid", "nothing to learn"),
        ({"mpg": ["1.5"] * 39 + ["n/k"]}, {}, "TargetInvalid", "'n/k' in a.csv, data row 40"),
        ({"weight": ["?"] + ["12"] * 39}, {}, "ColumnInvalid", "'?' in a.csv, data row 1"),
        ({}, {"holdout": Holdout(0.9)}, "TooFewRows", "4 rows to train on and 36 to measure on"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_by_name(
    change: dict[str, Any], spec: dict[str, Any], reason: str, said: str
) -> None:
    failure = refused(table(**(cars() | change)), None, data(**spec), 0)
    assert failure.reason == reason
    assert said in failure.line()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "number"),
        ([1.5, None], "number"),
        ([True, False], "boolean"),
        ([True, None], "boolean"),
        (["a", None], "text"),
        ([None, None], "empty"),
        ([float("nan")], "empty"),
        (pd.to_datetime(["2026-01-01"]), "date"),
        (pd.Series(["a", "b"], dtype="category"), "text"),
    ],
)
def test_kinds(values: Any, kind: str) -> None:
    assert kind_of(pd.Series(values), "column 'x'") == kind


@pytest.mark.parametrize("values", [["a", 1], [{"a": 1}, {"a": 2}], [1.0, float("inf")], [[1], [2]]])
def test_a_mixed_nested_or_infinite_column_is_refused(values: list[Any]) -> None:
    with pytest.raises(StageError, match="column 'x'") as caught:
        kind_of(pd.Series(values), "column 'x'")
    assert caught.value.reason == "ColumnInvalid"


def test_marks_of_missing_values_are_no_mistake_beside_numbers_and_dates() -> None:
    days = [f"2026-{1 + place % 12:02d}-01" for place in range(40)]
    days[11] = "NA"
    weights = ["?"] + ["12"] * 9 + ["NA"] * 30
    dated = table(day=days, mpg=np.arange(40.0))
    dated.marks["day"] = Counter({"NA": 1})
    assert 11 in make_split(dated, None, data(holdout=Holdout(0.12, "Latest", "day")), 0).train["mpg"].tolist()
    mistaken = table(weight=weights, mpg=np.arange(40.0))
    mistaken.marks["weight"] = Counter({"NA": 30})
    assert "'?' in a.csv, data row 1" in refused(mistaken, None, data(), 0).line()


def contents(frame: pd.DataFrame) -> set[float]:
    return set(frame["mpg"])


@pytest.mark.parametrize("holdout", [Holdout(0.25), Holdout(0.25, "Latest", "year"), Holdout(0.0, uri="file:///held")])
@pytest.mark.parametrize(
    "trial", [Trial(0, fraction=0.3), Trial(1, fraction=0.3, strategy="Latest", column="year"), Trial(2, folds=5)]
)
def test_a_trial_sees_the_rows_that_a_run_trains_on_and_no_other(holdout: Holdout, trial: Trial) -> None:
    whole, told = table(**cars(200)), data(holdout=holdout, exclude=("year",))
    run = make_split(whole, whole if holdout.uri else None, told, 3)
    split = make_split(whole, None, told, 3, trial)
    assert contents(split.train) | contents(split.holdout) == contents(run.train)
    assert not contents(split.train) & contents(split.holdout)
    assert list(split.train.columns) == list(run.train.columns)
    assert len(split.holdout) == 0 if trial.folds else 0.1 < len(split.holdout) / len(run.train) < 0.5
    if trial.strategy == "Latest":
        assert split.holdout["year"].min() >= run.holdout["year"].min() - 4


@pytest.mark.parametrize("holdout", [Holdout(0.25), Holdout(0.25, "Latest", "year"), Holdout(0.0, uri="file:///held")])
@pytest.mark.parametrize(
    "trial", [Trial(0, fraction=0.3), Trial(1, fraction=0.3, strategy="Latest", column="year"), Trial(2, fraction=0.04)]
)
def test_the_model_of_a_trial_is_made_once_more_from_its_rows(holdout: Holdout, trial: Trial) -> None:
    whole, told = table(**cars(200)), data(holdout=holdout, exclude=("year",))
    apart = table(**{name: values[:20] for name, values in cars(400).items()}) if holdout.uri else None
    run, tried = make_split(whole, apart, told, 3), make_split(whole, None, told, 3, trial)
    without = replace(told, without=Holdout(trial.fraction, trial.strategy, trial.column))
    split = make_split(whole, apart, without, 3)
    assert split.train.equals(tried.train)
    assert (split.features, split.kinds) == (tried.features, tried.kinds)
    assert split.holdout.equals(run.holdout)
    validated = contents(tried.holdout)
    assert not validated & contents(split.train)
    assert holdout.uri or not validated & contents(split.holdout)
    assert f"{len(tried.holdout)} rows are left out of training" in split.notes[-1]


def test_every_trial_has_the_same_rows_and_equal_rows_stay_together() -> None:
    columns = {
        name: values * 2 if isinstance(values, list) else np.tile(values, 2) for name, values in cars(100).items()
    }
    splits = [make_split(table(**columns), None, data(), 3, Trial(index, fraction=0.3)) for index in range(2)]
    assert splits[0].holdout.equals(splits[1].holdout)
    assert not contents(splits[0].train) & contents(splits[0].holdout)


def test_folds_by_time_have_their_rows_in_order() -> None:
    columns = cars(80) | {"year": [2000 - place % 40 for place in range(80)]}
    trial = Trial(0, folds=3, strategy="Latest", column="year")
    split = make_split(table(**columns), None, data(exclude=("year",)), 0, trial)
    years = dict(zip(columns["mpg"], columns["year"], strict=True))
    found = [years[value] for value in split.train["mpg"]]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("trial", "reason", "said"),
    [
        (Trial(0, fraction=1.5), "SpecInvalid", "tuning.validation.fraction is 1.5"),
        (Trial(0, fraction=0.2, strategy="Newest"), "SpecInvalid", "tuning.validation.strategy 'Newest'"),
        (Trial(0, fraction=0.2, strategy="Latest", column="yaer"), "ColumnMissing", "did you mean year?"),
        (Trial(0, fraction=0.9), "TooFewRows", "change tuning.validation"),
        (Trial(0, folds=3, strategy="Latest", column="origin"), "ColumnInvalid", "tuning.validation.column 'origin'"),
    ],
)
def test_a_validation_that_cannot_be_is_told(trial: Trial, reason: str, said: str) -> None:
    caught = refused(table(**cars()), None, data(), 0, trial)
    assert caught.reason == reason
    assert said in caught.line()
