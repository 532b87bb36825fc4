"""What the server says to good and bad requests, on one process with a model of numbers and text."""

from __future__ import annotations

import gzip
import http.client
import json
import math
import socket
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from modelmill.contracts import artifact, names
from modelmill.measuring.exposition import NeededLines, parse
from modelmill.measuring.samples import Sample
from tests.support.fitted import cars, on_columns
from tests.support.infer_requests import GOOD, INFER, TYPES, request, tensor
from tests.support.model_server import Launcher, Running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame, target = cars("unknown")
    folder = tmp_path_factory.mktemp("artifact")
    write_artifact(folder, on_columns(Ridge(), frame).fit(frame, target), frame)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, launch_shared: Launcher) -> Running:
    return launch_shared(
        folder,
        MODEL_NAME="fuel",
        MODEL_VERSION="fuel-3",
        MAX_ROWS="50",
        MAX_REQUEST_BYTES="20000",
        BODY_SECONDS="1",
        IDLE_SECONDS="2",
        DRIFT_FEATURES="2",
    )


def error(answer: Any) -> str:
    """Return the error text of an answer that has the one form every error has."""
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


def test_health_and_metadata(server: Running, folder: Path) -> None:
    assert server.get("/").json() == {"status": "alive"}
    assert server.get("/v2/health/live").json() == {"live": True}
    assert server.get("/v2/health/ready").json() == {"live": True, "ready": True}
    assert server.get("/ping").status == server.get("/health").status == 200
    assert server.get("/version").headers["content-type"] == "text/plain"
    assert server.get("/v2").json()["name"] == "modelmill-server"
    assert server.get("/v1/models").json() == server.get("/v2/models").json() == {"models": ["fuel"]}
    assert server.get("/v1/models/fuel").json() == {"name": "fuel", "ready": True}
    for base in ("/v2/models/fuel", "/v2/models/fuel/versions/fuel-3"):
        assert server.get(f"{base}/ready").json() == {"name": "fuel", "ready": True}
        metadata = server.get(base).json()
        assert (metadata["name"], metadata["versions"]) == ("fuel", ["fuel-3"])
        assert metadata["inputs"][1] == {"name": "cylinders", "datatype": "INT64", "shape": [-1]}
        assert metadata["outputs"] == [{"name": "predict", "datatype": "FP64", "shape": [-1]}]
        manifest = (folder / "manifest.json").read_bytes()
        assert metadata["parameters"]["digest"] == artifact.digest(manifest)
        assert metadata["parameters"]["engine"].startswith("onnxruntime")
    assert server.post("/v2/repository/index", {}).json()[0]["state"] == "READY"


def test_id_outputs_and_parameters(server: Running) -> None:
    document = {**request(), "id": "å-1", "parameters": {"priority": 1}, "outputs": [{"name": "predict"}]}
    body = server.post(INFER, document).json()
    assert body["id"] == "å-1"
    assert [output["name"] for output in body["outputs"]] == ["predict"]
    assert "id" not in server.post(INFER, request()).json()
    assert "'score'" in error(server.post(INFER, {**request(), "outputs": [{"name": "score"}]}))


def test_values_of_other_forms_give_the_same(server: Running) -> None:
    want = server.post(INFER, request()).json()["outputs"]
    for changes in (
        {"power": tensor("power", [100], "INT32")},
        {"power": tensor("power", [[100.0]], "FP32", [1, 1])},
        {"power": tensor("power", [100.0], "FP32", [1, 1])},
        {"cylinders": tensor("cylinders", [4.0], "FP64")},
        {"cylinders": tensor("cylinders", [4], "UINT8")},
    ):
        answer = server.post(INFER, request(**changes))
        assert answer.status == 200, answer.body
        assert answer.json()["outputs"] == want


