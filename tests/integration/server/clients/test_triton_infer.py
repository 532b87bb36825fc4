"""Inference by tritonclient's four clients gives the values of scikit-learn."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.integration.server.clients.process import ClientError, ClientProcess
from tests.integration.server.clients.requests import GRPC, HTTP, TRANSPORTS, Get, ask, ask_all, assert_refused, refusal
from tests.integration.server.clients.served import (
    COUNTRIES,
    DATATYPES,
    MODELS,
    Served,
    assert_same,
    matrix,
    tensors,
)

NUMBERS = {
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BOOL": np.bool_,
}  # fmt: skip


def assert_outputs(server: Served, result: Any, wanted: dict[str, np.ndarray]) -> None:
    """Compare all of an answer: names in order, datatypes, values."""
    outputs = {output["name"]: output for output in result["response"]["outputs"]}
    assert list(outputs) == list(wanted)
    for name, values in wanted.items():
        assert outputs[name]["datatype"] == (DATATYPES[server.name] if name == "predict" else "FP64")
        assert_same(result["outputs"][name], values)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_kind_of_output_has_its_values(triton: ClientProcess, served: Get, transport: str, name: str) -> None:
    server = served(name)
    rows = server.frame.iloc[30:70]
    result = ask(triton, server, transport, tensors(rows), id="a-1")
    assert_outputs(server, result, server.wanted(rows))
    response = result["response"]
    assert (response["id"], response["model_name"], response["model_version"]) == ("a-1", name, server.version)


@pytest.mark.parametrize("name", ["flowers", "vehicles"])
@pytest.mark.parametrize(("binary_in", "binary_out"), list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("transport", HTTP)
def test_json_and_binary_in_and_out(
    triton: ClientProcess, served: Get, transport: str, binary_in: bool, binary_out: bool, name: str
) -> None:
    server = served(name)
    rows = server.frame.iloc[10:40].dropna()
    wanted = server.wanted(rows)
    outputs = [(output, binary_out) for output in wanted]
    result = ask(triton, server, transport, tensors(rows, binary_in), outputs=outputs)
    assert_outputs(server, result, wanted)
    for output in result["response"]["outputs"]:
        assert ("data" in output) is not binary_out
        assert ("binary_data_size" in output.get("parameters", {})) is binary_out


@pytest.mark.parametrize("transport", HTTP)
def test_inputs_and_outputs_may_be_mixed(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    rows = server.frame.iloc[40:60]
    inputs = tensors(rows)
    for place in (1, 2):
        inputs[place]["binary"] = False
    for outputs in ([("predict", True), ("predict_proba", False)], [("predict", False), ("predict_proba", True)]):
        result = ask(triton, server, transport, inputs, outputs=outputs)
        assert_outputs(server, result, server.wanted(rows))
        assert ["data" not in output for output in result["response"]["outputs"]] == [binary for _, binary in outputs]


@pytest.mark.parametrize("transport", HTTP)
def test_without_named_outputs_all_come_in_binary_form(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    result = ask(triton, server, transport, tensors(server.frame.head(3)))
    sizes = {output["name"]: output["parameters"]["binary_data_size"] for output in result["response"]["outputs"]}
    labels = server.estimator.predict(server.frame.head(3))
    assert sizes == {"predict": sum(4 + len(label.encode()) for label in labels), "predict_proba": 3 * 3 * 8}


@pytest.mark.parametrize("wanted", [["predict"], ["predict_proba"], ["predict_proba", "predict"]])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_outputs_asked_for_come_in_that_order(
    triton: ClientProcess, served: Get, transport: str, wanted: list[str]
) -> None:
    server = served("flowers")
    rows = server.frame.iloc[90:110]
    own = server.wanted(rows)
    result = ask(triton, server, transport, tensors(rows), outputs=[(name, True) for name in wanted])
    assert_outputs(server, result, {name: own[name] for name in wanted})


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ids_are_echoed(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("numbers")
    ids = ["1", "a b", '日本-"quoted"', "x" * 200]
    results = ask_all(triton, server, transport, [{"inputs": tensors(server.frame.head(1)), "id": id_} for id_ in ids])
    assert [result["response"]["id"] for result in results] == ids


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_version_may_be_named(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("vehicles")
    rows = server.frame.head(5)
    assert_outputs(server, ask(triton, server, transport, tensors(rows), version=server.version), server.wanted(rows))


@pytest.mark.parametrize("form", ["one tensor per feature", "columns of width one", "matrix"])
@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_number_datatype_is_taken_in_binary_form(
    triton: ClientProcess, served: Get, transport: str, datatype: str, form: str
) -> None:
    server = served("flowers")
    rows, dtype = whole_flowers(server, datatype), NUMBERS[datatype]
    if form == "matrix":
        inputs = matrix(rows, dtype=dtype)
    else:
        inputs = tensors(rows, **dict.fromkeys(rows.columns, dtype))
    if form == "columns of width one":
        inputs = [item | {"array": item["array"].reshape(-1, 1)} for item in inputs]
    assert_outputs(server, ask(triton, server, transport, inputs), server.wanted(rows))


@pytest.mark.parametrize("form", ["one tensor per feature", "matrix"])
@pytest.mark.parametrize("datatype", [name for name in NUMBERS if name != "FP16"])
@pytest.mark.parametrize("transport", HTTP)
def test_every_number_datatype_but_fp16_is_taken_in_json(
    triton: ClientProcess, served: Get, transport: str, datatype: str, form: str
) -> None:
    server = served("flowers")
    rows, dtype = whole_flowers(server, datatype), NUMBERS[datatype]
    inputs = matrix(rows, False, dtype) if form == "matrix" else tensors(rows, False, **dict.fromkeys(rows, dtype))
    assert_outputs(server, ask(triton, server, transport, inputs), server.wanted(rows))


@pytest.mark.parametrize("form", ["one tensor per feature", "matrix"])
@pytest.mark.parametrize("transport", HTTP)
def test_fp16_in_json_is_refused_in_words(triton: ClientProcess, served: Get, transport: str, form: str) -> None:
    server = served("flowers")
    rows = server.frame.head(2)
    inputs = (
        matrix(rows, False, np.float16) if form == "matrix" else tensors(rows, False, **dict.fromkeys(rows, np.float16))
    )
    error = refusal(triton, server, transport, inputs)
    assert "FP16" in error.message
    assert "binary" in error.message


@pytest.mark.parametrize("datatype", [name for name in NUMBERS if name != "BOOL"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_number_datatype_is_taken_for_whole_numbers(
    triton: ClientProcess, served: Get, transport: str, datatype: str
) -> None:
    server = served("vehicles")
    rows = server.frame.iloc[20:60]
    inputs = tensors(rows, cylinders=NUMBERS[datatype])
    assert_outputs(server, ask(triton, server, transport, inputs), server.wanted(rows))


@pytest.mark.parametrize("rows", [1, 2, 200])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_fraction_is_no_whole_number(triton: ClientProcess, served: Get, transport: str, rows: int) -> None:
    server = served("vehicles")
    frame = server.frame.iloc[:rows].astype({"cylinders": np.float32})
    frame.loc[frame.index[-1], "cylinders"] = 4.5
    message = refusal(triton, server, transport, tensors(frame)).message
    assert "'cylinders'" in message
    assert f"row {rows - 1}" in message


@pytest.mark.parametrize(("value", "dtype"), [(2**63, np.uint64), (1e30, np.float64), (-9.3e18, np.float32)])
@pytest.mark.parametrize("rows", [1, 200])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_number_beyond_int64_is_refused(
    triton: ClientProcess, served: Get, transport: str, rows: int, value: float, dtype: Any
) -> None:
    server = served("vehicles")
    for binary in (True, False):
        inputs = tensors(server.frame.head(rows), binary, cylinders=dtype)
        inputs[1]["array"][-1] = value
        message = refusal(triton, server, transport, inputs).message
        assert "'cylinders'" in message
        assert f"row {rows - 1}" in message


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_text_may_be_empty_and_beyond_ascii(triton: ClientProcess, served: Get, transport: str, binary: bool) -> None:
    server = served("vehicles")
    words = [*COUNTRIES, "unheard of", "🌱🪴", "a\x00b", 'q"\\\n', " "]
    rows = pd.DataFrame({"power": 90.0, "cylinders": 4, "origin": np.array(words, dtype=object)})
    wanted = server.wanted(rows)
    assert len(set(np.round(wanted["predict"][: len(COUNTRIES)], 1).tolist())) == len(COUNTRIES)
    assert_outputs(server, ask(triton, server, transport, tensors(rows, binary)), wanted)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_text_may_be_given_as_bytes(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("vehicles")
    rows = server.frame.iloc[50:80]
    inputs = tensors(rows)
    inputs[2]["array"] = np.array([word.encode() for word in rows["origin"]], dtype=object)
    assert_outputs(server, ask(triton, server, transport, inputs), server.wanted(rows))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_bytes_that_are_no_text_are_refused(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("vehicles")
    inputs = tensors(server.frame.head(3))
    inputs[2]["array"] = np.array([b"USA", b"\xff\xfe", b""], dtype=object)
    message = refusal(triton, server, transport, inputs).message
    assert "'origin'" in message
    assert "UTF-8" in message


@pytest.mark.parametrize("count", [1, 60, 200])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nan_is_a_missing_value_where_the_model_has_gaps(
    triton: ClientProcess, served: Get, transport: str, binary: bool, count: int
) -> None:
    server = served("vehicles")
    rows = server.frame.iloc[:count]
    assert np.isnan(rows["power"].iloc[0])
    for dtype in (np.float64, np.float32, np.float16) if binary else (np.float64, np.float32):
        narrow = rows.assign(power=rows["power"].astype(dtype).astype(np.float64))
        result = ask(triton, server, transport, tensors(narrow, binary, power=dtype))
        assert_outputs(server, result, server.wanted(narrow))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("count", [1, 150])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nan_and_infinity_are_refused_elsewhere(
    triton: ClientProcess, served: Get, transport: str, count: int, value: float
) -> None:
    server = served("flowers")
    rows = server.frame.head(count).copy()
    rows.iloc[-1, 2] = value
    for binary in (True, False):
        for inputs in (tensors(rows, binary), matrix(rows, binary)):
            message = refusal(triton, server, transport, inputs).message
            if not binary and np.isinf(value) and transport in HTTP:  # not JSON at all: nothing is known of the field
                assert "Infinity" in message
                continue
            assert "petal_length" in message or "features" in message
            assert f"row {count - 1}" in message


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_requests_may_be_compressed(
    triton: ClientProcess, served: Get, transport: str, binary: bool, algorithm: str
) -> None:
    server = served("vehicles")
    rows = server.frame.iloc[:100]
    result = ask(triton, server, transport, tensors(rows, binary), compression=algorithm)
    assert_outputs(server, result, server.wanted(rows))


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("transport", HTTP)
def test_answers_may_be_asked_for_compressed(
    triton: ClientProcess, served: Get, transport: str, algorithm: str
) -> None:
    server = served("flowers")
    rows = server.frame.head(100)
    result = ask(triton, server, transport, tensors(rows), response_compression=algorithm)
    assert_outputs(server, result, server.wanted(rows))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_requests_at_once_keep_their_answers(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("vehicles")
    spans = [server.frame.iloc[start : start + 1 + start % 7] for start in range(40)]
    requests = [{"inputs": tensors(rows, place % 2 == 0), "id": f"q{place}"} for place, rows in enumerate(spans)]
    results = ask_all(triton, server, transport, requests, together=True)
    for place, (rows, result) in enumerate(zip(spans, results, strict=True)):
        assert result["response"]["id"] == f"q{place}"
        assert_outputs(server, result, server.wanted(rows))


@pytest.mark.parametrize("transport", GRPC)
def test_a_stream_answers_each_request(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    spans = [server.frame.iloc[start : start + 3] for start in range(0, 30, 3)]
    requests = [{"model": server.name, "inputs": tensors(rows), "id": f"s{n}"} for n, rows in enumerate(spans)]
    broken = requests[4] | {"inputs": tensors(spans[4])[1:]}
    results = triton.call(
        "stream", transport=transport, url=server.url(transport), requests=[*requests[:4], broken, *requests[5:]]
    )
    for place, (rows, result) in enumerate(zip(spans, results, strict=True)):
        if place == 4:
            assert "sepal_length" in result["error"]["message"]
        else:
            assert result["response"]["id"] == f"s{place}"
            assert_outputs(server, result, server.wanted(rows))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ten_thousand_rows(triton: ClientProcess, served: Get, transport: str, binary: bool) -> None:
    for name in ("flowers", "vehicles"):
        server = served(name)
        rows = server.frame.sample(10_000, replace=True, random_state=3)
        assert_outputs(server, ask(triton, server, transport, tensors(rows, binary)), server.wanted(rows))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_too_many_rows_are_refused(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    rows = server.frame.sample(10_001, replace=True, random_state=3)
    with pytest.raises(ClientError) as caught:
        ask(triton, server, transport, tensors(rows))
    assert_refused(caught.value, transport, 413, "RESOURCE_EXHAUSTED")
    assert "10000" in caught.value.message


@pytest.mark.parametrize("compression", [{}, {"compression": "gzip"}])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_too_many_bytes_are_refused(
    triton: ClientProcess, served: Get, transport: str, binary: bool, compression: dict[str, str]
) -> None:
    server = served("vehicles")
    inputs = tensors(server.frame.head(20), binary)
    inputs[2]["array"] = np.array(["x" * 1024**2] * 20, dtype=object)  # 20 MiB, a little when compressed
    with pytest.raises(ClientError) as caught:
        ask(triton, server, transport, inputs, **compression)
    assert_refused(caught.value, transport, 413, "RESOURCE_EXHAUSTED")
    assert "larger" in caught.value.message
    assert triton.call("call", transport=transport, url=server.url(transport), method="is_server_ready") is True


def test_bodies_may_be_made_and_read_without_the_client(triton: ClientProcess, served: Get) -> None:
    server = served("vehicles")
    rows = server.frame.iloc[5:25]
    for binary in (True, False):
        request = {"model": server.name, "inputs": tensors(rows, binary), "outputs": [("predict", binary)]}
        assert_outputs(server, triton.call("bodies", url=server.url("http"), request=request), server.wanted(rows))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_parameters_of_the_request_do_no_harm(triton: ClientProcess, served: Get, transport: str) -> None:
    server = served("flowers")
    rows = server.frame.head(4)
    own = {"tenant": "a", "tries": 3, "dry": False}
    assert_outputs(server, ask(triton, server, transport, tensors(rows), parameters=own), server.wanted(rows))


def whole_flowers(server: Served, datatype: str) -> pd.DataFrame:
    """Return rows whose values a datatype can hold."""
    rows = server.frame.iloc[30:80].copy()
    if datatype.startswith("FP"):
        return rows.astype(NUMBERS[datatype]).astype(np.float64)
    return rows.round() if datatype != "BOOL" else (rows > rows.median()).astype(np.float64)
