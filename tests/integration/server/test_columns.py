"""A model of truth values, whose training data had columns that it does not use and one with gaps, over every protocol."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from hack.artifacts import golden_of, signature_of, write_artifact, write_manifest
from modelmill.contracts.artifact import parse_golden, parse_manifest
from modelmill_server.protocols import inference_pb2 as pb
from tests.support.fitted import cars, on_columns
from tests.support.model_server import Launcher, Running, free_port

INFER = "/v2/models/demo/infer"
IGNORED = ("signup_date", "comment", "thrifty")
EXTRA = {"signup_date": "2026-01-02", "comment": "", "thrifty": None}
ROW = {"power": 60.0, "cylinders": 4, "origin": "Japan"}
OTHER = {"power": 150.0, "cylinders": 8, "origin": "USA"}


def rewrite_booleans(folder: Path, signature: Any) -> None:
    """Name the bins of the prediction as JSON writes truth values, as the trainer does."""
    profile = json.loads((folder / "profile.json").read_bytes())
    profile["prediction"]["categories"] = [text.lower() for text in profile["prediction"]["categories"]]
    (folder / "profile.json").write_text(json.dumps(profile))
    write_manifest(folder, "onnx", signature)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame, target = cars("unknown")
    labels = target > np.median(target)
    folder: Path = tmp_path_factory.mktemp("artifact")
    model = on_columns(LogisticRegression(), frame).fit(frame, labels)
    write_artifact(folder, model, frame)
    signature = signature_of(model, frame)
    assert [tensor.name for tensor in signature.inputs if tensor.nullable] == ["power"]
    assert (signature.outputs[0].datatype, signature.outputs[0].classes) == ("BOOL", (False, True))
    assert golden_of(model, frame.head(1), signature).outputs["predict"][0] in (True, False)
    rewrite_booleans(folder, type(signature)(signature.task, signature.inputs, signature.outputs, IGNORED))
    assert parse_manifest((folder / "manifest.json").read_bytes()).signature.ignored == IGNORED
    assert {type(label) for label in parse_golden((folder / "golden.json").read_bytes()).outputs["predict"]} == {bool}
    return folder


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(folder: Path, grpc_port: int, launch_shared: Launcher) -> Running:
    return launch_shared(folder, GRPC_PORT=str(grpc_port))


@pytest.fixture(scope="module")
def channel(server: Running, grpc_port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as made:
        yield made


def tensor(name: str, value: Any) -> dict[str, Any]:
    datatype = {"power": "FP64", "cylinders": "INT64"}.get(name, "BYTES")
    return {"name": name, "shape": [1], "datatype": datatype, "data": [value]}


def v2(server: Running, row: dict[str, Any]) -> tuple[int, Any]:
    answer = server.post(INFER, {"inputs": [tensor(name, value) for name, value in row.items()]})
    document = answer.json()
    if answer.status != 200:
        return answer.status, document["error"]
    assert (document["outputs"][0]["datatype"], document["outputs"][0]["shape"]) == ("BOOL", [1])
    return 200, document["outputs"][0]["data"][0]


def v2_binary(server: Running, row: dict[str, Any]) -> tuple[int, Any]:
    inputs, tail = [], b""
    for name, value in row.items():
        text = str(value).encode()
        blob = {"power": lambda v: struct.pack("<d", v), "cylinders": lambda v: struct.pack("<q", v)}.get(
            name, lambda _, text=text: struct.pack("<I", len(text)) + text
        )(value)
        head = {key: item for key, item in tensor(name, value).items() if key != "data"}
        inputs.append({**head, "parameters": {"binary_data_size": len(blob)}})
        tail += blob
    outputs = [{"name": "predict", "parameters": {"binary_data": True}}]
    document = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    answer = server.post(INFER, document + tail, {"Inference-Header-Content-Length": str(len(document))})
    if answer.status != 200:
        return answer.status, answer.json()["error"]
    (value,) = answer.body[int(answer.headers["inference-header-content-length"]) :]
    return 200, {0: False, 1: True}[value]


def v1(server: Running, row: dict[str, Any]) -> tuple[int, Any]:
    return row_wise(server, "/v1/models/demo:predict", {"instances": [row]})


def mlflow(server: Running, row: dict[str, Any]) -> tuple[int, Any]:
    return row_wise(server, "/invocations", {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}})


def row_wise(server: Running, path: str, body: Any) -> tuple[int, Any]:
    answer = server.post(path, body)
    document = answer.json()
    return (200, document["predictions"][0]) if answer.status == 200 else (answer.status, document["error"])


PROTOCOLS = {"v2": v2, "v2 binary": v2_binary, "v1": v1, "mlflow": mlflow}


def without_power(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "power"}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_columns_over_http(server: Running, name: str) -> None:
    ask = PROTOCOLS[name]
    assert ask(server, ROW) == ask(server, {**EXTRA, **ROW}) == (200, True)
    assert ask(server, OTHER) == ask(server, {**OTHER, **EXTRA}) == (200, False)
    status, label = ask(server, without_power(ROW))
    assert (status, type(label)) == (200, bool)
    status, message = ask(server, {**ROW, "colour": "red"})
    assert status == 400
    assert "unknown input 'colour'" in message
    status, message = ask(server, {"power": 60.0, "origin": "USA"})
    assert status == 400
    assert "missing input 'cylinders'" in message


def test_left_out_means_missing(server: Running) -> None:
    want = server.post("/v1/models/demo:explain", {"instances": [{**ROW, "power": None}]}).json()
    got = server.post("/v1/models/demo:explain", {"instances": [{**without_power(ROW), **EXTRA}]}).json()
    assert got == want
    assert type(got["predictions"][0]) is bool
    before = server.metric("modelmill_feature_bin_total", feature="power", bin="missing")
    v1(server, without_power(ROW))
    assert server.metric("modelmill_feature_bin_total", feature="power", bin="missing") == before + 1


def grpc_message(row: dict[str, Any], *, raw: bool) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="demo")
    for name, value in row.items():
        made = tensor(name, value)
        item = message.inputs.add(name=name, shape=[1], datatype=made["datatype"])
        text = str(value).encode()
        if raw:
            packed = {"FP64": lambda v: struct.pack("<d", v), "INT64": lambda v: struct.pack("<q", v)}
            blob = lambda _, text=text: struct.pack("<I", len(text)) + text  # noqa: E731
            message.raw_input_contents.append(packed.get(made["datatype"], blob)(value))
        elif made["datatype"] == "FP64":
            item.contents.fp64_contents.append(value)
        elif made["datatype"] == "INT64":
            item.contents.int64_contents.append(value)
        else:
            item.contents.bytes_contents.append(text)
    return message


@pytest.mark.parametrize("raw", [False, True])
def test_columns_over_grpc(server: Running, channel: grpc.Channel, raw: bool) -> None:
    infer = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelInferResponse.FromString,
    )

    def ask(row: dict[str, Any]) -> bool:
        answer = infer(grpc_message(row, raw=raw), timeout=30)
        assert answer.outputs[0].datatype == "BOOL"
        if raw:
            return {b"\0": False, b"\1": True}[answer.raw_output_contents[0]]
        (label,) = answer.outputs[0].contents.bool_contents
        return bool(label)

    assert ask(ROW) is ask({**EXTRA, **ROW}) is True
    assert ask(OTHER) is ask({**OTHER, **EXTRA}) is False
    assert ask({**without_power(ROW), **EXTRA}) == v1(server, without_power(ROW))[1]
    for row, words in (
        ({**ROW, "colour": "red"}, "unknown input 'colour'"),
        ({"power": 60.0, "origin": "USA"}, "missing input 'cylinders'"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            ask(row)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert words in caught.value.details()


def test_labels_are_truth_values(server: Running) -> None:
    before = {result: server.metric("modelmill_feedback_total", result=result) for result in ("correct", "wrong")}
    bins = {text: server.metric("modelmill_prediction_bin_total", bin=text) for text in ("true", "false", "other")}
    for row, label in ((ROW, True), (OTHER, True), ({**ROW, **EXTRA}, None)):
        answer = server.post("/invocations", {"dataframe_records": [row]})
        body = {"id": answer.headers["modelmill-feedback-id"], "label": label}
        assert server.post("/feedback", body).json() == {"accepted": 0 if label is None else 1}
    assert server.metric("modelmill_feedback_total", result="correct") == before["correct"] + 1
    assert server.metric("modelmill_feedback_total", result="wrong") == before["wrong"] + 1
    assert server.metric("modelmill_prediction_bin_total", bin="true") == bins["true"] + 2
    assert server.metric("modelmill_prediction_bin_total", bin="false") == bins["false"] + 1
    assert server.metric("modelmill_prediction_bin_total", bin="other") == bins["other"] == 0
    for wrong in (1, "true", 0.0):
        answer = server.post(
            "/feedback",
            {"id": server.post("/invocations", {"instances": [ROW]}).headers["modelmill-feedback-id"], "label": wrong},
        )
        assert answer.status == 400
        assert answer.json()["error"] == "the label at row 0 must be true or false, as the prediction is"


def test_metadata_names_what_is_ignored(server: Running) -> None:
    metadata = server.get("/v2/models/demo").json()
    assert metadata["parameters"]["ignored"] == "signup_date,comment,thrifty"
    assert metadata["parameters"]["nullable"] == "power"
    assert pd.Index([item["name"] for item in metadata["inputs"]]).isin(IGNORED).sum() == 0
