"""What tritonclient's four clients tell about server and model, and how requests that cannot be answered end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.integration.server.clients.process import ClientError, ClientProcess
from tests.integration.server.clients.requests import GRPC, HTTP, TRANSPORTS, Get, ask, ask_all, assert_refused, refusal
from tests.integration.server.clients.served import DATATYPES, MODELS, Served, matrix, tensors

TYPES = {"FP64": "TYPE_FP64", "INT64": "TYPE_INT64", "BYTES": "TYPE_STRING", "BOOL": "TYPE_BOOL"}
UNKNOWN = (404, "NOT_FOUND")
NOT_HERE = (501, "UNIMPLEMENTED")


def tell(triton: ClientProcess, server: Served, transport: str, method: str, *args: Any, **keywords: Any) -> Any:
    """Return what a method gives. Raises ClientError with what the client raised."""
    return triton.call("call", transport=transport, url=server.url(transport), method=method, args=args, **keywords)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_live_and_ready(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    assert tell(triton, server, transport, "is_server_live") is True
    assert tell(triton, server, transport, "is_server_ready") is True
    assert tell(triton, server, transport, "is_model_ready", "flowers") is True
    assert tell(triton, server, transport, "is_model_ready", "flowers", "flowers-3") is True


@pytest.mark.parametrize("asked", [("tulips",), ("flowers", "flowers-4")])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_model_is_not_ready(triton: ClientProcess, served: Get, transport: str, asked: tuple[str, ...]) -> None:
    if transport in HTTP:
        assert tell(triton, served("flowers"), transport, "is_model_ready", *asked) is False
        return
    with pytest.raises(ClientError, match="unknown") as caught:
        tell(triton, served("flowers"), transport, "is_model_ready", *asked)
    assert_refused(caught.value, transport, *UNKNOWN)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_server_metadata(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    metadata = tell(triton, server, transport, "get_server_metadata")
    assert metadata["name"] == "modelmill-server"
    assert metadata["version"] == server.running.get("/version").body.decode()
    assert set(metadata["extensions"]) >= {
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "model_repository",
        "statistics",
    }
    assert not {"schedule_policy", "system_shared_memory", "cuda_shared_memory", "trace", "logging"} & set(
        metadata["extensions"]
    )


@pytest.mark.parametrize("version", [False, True])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_model_metadata(triton: ClientProcess, served: Get, transport: str, name: str, version: bool) -> None:
    server = served(name)
    metadata = tell(triton, server, transport, "get_model_metadata", name, *([server.version] if version else []))
    assert (metadata["name"], metadata["versions"]) == (name, [server.version])
    assert metadata["platform"]
    assert [shaped(tensor) for tensor in metadata["inputs"]] == [
        (column, datatype, [-1]) for column, datatype in inputs_of(server)
    ]
    assert [shaped(tensor) for tensor in metadata["outputs"]] == outputs_of(server)


@pytest.mark.parametrize("version", [False, True])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_model_config(triton: ClientProcess, served: Get, transport: str, name: str, version: bool) -> None:
    server = served(name)
    config = tell(triton, server, transport, "get_model_config", name, *([server.version] if version else []))
    config = config["config"] if transport in GRPC else config
    assert config["name"] == name
    assert config["platform"] == tell(triton, server, transport, "get_model_metadata", name)["platform"]
    assert int(config.get("max_batch_size", 0)) == 0  # rows are among the dims then
    assert [configured(tensor) for tensor in config["input"]] == [
        (column, TYPES[datatype], [-1]) for column, datatype in inputs_of(server)
    ]
    assert [configured(tensor) for tensor in config["output"]] == [
        (output, TYPES[datatype], shape) for output, datatype, shape in outputs_of(server)
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_repository_index(triton: ClientProcess, served: Get, transport: str) -> None:
    index = tell(triton, served("vehicles"), transport, "get_model_repository_index")
    models = index["models"] if transport in GRPC else index
    assert [(model["name"], model["version"], model["state"]) for model in models] == [
        ("vehicles", "vehicles-3", "READY")
    ]
    assert models[0].get("reason", "") == ""


@pytest.mark.parametrize("asked", [(), ("vehicles",), ("vehicles", "vehicles-3")])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_statistics_count_requests_and_rows(
    triton: ClientProcess, served: Get, transport: str, asked: tuple[str, ...]
) -> None:
    server = served("vehicles")
    before = statistics(triton, server, transport, asked)
    ask_all(triton, server, transport, [{"inputs": tensors(server.frame.head(rows))} for rows in (1, 5, 200)])
    after = statistics(triton, server, transport, asked)
    assert after["inference_count"] - before["inference_count"] == 206
    assert 1 <= after["execution_count"] - before["execution_count"] <= 3
    assert after["success"][0] - before["success"][0] == 3
    assert after["success"][1] > before["success"][1]
    assert after["compute_infer"][1] > before["compute_infer"][1]
    assert after["success"][1] - before["success"][1] >= after["compute_infer"][1] - before["compute_infer"][1]
    assert after["fail"] == before["fail"]
    assert after["last_inference"] >= before["last_inference"]
    assert after["last_inference"] > 1_600_000_000_000  # milliseconds since 1970


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_statistics_count_failures(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("numbers")
    before = statistics(triton, server, transport, ())
    refusal(triton, server, transport, tensors(server.frame.head(2))[1:])
    after = statistics(triton, server, transport, ())
    assert after["fail"][0] - before["fail"][0] == 1
    assert after["success"] == before["success"]
    assert after["inference_count"] == before["inference_count"]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (method, (name, *version))
        for method in ("get_model_metadata", "get_model_config", "get_inference_statistics")
        for name, version in (("tulips", ()), ("tulips", ("flowers-3",)), ("flowers", ("9",)))
    ],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_is_told_of_another_model(
    triton: ClientProcess, served: Get, transport: str, method: str, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(ClientError) as caught:
        tell(triton, served("flowers"), transport, method, *arguments)
    assert_refused(caught.value, transport, *UNKNOWN)
    assert f"'{'tulips' if arguments[0] == 'tulips' else '9'}'" in caught.value.message
    assert "'flowers" in caught.value.message


@pytest.mark.parametrize(("model", "version"), [("tulips", ""), ("tul ips/ü", ""), ("flowers", "9")])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_model_is_not_asked(
    triton: ClientProcess, served: Get, transport: str, model: str, version: str
) -> None:
    server = served("flowers")
    with pytest.raises(ClientError) as caught:
        ask(triton, server, transport, tensors(server.frame.head(2)), model=model, version=version)
    assert_refused(caught.value, transport, *UNKNOWN)
    assert "unknown" in caught.value.message
    assert "'flowers" in caught.value.message


WRONG: dict[str, tuple[Callable[[Served], list[dict[str, Any]]], str]] = {
    "one feature missing": (lambda server: tensors(server.frame.head(2))[:1], "'cylinders'"),
    "no inputs": (lambda server: [], "no inputs"),
    "unknown input": (lambda server: [*tensors(server.frame.head(2)), named("colour", np.zeros(2))], "'colour'"),
    "input twice": (lambda server: [*tensors(server.frame.head(2)), tensors(server.frame.head(2))[0]], "twice"),
    "text for a number": (
        lambda server: [named("power", np.array(["a", "b"], dtype=object)), *tensors(server.frame.head(2))[1:]],
        "'power' has datatype BYTES",
    ),
    "a number for text": (
        lambda server: [*tensors(server.frame.head(2))[:2], named("origin", np.zeros(2))],
        "'origin' has datatype FP64",
    ),
    "rows differ": (
        lambda server: [*tensors(server.frame.head(2))[:2], *tensors(server.frame.head(3))[2:]],
        "'origin'",
    ),
    "two columns": (lambda server: [named("power", np.zeros((2, 2))), *tensors(server.frame.head(2))[1:]], "'power'"),
    "three dimensions": (
        lambda server: [named("power", np.zeros((2, 1, 1))), *tensors(server.frame.head(2))[1:]],
        "'power'",
    ),
    "no rows": (lambda server: tensors(server.frame.head(0)), "row"),
    "matrix for text": (lambda server: [named("all", np.zeros((2, 3)))], "'origin'"),
}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_wrong_inputs_are_refused_by_name(
    triton: ClientProcess, served: Get, transport: str, case: str, binary: bool
) -> None:
    server = served("vehicles")
    make, wanted = WRONG[case]
    inputs = [item | {"binary": binary} for item in make(server)]
    assert wanted in refusal(triton, server, transport, inputs).message


@pytest.mark.parametrize("shape", [[3], [1], [0], [2, 2], [-1], [-2], [2**31], [2**62], [], [1, 1, 2]])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_shape_that_does_not_fit_the_values_is_refused(
    triton: ClientProcess, served: Get, transport: str, binary: bool, shape: list[int]
) -> None:
    server = served("flowers")
    inputs = [item | {"shape": shape} for item in tensors(server.frame.head(2), binary)]
    with pytest.raises(ClientError) as caught:
        ask(triton, server, transport, inputs)
    if shape and shape[0] >= 2**31:  # too many rows, or not as many as it says: either is true
        assert caught.value.status in ("400", "413", "StatusCode.INVALID_ARGUMENT", "StatusCode.RESOURCE_EXHAUSTED")
    else:
        assert_refused(caught.value, transport)


@pytest.mark.parametrize("width", [3, 5])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_matrix_of_another_width_is_refused(triton: ClientProcess, served: Get, transport: str, width: int) -> None:
    server = served("flowers")
    inputs = [matrix(server.frame)[0] | {"array": np.zeros((4, width))}]
    message = refusal(triton, server, transport, inputs).message
    assert str(width) in message
    assert "4 features" in message


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_unknown_output_is_refused(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("vehicles")
    inputs = tensors(server.frame.head(2))
    message = refusal(triton, server, transport, inputs, outputs=[("predict_proba", True)]).message
    assert "'predict_proba'" in message
    assert "predict" in message


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_classification_of_outputs(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    rows = server.frame.iloc[40:60]
    wanted = server.wanted(rows)
    outputs = [("predict", True), ("predict_proba", True)]
    result = ask(triton, server, transport, tensors(rows), outputs=outputs[1:], output={"class_count": 2})
    texts = result["outputs"]["predict_proba"]
    assert texts.shape == (20, 2)
    for row, scores, label in zip(texts.tolist(), wanted["predict_proba"], wanted["predict"].tolist(), strict=True):
        parts = [text.decode().split(":") for text in row]
        assert [float(part[0]) for part in parts] == pytest.approx(sorted(scores, reverse=True)[:2], abs=1e-5)
        assert [scores[int(part[1])] for part in parts] == sorted(scores, reverse=True)[:2]
        assert parts[0][2] == str(label)
    options = {"outputs": outputs[:1], "output": {"class_count": 2}}
    assert (
        "ask for classification of predict_proba"
        in refusal(triton, server, transport, tensors(rows), **options).message
    )


CANNOT: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "load": ("load_model", ("flowers",), {}),
    "load another": ("load_model", ("tulips",), {}),
    "unload": ("unload_model", ("flowers",), {}),
    "memory": ("get_system_shared_memory_status", (), {}),
    "memory of a region": ("get_system_shared_memory_status", ("region",), {}),
    "register memory": ("register_system_shared_memory", ("region", "/key", 64), {}),
    "unregister memory": ("unregister_system_shared_memory", (), {}),
    "unregister memory of a region": ("unregister_system_shared_memory", ("region",), {}),
    "device memory": ("get_cuda_shared_memory_status", (), {}),
    "device memory of a region": ("get_cuda_shared_memory_status", ("region",), {}),
    "register device memory": ("register_cuda_shared_memory", ("region", b"aGFuZGxl", 0, 64), {}),
    "unregister device memory": ("unregister_cuda_shared_memory", (), {}),
    "unregister device memory of a region": ("unregister_cuda_shared_memory", ("region",), {}),
    "trace settings": ("get_trace_settings", (), {}),
    "trace settings of a model": ("get_trace_settings", ("flowers",), {}),
    "set trace settings": ("update_trace_settings", (), {"settings": {"trace_level": ["OFF"]}}),
    "set trace settings of a model": ("update_trace_settings", ("flowers", {"trace_level": ["OFF"]}), {}),
    "log settings": ("get_log_settings", (), {}),
    "set log settings": ("update_log_settings", ({"log_verbose_level": 1},), {}),
}
SUBJECTS = {"load": "model", "memory": "sharedmemory", "trace": "trac", "log": "log"}


@pytest.mark.parametrize("case", CANNOT)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_a_server_of_one_model_cannot_do_is_said(
    triton: ClientProcess, served: Get, transport: str, case: str
) -> None:
    server = served("flowers")
    method, arguments, keywords = CANNOT[case]
    if method == "register_cuda_shared_memory" and transport in HTTP:
        arguments = (arguments[0], arguments[1].decode(), *arguments[2:])
    with pytest.raises(ClientError) as caught:
        tell(triton, server, transport, method, *arguments, **keywords)
    assert_refused(caught.value, transport, *NOT_HERE)
    subject = next(words for key, words in SUBJECTS.items() if key in method)
    assert subject in caught.value.message.lower().replace(" ", "")
    assert "Method not found" not in caught.value.message  # what gRPC says by itself
    assert tell(triton, server, transport, "is_model_ready", "flowers") is True


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_inputs_in_shared_memory_are_refused(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    arguments = {"transport": transport, "url": server.url(transport), "model": "flowers", "name": "sepal_length"}
    with pytest.raises(ClientError) as caught:
        triton.call("shared_memory", **arguments)
    assert_refused(caught.value, transport)
    assert "shared memory" in caught.value.message


def named(name: str, array: np.ndarray) -> dict[str, Any]:
    return {"name": name, "array": array, "binary": True}


def inputs_of(server: Served) -> list[tuple[str, str]]:
    kinds = {"f": "FP64", "i": "INT64", "O": "BYTES"}
    return [(str(name), kinds[dtype.kind]) for name, dtype in server.frame.dtypes.items()]


def outputs_of(server: Served) -> list[tuple[str, str, list[int]]]:
    predict = ("predict", DATATYPES[server.name], [-1])
    if server.name == "vehicles":
        return [predict]
    return [predict, ("predict_proba", "FP64", [-1, len(server.estimator.classes_)])]


def shaped(tensor: dict[str, Any]) -> tuple[str, str, list[int]]:
    return tensor["name"], tensor["datatype"], [int(size) for size in tensor["shape"]]


def configured(tensor: dict[str, Any]) -> tuple[str, str, list[int]]:
    return tensor["name"], tensor["data_type"], [int(size) for size in tensor["dims"]]


def statistics(triton: ClientProcess, server: Served, transport: str, asked: tuple[str, ...]) -> dict[str, Any]:
    """Return the counts of the one model; a pair is a count and its nanoseconds."""
    (model,) = tell(triton, server, transport, "get_inference_statistics", *asked)["model_stats"]
    assert (model["name"], model["version"]) == (server.name, server.version)
    pairs = {
        kind: (int(pair.get("count", 0)), int(pair.get("ns", 0))) for kind, pair in model["inference_stats"].items()
    }
    assert set(pairs) >= {"success", "fail", "queue", "compute_input", "compute_infer", "compute_output"}
    return pairs | {key: int(model.get(key, 0)) for key in ("inference_count", "execution_count", "last_inference")}
