"""kserve's REST client (V1 and V2) and gRPC client get the values of scikit-learn, and errors that can be read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hack.artifacts import column_of
from tests.integration.server.clients.process import ClientError, ClientProcess
from tests.integration.server.clients.served import DATATYPES, MODELS, Served, assert_same, matrix, tensors

Get = Callable[[str], Served]
V2 = ("v2", "grpc")
PROTOCOLS = ("v1", *V2)


def address(server: Served, protocol: str) -> str:
    return server.url("grpc") if protocol == "grpc" else f"http://127.0.0.1:{server.running.port}"


def tell(kserve: ClientProcess, server: Served, protocol: str, method: str, *args: Any) -> Any:
    """Return what a method of the client gives. Raises ClientError with what it raised."""
    return kserve.call("call", protocol=protocol, url=address(server, protocol), method=method, args=args)


def ask(kserve: ClientProcess, server: Served, protocol: str, inputs: list[dict[str, Any]], **options: Any) -> Any:
    """Return the answer to one V2 request. Raises ClientError with what the client raised."""
    request = {"model": server.name, "inputs": inputs, **options}
    return kserve.call("infer", protocol=protocol, url=address(server, protocol), request=request)


def assert_outputs(server: Served, answer: Any, wanted: dict[str, np.ndarray]) -> None:
    assert list(answer["outputs"]) == list(wanted)
    for name, values in wanted.items():
        assert answer["datatypes"][name] == (DATATYPES[server.name] if name == "predict" else "FP64")
        assert_same(answer["outputs"][name], values)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_live_and_ready(kserve: ClientProcess, served: Get, protocol: str) -> None:
    server = served("flowers")
    assert tell(kserve, server, protocol, "is_server_live") is True
    assert tell(kserve, server, protocol, "is_model_ready", "flowers") is True
    if protocol != "v1":
        assert tell(kserve, server, protocol, "is_server_ready") is True


def test_another_model_is_not_ready(kserve: ClientProcess, served: Get) -> None:
    server = served("flowers")
    assert tell(kserve, server, "v2", "is_model_ready", "tulips") is False
    for protocol in ("v1", "grpc"):
        with pytest.raises(ClientError, match="unknown model 'tulips'") as caught:
            tell(kserve, server, protocol, "is_model_ready", "tulips")
        assert_status(caught.value, protocol, 404, "NOT_FOUND")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("binary_in", "binary_out"), list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("protocol", V2)
def test_v2_values(
    kserve: ClientProcess, served: Get, protocol: str, binary_in: bool, binary_out: bool, name: str
) -> None:
    server = served(name)
    rows = server.frame.iloc[30:70].dropna()
    answer = ask(kserve, server, protocol, tensors(rows, binary_in), binary_outputs=binary_out, id="k-1")
    assert (answer["id"], answer["model"]) == ("k-1", name)
    assert_outputs(server, answer, server.wanted(rows))
    if protocol == "v2":
        assert ("inference-header-content-length" in answer["headers"]) is binary_out


@pytest.mark.parametrize("protocol", V2)
def test_a_missing_value_is_nan(kserve: ClientProcess, served: Get, protocol: str) -> None:
    server = served("vehicles")
    rows = server.frame.iloc[:40]
    assert rows["power"].isna().any()
    assert_outputs(server, ask(kserve, server, protocol, tensors(rows)), server.wanted(rows))


def test_a_missing_value_over_grpc_may_be_among_the_contents(kserve: ClientProcess, served: Get) -> None:
    server = served("vehicles")
    rows = server.frame.iloc[:40]
    assert_outputs(server, ask(kserve, server, "grpc", tensors(rows, False)), server.wanted(rows))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.float32, np.float64]
)
@pytest.mark.parametrize("protocol", V2)
def test_number_datatypes(kserve: ClientProcess, served: Get, protocol: str, dtype: Any, binary: bool) -> None:
    server = served("flowers")
    rows = server.frame.iloc[30:80].round()
    for inputs in (tensors(rows, binary, **dict.fromkeys(rows.columns, dtype)), matrix(rows, binary, dtype)):
        assert_outputs(server, ask(kserve, server, protocol, inputs), server.wanted(rows))


@pytest.mark.parametrize("protocol", V2)
def test_fp16_and_bool_in_binary_form(kserve: ClientProcess, served: Get, protocol: str) -> None:
    server = served("flowers")
    half = server.frame.iloc[30:80].astype(np.float16)
    inputs = tensors(half)
    assert_outputs(server, ask(kserve, server, protocol, inputs), server.wanted(half.astype(np.float64)))
    flags = server.frame.iloc[30:80] > 3.0
    assert_outputs(server, ask(kserve, server, protocol, tensors(flags)), server.wanted(flags.astype(np.float64)))


@pytest.mark.parametrize("wanted", [["predict"], ["predict_proba"], ["predict_proba", "predict"]])
@pytest.mark.parametrize("protocol", V2)
def test_the_outputs_asked_for(kserve: ClientProcess, served: Get, protocol: str, wanted: list[str]) -> None:
    server = served("flowers")
    rows = server.frame.iloc[60:75]
    own = server.wanted(rows)
    answer = ask(kserve, server, protocol, tensors(rows), outputs=wanted)
    assert_outputs(server, answer, {name: own[name] for name in wanted})


@pytest.mark.parametrize("protocol", V2)
def test_ten_thousand_rows(kserve: ClientProcess, served: Get, protocol: str) -> None:
    server = served("vehicles")
    rows = server.frame.sample(10_000, replace=True, random_state=4)
    assert_outputs(server, ask(kserve, server, protocol, tensors(rows)), server.wanted(rows))


@pytest.mark.parametrize("protocol", V2)
def test_v2_errors_have_our_words(kserve: ClientProcess, served: Get, protocol: str) -> None:
    server = served("vehicles")
    good = tensors(server.frame.head(3))
    text = good[0] | {"array": np.array(["a", "b", "c"], dtype=object)}
    fraction = good[1] | {"array": np.array([4.0, 4.5, 5.0])}
    cases: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
        (good[:1], {}, "'cylinders'"),
        ([*good, good[0] | {"name": "colour"}], {}, "'colour'"),
        ([text, *good[1:]], {}, "'power' has datatype BYTES"),
        ([good[0], fraction, good[2]], {}, "row 1"),
        (good, {"outputs": ["predict_proba"]}, "'predict_proba'"),
    ]
    for (inputs, options, words), binary in itertools.product(cases, (True, False)):
        with pytest.raises(ClientError) as caught:
            ask(kserve, server, protocol, [item | {"binary": binary} for item in inputs], **options)
        assert words in caught.value.message
        assert_status(caught.value, protocol, 400, "INVALID_ARGUMENT")
    with pytest.raises(ClientError, match="unknown model 'tulips'") as caught:
        ask(kserve, server, protocol, good, model="tulips")
    assert_status(caught.value, protocol, 404, "NOT_FOUND")


def test_another_version_over_grpc_is_refused(kserve: ClientProcess, served: Get) -> None:
    server = served("vehicles")
    rows = server.frame.head(2)
    assert_outputs(server, ask(kserve, server, "grpc", tensors(rows), version=server.version), server.wanted(rows))
    with pytest.raises(ClientError, match="unknown version '9'") as caught:
        ask(kserve, server, "grpc", tensors(rows), version="9")
    assert_status(caught.value, "grpc", 404, "NOT_FOUND")


@pytest.mark.parametrize("name", MODELS)
def test_v1_values(kserve: ClientProcess, served: Get, name: str) -> None:
    server = served(name)
    rows = server.frame.iloc[30:50]
    for key, instances in itertools.product(("instances", "inputs"), (lists(rows), records(rows))):
        answer = tell(kserve, server, "v1", "infer", {key: instances}, name)
        assert list(answer) == ["predictions"]
        assert_predictions(answer["predictions"], server.wanted(rows)["predict"])


@pytest.mark.parametrize("name", MODELS)
def test_v1_explain_has_the_predictions_and_an_attribution_of_each_row(
    kserve: ClientProcess, served: Get, name: str
) -> None:
    server = served(name)
    rows = server.frame.iloc[30:36]
    answer = tell(kserve, server, "v1", "explain", name, {"instances": lists(rows)})
    assert_predictions(answer["predictions"], server.wanted(rows)["predict"])
    assert len(answer["explanations"]) == len(rows)
    for row in answer["explanations"]:
        assert len(row) == rows.shape[1] or set(rows.columns) <= set(row)


def test_v1_errors_have_our_words(kserve: ClientProcess, served: Get) -> None:
    server = served("vehicles")
    good = lists(server.frame.iloc[1:3])
    for method in ("infer", "explain"):
        for data, words in (
            ({"instances": [[1.0, "four", "USA"]]}, "'cylinders'"),
            ({"instances": [[1.0, 1e30, "USA"]]}, "'cylinders'"),
            ({"instances": [[1.0, 2**63, "USA"]]}, "'cylinders'"),
            ({"instances": [{"power": 1.0, "cylinders": 4}]}, "'origin'"),
            ({"instances": [good[0], good[1][:2]]}, "row 1"),
            ({"rows": good}, "instances"),
            ({}, "instances"),
        ):
            with pytest.raises(ClientError) as caught:
                tell(kserve, server, "v1", method, *((data, "vehicles") if method == "infer" else ("vehicles", data)))
            assert words in caught.value.message, (data, caught.value.message)
            assert_status(caught.value, "v1", 400, "")
        with pytest.raises(ClientError, match="unknown model 'tulips'") as caught:
            tell(kserve, server, "v1", method, *(({"instances": good}, "tulips")[:: 1 if method == "infer" else -1]))
        assert_status(caught.value, "v1", 404, "")


def assert_status(error: ClientError, protocol: str, http: int, grpc: str) -> None:
    if protocol == "grpc":
        assert (error.type, error.status) == ("AioRpcError", grpc)
    else:
        assert (error.type, error.status) == ("HTTPStatusError", http)
        assert not error.message.startswith(", ")  # the client found no words in the answer


def assert_predictions(got: list[Any], wanted: np.ndarray) -> None:
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    else:
        assert got == wanted.tolist()


def lists(rows: pd.DataFrame) -> list[list[Any]]:
    return [list(row) for row in zip(*(column_of(rows[name]) for name in rows), strict=True)]


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(rows.columns, row, strict=True)) for row in lists(rows)]
