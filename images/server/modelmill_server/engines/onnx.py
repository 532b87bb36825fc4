"""ONNX graphs, by onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from modelmill.contracts.artifact import Tensor
from modelmill_server.engines.engine import unloadable
from modelmill_server.engines.matrix import numbers
from modelmill_server.queries.columns import Column, Feature, bad
from modelmill_server.settings import memory_limit

NUMPY_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(bool)": np.bool_,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(int16)": np.int16, "tensor(int8)": np.int8,
    "tensor(uint64)": np.uint64, "tensor(uint32)": np.uint32, "tensor(uint16)": np.uint16, "tensor(uint8)": np.uint8,
    "tensor(string)": np.object_,
}  # fmt: skip
FLOATS = (np.float32, np.float64, np.float16)
ROWS_KEPT = 4096  # the memory that more rows needed is given back after the run, which costs taking it anew
ARENA_SHARE = 0.75  # of the container's memory limit, for weights and what a run needs
MISSING_TEXT = ""  # ONNX strings have no missing value; the converters read the empty one as missing


class OnnxEngine:
    """An ONNX graph: one graph input per feature, of shape [rows, 1], or a single one of [rows, features]."""

    def __init__(self, path: Path, features: tuple[Feature, ...], outputs: Sequence[Tensor], threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A spinning thread burns the CPU limit of the pod between requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        limit = memory_limit()
        if limit is not None:
            _bound_arena(int(ARENA_SHARE * limit))
            options.add_session_config_entry("session.use_env_allocators", "1")
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._giving_back = onnxruntime.RunOptions()
        self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._features = features
        graph = self._session.get_inputs()
        for item in graph:
            if item.type not in NUMPY_TYPES:
                raise unloadable(f"{path.name}: input {item.name!r} has the unsupported type {item.type}")
        self._matrix = len(graph) == 1 and len(features) > 1
        if not self._matrix and len(graph) != len(features):
            raise unloadable(f"{path.name} has {len(graph)} inputs, the manifest's signature {len(features)}")
        by_name = {item.name: item for item in graph}
        named = all(feature.name in by_name for feature in features)
        ordered = [by_name[feature.name] for feature in features] if named else list(graph)
        self._inputs = [(item.name, NUMPY_TYPES[item.type]) for item in ordered]
        self._outputs = self._output_names(outputs)

    def _output_names(self, outputs: Sequence[Tensor]) -> dict[str, str]:
        graph_outputs = [item.name for item in self._session.get_outputs()]
        if all(tensor.name in graph_outputs for tensor in outputs):
            return {tensor.name: tensor.name for tensor in outputs}
        if len(graph_outputs) < len(outputs):
            raise unloadable(f"the model has {len(graph_outputs)} outputs, the signature {len(outputs)}")
        return {tensor.name: name for tensor, name in zip(outputs, graph_outputs, strict=False)}

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array (or list of dictionaries, for a ZipMap) per wanted output."""
        if self._matrix:
            name, kind = self._inputs[0]
            feed = {name: self._whole_matrix(columns, kind)}
        else:
            feed = {
                name: _tensor(column, kind, feature)
                for (name, kind), column, feature in zip(self._inputs, columns, self._features, strict=True)
            }
        options = self._giving_back if len(columns[0]) > ROWS_KEPT else None
        return list(self._session.run([self._outputs[name] for name in wanted], feed, options))

    def _whole_matrix(self, columns: list[Column], kind: Any) -> Any:
        if kind in FLOATS:
            return numbers(columns, kind)
        pairs = zip(columns, self._features, strict=True)
        return np.concatenate([_tensor(column, kind, feature) for column, feature in pairs], axis=1)


@cache
def _bound_arena(most: int) -> None:
    """Let all sessions of this process together take at most `most` bytes: a run that needs more fails, and no other.

    How large a tensor becomes may depend on the request, which no look at the file tells.
    """
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg({"max_mem": most}))


def _tensor(column: Column, kind: Any, feature: Feature) -> Any:
    """Return a column as an array [rows, 1]. Raises RejectedError for a value that the type cannot hold."""
    if kind is np.object_:
        column = [MISSING_TEXT if value is None else str(value) for value in column]
    elif kind not in FLOATS and (feature.nullable or feature.family == "float"):
        _require_whole(column, feature)
    try:
        return np.ascontiguousarray(column, kind).reshape(-1, 1)
    except OverflowError:
        raise bad(f"input {feature.name!r} has a number out of range for the model", feature.name, "range") from None


def _require_whole(column: Column, feature: Feature) -> None:
    """Raise RejectedError for a missing value or a fraction, which whole numbers and truth values have no form for."""
    array = np.asarray(column, np.float64)
    wrong = ~(array == np.trunc(array))
    if wrong.any():
        row = int(wrong.argmax())
        value = None if np.isnan(array[row]) else float(array[row])
        raise bad(f"input {feature.name!r} is {value!r} at row {row}: it must be a whole number", feature.name, "type")
