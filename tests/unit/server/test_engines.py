"""Engines by value, against the libraries that made the models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import PairwiseKernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skops.io import dump

from modelmill.contracts.artifact import Tensor
from modelmill_server.engines import load_engine
from modelmill_server.engines.matrix import numbers, one_matrix
from modelmill_server.queries.columns import RejectedError, features_of
from tests.unit.server.loading import (
    frame_with_gaps,
    inputs,
    lists,
    load,
    outputs,
    refusal,
)

# --- skops

KERNEL = "sklearn.gaussian_process.kernels.PairwiseKernel"


def write_skops(estimator: Any, folder: Path) -> Path:
    dump(estimator, folder / "model.skops")
    return folder / "model.skops"


def test_skops_outputs_are_methods_by_name(tmp_path: Path) -> None:
    frame = frame_with_gaps().fillna(0.0)
    scaler = StandardScaler().fit(frame)
    path = write_skops(scaler, tmp_path)
    engine = load_engine("skops", path, features_of(inputs(frame)), (Tensor("transform", "FP64", (-1, 3)),), 1)
    for columns in (lists(frame), [frame[name].to_numpy() for name in frame], list(frame.to_numpy().T)):
        (got,) = engine.run(columns, ("transform",))
        np.testing.assert_allclose(got, scaler.transform(frame))
    assert "no method predict" in refusal("skops", path, frame)


def test_skops_transformer_of_text_answers_densely(tmp_path: Path) -> None:
    frame = pd.DataFrame({"colour": pd.Categorical(["red", "blue", "red"])})
    coder = OneHotEncoder().fit(frame.astype(object).to_numpy())
    output = (Tensor("transform", "FP64", (-1, 2)),)
    engine = load_engine("skops", write_skops(coder, tmp_path), features_of(inputs(frame)), output, 1)
    for column in (["red", "blue"], np.array(["red", "blue"], object)):
        (got,) = engine.run([column], ("transform",))
        assert np.asarray(got).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_skops_types_are_trusted_by_name_only(tmp_path: Path) -> None:
    frame = frame_with_gaps().fillna(0.0)
    pipeline = make_pipeline(StandardScaler(), GaussianProcessRegressor(PairwiseKernel(), optimizer=None)).fit(
        frame.to_numpy(), frame["b"]
    )
    path = write_skops(pipeline, tmp_path)
    message = refusal("skops", path, frame)
    assert f"types that are not trusted: {KERNEL};" in message
    engine = load("skops", path, frame, trusted=(KERNEL,))
    np.testing.assert_allclose(engine.run(lists(frame), ("predict",))[0], pipeline.predict(frame.to_numpy()))
    assert KERNEL in refusal("skops", path, frame, trusted=("sklearn.gaussian_process.kernels.CompoundKernel",))


def test_numeric_libraries_keep_to_the_threads(tmp_path: Path) -> None:
    frame = frame_with_gaps().fillna(0.0)
    path = write_skops(StandardScaler().fit(frame), tmp_path)
    code = (
        "from pathlib import Path; import threading; import numpy; from threadpoolctl import threadpool_info\n"
        "from modelmill.contracts.artifact import Tensor; from modelmill_server.queries.columns import features_of\n"
        "from modelmill_server.engines import load_engine\n"
        "features = features_of([Tensor(name, 'FP64', (-1,)) for name in 'abc'])\n"
        f"load_engine('skops', Path({str(path)!r}), features, [Tensor('transform', 'FP64', (-1, 3))], 1)\n"
        "show = lambda: print(sorted({(item['user_api'], item['num_threads']) for item in threadpool_info()}))\n"
        "show(); other = threading.Thread(target=show); other.start(); other.join()\n"
    )
    environment = {"PYTHONPATH": ":".join(place for place in sys.path if place)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == "[('blas', 1), ('openmp', 1)]\n" * 2


# --- Python


PREDICTOR = """
import numpy

