"""Start, refusal to start, and end of the server's process."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from hack.artifacts import write_artifact, write_manifest
from modelmill.contracts import artifact, result
from tests.support.fitted import cars, on_columns
from tests.support.model_server import Launcher, Running, free_port, server_environment, wait_for_log, wait_in_progress
from tests.support.predictors import write_predictor

INFER = "/v2/models/demo/infer"
ROW = {"instances": [[100.0, 4, "USA"]]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame, target = cars("unknown")
    folder = tmp_path_factory.mktemp("artifact") / "cars"
    write_artifact(folder, on_columns(Ridge(), frame).fit(frame, target), frame)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the artifact that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "cars"))


def rewrite(folder: Path, name: str, change: Any) -> None:
    """Change one document of the artifact and make the manifest right again."""
    document = json.loads((folder / name).read_bytes())
    change(document)
    (folder / name).write_bytes(artifact.canonical(document))
    manifest = artifact.parse_manifest((folder / "manifest.json").read_bytes())
    write_manifest(folder, manifest.format, manifest.signature)


def spoil_file(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def spoil_model(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")
    rewrite(folder, "profile.json", lambda document: None)


def spoil_number(folder: Path) -> None:
    def change(document: Any) -> None:
        document["outputs"]["predict"][2] += 0.5

    rewrite(folder, "golden.json", change)


def rename_profiled(folder: Path) -> None:
    def change(document: Any) -> None:
        document["features"] = {f"old_{name}": feature for name, feature in document["features"].items()}

    rewrite(folder, "profile.json", change)


def spoil_signature(folder: Path) -> None:
    manifest = artifact.parse_manifest((folder / "manifest.json").read_bytes())
    inputs = manifest.signature.inputs[:2]
    write_manifest(folder, "onnx", artifact.Signature("regression", inputs, manifest.signature.outputs))


SPOILT = {
    "file": (spoil_file, "ArtifactCorrupt", "model.onnx: its sha256 is"),
    "missing file": (lambda folder: (folder / "profile.json").unlink(), "ArtifactCorrupt", "profile.json"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "ArtifactMissing", "manifest.json"),
    "old profile": (
        lambda folder: rewrite(folder, "profile.json", lambda d: d.update(v=99)),
        "ArtifactCorrupt",
        "profile",
    ),
    "profile of other features": (rename_profiled, "ArtifactCorrupt", "profile.json: features lacks 'power', an input"),
    "profile of no features": (
        lambda folder: rewrite(folder, "profile.json", lambda d: d.update(features={})),
        "ArtifactCorrupt",
        "profile.json: features lacks 'power', an input of the signature",
    ),
    "profile without order": (
        lambda folder: rewrite(folder, "profile.json", lambda d: d["features"]["power"]["edges"].reverse()),
        "ArtifactCorrupt",
        "profile.json: features['power'].edges must ascend",
    ),
    "model": (spoil_model, "ModelLoadFailed", "model.onnx"),
    "signature": (spoil_signature, "ModelLoadFailed", "3 inputs, the manifest's signature 2"),
    "golden number": (spoil_number, "GoldenMismatch", "output 'predict' of golden row 2"),
    "golden input": (
        lambda folder: rewrite(folder, "golden.json", lambda d: d["inputs"].pop("power")),
        "GoldenMismatch",
        "'power'",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_server_refuses_a_spoilt_artifact_and_says_why(folder: Path, launch: Launcher, name: str) -> None:
    spoil, reason, words = SPOILT[name]
    spoil(folder)
    server = launch(folder, wait=False)
    seen = readiness_while_it_lasts(server)
    assert server.process.wait(30) == 3
    message = result.decode(server.termination.read_text())
    assert (message.outcome, message.reason) == (result.FAILED, reason)
    assert words in message.reasons[0]
    line = f"{reason}: {message.reasons[0]}"
    assert [text for text in server.log.read_text().splitlines() if line in text]
    assert (503, line) in seen
    assert {status for status, _ in seen} == {503}


def readiness_while_it_lasts(server: Running) -> set[tuple[int, str]]:
    """Return what /v2/health/ready said until the process ended."""
    seen = set()
    while server.process.poll() is None:
        try:
            answer = server.get("/v2/health/ready")
            seen.add((answer.status, answer.json().get("error", "")))
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    return seen


def test_wrong_digest_is_refused(folder: Path, launch: Launcher) -> None:
    server = launch(folder, wait=False, ARTIFACT_DIGEST="sha256:" + "0" * 64)
    assert server.process.wait(60) == 3
    message = result.decode(server.termination.read_text())
    assert message.reason == "ArtifactCorrupt"
    assert "expected sha256:000" in message.reasons[0]


@pytest.mark.parametrize(
    ("variable", "value"), [("MAX_ROWS", "many"), ("MAX_REQUEST_BYTES", "0"), ("DRIFT_FEATURES", "-1")]
)
def test_wrong_setting_is_refused_by_name(folder: Path, launch: Launcher, variable: str, value: str) -> None:
    server = launch(folder, wait=False, **{variable: value})
    assert server.process.wait(60) == 3
    message = result.decode(server.termination.read_text())
    assert message.reason == "ConfigInvalid"
    assert f"MODELMILL_{variable}" in message.reasons[0]


def test_taken_port_is_refused(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "modelmill_server", str(folder), "--host", "127.0.0.1", "--port", port]
        ended = subprocess.run(
            command, env=server_environment(), capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 1
    assert f"ListenFailed: 127.0.0.1:{port}" in ended.stderr


def test_settings_come_from_the_environment_too(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "modelmill_server", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**server_environment(), "MODELMILL_MODEL_FOLDER": str(folder), "MODELMILL_MODEL_NAME": "other"}
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stderr=stream)
    server = Running(process, port, log, tmp_path / "none")
    try:
        server.wait_ready()
        assert server.get("/v2/models/other").json()["versions"] == ["demo-1"]
    finally:
        assert server.terminate() == 0


def test_model_that_raises_is_answered_with_a_reference_that_the_log_has(tmp_path: Path, launch: Launcher) -> None:
    frame, target = cars("unknown")
    steps = [("words", OneHotEncoder(handle_unknown="error"), ["origin"])]
    fitted = make_pipeline(ColumnTransformer(steps), Ridge()).fit(frame, target)
    write_artifact(tmp_path / "strict", fitted, frame, "skops")
    server = launch(tmp_path / "strict")
    answer = server.post("/invocations", {"instances": [[100.0, 4, "Mars"]]})
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/json"
    text = answer.json()["error"]
    assert "Mars" not in text
    assert "Traceback" not in text
    reference = text.rsplit(" ", 1)[1]
    log = server.log.read_text()
    assert f"reference {reference}" in log
    assert "Found unknown categories" in log
    assert server.post("/invocations", ROW).status == 200
    assert server.metric("modelmill_requests_total", code="500") == 1


def half_sent(server: Running, headers: str = "") -> tuple[socket.socket, bytes]:
    """Return a connection on which the first half of a good request was sent, and the other half."""
    content = json.dumps(ROW).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(content)}\r\n\r\n".encode()
    connection.sendall(head + content[:5])
    return connection, content[5:]


WAITING = """
time.sleep(0.002)  # too slow for the event loop
while pathlib.Path({gate!r}).exists():
    time.sleep(0.01)
