"""A graph that needs no other file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from modelmill_trainer.failure import StageError
from modelmill_trainer.models import OnnxModel
from modelmill_trainer.onnx_file import require_whole
from modelmill_trainer.watched import bare_environment


def outside() -> TensorProto:
    """Return weights that are to be read from a file."""
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    item = tensor.external_data.add()
    item.key, item.value = "location", "proc/self/environ"
    return tensor


def graph_of(*nodes: object, weights: TensorProto | None = None) -> GraphProto:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("x", "y")]
    weights = weights or numpy_helper.from_array(np.array([2.0], np.float32), "weights")
    return helper.make_graph(list(nodes) or [helper.make_node("Mul", ["x", "weights"], ["y"])], "g", ports[:1], ports[1:],
                             [weights])  # fmt: skip


def model_of(graph: GraphProto) -> ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def in_a_constant() -> ModelProto:
    return model_of(graph_of(helper.make_node("Constant", [], ["y"], value=outside())))


def in_a_branch() -> ModelProto:
    branch = graph_of(weights=outside())
    return model_of(graph_of(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=graph_of())))


def in_a_function() -> ModelProto:
    made = model_of(graph_of())
    node = helper.make_node("Constant", [], ["y"], value=outside())
    made.functions.append(helper.make_function("own", "f", [], ["y"], [node], [helper.make_opsetid("", 17)]))
    return made


def test_a_whole_model_is_taken() -> None:
    content = model_of(graph_of()).SerializeToString()
    require_whole(content)
    assert OnnxModel(content, ["x"], None, ()).task == "regression"


@pytest.mark.parametrize(
    "made", [model_of(graph_of(weights=outside())), in_a_constant(), in_a_branch(), in_a_function()],
    ids=["weights", "constant", "branch", "function"],
)  # fmt: skip
def test_weights_in_another_file_are_refused(made: ModelProto) -> None:
    with pytest.raises(StageError, match="keeps the weights 'weights' in another file") as caught:
        OnnxModel(made.SerializeToString(), ["x"], None, ())
    assert caught.value.reason == "ModelInvalid"


@pytest.mark.parametrize("content", [b"no graph", b"\x08", b"\xff" * 100])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(StageError, match="cannot be loaded") as caught:
        OnnxModel(content, ["x"], None, ())
    assert caught.value.reason == "ModelInvalid"


def test_the_runtime_of_graphs_collects_nothing_to_send(tmp_path: Path) -> None:
    """It would keep an identifier of the device and a queue of events in the home, or complain that it cannot."""
    (tmp_path / "model.onnx").write_bytes(model_of(graph_of()).SerializeToString())
    home = tmp_path / "home"
    home.mkdir()
    program = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
    command = [sys.executable, "-P", "-c", program, str(tmp_path / "model.onnx")]
    subprocess.run(command, env=bare_environment() | {"HOME": str(home)}, check=True, timeout=120)
    assert list(home.iterdir()) == []