class Predictor:
    def __init__(self, folder):
        self.factor = float((folder / "factor.txt").read_text())

    def predict(self, columns):
        return {"predict": columns["a"] * self.factor + columns["b"]}
"""


def write_predictor(folder: Path, source: str = PREDICTOR) -> Path:
    (folder / "factor.txt").write_text("2.5")
    (folder / "predictor.py").write_text(source)
    return folder / "predictor.py"


def test_a_predictor_runs_only_where_it_is_allowed(tmp_path: Path) -> None:
    frame = frame_with_gaps()
    marker = tmp_path / "executed"
    path = write_predictor(tmp_path, PREDICTOR + f"\nopen({str(marker)!r}, 'w').close()\n")
    assert "MODELMILL_ALLOW_PYTHON=1" in refusal("python", path, frame, reason="ConfigInvalid")
    assert not marker.exists()
    engine = load("python", path, frame, allow_python=True)
    assert marker.exists()
    for columns in (lists(frame), [frame[name].to_numpy() for name in frame]):
        (got,) = engine.run(columns, ("predict",))
        np.testing.assert_allclose(got, frame["a"] * 2.5 + frame["b"])
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_predictor_is_given_arrays_by_family(tmp_path: Path) -> None:
    source = """
class Predictor:
    def __init__(self, folder): pass
    def predict(self, columns):
        self.seen = {name: (column.dtype.str, column.tolist()) for name, column in columns.items()}
        return {"predict": columns["number"]}
