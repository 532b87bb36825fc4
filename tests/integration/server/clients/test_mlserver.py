"""`mlserver infer` sends files of requests and writes the values of scikit-learn."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hack.artifacts import column_of, datatype_of
from tests.integration.server.clients.environment import clean_environ, environment
from tests.integration.server.clients.served import DATATYPES, Served

Get = Callable[[str], Served]


def infer(server: Served, folder: Path, lines: list[Any], *options: str, model: str | None = None) -> list[Any]:
    """Return what the command writes for each line, in the order of the lines."""
    source, target = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    tool = environment("mlserver") / "bin" / "mlserver"
    where = ["-u", server.url("http"), "-m", model or server.name, "-i", str(source), "-o", str(target)]
    done = subprocess.run(
        [tool, "infer", *where, *options], env=clean_environ(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in target.read_text().splitlines()]
    places = [answer["parameters"]["batch_index"] for answer in answers]
    assert sorted(places) == list(range(len(lines))), done.stdout + done.stderr
    return [answers[places.index(place)] for place in range(len(lines))]


def request(rows: pd.DataFrame, **more: Any) -> dict[str, Any]:
    """Return a request of columns of shape [rows, 1], as mlserver's own codecs make them."""
    return more | {
        "inputs": [
            {"name": name, "shape": [len(rows), 1], "datatype": datatype_of(rows[name]), "data": column_of(rows[name])}
            for name in rows
        ]
    }


def assert_answer(server: Served, answer: Any, rows: pd.DataFrame, names: list[str] | None = None) -> None:
    assert "error" not in answer, answer
    assert (answer["model_name"], answer["model_version"]) == (server.name, server.version)
    wanted = server.wanted(rows)
    assert [output["name"] for output in answer["outputs"]] == (names or list(wanted))
    for output in answer["outputs"]:
        values = wanted[output["name"]]
        assert output["datatype"] == (DATATYPES[server.name] if output["name"] == "predict" else "FP64")
        assert output["shape"] == (list(values.shape) if values.ndim > 1 else [len(values), 1])  # as its codec says it
        if values.dtype.kind == "f":
            np.testing.assert_allclose(output["data"], values.reshape(-1), rtol=1e-4, atol=1e-4)
        else:
            assert output["data"] == values.tolist()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *itertools.product(
            ["flowers", "vehicles"], [(), ("-b",), ("-s", "7", "-w", "3"), ("-b", "-s", "7", "-w", "3")]
        ),
        ("flags", ("-b",)),
        ("numbers", ("-s", "7")),
    ],
)
def test_each_line_has_its_values(served: Get, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    server = served(name)
    spans = [server.frame.dropna().iloc[start : start + 1 + start % 4] for start in range(40)]
    answers = infer(server, tmp_path, [request(rows, id=f"line-{n}") for n, rows in enumerate(spans)], *options)
    for place, (rows, answer) in enumerate(zip(spans, answers, strict=True)):
        assert answer["id"] == f"line-{place}"
        assert_answer(server, answer, rows)


def test_lines_may_name_outputs_and_have_no_id(served: Get, tmp_path: Path) -> None:
    server = served("flowers")
    rows = server.frame.iloc[100:105]
    lines = [request(rows), request(rows, outputs=[{"name": "predict"}])]
    answers = infer(server, tmp_path, lines)
    assert_answer(server, answers[0], rows)
    assert_answer(server, answers[1], rows, ["predict"])


def test_a_wrong_line_has_our_words_and_spoils_no_other(served: Get, tmp_path: Path) -> None:
    server = served("vehicles")
    rows = server.frame.iloc[1:4]
    wrong = request(rows)
    wrong["inputs"] = wrong["inputs"][:2]
    answers = infer(server, tmp_path, [request(rows), wrong, request(rows)], "-r", "1")
    assert_answer(server, answers[0], rows)
    assert "'origin'" in answers[1]["error"]["msg"]
    assert_answer(server, answers[2], rows)


def test_an_unknown_model_is_said_in_each_line(served: Get, tmp_path: Path) -> None:
    server = served("vehicles")
    answers = infer(server, tmp_path, [request(server.frame.iloc[1:3])], "-r", "1", model="tulips")
    assert "unknown model 'tulips'" in answers[0]["error"]["msg"]
