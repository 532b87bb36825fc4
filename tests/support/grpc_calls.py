"""Calls of V2 over gRPC."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np

from modelmill_server.protocols import inference_pb2 as pb
from tests.support.infer_requests import GOOD, TYPES

FIELDS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}


class Stub:
    """Calls methods by name."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __call__(self, name: str, message: Any) -> Any:
        method = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[name]
        call = self._channel.unary_unary(
            f"/inference.GRPCInferenceService/{name}",
            type(message).SerializeToString,
            getattr(pb, method.output_type.name).FromString,
        )
        return call(message, timeout=30)


def message(rows: int = 1, *, raw: bool = False, **changes: Any) -> pb.ModelInferRequest:
    made = pb.ModelInferRequest(model_name="fuel", id="r-1", **changes)
    for name, value in GOOD.items():
        tensor = made.inputs.add(name=name, datatype=TYPES[name], shape=[rows])
        plain: Any = value.encode() if isinstance(value, str) else value
        if not raw:
            getattr(tensor.contents, FIELDS[TYPES[name]]).extend([plain] * rows)
        elif isinstance(plain, bytes):
            made.raw_input_contents.append((len(plain).to_bytes(4, "little") + plain) * rows)
        else:
            made.raw_input_contents.append(np.full(rows, plain, np.float64 if name == "power" else np.int64).tobytes())
    return made
