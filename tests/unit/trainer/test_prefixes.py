"""What a trial reports on its way, and that the way leads to the model that a plain fit makes."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from sklearn.base import clone
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from modelmill_trainer import skops_file
from modelmill_trainer.estimators import forget_training
from modelmill_trainer.failure import StageError
from modelmill_trainer.prefixes import fit_by_prefixes
from modelmill_trainer.reporting import MOST_FAILED, Reporter

ESTIMATORS = [
    RandomForestClassifier(n_estimators=11, random_state=3),
    ExtraTreesClassifier(n_estimators=9, random_state=3),
    BaggingClassifier(n_estimators=9, random_state=3),
    GradientBoostingClassifier(n_estimators=9, subsample=0.7, random_state=3),
    GradientBoostingClassifier(n_estimators=30, n_iter_no_change=2, random_state=3),
    HistGradientBoostingClassifier(max_iter=9, random_state=3),
    HistGradientBoostingClassifier(max_iter=9, early_stopping=False, random_state=3),
    HistGradientBoostingClassifier(max_iter=30, early_stopping=True, n_iter_no_change=2, random_state=3),
    LogisticRegression(max_iter=30),
    SGDClassifier(loss="log_loss", max_iter=30, random_state=3),
    MLPClassifier((8,), max_iter=30, random_state=3),
]


def rows() -> tuple[pd.DataFrame, np.ndarray]:
    x, y = datasets.load_wine(return_X_y=True)
    return pd.DataFrame(x, columns=[f"c{place}" for place in range(x.shape[1])]), y


def pipeline(estimator: Any) -> Pipeline:
    return Pipeline([("scale", StandardScaler().set_output(transform="pandas")), ("model", estimator)])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: f"{type(one).__name__}")
def test_a_trial_by_prefixes_ends_in_the_model_of_a_plain_fit(estimator: Any, tmp_path: Path) -> None:
    x, y = rows()
    plain = pipeline(clone(estimator)).fit(x, y)
    reports: dict[int, float] = {}
    made = fit_by_prefixes(pipeline(clone(estimator)), x, y, lambda one: one.score(x, y), reports.__setitem__)
    assert np.array_equal(made.predict_proba(x), plain.predict_proba(x))
    assert made.get_params(deep=True).keys() == plain.get_params(deep=True).keys()
    assert made.steps[-1][1].get_params() == plain.steps[-1][1].get_params()
    assert next(iter(reports)) == 1
    assert len(reports) >= 2
    for step, value in reports.items():
        name = "n_estimators" if "n_estimators" in estimator.get_params() else "max_iter"
        assert value == pipeline(clone(estimator).set_params(**{name: step})).fit(x, y).score(x, y)
    assert left(made, tmp_path / "made") == left(plain, tmp_path / "plain")


def left(model: Pipeline, path: Path) -> bytes:
    """Return the bytes of the model as the train stage leaves them."""
    forget_training(model.steps[-1][1])
    skops_file.write(model, path)
    return path.read_bytes()


def test_an_estimator_without_iterations_reports_nothing() -> None:
    x, y = rows()
    reports: dict[int, float] = {}
    made = fit_by_prefixes(pipeline(GaussianNB()), x, y, lambda one: one.score(x, y), reports.__setitem__)
    assert made.score(x, y) > 0.9
    assert reports == {}


def test_what_cannot_be_measured_ends_the_reports_and_not_the_training() -> None:
    def measure(_: Pipeline) -> float:
        raise StageError("ModelInvalid", "it predicts infinity")

    x, y = rows()
    reports: dict[int, float] = {}
    made = fit_by_prefixes(pipeline(RandomForestClassifier(8, random_state=0)), x, y, measure, reports.__setitem__)
    assert len(made.steps[-1][1].estimators_) == 8
    assert reports == {}


class Operator(http.server.BaseHTTPRequestHandler):
    """Answers with the next of `codes`, the last one for ever."""

    codes: list[int]
    bodies: list[tuple[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.headers["Authorization"], json.loads(body)))
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def operator() -> Iterator[tuple[str, type[Operator]]]:
    handler = type("Handler", (Operator,), {"codes": [204], "bodies": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/trials/report", handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret\n")
    return path


def test_a_report_goes_to_the_operator(operator: tuple[str, type[Operator]], token: Path) -> None:
    url, handler = operator
    Reporter(url, token).report(3, 0.5)
    assert handler.bodies == [("Bearer secret", {"step": 3, "value": 0.5})]


def test_a_replica_that_does_not_lead_is_asked_again(operator: tuple[str, type[Operator]], token: Path) -> None:
    url, handler = operator
    handler.codes = [503, 503, 204]
    sender = Reporter(url, token, wait=0.0)
    sender.report(3, 0.5)
    assert len(handler.bodies) == 3
    assert sender.failed == 0


def test_errors_are_told_once_and_end_by_themselves(
    operator: tuple[str, type[Operator]], token: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, handler = operator
    handler.codes = [403]
    sender = Reporter(url, token, wait=0.0)
    for step in range(20):
        sender.report(step, 0.5)
    assert len(handler.bodies) == MOST_FAILED
    assert capsys.readouterr().out.count("not reported, which only delays pruning: HTTP Error 403") == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "no url", "file:///x", "http://[bad/x"])
def test_nothing_that_goes_wrong_fails_the_training(url: str, token: Path) -> None:
    Reporter(url, token, wait=0.0).report(0, 0.5)
    Reporter(url, token.parent / "none", wait=0.0).report(0, 0.5)
    Reporter(url, token, wait=0.0).report(0, float("nan"))
