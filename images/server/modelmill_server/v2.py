"""Open Inference Protocol V2, REST with JSON tensors.

Source: open-inference-protocol, specification/protocol/inference_rest.md. Inputs are one tensor per feature, of shape [rows]
or [rows, 1], or one matrix tensor of shape [rows, features] for a model whose features are all numeric.
"""

from __future__ import annotations

from typing import Any

import msgspec

from modelmill_server.columns import (
    FAMILY,
    FLOAT,
    TEXT,
    Column,
    Decoders,
    Feature,
    RejectedError,
    bad,
    explain,
    nested_rows,
    to_family,
)
from modelmill_server.documents import decode, too_deep
from modelmill_server.query import Query, check_rows, require_all, unknown


class InputTensor(msgspec.Struct):
    """One tensor of a request; `data` is decoded once it is known what it is for."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw
    parameters: dict[str, Any] | None = None


class OutputChoice(msgspec.Struct):
    """One output that the client wants."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct):
    """The body of `infer`."""

    inputs: list[InputTensor]
    id: str | None = None
    outputs: list[OutputChoice] | None = None
    parameters: dict[str, Any] | None = None


class Reader:
    """Reads infer requests for one signature."""

    def __init__(self, features: tuple[Feature, ...], outputs: tuple[str, ...], max_rows: int) -> None:
        self._features = features
        self._by_name = {feature.name: feature for feature in features}
        self._outputs = outputs
        self._max_rows = max_rows
        self._request = msgspec.json.Decoder(InferRequest)
        self._data = Decoders()

    def read(self, body: bytes) -> Query:
        """Return the query. Raises RejectedError naming the input, and the row where there is one."""
        request = decode(self._request, body)
        wanted = self._outputs if request.outputs is None else self._wanted(request.outputs)
        inputs = request.inputs
        if not inputs:
            raise bad("the request has no inputs")
        first = inputs[0]
        if len(inputs) == 1 and len(first.shape) == 2 and (first.shape[1] != 1 or first.name not in self._by_name):
            columns = self._matrix(first)
        else:
            columns = self._tensors(inputs)
        return Query(columns, len(columns[0]), wanted, request.id)

    def _wanted(self, outputs: list[OutputChoice]) -> tuple[str, ...]:
        for output in outputs:
            if output.name not in self._outputs:
                raise bad(f"unknown output {output.name[:100]!r}: the model has {', '.join(self._outputs)}")
        return tuple(dict.fromkeys(output.name for output in outputs)) or self._outputs

    def _tensors(self, inputs: list[InputTensor]) -> list[Column]:
        columns: list[Column | None] = [None] * len(self._features)
        rows, by_name = -1, self._by_name
        for tensor in inputs:
            feature = by_name.get(tensor.name)
            if feature is None:
                raise unknown(tensor.name, self._features)
            shape = tensor.shape
            if len(shape) != 1 and (len(shape) != 2 or shape[1] != 1):
                raise bad(
                    f"input {feature.name!r} has shape {shape[:8]}: it must be [rows] or [rows, 1]",
                    feature.name,
                    "shape",
                )
            if rows < 0:
                rows = shape[0]
                check_rows(rows, self._max_rows)
            if shape[0] != rows:
                raise bad(
                    f"input {feature.name!r} has {shape[0]} rows, {inputs[0].name!r} has {rows}", feature.name, "shape"
                )
            if columns[feature.index] is not None:
                raise bad(f"input {feature.name!r} is there twice", feature.name, "shape")
            columns[feature.index] = self._column(tensor, feature, rows)
        return require_all(columns, self._features)

    def _column(self, tensor: InputTensor, feature: Feature, rows: int) -> Column:
        declared = tensor.datatype
        family = FAMILY.get(declared)
        if family is None:
            raise _no_datatype(feature.name, declared)
        if family != feature.family and TEXT in (family, feature.family):
            to_family(feature, declared, [])
        values, nested = self._values(tensor, feature, declared, 1)
        if nested:
            values = _flat(values, feature.name, 1)
        if len(values) != rows:
            raise bad(
                f"input {feature.name!r} has {len(values)} values, its shape {tensor.shape} says {rows}",
                feature.name,
                "shape",
            )
        return values if family == feature.family else to_family(feature, declared, values)

    def _matrix(self, tensor: InputTensor) -> list[Column]:
        """Return the columns of one tensor of all features."""
        rows, width = tensor.shape
        features = self._features
        texts = [feature.name for feature in features if feature.family == TEXT]
        if texts:
            raise bad(
                f"one matrix {tensor.name[:100]!r} cannot hold {texts[0]!r}, which is text: send a tensor per feature"
            )
        if width != len(features):
            raise bad(f"input {tensor.name[:100]!r} has {width} columns: the model takes {len(features)} features")
        check_rows(rows, self._max_rows)
        declared = tensor.datatype
        family = FAMILY.get(declared)
        if family is None:
            raise _no_datatype(tensor.name[:100], declared)
        if family == TEXT:
            raise bad(f"input {tensor.name[:100]!r} has datatype {declared}: the model's features are numbers")
        nullable = any(feature.nullable for feature in features)
        whole = Feature(tensor.name[:100], 0, declared, FLOAT, nullable, False)
        values, nested = self._values(tensor, whole, declared, 1 if nested_rows(tensor.data) else width)
        if nested:
            values = _flat(values, tensor.name[:100], width)
        if len(values) != rows * width:
            raise bad(f"input {whole.name!r} has {len(values)} values, its shape {tensor.shape} says {rows * width}")
        columns = []
        for feature in features:
            column = values[feature.index :: width]
            if nullable and not feature.nullable and None in column:
                raise bad(
                    f"input {feature.name!r} is missing (null or NaN) at row {column.index(None)}: "
                    "the model needs a value",
                    feature.name,
                    "null",
                )
            columns.append(column if family == feature.family else to_family(feature, declared, column))
        return columns

    def _values(self, tensor: InputTensor, feature: Feature, declared: str, width: int) -> tuple[Column, bool]:
        try:
            return self._data.decode(tensor.data, declared, nullable=feature.nullable)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError too
            raise explain(error, feature, declared, width) from None
        except RecursionError:
            raise too_deep() from None


def _flat(rows: list[Column], name: str, width: int) -> Column:
    for index, row in enumerate(rows):
        if len(row) != width:
            raise bad(f"input {name!r} has {len(row)} values at row {index}: its shape says {width}", None, "shape")
    return [value for row in rows for value in row]


def _no_datatype(name: str, declared: str) -> RejectedError:
    return bad(f"input {name!r} has datatype {declared[:20]!r}: use one of {', '.join(FAMILY)}", None, "type")
