"""V2 over gRPC: the values of HTTP, in both forms of contents, and errors as status codes with our words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from modelmill_server.protocols import inference_pb2 as pb
from tests.support.fitted import cars, on_columns
from tests.support.grpc_calls import Stub, message
from tests.support.infer_requests import INFER, request
from tests.support.model_server import Launcher, Running, free_port


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


SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("inference.GRPCInferenceService", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")


@pytest.mark.parametrize("name", ["", SERVICES[0]])
def test_health_is_told_as_kubernetes_asks_for_it(channel: grpc.Channel, name: str) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=30).status == SERVING


def test_health_of_another_service_is_not_known(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.RpcError) as refused:
        stub.Check(health_pb2.HealthCheckRequest(service="fuel"), timeout=30)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_from_start_to_end(launch: Launcher, tmp_path: Path) -> None:
    frame, target = cars("unknown")
    write_artifact(tmp_path / "cars", on_columns(Ridge(), frame).fit(frame, target), frame)
    port = free_port()
    running = launch(tmp_path / "cars", wait=False, GRPC_PORT=str(port), DRAIN_SECONDS="20")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(), timeout=60, wait_for_ready=True
        )
        states = []
        for answer in watched:
            states.append(answer.status)
            if answer.status == SERVING:
                assert running.get("/v2/health/ready").status == 200
                running.process.terminate()
            elif SERVING in states:
                break
        assert states[-2:] == [SERVING, NOT_SERVING]
        assert set(states[:-2]) <= {NOT_SERVING}
        watched.cancel()
    assert running.process.wait(30) == 0


def test_reflection_describes_every_service(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
    asked += [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in (*SERVICES, "no.Such")]
    listed, *files, nothing = stub.ServerReflectionInfo(iter(asked), timeout=30)
    assert sorted(one.name for one in listed.list_services_response.service) == sorted(SERVICES)
    for name, answer in zip(SERVICES, files, strict=True):
        described = FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])
        assert f"{described.package}.{described.service[0].name}" == name
    assert nothing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
