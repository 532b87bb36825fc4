"""ONNX graphs that do not end, take memory that the file does not have, or lead out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.support.hostile.files import WIDTH, Table

TABLE = Table("onnx")
ML = "ai.onnx.ml"


def graph(nodes: Sequence[NodeProto], constants: Sequence[TensorProto] = (), domain: str = ML) -> ModelProto:
    """Return a model from `x` to `y`."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, WIDTH])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    made = helper.make_graph(nodes, "g", inputs, outputs, initializer=list(constants))
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(domain, 3)], ir_version=8
    )


def tree(**changes: Any) -> ModelProto:
    """Return a model of one tree. changes: of its attributes, whole or (place, value)."""
    attributes: dict[str, Any] = {
        "nodes_treeids": [0] * 5, "nodes_nodeids": [0, 1, 2, 3, 4], "nodes_featureids": [0, 1, 0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"], "nodes_truenodeids": [1, 2, 0, 0, 0],
        "nodes_falsenodeids": [4, 3, 0, 0, 0], "nodes_values": [0.0, 0.5, 0.0, 0.0, 0.0], "target_treeids": [0] * 3,
        "target_nodeids": [2, 3, 4], "target_ids": [0] * 3, "target_weights": [1.0, 2.0, 3.0], "n_targets": 1,
    }  # fmt: skip
    for name, change in changes.items():
        if isinstance(change, tuple):
            attributes[name][change[0]] = change[1]
        else:
            attributes[name] = change
    return graph([helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, **attributes)])


def constant(name: str, value: Any) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def _add(name: str, words: str, made: ModelProto | bytes | Callable[[], bytes], **more: Any) -> None:
    def write(path: Path) -> None:
        content = made() if callable(made) else made
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())

    TABLE.add(name, words, write, **more)


def _sized(name: str, words: str, operator: str, inputs: list[str], *constants: TensorProto) -> None:
    _add(name, words, graph([helper.make_node(operator, inputs, ["y"])], constants))


SIZE = constant("s", np.array([1 << 16, 1 << 15], np.int64))
_sized("constant", "elements of each", "ConstantOfShape", ["s"], constant("s", np.array([1 << 30], np.int64)))
_sized("expand", "elements of each", "Expand", ["one", "s"], SIZE, constant("one", np.ones(1, np.float32)))
_sized("tile", "elements of each", "Tile", ["x", "s"], SIZE)
_sized("pad", "elements of each", "Pad", ["x", "s"], constant("s", np.array([0, 1 << 31, 0, 0], np.int64)))
_sized("resize", "times as long", "Resize", ["x", "", "s"], constant("s", np.array([3e4, 3e4], np.float32)))
_sized("resize-sizes", "elements of each", "Resize", ["x", "", "", "s"], SIZE)
_sized(
    "range",
    "elements",
    "Range",
    ["a", "b", "c"],
    *(constant(name, np.float32(value)) for name, value in zip("abc", (0, 1e10, 1), strict=True)),
)
_sized(
    "range-step",
    "no step",
    "Range",
    ["a", "b", "c"],
    *(constant(name, np.float32(value)) for name, value in zip("abc", (0, 1, 0), strict=True)),
)
_sized(
    "outer",
    "out of constants",
    "Add",
    ["a", "b"],
    constant("a", np.ones((1 << 16, 1), np.float32)),
    constant("b", np.ones((1, 1 << 16), np.float32)),
)
_sized(
    "matmul",
    "out of constants",
    "MatMul",
    ["a", "b"],
    constant("a", np.ones((1 << 16, 1), np.float32)),
    constant("b", np.ones((1, 1 << 16), np.float32)),
)
_sized("pad-sides", "elements of each", "Pad", ["x", "s"], constant("s", np.array([1 << 24] * 2 + [0] * 2, np.int64)))
_sized(
    "gather",
    "out of constants",
    "Gather",
    ["a", "b"],
    constant("a", np.ones((1, 1 << 16), np.float32)),
    constant("b", np.zeros(1 << 16, np.int64)),
)
_add(
    "gather-reshaped",
    "out of constants",
    graph(
        [helper.make_node("Reshape", ["a", "s"], ["c"]), helper.make_node("Gather", ["c", "b"], ["y"])],
        [
            constant("a", np.ones(1 << 16, np.float32)),
            constant("s", np.array([1, 1 << 16], np.int64)),
            constant("b", np.zeros(1 << 16, np.int64)),
        ],
    ),
)
_add(
    "einsum",
    "out of constants",
    graph(
        [helper.make_node("Einsum", ["a", "a"], ["y"], equation="i,j->ij")],
        [constant("a", np.ones(1 << 16, np.float32))],
    ),
)
_add(
    "concat-doubling",
    "out of constants",
    graph(
        [helper.make_node("Concat", [f"a{at}"] * 2, [f"a{at + 1}"], axis=0) for at in range(30)],
        [constant("a0", np.ones(1 << 16, np.float32))],
    ),
)
_sized("random", "none of the operators", "RandomNormalLike", ["x"])
_sized("sequence", "none of the operators", "SplitToSequence", ["x"])
_add("random-shape", "none of the operators", graph([helper.make_node("RandomNormal", [], ["y"], shape=[1 << 30])]))
_add(
    "window",
    "none of the operators",
    graph([helper.make_node("HannWindow", ["s"], ["y"])], [constant("s", np.int64(1 << 30))]),
)
_add(
    "onehot",
    "elements of each",
    graph(
        [helper.make_node("Cast", ["x"], ["i"], to=7), helper.make_node("OneHot", ["i", "s", "v"], ["y"])],
        [constant("s", np.array([1 << 30], np.int64)), constant("v", np.array([0, 1], np.float32))],
    ),
)
_add(
    "computed",
    "computed of constants",
    graph(
        [helper.make_node("Mul", ["s", "s"], ["t"]), helper.make_node("ConstantOfShape", ["t"], ["y"])],
        [constant("s", np.array([1 << 15], np.int64))],
    ),
)
_add(
    "constant-node",
    "elements of each",
    graph(
        [
            helper.make_node("Constant", [], ["s"], value_ints=[1 << 15, 1 << 15]),
            helper.make_node("ConstantOfShape", ["s"], ["y"]),
        ]
    ),
)


