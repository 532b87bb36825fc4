"""How a server is asked and how its answer is read: each dialect makes a request and gives back labels and probabilities."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hack.bench.serving.models import pb

INFER = "/inference.GRPCInferenceService/ModelInfer"
JSON = {"Content-Type": "application/json"}
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Request:
    """One POST, or one call: then the path is the method's and the body a message."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    grpc: bool = False


@dataclass(frozen=True)
class Predictions:
    """labels: [rows]; probabilities: [rows, classes], None when the answer has none."""

    labels: Any
    probabilities: Any = None


@dataclass(frozen=True)
class Dialect:
    """make: a request from the model's name, the features' names and the rows; read: predictions from headers and body."""

    title: str
    make: Callable[[str, list[str], Any], Request]
    read: Callable[[dict[str, str], bytes], Predictions]


def _v2_matrix(datatype: str, wanted: list[str]) -> Callable[[str, list[str], Any], Request]:
    def make(name: str, _: list[str], rows: Any) -> Request:
        tensor = {"name": "rows", "shape": list(rows.shape), "datatype": datatype, "data": rows.reshape(-1).tolist()}
        body: dict[str, Any] = {"inputs": [tensor]}
        if wanted:
            body["outputs"] = [{"name": output} for output in wanted]
        return Request(f"/v2/models/{name}/infer", json.dumps(body).encode())

    return make


def _v2_columns(name: str, features: list[str], rows: Any) -> Request:
    inputs = [
        {"name": feature, "shape": [len(rows)], "datatype": "FP64", "data": rows[:, index].tolist()}
        for index, feature in enumerate(features)
    ]
    return Request(f"/v2/models/{name}/infer", json.dumps({"inputs": inputs}).encode())


def _v2_binary(wanted: list[str]) -> Callable[[str, list[str], Any], Request]:
    def make(name: str, _: list[str], rows: Any) -> Request:
        data = rows.astype("<f4").tobytes()
        tensor = {
            "name": "rows",
            "shape": list(rows.shape),
            "datatype": "FP32",
            "parameters": {"binary_data_size": len(data)},
        }
        body: dict[str, Any] = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
        if wanted:
            body["outputs"] = [{"name": output} for output in wanted]
        head = json.dumps(body).encode()
        headers = {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}
        return Request(f"/v2/models/{name}/infer", head + data, headers)

    return make


def _v1(name: str, _: list[str], rows: Any) -> Request:
    return Request(f"/v1/models/{name}:predict", json.dumps({"instances": rows.tolist()}).encode())


def _plain(path: str) -> Callable[[str, list[str], Any], Request]:
    return lambda _, __, rows: Request(path, json.dumps({"instances": rows.tolist()}).encode())


def _read_v2(headers: dict[str, str], body: bytes) -> Predictions:
    """Read an answer of V2. The first output, whatever it is called, is the label; a float one with the label is an index."""
    json_bytes = headers.get(LENGTH.lower())
    head = body if json_bytes is None else body[: int(json_bytes)]
    at = len(head)
    arrays: dict[str, Any] = {}
    first = ""
    for output in json.loads(head)["outputs"]:
        size = (output.get("parameters") or {}).get("binary_data_size")
        if size is None:
            values = np.array(output["data"])
        else:
            kind = {"INT64": "<i8", "INT32": "<i4", "FP64": "<f8", "FP32": "<f4"}[output["datatype"]]
            values = np.frombuffer(body[at : at + size], kind)
            at += size
        first = first or output["name"]
        arrays[output["name"]] = values.reshape(output["shape"])
    return Predictions(arrays[first].reshape(-1), arrays.get("predict_proba"))


def _read_predictions(_: dict[str, str], body: bytes) -> Predictions:
    return Predictions(np.array(json.loads(body)["predictions"]))


def _read_list(_: dict[str, str], body: bytes) -> Predictions:
    return Predictions(np.array(json.loads(body)))


def _grpc(raw: bool) -> Callable[[str, list[str], Any], Request]:
    def make(name: str, _: list[str], rows: Any) -> Request:
        message = pb.ModelInferRequest(model_name=name)
        tensor = message.inputs.add(name="rows", shape=rows.shape, datatype="FP32")
        message.outputs.add(name="predict")
        if raw:
            message.raw_input_contents.append(rows.astype("<f4").tobytes())
        else:
            tensor.contents.fp32_contents.extend(rows.reshape(-1).tolist())
        return Request(INFER, message.SerializeToString(), {}, grpc=True)

    return make


def _read_grpc(_: dict[str, str], body: bytes) -> Predictions:
    answer = pb.ModelInferResponse.FromString(body)
    (output,) = answer.outputs
    if answer.raw_output_contents:
        kind = {"INT64": "<i8", "INT32": "<i4"}[output.datatype]
        return Predictions(np.frombuffer(answer.raw_output_contents[0], kind))
    return Predictions(np.array(output.contents.int64_contents or output.contents.int_contents))


V2 = Dialect("V2 JSON, labels", _v2_matrix("FP64", ["predict"]), _read_v2)
V2_ALL = Dialect("V2 JSON, labels and probabilities", _v2_matrix("FP64", []), _read_v2)
V2_COLUMNS = Dialect("V2 JSON, a tensor per feature, labels and probabilities", _v2_columns, _read_v2)
V2_PLAIN = Dialect("V2 JSON", _v2_matrix("FP64", []), _read_v2)
V2_BINARY = Dialect("V2 binary", _v2_binary(["predict"]), _read_v2)
V2_BINARY_PLAIN = Dialect("V2 binary", _v2_binary([]), _read_v2)
V1 = Dialect("V1 JSON", _v1, _read_predictions)
PLAIN = Dialect("JSON", _plain("/predict"), _read_predictions)
PLAIN_ON_THREAD = Dialect("JSON, `def` handler", _plain("/predict-on-thread"), _read_predictions)
PLAIN_LIST = Dialect("JSON", _plain("/predict"), _read_list)
GRPC = Dialect("V2 gRPC, labels", _grpc(raw=False), _read_grpc)
GRPC_RAW = Dialect("V2 gRPC raw, labels", _grpc(raw=True), _read_grpc)
