"""Open Inference Protocol V2: requests with JSON or binary tensors, and those of gRPC, as queries.

Source: open-inference-protocol, specification/protocol/inference_rest.md. Inputs are one tensor per feature, of shape [rows]
or [rows, 1], or one matrix tensor of shape [rows, features] for a model whose features are all numeric.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from modelmill_server.protocols import binary
from modelmill_server.protocols.documents import decode, too_deep
from modelmill_server.queries.columns import (
    FAMILY,
    TEXT,
    VECTOR_ROWS,
    Column,
    Decoders,
    Feature,
    RejectedError,
    bad,
    explain,
    from_array,
    from_matrix,
    missing,
    nested_rows,
    taken_as_is,
    to_family,
)
from modelmill_server.queries.packing import array_of, matrix_of
from modelmill_server.queries.query import Query, check_rows, completed, listed_features, unknown

PLAIN_BYTES = 512  # a smaller body has no VECTOR_ROWS rows worth the look
_ROWS = re.compile(rb'"shape"\s*:\s*\[\s*(\d{1,9})')
_DATA = re.compile(rb'"data"\s*:\s*(\[\s*\[)?')
SHARED_MEMORY = "shared_memory_region"
Blob = Any
"""Values of a tensor that are not JSON: bytes in binary form, a 1-D array, or texts. None where the values are JSON."""


class InputTensor(msgspec.Struct):
    """One tensor of a request; `data` is decoded once it is known what it is for."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
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


Values = TypeVar("Values")


class PlainTensor(msgspec.Struct, Generic[Values]):
    """One tensor whose data are nothing but numbers, decoded in one go with its request."""

    name: str
    shape: list[int]
    datatype: Literal["FP32", "FP64"]
    data: Values
    parameters: dict[str, Any] | None = None


class PlainRequest(msgspec.Struct, Generic[Values]):
    """The body of `infer` with such tensors only."""

    inputs: list[PlainTensor[Values]]
    id: str | None = None
    outputs: list[OutputChoice] | None = None
    parameters: dict[str, Any] | None = None