def _body() -> Any:
    names = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("on", 9))]
    carried = helper.make_tensor_value_info("held", TensorProto.FLOAT, None)
    nodes = [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Identity", ["held"], ["kept"])]
    outputs = [
        helper.make_tensor_value_info("still", 9, []),
        helper.make_tensor_value_info("kept", TensorProto.FLOAT, None),
    ]
    return helper.make_graph(nodes, "body", [*names, carried], outputs)


def _nested(depth: int) -> NodeProto:
    output = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    inner = _nested(depth - 1) if depth else helper.make_node("Identity", ["x"], ["y"])
    body = helper.make_graph([inner], "b", [], output)
    return helper.make_node("If", ["on"], ["y"], then_branch=body, else_branch=body)


def _tensor(**fields: Any) -> TensorProto:
    made = TensorProto(name="w", data_type=1)
    made.dims.extend(fields.pop("dims", [4]))
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _weights(tensor: TensorProto) -> ModelProto:
    return graph([helper.make_node("Add", ["x", "w"], ["y"])], [tensor])


def _external() -> ModelProto:
    tensor = _tensor(data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return _weights(tensor)


def _in_attribute() -> ModelProto:
    tensor = _tensor(data_location=1)
    return graph([helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["x", "w"], ["y"])])


def _functions() -> ModelProto:
    made = graph([helper.make_node("Abs", ["x"], ["y"])])
    made.functions.append(FunctionProto(name="f", domain=ML))
    return made


def _sparse() -> ModelProto:
    made = graph([helper.make_node("Add", ["x", "w"], ["y"])])
    made.graph.sparse_initializer.add().dims.extend([1 << 20, 1 << 20])
    return made


def _twice() -> bytes:
    """Return two graphs, which a parser would merge."""
    made = graph([helper.make_node("Abs", ["x"], ["y"])]).SerializeToString()
    return made + made


def _reference() -> ModelProto:
    node = helper.make_node("Abs", ["x"], ["y"])
    node.attribute.append(AttributeProto(name="a", type=AttributeProto.INT, ref_attr_name="b"))
    return graph([node])


TRUE = constant("on", np.array(True))
_add("loop", "none of the operators", graph([helper.make_node("Loop", ["", "on", "x"], ["y"], body=_body())], [TRUE]))
_add("nested", "deep", graph([_nested(5)], [TRUE]))
_add("graph-elsewhere", "holds a graph", graph([helper.make_node("Abs", ["x"], ["y"], body=_body())]))
_add("external", "in another file", _external())
_add("external-attribute", "in another file", _in_attribute())
_add("dims", "belong", _weights(_tensor(dims=[1 << 30])))
_add("dims-negative", "says the shape", _weights(_tensor(dims=[-4])))
_add("bytes", "bytes where 16 belong", _weights(_tensor(raw_data=b"12345678")))
_add("type", "unknown type", _weights(_tensor(data_type=99)))
_add("functions", "functions of its own", _functions())
_add("sparse", "sparse initializers", _sparse())
_add("reference", "attribute of a function", _reference())
_add(
    "domain",
    "only ai.onnx",
    graph([helper.make_node("Inverse", ["x"], ["y"], domain="com.microsoft")], domain="com.microsoft"),
)
_add("domain-node", "none of the operators", graph([helper.make_node("Inverse", ["x"], ["y"], domain="com.microsoft")]))
_add("graph-twice", "is there 2 times", _twice)
_add("no-graph", "has no graph", b"")
_add("no-message", "no ONNX model", b"\xff" * 40)
_add("truncated", "no ONNX model", lambda: tree().SerializeToString()[:-9])
_add("tree-feature", "feature beyond the 4", tree(nodes_featureids=(0, 10**9)))
_add("tree-feature-next", "feature beyond the 4", tree(nodes_featureids=(0, 4)))
_add("tree-feature-negative", "feature beyond the 4", tree(nodes_featureids=(0, -1)))
_add("tree-child", "no node of its tree", tree(nodes_truenodeids=(0, 77)))
_add("tree-cycle", "child of two", tree(nodes_falsenodeids=(1, 0)))
_add("tree-self", "child of two", tree(nodes_truenodeids=(1, 1)))
_add("tree-twice", "node twice", tree(nodes_nodeids=(3, 2)))
_add("tree-short", "other numbers of the rest", tree(nodes_truenodeids=[1]))
_add("tree-target", "beyond its 1 outputs", tree(target_ids=(0, 10**9)))
_add("tree-targets", "beyond its 1099511627776 outputs", tree(n_targets=1 << 40))
_add("tree-target-node", "none of its nodes", tree(target_nodeids=(0, 99)))