return {{"predict": columns["x"] * 2}}
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file: while it is there, the model does not answer."""
    return tmp_path / "gate"


@pytest.fixture
def waiting(tmp_path: Path, gate: Path) -> Path:
    """An artifact whose model answers once the gate is open."""
    return write_predictor(tmp_path / "waiting", predict=WAITING.format(gate=str(gate)))


def asked(server: Running) -> tuple[socket.socket, Any]:
    """Return a connection on which a request was sent, which is being answered."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    content = b'{"instances": [[2.0]]}'
    connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    wait_in_progress(server, 1)
    return connection, content


def test_more_requests_at_once_than_allowed_get_503(waiting: Path, gate: Path, launch: Launcher) -> None:
    server = launch(waiting, MAX_CONCURRENT_REQUESTS="1", ALLOW_PYTHON="1", BATCHING="off")
    gate.touch()
    connection, content = asked(server)
    answer = server.post("/invocations", content)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "too many requests" in answer.json()["error"]
    assert server.get("/v2/health/ready").status == 200
    gate.unlink()
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    connection.close()
    assert server.post("/invocations", content).json() == {"predictions": [4.0]}


def test_client_that_leaves_gives_its_place_back(waiting: Path, gate: Path, launch: Launcher) -> None:
    server = launch(waiting, MAX_CONCURRENT_REQUESTS="1", ALLOW_PYTHON="1", BATCHING="off")
    gate.touch()
    connection, content = asked(server)
    connection.close()
    gate.unlink()
    wait_in_progress(server, 0)
    assert server.post("/invocations", content).status == 200
    assert "Traceback" not in server.log.read_text()


def test_client_that_leaves_before_its_body_is_counted(made: Path, launch: Launcher) -> None:
    server = launch(made)
    connection, _ = half_sent(server)
    server.get("/v2")  # the other one was read before
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # broken, not closed
    connection.close()
    deadline = time.monotonic() + 30
    while server.metric("modelmill_requests_total", code="499") != 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_term_finishes_what_runs(waiting: Path, gate: Path, launch: Launcher) -> None:
    server = launch(waiting, DRAIN_SECONDS="1", ALLOW_PYTHON="1", BATCHING="off")
    gate.touch()
    connection, _ = asked(server)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(2.5)  # longer than the time to drain: only the running request keeps the process
    assert server.process.poll() is None
    gate.unlink()
    answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    connection.close()
    assert server.process.wait(30) == 0


def test_term_lets_a_request_arrive_that_has_begun(made: Path, launch: Launcher) -> None:
    server = launch(made, DRAIN_SECONDS="30")
    connection, rest = half_sent(server)
    server.process.send_signal(signal.SIGTERM)
    wait_for_log(server, "shutting down")
    ready = server.get("/v2/health/ready")
    assert (ready.status, ready.json()["ready"]) == (503, False)
    assert server.get("/v2/health/live").status == 200
    late = server.post("/invocations", ROW)
    assert (late.status, late.headers["connection"]) == (200, "close")
    time.sleep(2.5)  # longer than the quiet time: only the request that has begun keeps the process
    assert server.process.poll() is None
    connection.sendall(rest)
    answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    connection.close()
    assert server.process.wait(30) == 0


def test_term_under_load_loses_no_request(made: Path, launch: Launcher) -> None:
    """Clients keep their connections, as behind a Service; they turn away when the server is not ready any more."""
    server = launch(made, DRAIN_SECONDS="30")
    turned_away, lost, answered = threading.Event(), [], [0] * 8
    content = json.dumps(ROW).encode()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        while not turned_away.is_set():
            try:
                connection.request("POST", "/invocations", content)
                response = connection.getresponse()
                response.read()
                assert response.status == 200
                answered[number] += 1
            except Exception as error:
                lost.append(repr(error))
                connection.close()
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while min(answered) < 20:
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    while server.get("/v2/health/ready").status == 200:
        time.sleep(0.005)
    seen = sum(answered)
    while sum(answered) < seen + 200:  # traffic that goes on while nobody knows yet
        time.sleep(0.01)
    turned_away.set()
    for thread in threads:
        thread.join()
    assert server.process.wait(30) == 0
    assert lost == []