class Reader:
    """Reads infer requests for one signature."""

    def __init__(
        self,
        features: tuple[Feature, ...],
        outputs: tuple[str, ...],
        max_rows: int,
        ignored: frozenset[str] = frozenset(),
    ) -> None:
        """ignored: columns that a request may have although they are no features."""
        self._features = features
        self._by_name = {feature.name: feature for feature in features}
        self._ignored = ignored - self._by_name.keys()
        self._texts = [feature.name for feature in features if feature.family == TEXT]
        self._nullable = any(feature.nullable for feature in features)
        self._never_null = [feature for feature in features if not feature.nullable]
        self._as_is = {name for name in FAMILY if all(taken_as_is(feature, name) for feature in features)}
        self._outputs = outputs
        self._max_rows = max_rows
        self._request = msgspec.json.Decoder(InferRequest)
        self._flat = msgspec.json.Decoder(PlainRequest[list[float]])
        self._by_row = msgspec.json.Decoder(PlainRequest[list[list[float]]])
        self._data = Decoders()

    def read(self, body: bytes, json_bytes: int | None = None) -> Query:
        """Return the query. json_bytes: length of the JSON part, when tensors follow it in binary form.

        Raises RejectedError naming the input, and the row where there is one.
        """
        blobs: Sequence[Blob] | None = None
        if json_bytes is None:
            plain = self._plain(body) if len(body) >= PLAIN_BYTES else None
            if plain is not None:
                return self.query(*plain)
            request = decode(self._request, body)
        else:
            head, tail = binary.split(body, json_bytes)
            request = decode(self._request, head)
            blobs = _blobs(request.inputs, tail)
        return self.query(request, blobs)

    def _plain(self, body: bytes) -> tuple[InferRequest, list[Blob]] | None:
        """Return a request of many rows whose tensors are all floats, with these as arrays; None for any other.

        A tensor's values are else decoded behind its head, strictly for its datatype, as Python objects: a large request
        would be read twice.
        """
        rows, data = _ROWS.search(body), _DATA.search(body)
        if rows is None or data is None or not VECTOR_ROWS <= int(rows[1]) <= self._max_rows:
            return None
        nested = data[1] is not None
        try:
            request: PlainRequest[Any] = (self._by_row if nested else self._flat).decode(body)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors; what is wrong is told by the other way
            return None
        inputs, blobs = [], []
        for tensor in request.inputs:
            values = matrix_of(tensor.data) if nested else array_of(tensor.data)
            if tensor.parameters or values is None or (nested and list(values.shape) != tensor.shape):
                return None
            inputs.append(InputTensor(tensor.name, tensor.shape, tensor.datatype))
            blobs.append(values.reshape(-1))
        return InferRequest(inputs, request.id, request.outputs, request.parameters), blobs

    def query(self, request: InferRequest, blobs: Sequence[Blob] | None) -> Query:
        """Return the query of a request whose values are in `blobs`, one for each input, where those are not None."""
        wanted = self._wanted(request.outputs) if request.outputs else self._outputs
        inputs = request.inputs
        if not inputs:
            raise bad("the request has no inputs")
        first = inputs[0]
        column = first.name in self._by_name or first.name in self._ignored
        if len(inputs) == 1 and len(first.shape) == 2 and (first.shape[1] != 1 or not column):
            columns = self._matrix(first, blobs[0] if blobs else None)
        else:
            columns = self._tensors(inputs, blobs)
        query = Query(columns, len(columns[0]), wanted, request.id)
        if request.parameters or (request.outputs and any(output.parameters for output in request.outputs)):
            query.binary = _binary_outputs(request, wanted)
            query.ranked = _ranked_outputs(request)
        return query

    @property
    def most_inputs(self) -> int:
        """How many inputs a request can have."""
        return len(self._features) + len(self._ignored)

    @property
    def most_outputs(self) -> int:
        """How many outputs a request can ask for, each once."""
        return len(self._outputs)

    def ignores(self, name: str) -> bool:
        """Return whether an input of that name is not looked at."""
        return name in self._ignored

    def _wanted(self, outputs: list[OutputChoice]) -> tuple[str, ...]:
        for output in outputs:
            if output.name not in self._outputs:
                raise bad(f"unknown output {output.name[:100]!r}: the model has {', '.join(self._outputs)}")
        return tuple({output.name: None for output in outputs})

    def _tensors(self, inputs: list[InputTensor], blobs: Sequence[Blob] | None) -> list[Column]:
        columns: list[Column | None] = [None] * len(self._features)
        rows, by_name = -1, self._by_name
        for place, tensor in enumerate(inputs):
            feature = by_name.get(tensor.name)
            if feature is None and tensor.name not in self._ignored:
                raise unknown(tensor.name, self._features)
            name, shape = tensor.name, tensor.shape
            if len(shape) != 1 and (len(shape) != 2 or shape[1] != 1):
                raise bad(f"input {name!r} has shape {shape[:8]}: it must be [rows] or [rows, 1]", name, "shape")
            if rows < 0:
                rows = shape[0]
                check_rows(rows, self._max_rows)
            if shape[0] != rows:
                raise bad(f"input {name!r} has {shape[0]} rows, {inputs[0].name!r} has {rows}", name, "shape")
            if feature is None:
                continue
            if columns[feature.index] is not None:
                raise bad(f"input {feature.name!r} is there twice", feature.name, "shape")
            columns[feature.index] = self._column(tensor, feature, rows, blobs[place] if blobs else None)
        return completed(columns, self._features, rows)

    def _column(self, tensor: InputTensor, feature: Feature, rows: int, blob: Blob) -> Column:
        declared = tensor.datatype
        family = FAMILY.get(declared)
        if family is None:
            raise _no_datatype(feature.name, declared)
        if family != feature.family and TEXT in (family, feature.family):
            to_family(feature, declared, [])
        if blob is not None:
            values = binary.read(blob, declared, feature.name, rows) if isinstance(blob, memoryview) else blob
            _require_count(feature.name, tensor.shape, len(values), rows)
            return list(values) if family == TEXT else from_array(feature, declared, values)
        values, nested = self._values(tensor, feature.name, feature.nullable, 1)
        if nested:
            values = _flat(values, feature.name, 1)
        _require_count(feature.name, tensor.shape, len(values), rows)
        return values if declared == feature.datatype else to_family(feature, declared, values)

    def _matrix(self, tensor: InputTensor, blob: Blob) -> list[Column]:
        """Return the columns of one tensor of all features."""
        rows, width = tensor.shape
        name, declared, features = tensor.name[:100], tensor.datatype, self._features
        if self._texts:
            words = f"which is text: send the {listed_features(features)}"
            raise bad(f"one matrix {name!r} cannot hold {self._texts[0]!r}, {words}")
        if width != len(features):
            raise bad(
                f"input {name!r} has {width} columns: the model takes {len(features)} features, the {listed_features(features)}"
            )
        check_rows(rows, self._max_rows)
        family = FAMILY.get(declared)
        if family is None:
            raise _no_datatype(name, declared)
        if family == TEXT:
            raise bad(f"input {name!r} has datatype {declared}: the model's features are numbers")
        if blob is not None:
            values = binary.read(blob, declared, name, rows * width) if isinstance(blob, memoryview) else blob
            _require_count(name, tensor.shape, len(values), rows * width)
            return from_matrix(features, declared, values.reshape(rows, width))
        return self._json_matrix(tensor, name)

    def _json_matrix(self, tensor: InputTensor, name: str) -> list[Column]:
        rows, width = tensor.shape
        declared, features = tensor.datatype, self._features
        values, nested = self._values(tensor, name, self._nullable, width)
        if nested:
            values = _flat(values, name, width)
        _require_count(name, tensor.shape, len(values), rows * width)
        columns: list[Column] = [values[place::width] for place in range(width)]
        if self._nullable and None in values:
            for feature in self._never_null:
                if None in columns[feature.index]:
                    raise missing(feature, columns[feature.index].index(None))
        if declared in self._as_is:
            return columns
        return [to_family(feature, declared, column) for feature, column in zip(features, columns, strict=True)]

    def _values(self, tensor: InputTensor, name: str, nullable: bool, width: int) -> tuple[Column, bool]:
        """Return the values and whether they are nested once. width: how many there are in a row."""
        declared = tensor.datatype
        if tensor.parameters and SHARED_MEMORY in tensor.parameters:
            raise bad(f"input {name!r} is in shared memory: that is not supported, send its data")
        if not tensor.data:
            raise bad(f"input {name!r} has no data", name, "missing")
        if declared == "FP16":
            raise bad(f"input {name!r} has datatype FP16: that is taken in binary form only", name, "type")
        try:
            return self._data.decode(tensor.data, declared, nullable=nullable)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError too
            raise explain(error, name, declared, 1 if nested_rows(tensor.data) else width) from None
        except RecursionError:
            raise too_deep() from None


