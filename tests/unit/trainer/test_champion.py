"""Champion and challenger on rows that are new to both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error

from modelmill.contracts.artifact import Manifest, Signature, Tensor, canonical, digest
from modelmill.contracts.stage import Champion
from modelmill_trainer.artifact_folder import files_of
from modelmill_trainer.champion import MIN_ROWS, Challenger, compare
from modelmill_trainer.failure import StageError
from modelmill_trainer.models import SklearnModel
from modelmill_trainer.rows import TrainedRows, key_of

KINDS = {"x": "number", "y": "number"}
RANDOM = np.random.default_rng(0)
ALL = pd.DataFrame({"x": RANDOM.normal(size=60)})
ALL["y"] = 2 * ALL["x"] + RANDOM.normal(size=60)
OLD, HELD = ALL.head(30), ALL.tail(30)

Store = Callable[..., Champion]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a function that leaves a champion in the folder `champion`; rows: what it was trained on, or its rows.bin."""

    def made(rows: pd.DataFrame | bytes | None = OLD, **signature: Any) -> Champion:
        folder = tmp_path / "champion"
        folder.mkdir()
        skops.io.dump(LinearRegression().fit(OLD[["x"]], OLD["y"]), folder / "model.skops")
        content = TrainedRows.of(rows, KINDS, key_of(9)).pack() if isinstance(rows, pd.DataFrame) else rows
        if content is not None:
            (folder / "rows.bin").write_bytes(content)
        told: dict[str, Any] = {
            "task": "regression",
            "inputs": (Tensor("x", "FP64", (-1,)),),
            "outputs": (Tensor("predict", "FP64", (-1,)),),
        }
        manifest = Manifest("skops", files_of(folder), Signature(**(told | signature)), {}, {}, "", "m", "m-1")
        (folder / "manifest.json").write_bytes(canonical(manifest))
        return Champion("m-1", "s3://mill/m-1", digest(canonical(manifest)))

    return made


def challenger(seen: np.ndarray | None = None, kinds: dict[str, str] | None = None) -> Challenger:
    model = SklearnModel(LinearRegression(fit_intercept=False).fit(ALL[["x"]], ALL["y"]), ["x"])
    held = HELD.reset_index(drop=True)
    seen = np.zeros(len(held), bool) if seen is None else seen
    return Challenger(model, held, kinds or KINDS, held["y"].to_numpy(), model.outputs(held), seen)


def old_error(frame: pd.DataFrame) -> float:
    return float(mean_absolute_error(frame["y"], LinearRegression().fit(OLD[["x"]], OLD["y"]).predict(frame[["x"]])))


def test_without_a_champion_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert compare(None, tmp_path / "champion", challenger()) == (None, [])


def test_a_hold_out_that_is_new_to_both_is_taken_whole(store: Store, tmp_path: Path) -> None:
    found, notes = compare(store(), tmp_path / "champion", challenger())
    assert found is not None
    assert found.metrics["mae"] == pytest.approx(old_error(HELD))
    assert (found.rows, found.challenger, notes) == (30, {}, [])


def test_rows_that_either_was_trained_on_are_left_out(store: Store, tmp_path: Path) -> None:
    mine = np.arange(30) >= 25
    champion = store(ALL.head(40))  # ten rows of the hold-out among them
    made = challenger(mine)
    found, notes = compare(champion, tmp_path / "champion", made)
    fresh = HELD.iloc[10:25]
    assert found is not None
    assert found.rows == 15
    assert found.metrics["mae"] == pytest.approx(old_error(fresh))
    assert found.challenger["mae"] == pytest.approx(
        mean_absolute_error(fresh["y"], made.model.outputs(fresh)["predict"])
    )
    assert notes == ["the champion m-1 is compared on the 15 of 30 rows to measure on that are new to both"]


@pytest.mark.parametrize(("trained", "compared"), [(60 - MIN_ROWS, True), (60 - MIN_ROWS + 1, False), (60, False)])
def test_the_least_number_of_rows(store: Store, tmp_path: Path, trained: int, compared: bool) -> None:
    found, notes = compare(store(ALL.head(trained)), tmp_path / "champion", challenger())
    assert found is not None
    assert bool(found.metrics) is compared
    if not compared:
        assert (
            f"only {60 - trained} of the 30 rows to measure on are new to both, and at least {MIN_ROWS}"
            in found.message
        )
        assert notes == [f"the champion m-1 is not compared: {found.message}"]


def test_a_champion_without_rows_may_have_seen_them(store: Store, tmp_path: Path) -> None:
    found, notes = compare(store(None), tmp_path / "champion", challenger())
    assert found is not None
    assert found.metrics["mae"] == pytest.approx(old_error(HELD))
    assert notes == [
        "the champion m-1 has no rows.bin, so it may have been trained on some of the rows, which flatters it"
    ]


@pytest.mark.parametrize("content", [b"", b"MMROWS1\n", b"x" * 1000])
def test_a_champion_with_damaged_rows_is_not_compared(store: Store, tmp_path: Path, content: bytes) -> None:
    found, notes = compare(store(content), tmp_path / "champion", challenger())
    assert found is not None
    assert found.metrics == {}
    assert found.message.startswith("its rows.bin says nothing about its rows: it")
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ({"task": "classification"}, "it is a model for classification, this one for regression"),
        ({"inputs": (Tensor("weight", "FP64", (-1,)),)}, "it needs weight, which the data of this run lacks"),
        ({"inputs": (Tensor("x", "BYTES", (-1,)),)}, "x had another type in its data"),
    ],
)
def test_a_champion_that_does_not_fit_is_told(
    store: Store, tmp_path: Path, signature: dict[str, Any], said: str
) -> None:
    found, _ = compare(store(**signature), tmp_path / "champion", challenger())
    assert found is not None
    assert (found.metrics, found.message) == ({}, said)


def test_a_champion_that_fails_is_told(store: Store, tmp_path: Path) -> None:
    held = challenger()
    held.holdout.loc[3, "x"] = np.nan  # LinearRegression refuses it
    found, _ = compare(store(), tmp_path / "champion", held)
    assert found is not None
    assert found.message.startswith("ValueError: Input X contains NaN")
    assert len(found.message) <= 300


@pytest.mark.parametrize("name", ["model.skops", "manifest.json"])
def test_a_champion_that_the_train_stage_changed_ends_the_run(store: Store, tmp_path: Path, name: str) -> None:
    champion = store()
    (tmp_path / "champion" / name).write_bytes(b"forged")
    with pytest.raises(StageError) as caught:
        compare(champion, tmp_path / "champion", challenger())
    assert caught.value.reason == "ChampionCorrupt"


def test_a_champion_whose_files_went_away(store: Store, tmp_path: Path) -> None:
    champion = store()
    (tmp_path / "champion" / "rows.bin").unlink()
    found, _ = compare(champion, tmp_path / "champion", challenger())
    assert found is not None
    assert "it is not what its manifest says, or is not there" in found.message
    (tmp_path / "champion" / "model.skops").unlink()
    with pytest.raises(StageError, match="m-1") as caught:
        compare(champion, tmp_path / "champion", challenger())
    assert caught.value.reason == "ChampionCorrupt"
    with pytest.raises(StageError) as caught:
        compare(champion, tmp_path / "nowhere", challenger())
    assert caught.value.reason == "ChampionMissing"
