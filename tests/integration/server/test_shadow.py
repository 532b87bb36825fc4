"""One server mirrors to another one: agreement, disagreement, and shadows that misbehave, seen by live clients and counters."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hack.artifacts import write_manifest
from modelmill.contracts import shadow
from modelmill.contracts.artifact import FeatureProfile, Golden, Profile, Signature, Tensor, canonical
from modelmill.contracts.shadow import Shadow
from tests.support.model_server import Answer, Launcher, Running, free_port

PATIENCE = 60  # seconds: a limit, not an expectation
PREDICTOR = """
class Predictor:
    def __init__(self, folder):
        pass

    def predict(self, columns):
        x = columns["x"]
        if OFF and x[0] == 13:
            raise ValueError("no luck")
        return {"predict": x * 2 + (x > 100) * OFF}
"""
TOLD = Shadow("demo-2", "abcdef0123", 1.0, 0.001, 0.0)
OF = {"shadow_version": "demo-2", "shadow_revision": "abcdef0123"}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two versions: the second gives other numbers beyond 100 and fails at 13."""
    made = []
    for name, off in (("one", 0), ("two", 7)):
        folder = tmp_path_factory.mktemp("artifact") / name
        folder.mkdir()
        (folder / "predictor.py").write_text(f"OFF = {off}\n{PREDICTOR}")
        number = FeatureProfile("numeric", (1.0,))
        (folder / "profile.json").write_bytes(canonical(Profile({"x": number}, number, 1)))
        (folder / "golden.json").write_bytes(canonical(Golden({"x": [1.0]}, {"predict": [2.0]})))
        tensors = (Tensor("x", "FP64", (-1,)),), (Tensor("predict", "FP64", (-1,)),)
        write_manifest(folder, "python", Signature("regression", *tensors))
        made.append(folder)
    return made[0], made[1]


