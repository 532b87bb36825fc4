"""What computes predictions: onnxruntime for ONNX files, scikit-learn for skops files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from modelmill.contracts.artifact import SKOPS_TRUSTED, Tensor
from modelmill_server.columns import TEXT, Column, Feature, bad
from modelmill_server.failure import StartError

NUMPY_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(bool)": np.bool_,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(int16)": np.int16, "tensor(int8)": np.int8,
    "tensor(uint64)": np.uint64, "tensor(uint32)": np.uint32, "tensor(uint16)": np.uint16, "tensor(uint8)": np.uint8,
    "tensor(string)": np.object_,
}  # fmt: skip
MISSING_TEXT = ""  # ONNX strings have no missing value; the converters read the empty one as missing


class Engine(Protocol):
    """A loaded model."""

    name: str

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array per wanted output for the columns of all features. Raises whatever the model raises."""


class OnnxEngine:
    """An ONNX graph on the CPU: one graph input per feature, of shape [rows, 1], or a single one of [rows, features]."""

    def __init__(self, path: Path, features: tuple[Feature, ...], outputs: Sequence[Tensor], threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A spinning thread burns the CPU limit of the pod between requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._features = features
        graph = self._session.get_inputs()
        for item in graph:
            if item.type not in NUMPY_TYPES:
                raise StartError(
                    "ModelLoadFailed", f"{path.name}: input {item.name!r} has the unsupported type {item.type}"
                )
        self._matrix = len(graph) == 1 and len(features) > 1
        if not self._matrix and len(graph) != len(features):
            raise StartError(
                "ModelLoadFailed", f"{path.name} has {len(graph)} inputs, the manifest's signature {len(features)}"
            )
        by_name = {item.name: item for item in graph}
        named = all(feature.name in by_name for feature in features)
        ordered = [by_name[feature.name] for feature in features] if named else list(graph)
        self._inputs = [(item.name, NUMPY_TYPES[item.type]) for item in ordered]
        self._outputs = self._output_names(outputs)

    def _output_names(self, outputs: Sequence[Tensor]) -> dict[str, str]:
        found = [item.name for item in self._session.get_outputs()]
        if all(tensor.name in found for tensor in outputs):
            return {tensor.name: tensor.name for tensor in outputs}
        if len(found) < len(outputs):
            raise StartError("ModelLoadFailed", f"the model has {len(found)} outputs, the signature {len(outputs)}")
        return {tensor.name: name for tensor, name in zip(outputs, found, strict=False)}

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array (or list of dictionaries, for a ZipMap) per wanted output."""
        if self._matrix:
            name, kind = self._inputs[0]
            feed = {name: np.ascontiguousarray(np.array(columns, kind).T)}
        else:
            feed = {
                name: _tensor(column, kind, feature)
                for (name, kind), column, feature in zip(self._inputs, columns, self._features, strict=True)
            }
        return list(self._session.run([self._outputs[name] for name in wanted], feed))


def _tensor(column: Column, kind: Any, feature: Feature) -> Any:
    if kind is np.object_:
        column = [MISSING_TEXT if value is None else str(value) for value in column]
    elif kind is np.int64 and feature.family != "int":
        column = [_whole(value, feature) for value in column]
    return np.array(column, kind).reshape(-1, 1)


def _whole(value: Any, feature: Feature) -> int:
    if value is None or value != int(value):
        raise bad(f"input {feature.name!r} is {value!r}: it must be a whole number", feature.name, "type")
    return int(value)


class SkopsEngine:
    """A scikit-learn estimator from a skops file that holds trusted types only: skops' own, and `SKOPS_TRUSTED`.

    It is given a float64 array when every feature is numeric, else an object array, NaN where missing.
    """

    def __init__(self, path: Path, features: tuple[Feature, ...]) -> None:
        import skops.io
        from sklearn import __version__, set_config

        untrusted = [name for name in skops.io.get_untrusted_types(file=path) if name not in SKOPS_TRUSTED]
        if untrusted:
            raise StartError("ModelLoadFailed", f"{path.name} holds types that are not trusted: {', '.join(untrusted)}")
        self.name = f"scikit-learn {__version__}"
        self._model: Any = skops.io.load(path, trusted=list(SKOPS_TRUSTED))
        self._text = any(feature.family == TEXT for feature in features)
        # The input is an array by construction, and infinite values never get here.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        set_config(assume_finite=False, skip_parameter_validation=True)
        select_by_position(self._model)

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array per wanted output, which is the name of a method of the estimator."""
        if self._text:
            rows = np.empty((len(columns[0]), len(columns)), np.object_)
            for index, column in enumerate(columns):
                rows[:, index] = [np.nan if value is None else value for value in column]
        else:
            rows = np.ascontiguousarray(np.array(columns, np.float64).T)
        return [getattr(self._model, name)(rows) for name in wanted]


def select_by_position(model: Any) -> None:
    """Let the first ColumnTransformers of a fitted pipeline select their columns by position instead of by name.

    Names need a data frame, and building one per request costs more than most models do.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    while isinstance(model, Pipeline):
        model = model.steps[0][1]
    if not isinstance(model, ColumnTransformer) or not hasattr(model, "feature_names_in_"):
        return
    place = {name: index for index, name in enumerate(model.feature_names_in_)}

    def position(columns: Any) -> Any:
        if isinstance(columns, str):
            return place[columns]
        if isinstance(columns, list | np.ndarray) and len(columns) and isinstance(columns[0], str):
            return [place[name] for name in columns]
        return columns

    model.transformers_ = [(name, step, position(columns)) for name, step, columns in model.transformers_]


def load_engine(
    format_: str, path: Path, features: tuple[Feature, ...], outputs: Sequence[Tensor], threads: int
) -> Engine:
    """Load the model file. Raises StartError (ModelLoadFailed) with the library's own words."""
    try:
        if format_ == "onnx":
            return OnnxEngine(path, features, outputs, threads)
        return SkopsEngine(path, features)
    except StartError:
        raise
    except Exception as error:  # a model file can break its library in any way
        raise StartError("ModelLoadFailed", f"{path.name}: {type(error).__name__}: {error}"[:1500]) from error
