"""model.onnx: one file that needs no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

from modelmill_trainer.failure import StageError


def require_whole(content: bytes) -> None:
    """Raise StageError (ModelInvalid) when the graph is none, or keeps weights in other files.

    The runtime would look for those below the folder where the process was started, among files that are not the model's.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors have no public name here
        raise StageError("ModelInvalid", f"the ONNX model cannot be loaded: {error}") from None
    nodes = [node for function in model.functions for node in function.node]
    for tensor in (*_tensors(model.graph), *_of_nodes(nodes)):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise StageError(
                "ModelInvalid",
                f"the ONNX model keeps the weights {tensor.name!r} in another file: leave one file with all of them",
            )


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for item in node.attribute:
            yield from (item.t, *item.tensors, item.sparse_tensor.values, item.sparse_tensor.indices)
            for sparse in item.sparse_tensors:
                yield from (sparse.values, sparse.indices)
            for graph in (item.g, *item.graphs):
                yield from _tensors(graph)
