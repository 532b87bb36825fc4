"""Training that goes on from the champion's model, and every reason why it begins anew."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_wine
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge, SGDClassifier, SGDRegressor
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline

from modelmill.contracts import names, result
from modelmill.contracts.artifact import Manifest, Signature, Tensor, canonical, digest
from modelmill.contracts.result import WarmStart
from modelmill.contracts.stage import Champion, Data, Estimator, Origin, StageSpec
from modelmill_trainer import skops_file
from modelmill_trainer.artifact_folder import files_of
from modelmill_trainer.estimators import forget_training
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from modelmill_trainer.preprocessing import choose, pipeline
from modelmill_trainer.publish import publish
from modelmill_trainer.rows import RowsError, TrainedRows, key_of, parse_rows
from modelmill_trainer.train import train
from modelmill_trainer.warm_start import FILE, fit_on, left
from tests.support.evaluated import evaluate_here
from tests.unit.trainer.runs import spec_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
KINDS = {"alcohol": "number", "acid": "number", "flavour": "number", "place": "text"}
Keep = Callable[..., Champion]


def wine(first: int, last: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return some of the wines, in a mixed order, with a category, and their kinds."""
    x, y = load_wine(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(y))[first:last]
    frame = pd.DataFrame(x[order][:, [0, 1, 6]], columns=list(KINDS)[:3])
    frame["place"] = np.where(np.arange(len(order)) % 3 == 0, "north", "south")
    return frame, y[order]


OLD, NEW = wine(0, 90), wine(60, 178)


def unfitted(estimator: Any, rows: tuple[pd.DataFrame, np.ndarray] = NEW) -> Pipeline:
    plan = choose(rows[0], KINDS, list(KINDS))
    return pipeline(plan, clone(estimator), scale=True)


@pytest.fixture
def where(tmp_path: Path) -> Folders:
    made = folders(tmp_path)
    made.output.mkdir(parents=True)
    return made


@pytest.fixture
def keep(where: Folders) -> Keep:
    """Return a function that leaves a model as the artifact of the champion fuel-2; lineage, rows: of it."""

    def kept(
        model: Any, lineage: dict[str, str] | None = None, rows: bytes | None = None, file: str = names.SKOPS_FILE
    ) -> Champion:
        where.champion.mkdir(parents=True)
        last = model.steps[-1][1] if isinstance(model, Pipeline) else model
        forget_training(last)
        skops_file.write(model, where.champion / file)
        if rows is not None:
            (where.champion / names.ROWS_FILE).write_bytes(rows)
        task = "classification" if is_classifier(last) else "regression"
        signature = Signature(task, (Tensor("alcohol", "FP64", (-1,)),), (Tensor("predict", "FP64", (-1,)),))
        lineage = {"scikit-learn": version("scikit-learn")} if lineage is None else lineage
        manifest = Manifest("skops", files_of(where.champion), signature, {}, lineage, "", "fuel", "fuel-2")
        (where.champion / names.MANIFEST_FILE).write_bytes(canonical(manifest))
        return Champion("fuel-2", "file:///nowhere", digest(canonical(manifest)))

    return kept


def told(where: Folders) -> WarmStart:
    found = left(spec_of(warm_start=True), where.output)
    assert found is not None
    return found


def started(champion: Champion | None, where: Folders, estimator: Any, rows: Any = NEW) -> Pipeline:
    return fit_on(spec_of(champion=champion, warm_start=True), where, unfitted(estimator, rows), *rows)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=6, random_state=3),
        RandomForestRegressor(n_estimators=6, random_state=3),
        ExtraTreesRegressor(n_estimators=6, random_state=3),
        BaggingClassifier(n_estimators=6, random_state=3),
        GradientBoostingClassifier(n_estimators=6, subsample=0.7, random_state=3),
        GradientBoostingRegressor(n_estimators=6, random_state=3),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_ensemble_keeps_its_members_and_gets_as_many_again(estimator: Any, where: Folders, keep: Keep) -> None:
    before = unfitted(estimator, OLD).fit(*OLD)
    champion = keep(before)
    made = started(champion, where, estimator)
    assert told(where) == WarmStart("fuel-2")
    last = made.steps[-1][1]
    assert (len(last.estimators_), last.warm_start) == (12, False)
    assert made.steps[0][1].transform(NEW[0]).tolist() == before.steps[0][1].transform(NEW[0]).tolist()
    last.estimators_ = last.estimators_[:6]
    last.n_estimators = 6
    assert made.predict(NEW[0]).tolist() == before.predict(NEW[0]).tolist()


