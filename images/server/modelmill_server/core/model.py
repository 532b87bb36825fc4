"""One served model: an artifact's signature, its engine, and the check that it still says what it said when trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modelmill.contracts.artifact import Golden, Tensor
from modelmill_server.engines import Engine, load_engine
from modelmill_server.failure import StartError
from modelmill_server.folder import ArtifactFolder
from modelmill_server.queries.columns import Column, Feature, RejectedError, features_of, from_python
from modelmill_server.queries.query import Query
from modelmill_server.settings import Settings

PROBABILITIES: Final = "predict_proba"


@dataclass(slots=True)
class Output:
    """One output tensor of an answer. array: of shape [rows] or [rows, k]."""

    name: str
    datatype: str
    array: Any

    @property
    def shape(self) -> list[int]:
        """The shape as the protocols write it."""
        return list(self.array.shape)

    @property
    def data(self) -> list[Any]:
        """The values in row-major order."""
        values: list[Any] = self.array.reshape(-1).tolist()
        return values

    def rows(self, begin: int, end: int) -> Output:
        """Return the part that belongs to these rows."""
        return Output(self.name, self.datatype, self.array[begin:end])


class ServedModel:
    """What answers queries. name, version: as in the URL paths. ignored: columns that a request may have in vain."""

    def __init__(self, artifact: ArtifactFolder, settings: Settings) -> None:
        """Load the model. Raises StartError: ModelLoadFailed."""
        manifest = artifact.manifest
        self.name = settings.model_name or manifest.model
        self.version = settings.model_version or manifest.version
        self.artifact = artifact
        try:
            self.features: tuple[Feature, ...] = features_of(manifest.signature.inputs)
        except ValueError as error:
            raise StartError("ModelLoadFailed", f"manifest.json: {error}") from None
        self._tensors = {tensor.name: tensor for tensor in manifest.signature.outputs}
        if not self.features or not self._tensors:
            raise StartError("ModelLoadFailed", "manifest.json: the signature needs inputs and outputs")
        self.ignored = frozenset(manifest.signature.ignored)
        self.outputs: tuple[str, ...] = tuple(self._tensors)
        self.primary = self.outputs[0]
        self.engine: Engine = load_engine(
            manifest.format,
            artifact.model_file,
            self.features,
            manifest.signature.outputs,
            settings.threads,
            trusted=settings.trusted_types,
            allow_python=settings.allow_python,
        )

    def predict(self, query: Query) -> list[Output]:
        """Return the wanted outputs. Raises RejectedError, or whatever the model raises."""
        raw = self.engine.run(query.columns, query.wanted)
        return [
            output_of(self._tensors[name], values, query.rows) for name, values in zip(query.wanted, raw, strict=True)
        ]

    def classes(self, name: str) -> tuple[Any, ...]:
        """Return the labels of an output's classes; empty where the signature has none."""
        return self._tensors[name].classes

    def golden_columns(self) -> list[Column]:
        """Return the golden rows as columns. Raises StartError (GoldenMismatch) naming the feature that does not fit."""
        inputs = self.artifact.golden.inputs
        columns = []
        for feature in self.features:
            if feature.name not in inputs:
                raise StartError("GoldenMismatch", f"golden.json has no input {feature.name!r}")
            try:
                columns.append(from_python(feature, inputs[feature.name]))
            except RejectedError as error:
                raise StartError("GoldenMismatch", f"golden.json: {error.message}") from None
        return columns

    def replay_golden(self) -> int:
        """Predict the golden rows, compare, and return their number. Raises StartError (GoldenMismatch)."""
        golden, columns = self.artifact.golden, self.golden_columns()
        rows = len(columns[0])
        unknown = [name for name in golden.outputs if name not in self._tensors]
        if unknown or not rows or self.primary not in golden.outputs:
            words = f"golden.json needs rows and the output {self.primary!r}, and no other than the signature's"
            raise StartError("GoldenMismatch", f"{words}: it has {', '.join(golden.outputs) or 'none'}")
        try:
            answer = self.predict(Query(columns, rows, tuple(golden.outputs)))
        except Exception as error:
            raise StartError("GoldenMismatch", f"the model fails on the golden rows: {error}") from error
        for output in answer:
            _compare(output, golden)
        return rows


def output_of(tensor: Tensor, values: Any, rows: int) -> Output:
    """Return what an engine returned as the signature has it. Raises ValueError for another number of rows."""
    if isinstance(values, list):  # onnx ZipMap: one dictionary per row
        values = np.array([[_chance(row, label) for label in tensor.classes] for row in values])
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1 and len(tensor.shape) == 1:
        array = array.reshape(-1)
    if tensor.datatype == "BOOL" and array.dtype != np.bool_:
        array = _truth(array)
    if array.shape[:1] != (rows,):
        raise ValueError(f"output {tensor.name!r} has shape {array.shape} for {rows} rows")
    return Output(tensor.name, tensor.datatype, array)


def _chance(row: dict[Any, float], label: Any) -> float:
    """Return a class's probability; truth values are whole numbers or text to ONNX."""
    return row[label] if label in row else row[str(label)]


def _truth(array: Any) -> Any:
    """Return labels as truth values: an ONNX classifier has labels of whole numbers or text only, such as `True`."""
    if array.dtype.kind in "biuf":
        return array.astype(np.bool_)
    return np.array([str(label).lower() == "true" for label in array.reshape(-1)], np.bool_).reshape(array.shape)


def _compare(output: Output, golden: Golden) -> None:
    """Raise StartError (GoldenMismatch) for the first value that differs by more than the tolerance."""
    width, data = math.prod(output.shape[1:]), output.data
    expected: list[Any] = []
    for row in golden.outputs[output.name]:
        expected.extend(row if isinstance(row, list) else [row])
    if len(expected) != len(data):
        raise StartError(
            "GoldenMismatch", f"output {output.name!r} has {len(data)} values, golden.json {len(expected)}"
        )
    for index, (got, want) in enumerate(zip(data, expected, strict=True)):
        if not _agree(got, want, golden):
            raise StartError(
                "GoldenMismatch",
                f"output {output.name!r} of golden row {index // width} is {got!r}, expected {want!r} "
                f"within {golden.absolute:g} + {golden.relative:g} * |expected|",
            )


def _agree(got: Any, want: Any, golden: Golden) -> bool:
    if isinstance(want, bool) or not isinstance(want, int | float) or isinstance(got, str | bool):
        return bool(got == want)
    return bool(abs(got - want) <= golden.absolute + golden.relative * abs(want))
