"""An estimator's way from fitting to an answer: the stages publish it, the server's own classes load it and answer."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import sklearn

from hack.estimators.cases import Case
from hack.estimators.data import TARGET, table
from modelmill.contracts.artifact import Golden
from modelmill.contracts.stage import Data, StageSpec, Store
from modelmill_server.core.service import Loaded
from modelmill_server.failure import StartError
from modelmill_server.http.messages import Answer, write_error
from modelmill_server.lifecycle import load
from modelmill_server.protocols.dialects import Dialects
from modelmill_server.settings import Settings
from modelmill_trainer import evaluation, fetch, skops_file
from modelmill_trainer.decimals import decimal
from modelmill_trainer.estimators import forget_training, needs_scaling
from modelmill_trainer.failure import StageError
from modelmill_trainer.folders import Folders
from modelmill_trainer.kinds import BOOLEAN, NUMBER, TEXT, model_frame, target_values
from modelmill_trainer.models import Outputs
from modelmill_trainer.preprocessing import choose, pipeline
from modelmill_trainer.signature import DATATYPES
from modelmill_trainer.tables import read_rows

ASKED_EVERY = 5  # of five rows one is kept from every stage, to be asked of the server
TIED = 1e-12  # chances that are nearer differ by the order in which they were added


@dataclass
class Prepared:
    """A data set after the fetch stage. x, y: what an estimator is fitted on. asked: rows that no stage has seen."""

    spec: StageSpec
    folders: Folders
    facts: dict[str, Any]
    x: pd.DataFrame
    y: Any
    asked: pd.DataFrame


@dataclass
class Served:
    """What became of an estimator.

    form: onnx or skops; empty when it cannot be published or served, for the `reason`. largest: greatest difference of a number
    for the rows asked; absolute: its tolerance. wrong: answers out of the tolerance or other labels, for these rows. edges: by
    kind of edge row, what disagreed.
    """

    task: str
    form: str
    reason: str
    largest: float = 0.0
    absolute: float = 0.0
    wrong: int = 0
    edges: dict[str, str] = field(default_factory=dict)


def prepare(name: str, work: Path) -> Prepared:
    """Run the fetch stage on a data set."""
    rows = table(name)
    rows = rows[rows[TARGET].notna()].sample(frac=1.0, random_state=0).reset_index(drop=True)
    asked = rows.iloc[::ASKED_EVERY]
    source = work / "data"
    source.mkdir(parents=True)
    rows.drop(index=asked.index).to_csv(source / "rows.csv", index=False)
    spec = StageSpec(
        namespace="demo", training_job="table", run=1, run_uid="uid", model="demo", version="demo-1",
        store=Store(f"file://{work}/store"), data=Data(f"file://{source}", "csv", TARGET),
    )  # fmt: skip
    folders = Folders(work / "input", work / "holdout", work / "output", work / "output" / "metrics.json")
    with contextlib.redirect_stdout(io.StringIO()):
        fetch.fetch(spec, folders)
    folders.output.mkdir()
    facts = json.loads(folders.snapshot.read_bytes())
    kinds, features = facts["kinds"], facts["features"]
    train = read_rows(folders.train("csv"), "csv", kinds)
    y = target_values(train[TARGET], kinds[TARGET])
    if rows[TARGET].dtype == bool:
        y = y.astype(bool)  # as a notebook has it; the built-in train stage has 0 and 1
    return Prepared(spec, folders, facts, model_frame(train, features, kinds), y, model_frame(asked, features, kinds))


def fit(case: Case, data: Prepared) -> Any:
    """Return the fitted estimator, as the built-in train stage or somebody's own would leave it."""
    estimator = sklearn.base.clone(case.estimator)
    if case.auto:
        plan = choose(data.x, data.facts["kinds"], data.facts["features"])
        estimator = pipeline(plan, estimator, scale=needs_scaling(estimator))
    y = np.column_stack([data.y, np.sqrt(data.y)]) if case.targets == 2 else data.y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(data.x, y)
    if case.auto:
        forget_training(estimator[-1])
    return estimator