def _flat(rows: list[Column], name: str, width: int) -> Column:
    for index, row in enumerate(rows):
        if len(row) != width:
            raise bad(f"input {name!r} has {len(row)} values at row {index}: its shape says {width}", None, "shape")
    return [value for row in rows for value in row]


def _no_datatype(name: str, declared: str) -> RejectedError:
    return bad(f"input {name!r} has datatype {declared[:20]!r}: use one of {', '.join(FAMILY)}", None, "type")


def _require_count(name: str, shape: list[int], count: int, wanted: int) -> None:
    if count != wanted:
        raise bad(f"input {name!r} has {count} values, its shape {shape} says {wanted}", name, "shape")


def _blobs(inputs: list[InputTensor], tail: memoryview) -> list[Blob]:
    """Return the part of `tail` that belongs to each input. Raises RejectedError unless all of it is somebody's."""
    blobs: list[Blob] = []
    at = 0
    for tensor in inputs:
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            blobs.append(None)
            continue
        name = tensor.name[:100]
        if tensor.data:
            raise bad(f"input {name!r} has both data and binary_data_size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(tail) - at:
            raise bad(f"input {name!r} has binary_data_size {size!r}: {len(tail) - at} bytes are left in the body")
        blobs.append(tail[at : at + size])
        at += size
    if at != len(tail):
        raise bad(
            f"{len(tail) - at} bytes of the body belong to no input: binary_data_size of the inputs says {at} bytes"
        )
    return blobs


def _binary_outputs(request: InferRequest, wanted: tuple[str, ...]) -> frozenset[str]:
    """Return the outputs to answer in binary form: an output's own word counts before the request's."""
    all_ = (request.parameters or {}).get("binary_data_output", False)
    own = {
        output.name: output.parameters.get("binary_data", all_) for output in request.outputs or () if output.parameters
    }
    return frozenset(name for name in wanted if own.get(name, all_) is True)


def _ranked_outputs(request: InferRequest) -> dict[str, int] | None:
    """Return how many of an output's greatest values are wanted, where that is asked for. Raises RejectedError."""
    ranked: dict[str, int] = {}
    for output in request.outputs or ():
        count = output.parameters.get("classification") if output.parameters else None
        if not count:
            continue
        if type(count) is not int or count < 0:
            raise bad(f"output {output.name!r}: classification must be the number of classes that are wanted")
        ranked[output.name] = count
    return ranked or None


def in_json(datatype: str) -> str:
    """Return the datatype in which values of `datatype` are sent in JSON, which has no form for FP16."""
    return "FP32" if datatype == "FP16" else datatype
