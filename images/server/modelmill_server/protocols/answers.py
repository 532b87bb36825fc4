"""The bodies of answers: V2 with JSON or binary tensors, predictions of the row-wise protocols."""

from __future__ import annotations

from typing import Any

import msgspec

from modelmill_server.core.model import Output
from modelmill_server.http.messages import JSON, Answer, encode
from modelmill_server.protocols import binary
from modelmill_server.queries.columns import bad
from modelmill_server.queries.query import Query

OCTETS = ("content-type", "application/octet-stream")
BINARY_HEADER = "inference-header-content-length"
FEEDBACK_HEADER = "modelmill-feedback-id"
FEEDBACK_PARAMETER = "feedback_id"


class V2Tensor(msgspec.Struct, omit_defaults=True):
    """One output tensor in an answer; `data` is left out when the values follow in binary form."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] | None = None


class V2Answer(msgspec.Struct, omit_defaults=True):
    """The body of an answer to `infer`, or its JSON part."""

    model_name: str
    model_version: str
    outputs: list[V2Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None


class V2Writer:
    """Writes answers of V2 for one model."""

    def __init__(self, model: str, version: str) -> None:
        self._model = model
        self._version = version

    def write(self, query: Query, outputs: list[Output], feedback_id: str | None) -> Answer:
        """Return the answer. Raises RejectedError for FP16, which JSON has no form for."""
        wanted = query.binary
        blobs: list[bytes] = []
        tensors = []
        for output in outputs:
            if output.name in wanted:
                blob = binary.write(output.array, output.datatype)
                blobs.append(blob)
                size = {"binary_data_size": len(blob)}
                tensors.append(V2Tensor(output.name, output.shape, output.datatype, parameters=size))
            elif output.datatype == "FP16":
                raise bad(f"output {output.name!r} has datatype FP16: ask for it in binary form")
            else:
                tensors.append(V2Tensor(output.name, output.shape, output.datatype, output.data))
        parameters = None if feedback_id is None else {FEEDBACK_PARAMETER: feedback_id}
        head = encode(V2Answer(self._model, self._version, tensors, query.id, parameters))
        if not blobs:
            return 200, head, headers(feedback_id)
        extra = [OCTETS, (BINARY_HEADER, str(len(head)))]
        if feedback_id is not None:
            extra.append((FEEDBACK_HEADER, feedback_id))
        return 200, b"".join((head, *blobs)), extra


def headers(feedback_id: str | None) -> list[tuple[str, str]]:
    """Return the headers of a JSON answer."""
    return [JSON] if feedback_id is None else [JSON, (FEEDBACK_HEADER, feedback_id)]


def write_predictions(query: Query, outputs: list[Output], feedback_id: str | None) -> Answer:
    """Return the answer of V1 and of `/invocations`: one value or one list for each row."""
    return 200, encode({"predictions": outputs[0].array.tolist()}), headers(feedback_id)