def publish_and_serve(case: Case, data: Prepared, folder: Path) -> Served:
    """Publish the estimator into `folder`, load it as the server does, and compare its answers with the estimator's."""
    estimator = fit(case, data)
    task = "regression"
    if sklearn.base.is_classifier(estimator):
        task = f"{len(estimator.classes_)} classes of {_spoken(estimator.classes_[0])}"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), warnings.catch_warnings(), sklearn.config_context():
        warnings.simplefilter("ignore")
        try:
            skops_file.write(estimator, data.folders.output / "model.skops")
            measured = evaluation.measure(data.spec, data.folders)
            # Neither is part of an answer, and they take half of the time.
            with (
                mock.patch.object(evaluation, "render", return_value="<html></html>"),
                mock.patch.object(evaluation, "permutation_importance", return_value={}),
            ):
                form = evaluation.write_artifact(measured, folder)
            loaded, dialects = load(Settings(folder=folder, warmup_requests=1))
        except StageError as error:
            return Served(task, "", " ".join(error.messages))
        except StartError as error:
            return Served(task, "", f"published, but the server does not start: {error}")
        reason = next(
            line.removeprefix("evaluate: ") for line in said.getvalue().splitlines() if "ONNX conversion" in line
        )
        found = Served(task, form, reason, absolute=loaded.model.artifact.golden.absolute)
        asking = Asking(loaded, dialects, loaded.model.artifact.golden, estimator, data)
        found.wrong, found.largest = asking.compare(data.asked)
        for what, rows in edge_rows(data):
            problem = asking.problem(rows)
            if problem:
                found.edges[what] = problem
        return found


@dataclass
class Asking:
    """Asks the server and the estimator for the same rows."""

    loaded: Loaded
    dialects: Dialects
    golden: Golden
    estimator: Any
    data: Prepared

    def answer(self, rows: pd.DataFrame) -> Answer:
        """Return the server's answer to a V2 request for rows."""
        try:
            return self.loaded.execution.perform(self.dialects.v2, (request_body(self.data.facts, rows), None))
        except Exception as error:
            told = self.loaded.execution.rejected(error)
            return write_error(told.status, told.message)

    def compare(self, rows: pd.DataFrame) -> tuple[int, float]:
        """Return how many values of the answer are wrong and the greatest difference of a number. Fails without an answer."""
        status, body, _ = self.answer(rows)
        assert status == 200, body
        return self._differences(expected(self.estimator, rows), json.loads(body))

    def problem(self, rows: pd.DataFrame) -> str:
        """Return in what the answers disagree, or an empty text. To refuse the rows is an answer as well."""
        status, body, _ = self.answer(rows)
        try:
            wanted = expected(self.estimator, rows)
        except Exception:  # an estimator may raise anything
            return "" if status != 200 else "the estimator refuses them, the server answers"
        if status != 200:
            return f"the estimator answers, the server does not ({status})"
        if not all(np.isfinite(values).all() for values in wanted.values() if values.dtype.kind == "f"):
            return ""  # infinity has no form in JSON
        wrong, _ = self._differences(wanted, json.loads(body))
        return f"{wrong} of {sum(values.size for values in wanted.values())} values differ" if wrong else ""

    def _differences(self, wanted: Outputs, answer: dict[str, Any]) -> tuple[int, float]:
        wrong, largest = 0, 0.0
        got = {output["name"]: output["data"] for output in answer["outputs"]}
        assert got.keys() == wanted.keys()
        for name, values in wanted.items():
            flat = values.reshape(-1)
            if flat.dtype.kind != "f":
                pairs = enumerate(zip(got[name], flat.tolist(), strict=True))
                wrong += sum(
                    (a != b or type(a) is not type(b)) and not self._tied(wanted, n, a, b) for n, (a, b) in pairs
                )
                continue
            gap = np.abs(np.array(got[name], np.float64) - flat)
            wrong += int((~(gap <= self.golden.absolute + self.golden.relative * np.abs(flat))).sum())
            largest = max(largest, float(gap.max()))
        return wrong, largest

    def _tied(self, wanted: Outputs, row: int, label: Any, other: Any) -> bool:
        """Return whether the estimator gives both labels the same chance in this row."""
        known = self.estimator.classes_.tolist()
        if "predict_proba" not in wanted or label not in known or type(label) is not type(other):
            return False
        chances = wanted["predict_proba"][row]
        return bool(abs(chances[known.index(label)] - chances[known.index(other)]) < TIED)


