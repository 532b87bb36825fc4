"""Messages of the gRPC protocol: from bytes to queries, and from outputs to answers.

Bytes are parsed here and not by grpcio, which would answer a malformed message with UNKNOWN and a trace in the log.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from modelmill.artifacts.protobuf import fields
from modelmill_server.core.model import Output
from modelmill_server.protocols import binary
from modelmill_server.protocols import inference_pb2 as pb
from modelmill_server.protocols.v2 import SHARED_MEMORY, InferRequest, InputTensor, OutputChoice, Reader
from modelmill_server.queries.columns import RejectedError, bad
from modelmill_server.queries.query import Query

CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
SMALL_BYTES = 64 * 1024
"""An empty tensor is two bytes of a message and 80 in memory: larger messages have their fields counted first."""
SPARE_FIELDS = 64  # of a request, beside its tensors: name, version, id, parameters
SHOWN_DIMENSIONS = 8


class MalformedError(RejectedError):
    """Bytes that are no message of the kind."""


def parse(kind: Any, data: bytes) -> Any:
    """Return the message, of a class of messages. Raises MalformedError."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise MalformedError(400, f"the message is not a {kind.DESCRIPTOR.name}: its bytes are malformed") from None


def parse_small(kind: Any, data: bytes) -> Any:
    """Return a message that holds a few names at most. Raises RejectedError for a large one, MalformedError."""
    if len(data) > SMALL_BYTES:
        raise RejectedError(413, f"a {kind.DESCRIPTOR.name} has at most {SMALL_BYTES} bytes")
    return parse(kind, data)


def parse_request(reader: Reader, data: bytes) -> pb.ModelInferRequest:
    """Return an inference request. Raises RejectedError for one of more fields than it can have, MalformedError."""
    if len(data) > SMALL_BYTES:
        most = 2 * reader.most_inputs + reader.most_outputs + SPARE_FIELDS
        try:
            more = next(islice(fields(memoryview(data)), most, None), None)
        except ValueError as error:
            raise MalformedError(400, f"the message is malformed: {error}") from None
        if more is not None:
            raise bad(f"the request has more than {most} fields: send each input and output once")
    request: pb.ModelInferRequest = parse(pb.ModelInferRequest, data)
    return request


def read_message(reader: Reader, request: pb.ModelInferRequest) -> Query:
    """Return the query. Raises RejectedError."""
    # A shape of millions of dimensions is refused as one of a few more than are known.
    inputs = [
        InputTensor(tensor.name, tensor.shape[: SHOWN_DIMENSIONS + 1], tensor.datatype) for tensor in request.inputs
    ]
    outputs = [OutputChoice(output.name, _plain(output.parameters)) for output in request.outputs]
    raw = request.raw_input_contents
    if raw and len(raw) != len(inputs):
        raise bad(f"raw_input_contents has {len(raw)} entries: there must be one for each of the {len(inputs)} inputs")
    blobs: list[Any]
    if raw:
        for tensor in request.inputs:
            if tensor.HasField("contents") and tensor.contents.ByteSize():
                raise bad(f"input {tensor.name[:100]!r} has contents beside raw_input_contents: send one of them")
        blobs = [memoryview(content) for content in raw]
    else:
        blobs = [None if reader.ignores(tensor.name) else _values(tensor) for tensor in request.inputs]
    return reader.query(InferRequest(inputs, request.id or None, outputs or None), blobs)


def _values(tensor: pb.ModelInferRequest.InferInputTensor) -> Any:
    """Return the values of a tensor that are not raw. Raises RejectedError."""
    name, datatype = tensor.name[:100], tensor.datatype
    if SHARED_MEMORY in tensor.parameters:
        raise bad(f"input {name!r} is in shared memory: that is not supported, send its contents")
    field = CONTENTS.get(datatype)
    if field is None:
        form = "it is taken in raw_input_contents only" if datatype in binary.DTYPES else "it is not known"
        raise bad(f"input {name!r} has datatype {datatype[:20]!r}: {form}")
    values: Sequence[Any] = getattr(tensor.contents, field)
    shape = tensor.shape[: SHOWN_DIMENSIONS + 1]
    if len(values) != math.prod(shape):
        others = [found.name for found, _ in tensor.contents.ListFields()]
        if others and not values:
            raise bad(f"input {name!r} has datatype {datatype} and values in {others[0]}: they go into {field}")
        raise bad(f"input {name!r} has {len(values)} values, its shape {shape} says {math.prod(shape)}", name, "shape")
    if datatype == "BYTES":
        try:
            return [value.decode() for value in values]
        except UnicodeDecodeError:
            raise bad(f"input {name!r} has text that is not UTF-8", name, "type") from None
    try:
        return np.array(values, binary.DTYPES[datatype])
    except OverflowError:
        raise bad(f"input {name!r} has a number out of range of {datatype}", name, "range") from None


def _plain(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any] | None:
    plain = {
        name: getattr(value, value.WhichOneof("parameter_choice") or "", None) for name, value in parameters.items()
    }
    return plain or None


def add_outputs(answer: pb.ModelInferResponse, outputs: Sequence[Output], raw: bool) -> None:
    """Add the outputs to an answer; their values are raw where that is wanted, or where contents have no form for one."""
    raw = raw or any(output.datatype not in CONTENTS for output in outputs)
    for output in outputs:
        tensor = answer.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if raw:
            answer.raw_output_contents.append(binary.write(output.array, output.datatype))
            continue
        values: list[Any] = output.data
        if output.datatype == "BYTES":
            values = [str(value).encode() for value in values]
        getattr(tensor.contents, CONTENTS[output.datatype]).extend(values)