@pytest.mark.parametrize(
    "estimator",
    [
        SGDClassifier(loss="log_loss", max_iter=2, tol=None, random_state=3),
        SGDRegressor(max_iter=2, tol=None, random_state=3),
        MLPClassifier((8,), max_iter=3, random_state=3),
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, early_stopping=True, random_state=3),
        LogisticRegression(max_iter=2),
        Perceptron(max_iter=2, tol=None, random_state=3),
        GaussianNB(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_weights_go_on_from_where_they_are(estimator: Any, where: Folders, keep: Keep) -> None:
    champion = keep(unfitted(estimator, OLD).fit(*OLD))
    made = started(champion, where, estimator)
    assert told(where) == WarmStart("fuel-2")
    anew = unfitted(estimator).fit(*NEW)
    kept = unfitted(estimator, OLD).fit(*OLD)
    kept.steps[-1][1].fit(kept.steps[0][1].transform(NEW[0]), NEW[1])  # the same preprocessing and other first weights

    def values(model: Pipeline) -> list[float]:
        last = model.steps[-1][1]
        found = next(getattr(last, name) for name in ("coef_", "theta_", "coefs_") if hasattr(last, name))
        return np.concatenate([np.ravel(one) for one in found]).tolist()

    assert values(made) not in (values(anew), values(kept))
    skops_file.write(made, where.output / "again.skops")


def test_a_network_that_goes_on_fits_better_than_one_that_begins(where: Folders, keep: Keep) -> None:
    network = MLPClassifier((8,), max_iter=20, random_state=3)
    champion = keep(unfitted(network, OLD).fit(*OLD))
    made, anew = started(champion, where, network), unfitted(network).fit(*NEW)
    assert log_loss(NEW[1], made.predict_proba(NEW[0])) < log_loss(NEW[1], anew.predict_proba(NEW[0]))


def test_the_same_champion_and_rows_give_the_same_bytes(where: Folders, keep: Keep) -> None:
    forest = RandomForestClassifier(n_estimators=4, random_state=3)
    champion = keep(unfitted(forest, OLD).fit(*OLD))
    for name in ("a", "b"):
        made = started(champion, where, forest)
        skops_file.write(made, where.output / name)
    assert (where.output / "a").read_bytes() == (where.output / "b").read_bytes()


def test_an_ensemble_does_not_grow_without_end(where: Folders, keep: Keep) -> None:
    champion = keep(unfitted(RandomForestClassifier(n_estimators=31, random_state=3), OLD).fit(*OLD))
    made = started(champion, where, RandomForestClassifier(n_estimators=3, random_state=3))
    assert told(where).reason == "fuel-2 has 31 members already, and 30 are the most: 10 times n_estimators"
    assert len(made.steps[-1][1].estimators_) == 3


FOREST = RandomForestClassifier(n_estimators=3, random_state=3)


def without(label: int, rows: tuple[pd.DataFrame, np.ndarray]) -> tuple[pd.DataFrame, np.ndarray]:
    frame, y = rows
    return frame[y != label].reset_index(drop=True), y[y != label]


def with_place(place: str) -> tuple[pd.DataFrame, np.ndarray]:
    frame = NEW[0].copy()
    frame.loc[:5, "place"] = place
    return frame, NEW[1]


@pytest.mark.parametrize(
    ("champion", "estimator", "rows", "why"),
    [
        (FOREST, HistGradientBoostingRegressor(), NEW, "HistGradientBoostingRegressor cannot be trained on"),
        (FOREST, Ridge(), NEW, "Ridge cannot be trained on"),
        (
            FOREST,
            LogisticRegression(solver="liblinear"),
            (NEW[0], (NEW[1] == 1).astype(int)),
            "LogisticRegression cannot be trained on with the solver liblinear",
        ),
        (FOREST, GaussianNB(), NEW, "fuel-2 is a RandomForestClassifier, and this a GaussianNB"),
        (FOREST, clone(FOREST).set_params(max_depth=3), NEW, "fuel-2 has other parameters: max_depth"),
        (FOREST, clone(FOREST).set_params(random_state=4), NEW, "fuel-2 has other parameters: random_state"),
        (FOREST, FOREST, without(2, NEW), "fuel-2 has other classes than the data: 2"),
        (FOREST, FOREST, (NEW[0], NEW[1] == 1), "fuel-2 has other classes than the data: 0, 1, 2, False, True"),
        (FOREST, FOREST, with_place("east"), "fuel-2 does not know all categories of the data: 'east' of 'place'"),
        (FOREST, FOREST, (NEW[0].rename(columns={"acid": "alcohol2"}), NEW[1]), None),
    ],
)
def test_what_cannot_go_on_begins_anew_and_says_why(
    champion: Any, estimator: Any, rows: Any, why: str | None, where: Folders, keep: Keep
) -> None:
    version_before = keep(unfitted(champion, OLD).fit(*OLD))
    if why is None:
        kinds = {name: "text" if name == "place" else "number" for name in rows[0]}
        model = pipeline(choose(rows[0], kinds, list(kinds)), clone(estimator), scale=True)
        fit_on(spec_of(champion=version_before, warm_start=True), where, model, *rows)
        assert told(where).reason == "fuel-2 has other features"
        return
    made = started(version_before, where, estimator, rows)
    assert told(where).reason == why
    assert made.predict(rows[0]).tolist() == unfitted(estimator, rows).fit(*rows).predict(rows[0]).tolist()


def test_a_category_that_is_gone_from_the_data_hinders_nothing(where: Folders, keep: Keep) -> None:
    champion = keep(unfitted(FOREST, OLD).fit(*OLD))
    started(champion, where, FOREST, with_place("north"))
    assert told(where).version == "fuel-2"


def test_without_a_champion_it_begins_anew(where: Folders) -> None:
    started(None, where, FOREST)
    assert told(where).reason == "there is no approved version to begin from"


def test_a_model_of_another_make_is_not_trained_on(where: Folders, keep: Keep) -> None:
    bare = RandomForestClassifier(n_estimators=3, random_state=3).fit(OLD[0][["alcohol"]], OLD[1])
    champion = keep(bare)
    started(champion, where, FOREST)
    assert told(where).reason == "fuel-2 is a RandomForestClassifier, and this a RandomForestClassifier"


def test_other_steps_are_another_preprocessing(where: Folders, keep: Keep) -> None:
    frame = OLD[0][["alcohol"]]
    champion = keep(Pipeline([("model", clone(FOREST))]).fit(frame, OLD[1]))
    rows = NEW[0][["alcohol"]]
    model = pipeline(choose(rows, {"alcohol": "number"}, ["alcohol"]), clone(FOREST), scale=True)
    fit_on(spec_of(champion=champion, warm_start=True), where, model, rows, NEW[1])
    assert told(where).reason == "fuel-2 has another preprocessing"


def test_a_model_of_another_release_of_the_library_is_not_trained_on(where: Folders, keep: Keep) -> None:
    champion = keep(unfitted(FOREST, OLD).fit(*OLD), {"scikit-learn": "0.1"})
    started(champion, where, FOREST)
    assert told(where).reason.startswith("fuel-2 was made with scikit-learn 0.1, and this stage has ")


def test_a_champion_without_a_model_of_scikit_learn_is_not_trained_on(where: Folders, keep: Keep) -> None:
    champion = keep(unfitted(FOREST, OLD).fit(*OLD), file="other.skops")
    started(champion, where, FOREST)
    assert told(where).reason == "fuel-2 has no model.skops, only a model as skops"


def test_a_champion_that_was_changed_stops_the_run(where: Folders, keep: Keep) -> None:
    champion = keep(unfitted(FOREST, OLD).fit(*OLD))
    (where.champion / names.SKOPS_FILE).write_bytes(b"")
    with pytest.raises(StageError) as caught:
        started(champion, where, FOREST)
    assert caught.value.reason == "ChampionCorrupt"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'"x"', b'{"version": "fuel-2"}', b"\xff"])