def test_missing_value_is_null_or_nan_where_the_model_allows_it(server: Running) -> None:
    with_null = server.post(INFER, request(power=tensor("power", [None])))
    with_nan = server.post(INFER, json.dumps(request(power=tensor("power", [float("nan")]))).encode())
    assert with_null.status == with_nan.status == 200
    assert with_null.json()["outputs"] == with_nan.json()["outputs"]
    assert with_null.json() != server.post(INFER, request()).json()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "missing feature": (request(cylinders=None), "missing input 'cylinders'"),
    "unknown feature": (request(colour=tensor("colour", ["red"], "BYTES")), "'colour'"),
    "feature twice": (request(again=tensor("power", [1.0])), "'power'"),
    "text in a number": (request(power=tensor("power", ["100"])), "'power' has text at row 0"),
    "number in a text": (request(origin=tensor("origin", [1])), "'origin' has int at row 0"),
    "true in a number": (request(power=tensor("power", [True])), "'power' has true or false"),
    "fraction in a whole number": (request(cylinders=tensor("cylinders", [4.5])), "'cylinders'"),
    "fraction declared a float": (request(cylinders=tensor("cylinders", [4.5], "FP64")), "'cylinders' is 4.5 at row 0"),
    "out of the datatype": (request(cylinders=tensor("cylinders", [300], "UINT8")), "'cylinders' has a number out of"),
    "too large for the model": (request(power=tensor("power", [1e300])), "'power' has a number out of range"),
    "text datatype for a number": (request(power=tensor("power", ["a"], "BYTES")), "'power' has datatype BYTES"),
    "number datatype for a text": (request(origin=tensor("origin", [1.0], "FP32")), "'origin' has datatype FP32"),
    "unknown datatype": (request(power=tensor("power", [1.0], "FLOAT")), "'power' has datatype 'FLOAT'"),
    "null where none is allowed": (request(cylinders=tensor("cylinders", [None])), "'cylinders' is missing"),
    "shape says more": (request(power=tensor("power", [1.0], shape=[1, 2])), "'power' has shape [1, 2]"),
    "data has more": (request(power=tensor("power", [1.0, 2.0], shape=[1])), "'power' has 2 values"),
    "rows differ": (request(power=tensor("power", [1.0, 2.0])), "has 1 rows, 'power' has 2"),
    "negative shape": (request(power=tensor("power", [], shape=[-1])), "no rows"),
    "no rows": ({"inputs": [tensor(name, [], TYPES[name]) for name in GOOD]}, "no rows"),
    "no inputs": ({"inputs": []}, "no inputs"),
    "inputs absent": ({"id": "1"}, "inputs"),
    "inputs a number": ({"inputs": 5}, "inputs"),
    "data an object": (request(power=tensor("power", {}, shape=[1])), "'power'"),
    "data nested too far": (request(power=tensor("power", [[[1.0]]], shape=[1])), "'power'"),
    "id a number": ({**request(), "id": 5}, "id"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_request_is_answered_with_400_and_the_field(server: Running, name: str) -> None:
    document, words = BAD[name]
    answer = server.post(INFER, document)
    assert answer.status == 400, answer.body
    assert words in error(answer)


BAD_BYTES = {
    "empty": b"",
    "not JSON": b"{",
    "trailing comma": b'{"inputs":[{"name":"power","shape":[1],"datatype":"FP64","data":[1,]}]}',
    "not an object": b"[]",
    "deep": b'{"inputs":' + b"[" * 9000 + b"]" * 9000 + b"}",
    "deep data": b'{"inputs":[{"name":"power","shape":[1],"datatype":"FP64","data":'
    + b"[" * 9000
    + b"]" * 9000
    + b"}]}",
    "deep with NaN": b'{"x":NaN,"inputs":' + b"[" * 9000 + b"]" * 9000 + b"}",
    "broken UTF-8": b'{"id":"\xff\xfe","inputs":[]}',
    "broken UTF-8 in data": b'{"inputs":[{"name":"origin","shape":[1],"datatype":"BYTES","data":["\xff"]}]}',
    "long number": b'{"inputs":[{"name":"power","shape":[1],"datatype":"FP64","data":[' + b"9" * 5000 + b"]}]}",
    "long number and NaN": b'{"x":NaN,"inputs":[{"name":"power","shape":[1],"datatype":"FP64","data":['
    + b"9" * 5000
    + b"]}]}",
    "infinity": b'{"inputs":[{"name":"power","shape":[1],"datatype":"FP64","data":[Infinity]}]}',
    "exponent": b'{"inputs":[{"name":"power","shape":[1],"datatype":"FP64","data":[1e999]}]}',
}


@pytest.mark.parametrize("name", BAD_BYTES)
@pytest.mark.parametrize("path", [INFER, "/invocations", "/v1/models/fuel:predict"])
def test_malformed_body_is_answered_with_400(server: Running, path: str, name: str) -> None:
    answer = server.post(path, BAD_BYTES[name])
    assert answer.status == 400, answer.body
    assert error(answer)


ROW = list(GOOD.values())
BAD_ROWS: dict[str, tuple[str, Any, str]] = {
    "two forms": ("/invocations", {"instances": [ROW], "inputs": [ROW]}, "exactly one of"),
    "no form": ("/invocations", {}, "exactly one of"),
    "split in V1": ("/v1/models/fuel:predict", {"dataframe_split": {}}, "exactly one of"),
    "short row": ("/invocations", {"instances": [ROW, [1.0]]}, "row 1 has 1 values"),
    "row no list": ("/invocations", {"instances": [5]}, "row 0 has int"),
    "not rows": ("/invocations", {"instances": 5}, "instances must be a list"),
    "no rows": ("/invocations", {"instances": []}, "no rows"),
    "text in a number": ("/invocations", {"instances": [["x", 4, "USA"]]}, "'power' has text at row 0"),
    "missing key": (
        "/invocations",
        {"dataframe_records": [GOOD, {"power": 1.0}]},
        "missing input 'cylinders' at row 1",
    ),
    "unknown key": ("/invocations", {"dataframe_records": [{**GOOD, "colour": 1}]}, "'colour'"),
    "mixed rows": ("/invocations", {"dataframe_records": [GOOD, ROW]}, "row 1"),
    "missing column": ("/invocations", {"dataframe_split": {"columns": ["power"], "data": [[1]]}}, "'cylinders'"),
    "column twice": ("/invocations", {"dataframe_split": {"columns": ["power", "power"], "data": [[1, 1]]}}, "twice"),
    "split no data": ("/invocations", {"dataframe_split": {"columns": ["power"]}}, "columns and data"),
    "columns differ": (
        "/invocations",
        {"inputs": {"power": [1, 2], "cylinders": [4], "origin": ["USA"]}},
        "'cylinders'",
    ),
    "null": ("/invocations", {"instances": [[1.0, None, "USA"]]}, "'cylinders' is missing"),
    "nested": ("/invocations", {"instances": [[[1.0], 4, "USA"]]}, "'power' has array"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_answered_with_400_and_the_field(server: Running, name: str) -> None:
    path, document, words = BAD_ROWS[name]
    answer = server.post(path, document)
    assert answer.status == 400, answer.body
    assert words in error(answer)


def test_wrong_address(server: Running) -> None:
    assert "'other'" in error(server.post("/v2/models/other/infer", request()))
    for method, path, status in (
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/fuel/versions/9/infer", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", INFER, 405),
        ("DELETE", "/v2/models/fuel", 405),
        ("POST", "/metrics", 405),
    ):
        answer = server.call(method, path)
        assert answer.status == status, (method, path)
        assert error(answer)


def test_limits(server: Running) -> None:
    rows = {"inputs": [tensor(name, [value] * 51) for name, value in GOOD.items()]}
    answer = server.post(INFER, rows)
    assert (answer.status, "51 rows" in error(answer)) == (413, True)
    answer = server.post("/invocations", {"instances": [ROW] * 51})
    assert (answer.status, "51 rows" in error(answer)) == (413, True)
    answer = server.post(INFER, request(power=tensor("power", [1.0], shape=[10**22])))
    assert (answer.status, str(10**22) in error(answer)) == (413, True)
    answer = server.post(INFER, b" " * 20_001)
    assert (answer.status, "20000 bytes" in error(answer)) == (413, True)
    answer = server.post(INFER, json.dumps(request()).encode().ljust(20_000))
    assert answer.status == 200


def test_body_in_chunks(server: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    content = json.dumps(request()).encode()
    connection.request("POST", INFER, iter([content[:10], content[10:]]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", INFER, iter([b" " * 9000] * 3), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def binary_request(rows: int, **document: Any) -> tuple[bytes, dict[str, str]]:
    """Return the body of a request whose tensors follow the JSON part, and its header."""
    power = np.full(rows, GOOD["power"], "<f8").tobytes()
    cylinders = np.full(rows, GOOD["cylinders"], "<i8").tobytes()
    origin = (len("USA").to_bytes(4, "little") + b"USA") * rows
    inputs = [
        {"name": name, "shape": [rows], "datatype": TYPES[name], "parameters": {"binary_data_size": len(data)}}
        for name, data in zip(GOOD, (power, cylinders, origin), strict=True)
    ]
    head = json.dumps({"inputs": inputs, **document}).encode()
    return head + power + cylinders + origin, {"Inference-Header-Content-Length": str(len(head))}


@pytest.mark.parametrize("rows", [1, 50])
def test_binary_tensors_give_the_same_values(server: Running, rows: int) -> None:
    columns = {name: tensor(name, [value] * rows) for name, value in GOOD.items()}
    want = server.post(INFER, request(**columns)).json()["outputs"][0]
    body, headers = binary_request(rows)
    answer = server.post(INFER, body, headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["outputs"][0] == want
    outputs = [{"name": "predict", "parameters": {"binary_data": True}}]
    for document in ({"outputs": outputs}, {"parameters": {"binary_data_output": True}, "id": "b"}):
        body, headers = binary_request(rows, **document)
        answer = server.post(INFER, body, headers)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
        length = int(answer.headers["inference-header-content-length"])
        head = json.loads(answer.body[:length])
        size = {"binary_data_size": 8 * rows}
        assert head["outputs"] == [{"name": "predict", "shape": [rows], "datatype": "FP64", "parameters": size}]
        assert np.frombuffer(answer.body[length:], "<f8").tolist() == want["data"]


@pytest.mark.parametrize(
    ("length", "words"),
    [("x", "must be a number"), ("-1", "must be a number"), ("9" * 30, "must be a number"), ("999999", "the body has")],
)
def test_wrong_length_of_the_json_part(server: Running, length: str, words: str) -> None:
    body, _ = binary_request(1)
    answer = server.post(INFER, body, {"Inference-Header-Content-Length": length})
    assert answer.status == 400
    assert words in error(answer)


def test_compressed_bodies(server: Running) -> None:
    content = json.dumps(request()).encode()
    want = server.post(INFER, content).json()["outputs"]
    for name, packed in (("gzip", gzip.compress(content)), ("deflate", zlib.compress(content))):
        assert server.post(INFER, packed, {"Content-Encoding": name}).json()["outputs"] == want
        assert server.post(INFER, packed[:-6], {"Content-Encoding": name}).status == 400
        assert server.post(INFER, b"x" + packed, {"Content-Encoding": name}).status == 400
    bomb = gzip.compress(b" " * 10_000_000)
    assert server.post(INFER, bomb, {"Content-Encoding": "gzip"}).status == 413
    assert server.post(INFER, content, {"Content-Encoding": "br"}).status == 415


def test_explanations_tell_what_moves_a_prediction(server: Running) -> None:
    rows = [GOOD, {**GOOD, "power": 200.0}]
    answer = server.post("/v1/models/fuel:explain", {"instances": rows}).json()
    assert answer["predictions"] == server.post("/v1/models/fuel:predict", {"instances": rows}).json()["predictions"]
    for row, prediction, told in zip(rows, answer["predictions"], answer["explanations"], strict=True):
        assert list(told) == list(GOOD)
        for name, change in told.items():
            replaced = {**row, name: answer["baseline"][name]}
            (other,) = server.post("/v1/models/fuel:predict", {"instances": [replaced]}).json()["predictions"]
            assert change == pytest.approx(prediction - other, abs=1e-5)
    assert server.post("/v1/models/fuel:explain", {"instances": rows * 20}).status == 413


def test_every_answer_carries_an_id_that_its_label_comes_back_with(server: Running) -> None:
    def scored() -> float:
        return server.metric("modelmill_feedback_total")

    before = scored()
    answer = server.post(INFER, request())
    feedback_id = answer.headers["modelmill-feedback-id"]
    assert answer.json()["parameters"] == {"feedback_id": feedback_id}
    assert server.post("/feedback", {"id": feedback_id, "label": 21.5}).json() == {"accepted": 1}
    assert server.post("/feedback", {"id": feedback_id, "label": 21.5}).status == 409
    for path, body in (
        ("/v1/models/fuel:predict", {"instances": [GOOD, GOOD]}),
        ("/invocations", {"dataframe_records": [GOOD, GOOD]}),
    ):
        feedback_id = server.post(path, body).headers["modelmill-feedback-id"]
        assert server.post("/feedback", {"id": feedback_id, "labels": [20.0, None]}).json() == {"accepted": 1}
    assert scored() == before + 3
    assert "malformed" in error(server.post("/feedback", {"id": "x", "label": 1.0}))


def test_one_wild_label_does_not_end_the_error_sums(server: Running) -> None:
    def told(label: float) -> Any:
        made = server.post(INFER, request())
        body = {"id": made.headers["modelmill-feedback-id"], "label": label}
        return made.json()["outputs"][0]["data"][0], server.post("/feedback", body).json()

    total = "modelmill_feedback_squared_error_sum"
    assert told(1e150)[1] == {"accepted": 1, "implausible": 1}
    before = server.metric(total)
    prediction, answer = told(20.0)
    assert answer == {"accepted": 1}
    assert server.metric(total) - before == pytest.approx((prediction - 20.0) ** 2)
    assert server.metric("modelmill_feedback_implausible_total", reason="label_beyond_range") == 1


def test_statistics_and_configuration(server: Running) -> None:
    def stats() -> Any:
        (found,) = server.get("/v2/models/fuel/stats").json()["model_stats"]
        return found

    before = stats()
    body, headers = binary_request(7)
    assert server.post(INFER, body, headers).status == 200
    assert server.post(INFER, b"{").status == 400
    after = stats()
    assert after["inference_count"] == before["inference_count"] + 7
    for kind in ("success", "fail"):
        counts = [one["inference_stats"][kind] for one in (before, after)]
        assert counts[1]["count"] == counts[0]["count"] + 1
        assert counts[1]["ns"] > counts[0]["ns"]
    config = server.get("/v2/models/fuel/versions/fuel-3/config").json()
    assert config["input"][2] == {"name": "origin", "data_type": "TYPE_STRING", "dims": [-1]}
    assert config["max_batch_size"] == 0


def test_body_that_is_far_too_large_is_refused_at_its_head(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**12}\r\n\r\n{{".encode())
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("sent", [b"", b"GET /v2 HTTP/1.1\r\nHost: x\r\nX: "])
def test_connection_without_a_whole_head_is_closed(server: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        while connection.recv(65536):
            pass


def test_slow_body_is_cut_off(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408")
    assert server.post(INFER, request()).status == 200


def test_idle_and_broken_connections_disturb_nobody(server: Running) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(500)]
    try:
        for connection in idle[:100]:
            connection.sendall(b"POST /v2/models/fuel/infer HTTP/1.1\r\nContent-Le")
        for connection in idle[100:150]:
            connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        for connection in idle[150:200]:
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
            connection.close()
        for _ in range(20):
            assert server.post(INFER, request()).status == 200
            assert server.get("/v2/health/ready").status == 200
    finally:
        for connection in idle:
            connection.close()


def samples(server: Running) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample by name and labels, as Prometheus' own parser reads them."""
    answer = server.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert (labels.pop("model_name"), labels.pop("model_version")) == ("fuel", "fuel-3")
            found[sample.name, tuple(sorted(labels.items()))] = sample.value
    return found


def test_metrics_count_requests_and_values(server: Running, folder: Path) -> None:
    before = samples(server)
    powers, origins = [60.0, 100.0, None, 1e6], ["USA", "Mars", "Japan", "USA"]
    document = request(
        power=tensor("power", powers), cylinders=tensor("cylinders", [4] * 4), origin=tensor("origin", origins)
    )
    predictions = server.post(INFER, document).json()["outputs"][0]["data"]
    server.post(INFER, request(power=tensor("power", ["x"])))
    server.post(INFER, request(**{'"nasty\n': tensor('"nasty\n', [1.0])}))
    server.get("/v2/health/ready")
    after = samples(server)
    changed = {key: value - before.get(key, 0.0) for key, value in after.items() if value != before.get(key)}
    profile = artifact.parse_profile((folder / "profile.json").read_bytes())
    expected: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {
        (names.METRIC_REQUESTS, (("code", "200"),)): 1,
        (names.METRIC_REQUESTS, (("code", "400"),)): 2,
        (f"{names.METRIC_REQUEST_DURATION}_count", ()): 3,
        (names.METRIC_FEATURE_INVALID, (("feature", "power"), ("reason", "type"))): 1,
        (names.METRIC_FEATURE_INVALID, (("feature", "(unknown)"), ("reason", "unknown"))): 1,
    }
    for power in powers:
        key = (names.METRIC_FEATURE_BIN, (("bin", profile.features["power"].bin_of(power)), ("feature", "power")))
        expected[key] = expected.get(key, 0) + 1
    for value in [4] * 4:
        key = (
            names.METRIC_FEATURE_BIN,
            (("bin", profile.features["cylinders"].bin_of(value)), ("feature", "cylinders")),
        )
        expected[key] = expected.get(key, 0) + 1
    for name, numbers in (("power", powers), ("cylinders", [4] * 4)):
        sizes = [math.log10(abs(value)) + 16 for value in numbers if value]
        feature = ("feature", name)
        expected[f"{names.METRIC_FEATURE_MAGNITUDE}_count", (feature,)] = len(sizes)
        expected[f"{names.METRIC_FEATURE_MAGNITUDE}_sum", (feature,)] = sum(sizes)
        expected[names.METRIC_FEATURE_MAGNITUDE_SQUARES, (feature,)] = sum(size * size for size in sizes)
        least, greatest = profile.features[name].least, profile.features[name].greatest
        beyond = [max(least - value, value - greatest) for value in numbers if value is not None]
        far = sum(one > greatest - least for one in beyond)
        for distance, count in (("far", far), ("near", sum(one > 0 for one in beyond) - far)):
            if count:
                expected[names.METRIC_FEATURE_OUT_OF_RANGE, (("distance", distance), feature)] = count
    for value in predictions:
        key = (names.METRIC_PREDICTION_BIN, (("bin", profile.prediction.bin_of(value)),))
        expected[key] = expected.get(key, 0) + 1
    ignored = (f"{names.METRIC_REQUEST_DURATION}_bucket", f"{names.METRIC_REQUEST_DURATION}_sum")
    assert {key: value for key, value in changed.items() if key[0] not in ignored} == pytest.approx(expected)


def test_metrics_describe_the_model_and_its_reference(server: Running, folder: Path) -> None:
    found = samples(server)
    profile = artifact.parse_profile((folder / "profile.json").read_bytes())
    manifest = artifact.parse_manifest((folder / "manifest.json").read_bytes())
    (info,) = [dict(labels) for name, labels in found if name == names.METRIC_MODEL_INFO]
    assert info["digest"] == artifact.digest((folder / "manifest.json").read_bytes())
    assert info["format"] == manifest.format == "onnx"
    assert found[names.METRIC_TRAINED_TIMESTAMP, ()] == 1767323045
    assert found[names.METRIC_IN_PROGRESS, ()] == 0
    features = {dict(labels)["feature"] for name, labels in found if name == names.METRIC_FEATURE_REFERENCE}
    assert features == {"power", "cylinders"}  # the two most important ones
    for feature in features:
        for bin_, share in profile.features[feature].bins().items():
            key = (("bin", bin_), ("feature", feature))
            assert found[names.METRIC_FEATURE_REFERENCE, key] == pytest.approx(share)
            assert (names.METRIC_FEATURE_BIN, key) in found
    for bin_, share in profile.prediction.bins().items():
        assert found[names.METRIC_PREDICTION_REFERENCE, (("bin", bin_),)] == pytest.approx(share)


def test_the_operator_reads_bins_edges_and_labels(server: Running, folder: Path) -> None:
    def read() -> Sample:
        lines = NeededLines()
        lines.feed(server.get("/metrics").body)
        return parse(lines.text())

    before = read()
    document = request(
        power=tensor("power", [60.0, 100.0]),
        cylinders=tensor("cylinders", [4, 4]),
        origin=tensor("origin", ["USA", "USA"]),
    )
    answer = server.post(INFER, document)
    predictions = answer.json()["outputs"][0]["data"]
    labels = [value + 2.0 for value in predictions]
    told = {"id": answer.headers["modelmill-feedback-id"], "labels": labels}
    assert server.post("/feedback", told).json()["accepted"] == 2
    since = read().minus(before)
    profile = artifact.parse_profile((folder / "profile.json").read_bytes())
    counted = Counter(profile.prediction.bin_of(value) for value in predictions)
    assert {name: count for name, count in since.bins.items() if count} == counted
    assert list(since.edges.values()) == pytest.approx(list(profile.prediction.edges))
    scores = {what: since.scores["fuel-3", what] for what in ("scored", "absolute", "squared")}
    assert scores == pytest.approx({"scored": 2, "absolute": 4, "squared": 8})
