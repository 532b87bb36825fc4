"""Training that goes on from the champion's model: what it may begin from, how each estimator goes on, and word of it.

The champion's preprocessing is kept as it was fitted, since its weights and thresholds are for the numbers that it makes.
Source: scikit-learn, glossary, `warm_start` and `partial_fit`; user guide, 8.1.2 (incremental learning).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from modelmill.contracts import names
from modelmill.contracts.result import WarmStart
from modelmill.contracts.stage import Champion, StageSpec
from modelmill_trainer.champion import fetched_manifest
from modelmill_trainer.failure import StageError
from modelmill_trainer.fitting import fit
from modelmill_trainer.folders import Folders
from modelmill_trainer.models import require_sound
from modelmill_trainer.native import NativeClassifier, NativeRegressor
from modelmill_trainer.plain_files import NotPlain, read_plain
from modelmill_trainer.prefixes import COUNTS
from modelmill_trainer.rows import RowsError, TrainedRows, parse_rows

FILE: Final = "warm_start.json"
"""In the output folder: what the train stage began from, for the evaluation."""
MAX_REASON: Final = 300
MOST_TIMES: Final = 10
"""How many times n_estimators an ensemble may grow to: without an end the model would one day be too large to serve."""
ENSEMBLES: Final = frozenset(
    f"{name}{kind}"
    for name in ("RandomForest", "ExtraTrees", "Bagging", "GradientBoosting")
    for kind in ("Classifier", "Regressor")
)
"""Estimators to which warm_start adds members. HistGradientBoosting is none: its members would be read by the bins of other
rows (scikit-learn, HistGradientBoostingClassifier, warm_start: "on the same data only")."""
WEIGHTS: Final = frozenset(
    {
        "SGDClassifier", "SGDRegressor", "MLPClassifier", "MLPRegressor", "Perceptron", "PassiveAggressiveClassifier",
        "PassiveAggressiveRegressor", "LogisticRegression", "Lasso", "ElasticNet", "HuberRegressor", "PoissonRegressor",
        "GammaRegressor", "TweedieRegressor",
    }
)  # fmt: skip
"""Estimators that warm_start lets begin from the weights that they have, for max_iter passes at most."""
SUMS: Final = frozenset({"GaussianNB", "MultinomialNB", "BernoulliNB", "ComplementNB"})
"""Estimators that add up what they have seen: partial_fit takes the rows once."""
OF_NO_MATTER: Final = frozenset({*COUNTS, "warm_start", "n_jobs", "verbose"})
"""Parameters in which the champion may differ."""
BEST_SO_FAR: Final = {"best_loss_": np.inf, "_no_improvement_count": 0, "best_validation_score_": -np.inf}
"""What a neural network compares its progress with: on other rows another loss counts."""


class Anew(Exception):
    """The champion's model cannot be trained on; the text says why."""


def fit_on(spec: StageSpec, folders: Folders, model: Pipeline, x: pd.DataFrame, y: Any) -> Pipeline:
    """Return the champion's model, trained on, or else `model`, fitted; which of them is left in the output folder.

    Raises StageError: as `fitting.fit` does, ChampionMissing, ChampionCorrupt.
    """
    try:
        found, champion = _begun(spec.champion, folders.champion, model, x, y)
        _go_on(found, model.steps[-1][1], x, y)
        told = WarmStart(version=champion.name)
    except Anew as why:
        found, told = model, WarmStart(reason=str(why)[:MAX_REASON])
        fit(found, x, y)
    print(f"train: {told.told()}", flush=True)
    leave(told, folders.output)
    return found


def leave(told: WarmStart, output: Path) -> None:
    """Leave word of what the training began from."""
    (output / FILE).write_text(json.dumps(asdict(told)), encoding="utf-8")


def left(spec: StageSpec, output: Path) -> WarmStart | None:
    """Return the word that the train stage left; None for a run that was to begin anew. Raises StageError (ModelInvalid)."""
    if not spec.warm_start:
        return None
    try:
        raw = json.loads(read_plain(output / FILE, 4096))
        return WarmStart(str(raw["version"])[:63], str(raw["reason"])[:MAX_REASON])
    except (NotPlain, OSError, ValueError, KeyError, TypeError) as error:
        raise StageError(
            "ModelInvalid", f"{FILE}, in which the train stage says what it began from, cannot be read: {error}"
        ) from None


def with_rows_of_champion(trained: TrainedRows, folder: Path) -> tuple[TrainedRows, str]:
    """Return the rows of this run and those that the champion was trained on, or a note that these are not known."""
    try:
        return trained.joined(parse_rows((folder / names.ROWS_FILE).read_bytes())), ""
    except FileNotFoundError:
        why = f"the champion has no {names.ROWS_FILE}"
    except RowsError as error:
        why = f"the champion's {names.ROWS_FILE}: {error}"
    return (
        trained,
        f"{why}, so some of the rows to measure on may be rows that it was trained on, which flatters the model",
    )


def _begun(
    champion: Champion | None, folder: Path, model: Pipeline, x: pd.DataFrame, y: Any
) -> tuple[Pipeline, Champion]:
    """Return the champion's fitted pipeline, which can be trained on. Raises Anew."""
    if champion is None:
        raise Anew("there is no approved version to begin from")
    estimator = model.steps[-1][1]
    native = isinstance(estimator, NativeClassifier | NativeRegressor)
    kind = type(estimator.estimator if native else estimator).__name__
    if kind not in ENSEMBLES | WEIGHTS | SUMS or getattr(estimator, "solver", "") == "liblinear":
        raise Anew(f"{kind} cannot be trained on" + (" with the solver liblinear" if kind in WEIGHTS else ""))
    found = _loaded(champion, folder)
    try:
        _require_alike(champion, found, model, x, y)
    except (AttributeError, TypeError, ValueError) as error:  # a model of another make may lack anything
        raise Anew(f"{champion.name} is no model that this stage made: {error}") from None
    return found, champion