def test_word_that_is_none_is_refused(content: bytes, where: Folders) -> None:
    (where.output / FILE).write_bytes(content)
    with pytest.raises(StageError) as caught:
        told(where)
    assert caught.value.reason == "ModelInvalid"


def test_the_rows_of_both_are_those_that_were_trained_on() -> None:
    kinds = {"x": "number"}
    frames = [pd.DataFrame({"x": np.arange(low, low + 20.0)}) for low in (0, 10)]
    first, second = (TrainedRows.of(frame, kinds, key_of(1)) for frame in frames)
    every = pd.DataFrame({"x": np.arange(40.0)})
    assert first.joined(second).contains(every, kinds).tolist() == [place < 30 for place in range(40)]
    packed = second.pack(15)
    assert packed is not None
    short = parse_rows(packed)
    joined = first.joined(short)
    assert joined.below == short.below
    assert not (joined.fresh(every, kinds) & first.contains(every, kinds)).any()
    content = joined.pack()
    assert content is not None
    parse_rows(content)
    with pytest.raises(RowsError, match="another seed"):
        first.joined(TrainedRows.of(frames[0], kinds, key_of(2)))


def played(spec: StageSpec, work: Path) -> result.StageResult:
    where = folders(work)
    where.output.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fetch(spec, where)
        train(spec, where)
        return publish(spec, where)


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageSpec:
    """Return the spec of a first run, whose data are there."""
    monkeypatch.setattr("modelmill_trainer.publish.evaluate", evaluate_here)
    (tmp_path / "rows").mkdir()
    frame = OLD[0].assign(y=OLD[1])
    frame.to_csv(tmp_path / "rows" / "a.csv", index=False)
    forest = Estimator("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 4})
    data = Data(f"file://{tmp_path}/rows/", "csv", "y", copy=True)
    return spec_of(str(tmp_path), data=data, estimator=forest, version="fuel-2", warm_start=True)


def champion_of(ending: result.StageResult) -> Champion:
    assert ending.artifact is not None
    return Champion("fuel-2", ending.artifact.uri, ending.artifact.digest)


def manifest_of(ending: result.StageResult) -> dict[str, Any]:
    assert ending.artifact is not None
    found: dict[str, Any] = json.loads(
        (Path(ending.artifact.uri.removeprefix("file://")) / "manifest.json").read_bytes()
    )
    return found


def test_a_second_run_goes_on_from_the_first_and_can_be_made_again(first: StageSpec, tmp_path: Path) -> None:
    begun = played(first, tmp_path / "first")
    assert begun.warm_start == WarmStart(reason="there is no approved version to begin from")
    assert "train.warmStart: trained anew: there is no approved version to begin from" in begun.notes
    NEW[0].assign(y=NEW[1]).to_csv(tmp_path / "rows" / "b.csv", index=False)
    second = replace(first, version="fuel-3", run=4, champion=champion_of(begun))
    ending = played(second, tmp_path / "second")
    assert ending.warm_start == WarmStart("fuel-2")
    assert result.decode(result.encode(ending)) == ending
    assert "train.warmStart: trained on from fuel-2" in ending.notes
    manifest = manifest_of(ending)
    assert manifest["format"] == "onnx"  # the file that can be trained on is beside it
    assert manifest["lineage"]["warm_start"] == "trained on from fuel-2"
    assert len(skops_file.load(tmp_path / "second" / "output" / names.SKOPS_FILE).steps[-1][1].estimators_) == 8
    assert ending.data is not None
    assert ending.artifact is not None
    again = replace(
        second,
        data=replace(second.data, copy=False, snapshot=ending.data.digest),
        reproduces=Origin("fuel-3", ending.artifact.uri, ending.artifact.digest),
    )
    made = played(again, tmp_path / "again")
    assert made.reproduction is not None
    assert made.reproduction.same


def test_a_version_is_not_made_again_without_the_one_that_it_began_from(first: StageSpec, tmp_path: Path) -> None:
    ending = played(first, tmp_path / "first")
    assert ending.artifact is not None
    origin = Origin("fuel-3", ending.artifact.uri, ending.artifact.digest)
    gone = Champion("fuel-1", f"file://{tmp_path}/models/gone", ending.artifact.digest)
    with pytest.raises(StageError) as caught:
        fetch(replace(first, reproduces=origin, champion=gone), folders(tmp_path / "again"))
    assert caught.value.reason == "VersionMissing"
    assert str(caught.value).startswith("fuel-3 was trained on from fuel-1, which is gone: ")


def test_publish_believes_no_word_of_another_version(first: StageSpec, tmp_path: Path) -> None:
    where = folders(tmp_path / "first")
    where.output.mkdir(parents=True)
    fetch(first, where)
    train(first, where)
    (where.output / FILE).write_text('{"version": "fuel-9", "reason": ""}')
    with pytest.raises(StageError, match="its warm start is not that of this run"):
        publish(first, where)


def test_a_booster_begins_anew(first: StageSpec, tmp_path: Path) -> None:
    booster = Estimator("xgboost.XGBClassifier", {"n_estimators": 2})
    ending = played(replace(first, estimator=booster), tmp_path / "first")
    champion = champion_of(ending)
    again = played(replace(first, estimator=booster, champion=champion, version="fuel-3"), tmp_path / "second")
    assert again.warm_start == WarmStart(reason="XGBClassifier cannot be trained on")
