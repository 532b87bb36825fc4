"""V2 over gRPC: the values of HTTP, in both forms of contents, and errors as status codes with our words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from modelmill_server.protocols import inference_pb2 as pb
from tests.support.fitted import cars, on_columns
from tests.support.infer_requests import GOOD, INFER, TYPES, request
from tests.support.model_server import Launcher, Running, free_port

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


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(grpc_port: int, launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Running:
    frame, target = cars("unknown")
    folder: Path = tmp_path_factory.mktemp("artifact") / "cars"
    write_artifact(folder, on_columns(Ridge(), frame).fit(frame, target), frame)
    return launch_shared(folder, MODEL_NAME="fuel", MODEL_VERSION="fuel-3", GRPC_PORT=str(grpc_port))


@pytest.fixture(scope="module")
def channel(server: Running, grpc_port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as made:
        yield made


@pytest.fixture
def call(channel: grpc.Channel) -> Stub:
    return Stub(channel)


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


def test_health_metadata_and_index(call: Stub) -> None:
    assert call("ServerLive", pb.ServerLiveRequest()).live
    assert call("ServerReady", pb.ServerReadyRequest()).ready
    assert call("ModelReady", pb.ModelReadyRequest(name="fuel")).ready
    assert call("ModelReady", pb.ModelReadyRequest(name="fuel", version="fuel-3")).ready
    assert "binary_tensor_data" in call("ServerMetadata", pb.ServerMetadataRequest()).extensions
    metadata = call("ModelMetadata", pb.ModelMetadataRequest(name="fuel"))
    assert next((one.name, one.datatype, list(one.shape)) for one in metadata.inputs) == ("power", "FP64", [-1])
    config = call("ModelConfig", pb.ModelConfigRequest(name="fuel")).config
    assert [one.data_type for one in config.input] == [pb.TYPE_FP64, pb.TYPE_INT64, pb.TYPE_STRING]
    (model,) = call("RepositoryIndex", pb.RepositoryIndexRequest()).models
    assert (model.name, model.version, model.state) == ("fuel", "fuel-3", "READY")


@pytest.mark.parametrize("rows", [1, 60])
@pytest.mark.parametrize("raw", [True, False])
def test_values_are_those_of_http(server: Running, call: Stub, rows: int, raw: bool) -> None:
    want = server.post(INFER, request()).json()["outputs"][0]["data"] * rows
    before = call("ModelStatistics", pb.ModelStatisticsRequest()).model_stats[0].inference_count
    answer = call("ModelInfer", message(rows, raw=raw))
    assert (answer.id, answer.model_name, answer.model_version) == ("r-1", "fuel", "fuel-3")
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("predict", "FP64", [rows])
    if raw:
        (content,) = answer.raw_output_contents
        assert np.frombuffer(content).tolist() == want
    else:
        assert list(output.contents.fp64_contents) == want
    assert call("ModelStatistics", pb.ModelStatisticsRequest()).model_stats[0].inference_count == before + rows


def test_feedback_id_is_known_over_http(server: Running, call: Stub) -> None:
    made = call("ModelInfer", message()).parameters["feedback_id"].string_param
    assert server.post("/feedback", {"id": made, "label": 30.0}).json() == {"accepted": 1}


def test_stream_goes_on_after_a_refusal(channel: grpc.Channel) -> None:
    stream = channel.stream_stream(
        "/inference.GRPCInferenceService/ModelStreamInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelStreamInferResponse.FromString,
    )
    answers = list(stream(iter([message(), pb.ModelInferRequest(model_name="fuel"), message()]), timeout=30))
    assert [answer.error_message for answer in answers] == ["", "the request has no inputs", ""]
    assert answers[0].infer_response.outputs == answers[2].infer_response.outputs


def wrong_type() -> pb.ModelInferRequest:
    made = message()
    made.inputs[2].datatype = "FP32"
    return made


@pytest.mark.parametrize(
    ("made", "code", "words"),
    [
        (pb.ModelInferRequest(model_name="other"), grpc.StatusCode.NOT_FOUND, "unknown model 'other'"),
        (message(model_version="9"), grpc.StatusCode.NOT_FOUND, "unknown version '9'"),
        (message(outputs=[{"name": "score"}]), grpc.StatusCode.INVALID_ARGUMENT, "unknown output 'score'"),
        (message(raw_input_contents=[b"x"]), grpc.StatusCode.INVALID_ARGUMENT, "must be one for each"),
        (wrong_type(), grpc.StatusCode.INVALID_ARGUMENT, "'origin' has datatype FP32"),
        (message(20_000, raw=True), grpc.StatusCode.RESOURCE_EXHAUSTED, "at most 10000"),
    ],
)
def test_errors_have_a_code_and_our_words(
    server: Running, call: Stub, made: pb.ModelInferRequest, code: Any, words: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call("ModelInfer", made)
    assert refused.value.code() == code
    assert words in refused.value.details()
    assert server.process.poll() is None


def test_methods_that_are_not_there_say_so(channel: grpc.Channel) -> None:
    unknown = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelUnload")
    with pytest.raises(grpc.RpcError) as refused:
        unknown(b"", timeout=30)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "one model, which never changes" in refused.value.details()