def _require_alike(champion: Champion, found: Any, model: Pipeline, x: pd.DataFrame, y: Any) -> None:
    """Raise Anew unless the champion's model is what this run would have made of other rows."""
    estimator = model.steps[-1][1]
    if not isinstance(found, Pipeline) or type(found.steps[-1][1]) is not type(estimator):
        last = found.steps[-1][1] if isinstance(found, Pipeline) else found
        raise Anew(f"{champion.name} is a {type(last).__name__}, and this a {type(estimator).__name__}")
    _require_same_parameters(champion, found.steps[-1][1], estimator)
    if getattr(found, "feature_names_in_", np.array([])).tolist() != list(x.columns):
        raise Anew(f"{champion.name} has other features")
    _require_same_preprocessing(champion, found, model)
    if is_classifier(estimator):
        ours, theirs = np.unique(y).tolist(), np.asarray(found.classes_).tolist()
        if [(type(one), one) for one in ours] != [(type(one), one) for one in theirs]:
            different = sorted({str(one) for one in ours} ^ {str(one) for one in theirs})
            raise Anew(f"{champion.name} has other classes than the data: {', '.join(different[:5])}")
    _require_room(champion, found.steps[-1][1], estimator)


def _loaded(champion: Champion, folder: Path) -> Any:
    from modelmill_trainer import skops_file  # late: it imports the whole of scikit-learn

    manifest = fetched_manifest(champion, folder)
    if not any(file.name == names.SKOPS_FILE for file in manifest.files):
        raise Anew(f"{champion.name} has no {names.SKOPS_FILE}, only a model as {manifest.format}")
    made, here = manifest.lineage.get("scikit-learn", "another one"), version("scikit-learn")
    if made != here:
        raise Anew(f"{champion.name} was made with scikit-learn {made}, and this stage has {here}")
    try:
        require_sound(folder / names.SKOPS_FILE, "skops")
        return skops_file.load(folder / names.SKOPS_FILE)
    except StageError as error:
        raise Anew(f"{champion.name} cannot be loaded: {' '.join(error.messages)}") from None


def _require_same_parameters(champion: Champion, theirs: Any, ours: Any) -> None:
    before, wanted = theirs.get_params(deep=False), ours.get_params(deep=False)
    # Values may be nan or estimators, which are not equal to their like.
    changed = [name for name in wanted if name not in OF_NO_MATTER and repr(wanted[name]) != repr(before.get(name))]
    if changed:
        raise Anew(f"{champion.name} has other parameters: {', '.join(changed)}")


def _require_same_preprocessing(champion: Champion, theirs: Pipeline, ours: Pipeline) -> None:
    """Raise Anew unless the fitted steps do with each column what those of this run would, a rarer category aside."""
    if [name for name, _ in theirs.steps] != [name for name, _ in ours.steps]:
        raise Anew(f"{champion.name} has another preprocessing")
    if len(ours.steps) == 1:
        return
    before, wanted = theirs.steps[0][1], ours.steps[0][1]
    if not isinstance(before, ColumnTransformer):
        raise Anew(f"{champion.name} has another preprocessing")
    if [(name, list(columns)) for name, _, columns in before.transformers] != [
        (name, list(columns)) for name, _, columns in wanted.transformers
    ]:
        raise Anew(f"{champion.name} takes other columns as numbers and as categories")
    for (name, one, columns), (_, other, _) in zip(before.transformers, wanted.transformers, strict=True):
        if name == "categories":
            both = zip(columns, one.categories, other.categories, strict=True)
            new = [
                f"{sorted(set(texts) - set(known))[0]!r} of {column!r}"
                for column, known, texts in both
                if set(texts) - set(known)
            ]
            if new:
                raise Anew(f"{champion.name} does not know all categories of the data: {', '.join(new[:5])}")
        elif repr(one) != repr(other):
            raise Anew(f"{champion.name} has another preprocessing")


def _require_room(champion: Champion, theirs: Any, ours: Any) -> None:
    if type(ours).__name__ not in ENSEMBLES:
        return
    have, most = len(theirs.estimators_), MOST_TIMES * ours.n_estimators
    if have + ours.n_estimators > most:
        raise Anew(
            f"{champion.name} has {have} members already, and {most} are the most: {MOST_TIMES} times n_estimators"
        )


def _go_on(found: Pipeline, wanted: Any, x: pd.DataFrame, y: Any) -> None:
    """Train the champion's estimator on, in place. Raises Anew with its words where it refuses the rows."""
    estimator, given = found.steps[-1][1], wanted.get_params(deep=False)
    try:
        rows = found[:-1].transform(x) if len(found.steps) > 1 else x
        if type(estimator).__name__ in SUMS:
            estimator.partial_fit(rows, y)
            return
        more: dict[str, Any] = {"warm_start": True}
        if type(estimator).__name__ in ENSEMBLES:
            more["n_estimators"] = len(estimator.estimators_) + given["n_estimators"]
        for name, value in BEST_SO_FAR.items():
            if getattr(estimator, name, None) is not None:
                setattr(estimator, name, value)
        estimator.set_params(**given | more)
        fit(Pipeline([("model", estimator)]), rows, y)
        estimator.set_params(warm_start=given["warm_start"])
    except StageError as error:
        raise Anew(f"{' '.join(error.messages)}") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise Anew(f"{type(estimator).__name__}: {error}") from None