@pytest.fixture(scope="module")
def candidate(
    launch_shared: Launcher, artifacts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Running:
    """The shadow; it could mirror as well, to itself."""
    file = tmp_path_factory.mktemp("candidate") / "shadow.json"
    file.write_text(shadow.encode(TOLD))
    port = free_port()
    log = tmp_path_factory.mktemp("payloads")
    return launch_shared(
        artifacts[1], ALLOW_PYTHON="1", MODEL_NAME="demo", MODEL_VERSION="demo-2", PAYLOAD_LOG=str(log),
        SHADOW_URL=f"http://127.0.0.1:{port}", SHADOW_FILE=str(file),
    )  # fmt: skip


def stable(launch: Launcher, folder: Path, tmp_path: Path, port: int, told: Shadow | None = TOLD) -> Running:
    if told is not None:
        (tmp_path / "shadow.json").write_text(shadow.encode(told))
    return launch(
        folder, ALLOW_PYTHON="1", MODEL_NAME="demo", MODEL_VERSION="demo-1",
        SHADOW_URL=f"http://127.0.0.1:{port}", SHADOW_FILE=str(tmp_path / "shadow.json"),
    )  # fmt: skip


def wait(condition: Callable[[], bool], server: Running) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, server.get("/metrics").body.decode()
        time.sleep(0.05)


def counted(server: Running, name: str, **labels: str) -> float:
    return server.metric(f"modelmill_shadow_{name}", **OF, **labels)


def v2(*values: float) -> bytes:
    tensor = {"name": "x", "datatype": "FP64", "shape": [len(values)], "data": list(values)}
    return json.dumps({"inputs": [tensor]}).encode()


def ask_in_every_protocol(server: Running, value: float) -> list[Answer]:
    data = np.array([value], "<f8").tobytes()
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    columns = {"dataframe_split": {"columns": ["x"], "data": [[value]]}}
    return [
        server.post("/v2/models/demo/infer", v2(value)),
        server.post("/v2/models/demo/versions/demo-1/infer", v2(value)),
        server.post("/v2/models/demo/infer", head + data, {"Inference-Header-Content-Length": str(len(head))}),
        server.post("/v2/models/demo/infer", gzip.compress(v2(value)), {"Content-Encoding": "gzip"}),
        server.post("/v1/models/demo:predict", {"instances": [{"x": value}]}),
        server.post("/invocations", columns, {"Content-Type": "application/json"}),
    ]


def test_every_protocol_is_mirrored_and_compared(
    launch: Launcher, artifacts: tuple[Path, Path], tmp_path: Path, candidate: Running
) -> None:
    server = stable(launch, artifacts[0], tmp_path, candidate.port)
    answered, bins = (candidate.metric(f"modelmill_{name}_total") for name in ("shadow_answers", "feature_bin"))
    count = 0
    for value in (1.0, 1000.0):
        answers = ask_in_every_protocol(server, value)
        count += len(answers)
        assert [answer.status for answer in answers] == [200] * len(answers)
        assert answers[0].json()["outputs"][0]["data"] == [value * 2]
    wait(lambda: counted(server, "compared_total") == count, server)
    assert counted(server, "requests_total", result="2xx") == count
    assert counted(server, "disagreed_total", reason="value") == counted(server, "disagreed_total") == count / 2
    assert counted(server, "duration_seconds_count") == count
    assert counted(server, "dropped_total") == 0
    # The shadow's own counters: its answers are counted, not as what clients send; it mirrors nothing and logs nothing.
    assert candidate.metric("modelmill_shadow_answers_total") == answered + count
    assert candidate.metric("modelmill_feature_bin_total") == bins
    assert candidate.metric("modelmill_payload_logged_total") + candidate.metric("modelmill_payload_dropped_total") == 0
    assert counted(candidate, "requests_total") + counted(candidate, "dropped_total") == 0
    assert server.metric("modelmill_feature_bin_total") == count
    assert server.metric("modelmill_shadow_answers_total") == 0


def test_what_the_model_did_not_answer_is_not_mirrored(
    launch: Launcher, artifacts: tuple[Path, Path], tmp_path: Path, candidate: Running
) -> None:
    server = stable(launch, artifacts[0], tmp_path, candidate.port)
    assert server.post("/v2/models/demo/infer", b"{").status == 400
    assert server.post("/v1/models/demo:explain", {"instances": [{"x": 1}]}).status == 200
    assert server.get("/v2/models/demo").status == 200
    assert server.post("/invocations", {"inputs": {"x": [1.0]}}).status == 200
    wait(lambda: counted(server, "compared_total") == 1, server)
    assert counted(server, "requests_total") == 1


def test_a_shadow_comes_and_goes_while_the_server_runs(
    launch: Launcher, artifacts: tuple[Path, Path], tmp_path: Path, candidate: Running
) -> None:
    server = stable(launch, artifacts[0], tmp_path, candidate.port, told=None)
    file, infer = tmp_path / "shadow.json", "/v2/models/demo/infer"
    assert server.post(infer, v2(1.0)).status == 200
    assert server.metric("modelmill_shadow_requests_total") == 0
    file.write_text(shadow.encode(TOLD))
    wait(lambda: server.post(infer, v2(1.0)).status == 200 and counted(server, "compared_total") > 0, server)
    file.write_text(shadow.encode(replace(TOLD, sample_ratio=0.0)))
    wait(lambda: "0 of the requests" in server.log.read_text(), server)
    file.unlink()
    wait(lambda: "nothing is mirrored" in server.log.read_text(), server)
    sent = counted(server, "requests_total")
    assert [server.post(infer, v2(1.0)).status for _ in range(20)] == [200] * 20
    assert counted(server, "requests_total") == sent
    assert server.terminate() == 0


def test_a_shadow_that_fails_or_is_down_is_counted(
    launch: Launcher, artifacts: tuple[Path, Path], tmp_path: Path, candidate: Running
) -> None:
    server = stable(launch, artifacts[0], tmp_path, candidate.port)
    assert server.post("/v2/models/demo/infer", v2(13.0)).status == 200
    wait(lambda: counted(server, "requests_total", result="5xx") == 1, server)
    assert counted(server, "compared_total") == 0
    down = stable(launch, artifacts[0], tmp_path, free_port())
    assert down.post("/v2/models/demo/infer", v2(1.0)).status == 200
    wait(lambda: counted(down, "requests_total", result="unreachable") == 1, down)


def test_a_shadow_that_never_answers_costs_live_requests_nothing(
    launch: Launcher, artifacts: tuple[Path, Path], tmp_path: Path
) -> None:
    """More requests than the queue holds, with large bodies, are all answered; what does not fit is dropped."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are made, and nobody ever answers
        server = stable(launch, artifacts[0], tmp_path, silent.getsockname()[1])
        large = v2(*range(40_000))
        assert [server.post("/v2/models/demo/infer", v2(1.0)).status for _ in range(300)] == [200] * 300
        assert server.post("/v2/models/demo/infer", v2(*range(9_000))).status == 200
        assert server.post("/v2/models/demo/infer", large).status == 413
        assert counted(server, "dropped_total", reason="queue_full") == 301 - 256
        assert server.terminate() == 0