"""
    tensors = (
        Tensor("number", "FP64", (-1,)),
        Tensor("whole", "INT32", (-1,), nullable=True),
        Tensor("flag", "BOOL", (-1,)),
        Tensor("word", "BYTES", (-1,), "categorical", True),
    )
    path = write_predictor(tmp_path, source)
    engine: Any = load_engine("python", path, features_of(tensors), outputs(()), 1, allow_python=True)
    engine.run([[1.5], [3], [True], [None]], ("predict",))
    assert engine._predictor.seen == {
        "number": ("<f8", [1.5]), "whole": ("<i4", [3]), "flag": ("|b1", [True]), "word": ("|O", [None]),
    }  # fmt: skip
    engine.run([[1.5, 2.5], [3, None], [True, False], ["x", None]], ("predict",))
    dtype, (three, gap) = engine._predictor.seen["whole"]
    assert (dtype, three, np.isnan(gap)) == ("<f8", 3.0, True)
    assert engine._predictor.seen["word"] == ("|O", ["x", None])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("[1.0]", "returned a list: it must be a dict of arrays"),
        ("{'other': columns['a']}", "returned 'other': 'predict' is missing"),
        ("{'predict': columns['a'][:-1]}", r"'predict' of shape \(239,\): it must be \(240,\)"),
        ("{'predict': columns['a'].reshape(-1, 1)}", r"of shape \(240, 1\): it must be \(240,\)"),
        ("{'predict': columns['a'].astype(str)}", "the signature says FP64"),
    ],
)
def test_a_predictor_that_answers_wrongly_is_told_how(answer: str, words: str, tmp_path: Path) -> None:
    frame = frame_with_gaps()
    source = (
        f"class Predictor:\n    def __init__(self, folder): pass\n    def predict(self, columns): return {answer}\n"
    )
    engine = load("python", write_predictor(tmp_path, source), frame, allow_python=True)
    with pytest.raises((ValueError, TypeError), match=words):
        engine.run(lists(frame), ("predict",))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1", "predictor.py has no class Predictor"),
        ("class Predictor:\n    def __init__(self, folder): pass", "has no method predict"),
        ("class Predictor:\n    def __init__(self, folder): raise OSError('no weights')", "has no method predict"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
        ("raise SystemExit('enough')", "SystemExit: enough"),
    ],
)
def test_a_predictor_that_cannot_be_loaded(source: str, words: str, tmp_path: Path) -> None:
    assert words in refusal("python", write_predictor(tmp_path, source), frame_with_gaps(), allow_python=True)


def test_files_beside_a_predictor_may_be_imported_and_replace_nothing(tmp_path: Path) -> None:
    (tmp_path / "beside_the_predictor.py").write_text("FACTOR = 3.0")
    (tmp_path / "json.py").write_text("raise SystemExit('imported instead of the standard library')")
    source = "import json\nfrom beside_the_predictor import FACTOR\n" + PREDICTOR.replace("self.factor +", "FACTOR +")
    frame = frame_with_gaps()
    try:
        engine = load("python", write_predictor(tmp_path, source), frame, allow_python=True)
        np.testing.assert_allclose(engine.run(lists(frame), ("predict",))[0], frame["a"] * 3.0 + frame["b"])
    finally:
        sys.path.remove(str(tmp_path))


# --- columns


def test_views_of_one_matrix_are_taken_without_a_copy() -> None:
    matrix = np.frombuffer(np.arange(30.0).tobytes(), np.float64).reshape(10, 3)
    columns = [matrix[:, place] for place in range(3)]
    whole = one_matrix(columns)
    assert np.shares_memory(whole, matrix)
    np.testing.assert_array_equal(whole, matrix)
    assert np.shares_memory(numbers(columns, np.float64), matrix)
    np.testing.assert_array_equal(numbers(columns, np.float32), matrix.astype(np.float32))


def test_other_columns_are_no_matrix() -> None:
    matrix = np.arange(30.0).reshape(10, 3)
    columns = [matrix[:, place] for place in range(3)]
    for other in (
        [columns[0], columns[2], columns[1]],
        columns[:2],
        [columns[0], columns[0], columns[0]],
        [columns[0], columns[1], columns[2].copy()],
        [columns[0], columns[1], columns[2].tolist()],
        [matrix[::2, place] for place in range(3)],
        [np.array(column) for column in columns],
        list(np.asfortranarray(matrix).T),
    ):
        assert one_matrix(other) is None
        np.testing.assert_array_equal(numbers(other, np.float64), np.array([list(column) for column in other]).T)


def test_lists_and_arrays_mix_and_gaps_become_nan() -> None:
    got = numbers([[1, None, 3], np.array([4.0, np.nan, 6.0]), np.array([7, 8, 9]), [True, False, None]], np.float32)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, [[1, 4, 7, 1], [np.nan, np.nan, 8, 0], [3, 6, 9, np.nan]])
    np.testing.assert_array_equal(numbers([[None], np.array([2.0])], np.float64), [[np.nan, 2.0]])


def onnx_of_whole_numbers(path: Path) -> None:
    from onnx import TensorProto, helper, save_model

    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["total"]), helper.make_node("Sub", ["a", "b"], ["rest"])],
        "sums",
        [helper.make_tensor_value_info(name, TensorProto.INT32, [None, 1]) for name in "ab"],
        [helper.make_tensor_value_info(name, TensorProto.INT32, [None, 1]) for name in ("total", "rest")],
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_onnx_outputs_of_any_name_and_whole_numbers(tmp_path: Path) -> None:
    onnx_of_whole_numbers(tmp_path / "model.onnx")
    features = features_of((Tensor("a", "FP64", (-1,)), Tensor("b", "INT64", (-1,), nullable=True)))
    wanted = (Tensor("rest", "INT32", (-1,)), Tensor("total", "INT32", (-1,)))
    engine = load_engine("onnx", tmp_path / "model.onnx", features, wanted, 1)
    for columns in ([[5.0, 7.0], [2, 3]], [np.array([5.0, 7.0]), np.array([2, 3])], [[5.0, 7.0], np.array([2.0, 3.0])]):
        rest, total = engine.run(columns, ("rest", "total"))
        assert (rest.reshape(-1).tolist(), total.reshape(-1).tolist()) == ([3, 4], [7, 10])
    for columns, words in (
        ([[5.5], [2]], "'a' is 5.5 at row 0: it must be a whole number"),
        ([[5.0], [None]], "'b' is None at row 0"),
        ([np.array([5.0, np.nan]), np.array([2, 3])], "'a' is None at row 1"),
        ([[5.0], [3_000_000_000]], "'b' has a number out of range"),
    ):
        with pytest.raises(RejectedError, match=words):
            engine.run(columns, ("rest",))


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    assert "no engine for the format 'pickle'" in refusal("pickle", tmp_path, frame_with_gaps())


def test_the_runtime_of_graphs_collects_nothing_to_send(tmp_path: Path) -> None:
    """It would keep an identifier of the device and a queue of events in the home, or complain that it cannot."""
    onnx_of_whole_numbers(tmp_path / "model.onnx")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from pathlib import Path; from modelmill.contracts.artifact import Tensor\n"
        "from modelmill_server.queries.columns import features_of; from modelmill_server.engines import load_engine\n"
        "features = features_of([Tensor(name, 'INT64', (-1,)) for name in 'ab'])\n"
        "load_engine('onnx', Path(sys.argv[1]), features, [Tensor('total', 'INT32', (-1,))], 1)\n"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "HOME": str(home)}
    subprocess.run([sys.executable, "-c", code, tmp_path / "model.onnx"], env=environment, check=True)
    assert list(home.iterdir()) == []


def onnx_that_is_wide(path: Path) -> None:
    """Write a graph with 8,000 bytes for each row between its two nodes."""
    from onnx import TensorProto, helper, numpy_helper, save_model

    wide = numpy_helper.from_array(np.ones((1, 2000), np.float32), "wide")
    nodes = [
        helper.make_node("MatMul", ["x", "wide"], ["hidden"]),
        helper.make_node("ReduceMax", ["hidden"], ["predict"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "wide", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("predict", TensorProto.FLOAT, [None])], [wide],
    )  # fmt: skip
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_onnx_gives_the_memory_of_a_large_request_back(tmp_path: Path) -> None:
    onnx_that_is_wide(tmp_path / "model.onnx")
    features = features_of((Tensor("x", "FP32", (-1,)),))
    engine = load_engine("onnx", tmp_path / "model.onnx", features, (Tensor("predict", "FP32", (-1,)),), 1)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    engine.run([[1.0]], ("predict",))
    before = resident()
    (found,) = engine.run([[1.0] * 20_000], ("predict",))  # 160 MB between its two nodes
    assert found.tolist() == [1.0] * 20_000
    assert resident() - before < 80 << 20


def test_onnx_takes_no_more_memory_than_the_container_has(tmp_path: Path) -> None:
    onnx_that_is_wide(tmp_path / "model.onnx")
    code = (
        "from pathlib import Path; import modelmill_server.settings as settings\n"
        "settings.memory_limit = lambda: 128 << 20\n"
        "from modelmill.contracts.artifact import Tensor; from modelmill_server.queries.columns import features_of\n"
        "from modelmill_server.engines import load_engine\n"
        f"path, features = Path({str(tmp_path / 'model.onnx')!r}), features_of([Tensor('x', 'FP32', (-1,))])\n"
        "engines = [load_engine('onnx', path, features, [Tensor('predict', 'FP32', (-1,))], 1) for _ in range(2)]\n"
        "for engine in engines:\n"
        "    for rows in (1, 20_000, 1_000):\n"
        "        try:\n"
        "            print(rows, len(engine.run([[1.0] * rows], ('predict',))[0]))\n"
        "        except Exception as error:\n"
        "            print(rows, 'vailable memory' in str(error))\n"
    )
    environment = {"PYTHONPATH": ":".join(place for place in sys.path if place)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == "1 1\n20000 True\n1000 1000\n" * 2
