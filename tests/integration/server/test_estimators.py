"""Served outputs equal scikit-learn's own for the table of docs/reference/estimators.md, for rows that no stage has seen."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hack.estimators.cases import Case, all_cases
from hack.estimators.runs import Prepared, expected, fit, prepare, publish_and_serve, request_body
from hack.estimators.table import NEITHER, PATH, rows, told
from tests.support.model_server import Launcher

CASES = all_cases()
BY_NAME = {(case.name, case.data): case for case in CASES}
OVER_HTTP = [
    ("RandomForestClassifier(n_estimators=20, random_state=0)", "tumours"),
    ("Auto, GradientBoostingRegressor(n_estimators=50, random_state=0)", "cars"),
    ("HistGradientBoostingRegressor", "cars, numbers"),
    ("TransformedTargetRegressor of a pipeline with columns", "cars"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prepared]:
    """A data set by name, fetched once."""
    return cache(lambda name: prepare(name, tmp_path_factory.mktemp("data") / "work"))


@pytest.mark.parametrize("case", CASES, ids=[f"{case.data}-{case.name}"[:80] for case in CASES])
def test_the_table_is_true(
    case: Case, data: Callable[[str], Prepared], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "modelmill_server")  # edge rows that a model refuses
    served = publish_and_serve(case, data(case.data), tmp_path)
    assert served.wrong == 0
    row = rows()[case.name, case.data]
    assert (served.form or NEITHER, told(served)) == (row.form, row.reason)
    assert served.edges.keys() <= row.edges, served.edges


def test_the_table_has_every_estimator_once() -> None:
    assert len(BY_NAME) == len(CASES)
    assert list(rows()) == list(BY_NAME)
    forms = Counter(row.form for row in rows().values())
    assert forms["onnx"] + forms["skops"] >= 50
    assert f"{len(CASES)} estimators" in PATH.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OVER_HTTP, ids=[name for name, _ in OVER_HTTP])
def test_a_server_process_gives_the_same(
    name: tuple[str, str], data: Callable[[str], Prepared], tmp_path: Path, launch: Launcher
) -> None:
    case, prepared = BY_NAME[name], data(name[1])
    form = publish_and_serve(case, prepared, tmp_path).form
    answer = launch(tmp_path).post("/v2/models/demo/infer", request_body(prepared.facts, prepared.asked))
    assert answer.status == 200, answer.body
    assert form == rows()[name].form
    wanted = expected(fit(case, prepared), prepared.asked)
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert outputs.keys() == wanted.keys()
    for output, values in wanted.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(outputs[output], values.reshape(-1), rtol=1e-4, atol=1e-4 * values.std())
        else:
            assert outputs[output] == values.tolist()