def expected(estimator: Any, rows: pd.DataFrame) -> Outputs:
    """Return the estimator's own outputs for a data frame."""
    found = {"predict": np.asarray(estimator.predict(rows)).reshape(len(rows))}
    if hasattr(estimator, "predict_proba"):
        found["predict_proba"] = estimator.predict_proba(rows)
    return found


def request_body(facts: dict[str, Any], rows: pd.DataFrame) -> bytes:
    """Return a V2 request for rows."""
    inputs = [
        {
            "name": str(name),
            "shape": [len(rows)],
            "datatype": DATATYPES[facts["kinds"][name]],
            "data": [None if value != value else value for value in _values(rows[name], facts["kinds"][name])],
        }
        for name in rows.columns
    ]
    return json.dumps({"inputs": inputs}).encode()


def _values(column: pd.Series, kind: str) -> list[Any]:
    return [bool(value) if kind == BOOLEAN and value == value else value for value in column.tolist()]


def edge_rows(data: Prepared) -> list[tuple[str, pd.DataFrame]]:
    """Return rows, by kind, of which training saw nothing like."""
    random = np.random.default_rng(0)
    kinds, seen = data.facts["kinds"], data.x
    numbers = [name for name in data.asked if kinds[name] == NUMBER]
    texts = [name for name in data.asked if kinds[name] == TEXT]
    gaps = [name for name in data.asked if data.facts["missing"][name]]

    def changed(columns: list[str], made: Any) -> pd.DataFrame:
        rows = data.asked.copy()
        for name in columns:
            rows[name] = made(rows[name], seen[name].dropna())
        return rows

    def splits(rows: pd.Series, known: pd.Series) -> Any:
        ordered = np.unique(known)
        if len(ordered) < 2:
            return rows
        return [decimal(half) for half in random.choice((ordered[1:] + ordered[:-1]) / 2, len(rows))]

    def beside(rows: pd.Series, known: pd.Series) -> Any:
        return np.asarray(splits(rows, known)) * (1 + random.choice([-1e-9, 1e-9], len(rows)))

    def gapped(rows: pd.Series, known: pd.Series) -> Any:
        return rows.mask(random.random(len(rows)) < 0.3)

    found = []
    if numbers:
        found = [
            ("at splits", changed(numbers, splits)),
            ("beside splits", changed(numbers, beside)),
            ("times 1e6", changed(numbers, lambda rows, _: rows * 1e6)),
            ("times 1e9", changed(numbers, lambda rows, _: rows * 1e9)),
            ("negative", changed(numbers, lambda rows, _: -rows)),
        ]
    if texts:
        found += [
            ("new text", changed(texts, lambda rows, _: "neu \u00e9\u4e2d")),
            ("empty text", changed(texts, lambda rows, _: "")),
            ("text 'nan'", changed(texts, lambda rows, _: "nan")),
        ]
    if gaps:
        found.append(("more gaps", changed(gaps, gapped)))
    return found


def _spoken(label: Any) -> str:
    return {"U": "text", "O": "text", "i": "whole numbers", "b": "truth values"}[np.asarray(label).dtype.kind]
