"""Where a version comes from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sklearn

from modelmill.contracts.stage import Champion, Holdout, Search
from modelmill_trainer.lineage import ENV_GIT_REVISION, lineage, told_published
from tests.unit.trainer.runs import facts_of, spec_of

CREATED = "2026-01-31T10:00:00Z"


def test_everything_that_is_needed_to_make_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_GIT_REVISION, raising=False)
    found = lineage(spec_of(), facts_of(), CREATED, "the train stage left ONNX")
    expected = {
        "training_job": "fuel", "namespace": "demo", "run": "3", "run_uid": "uid-3", "trained": CREATED,
        "data_uri": "file:///nowhere/rows/", "data_digest": "sha256:1", "target": "y", "holdout": "by a hash", "seed": "7",
        "serving": "the train stage left ONNX", "estimator": "sklearn.linear_model.Ridge", "preprocessing": "Auto",
        "scikit-learn": sklearn.__version__,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert json.loads(found["parameters"]) == {"alpha": 0.5}
    assert all(isinstance(value, str) for value in found.values())
    assert not {"train_image", "git_revision", "champion", "data_snapshot", "search"} & set(found)


def test_a_copy_of_the_data_and_a_search_are_told() -> None:
    search = Search("TPE", 42, "r2", "Maximize", 40, 37, 2, 1, 7, 0.91234567, "5 folds", {"alpha": 0.5})
    digest = "sha256:" + "a" * 64
    found = lineage(spec_of(search=search), facts_of(digest=digest, copied=True), CREATED, "")
    assert found["data_snapshot"] == f"data/snapshots/sha256-{'a' * 64}.json"
    assert found["search"] == (
        "TPE, seed 42: trial 7 is the best of 37 that were measured (40 made, 2 failed, 1 pruned), r2 0.912346 by 5 folds"
    )
    assert json.loads(found["search_parameters"]) == {"alpha": 0.5}


SHA256 = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("publish", "best_model", "words"),
    [
        ("Refit", "", "the model was trained with the parameters of trial 7 on all rows to train on"),
        ("BestTrial", SHA256, "the model has the bytes of trial 7: it was trained with its parameters on its rows"),
        ("BestTrial", "f" * 64, "the model has other bytes than that of trial 7, although"),
        ("BestTrial", "", "the model is that of trial 7 made once more: "),
    ],
)
def test_which_model_of_a_search_it_is_is_told(publish: str, best_model: str, words: str) -> None:
    search = Search("TPE", 42, "r2", "Maximize", 40, 37, 2, 1, 7, 0.9, "fraction 0.2", {}, (), publish, best_model)
    assert told_published(search, SHA256).startswith(words)


def test_rows_that_were_left_out_are_told() -> None:
    for without, words in (
        (Holdout(0.2), "Random 0.2 of the rows to train on"),
        (Holdout(0.2, "Latest", "day"), "Latest 0.2 of the rows to train on, by day"),
    ):
        spec = spec_of(data=replace(spec_of().data, without=without))
        found = lineage(spec, facts_of(), CREATED, "", "the model has the bytes of trial 7")
        assert (found["left_out"], found["published"]) == (words, "the model has the bytes of trial 7")


def test_an_own_image_a_revision_and_a_champion_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_GIT_REVISION, "abc123")
    champion = Champion("fuel-2", "s3://mill/x", "sha256:9")
    found = lineage(spec_of(estimator=None, train_image="fuel:1", champion=champion), facts_of(), CREATED, "")
    assert (found["train_image"], found["git_revision"]) == ("fuel:1", "abc123")
    assert found["champion"] == "fuel-2 sha256:9"
    assert "estimator" not in found
