"""However a server ends, it says why: crashes, endless loops, memory that explodes, and SIGTERM at every moment."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hack.artifacts import write_manifest
from modelmill.contracts import result
from modelmill.contracts.artifact import FeatureProfile, Golden, Profile, Signature, Tensor, canonical
from tests.support.model_server import Launcher, Running, wait_for_log
from tests.support.predictors import DOUBLED, write_predictor

HELD = "ctypes.PyDLL(None).sleep(600)"  # with the interpreter's lock, as C code of a model may
SLOW = "time.sleep(0.002)\n"  # runs on a thread of its own
ROW = {"instances": [[2.0]]}
WRONG = "if columns['x'][0] == 7:\n    "
BOUND = 60  # against hanging


def told(server: Running, reason: str, code: int) -> str:
    """Wait for the end, compare exit code and reason, and return the words of the termination message."""
    assert server.process.wait(BOUND) == code, server.log.read_text()
    message = result.decode(server.termination.read_text())
    assert (message.outcome, message.reason) == (result.FAILED, reason)
    assert f"{reason}: {message.reasons[0]}" in server.log.read_text()
    return message.reasons[0]


@pytest.mark.parametrize(
    ("load", "code", "words"),
    [
        ("ctypes.string_at(0)", 3, "SIGSEGV ended the process while loading the model"),
        ("os.abort()", 3, "SIGABRT ended the process while loading the model"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, "SIGKILL ended the process while loading the model"),
        ("os._exit(0)", 3, "the process ended itself with code 0 while loading the model"),
    ],
)
def test_crash_while_loading(tmp_path: Path, launch: Launcher, load: str, code: int, words: str) -> None:
    server = launch(write_predictor(tmp_path / "a", load=load), wait=False, ALLOW_PYTHON="1")
    assert told(server, "Crashed", code) == words


def test_crash_on_the_golden_rows(tmp_path: Path, launch: Launcher) -> None:
    server = launch(write_predictor(tmp_path / "a", predict="ctypes.string_at(0)"), wait=False, ALLOW_PYTHON="1")
    assert told(server, "Crashed", 3) == "SIGSEGV ended the process while predicting the golden rows"


def test_crash_while_serving(tmp_path: Path, launch: Launcher) -> None:
    folder = write_predictor(tmp_path / "a", predict=f"{WRONG}ctypes.string_at(0)\n{DOUBLED}")
    server = launch(folder, ALLOW_PYTHON="1")
    assert server.post("/invocations", ROW).json() == {"predictions": [4.0]}
    with pytest.raises(ConnectionError):
        server.post("/invocations", {"instances": [[7.0]]})
    assert told(server, "Crashed", 1) == "SIGSEGV ended the process while answering requests"


@pytest.mark.parametrize("step", ["load", "predict"])
@pytest.mark.parametrize("held", [HELD, "while True: time.sleep(1)"])
def test_what_never_ends_before_it_serves(tmp_path: Path, launch: Launcher, step: str, held: str) -> None:
    folder = write_predictor(tmp_path / "a", **{step: held})
    server = launch(folder, wait=False, ALLOW_PYTHON="1", LOAD_SECONDS="2", ROW_SECONDS="2")
    words = {
        "load": "loading the model took longer than 2 s",
        "predict": "predicting the golden rows, 1 of them, took longer than 2 s",
    }
    assert told(server, "ModelTooSlow", 3).startswith(words[step])


@pytest.mark.parametrize(
    ("step", "held", "calls", "doing"),
    [
        ("load", HELD, 1, "loading the model"),
        ("load", "while True: time.sleep(1)", 1, "loading the model"),
        ("predict", HELD, 1, "predicting the golden rows"),
        ("predict", HELD, 2, "warming up"),
    ],
)
def test_term_ends_a_server_that_is_not_ready(
    tmp_path: Path, launch: Launcher, step: str, held: str, calls: int, doing: str
) -> None:
    """calls: which one of the step does not return."""
    mark = tmp_path / "mark"
    lines = f"""
count.append(1)
if len(count) == {calls}:
    pathlib.Path({str(mark)!r}).touch()
    {held}
{DOUBLED if step == "predict" else ""}
"""
    folder = write_predictor(tmp_path / "a", before="count = []", **{step: lines})
    server = launch(folder, wait=False, ALLOW_PYTHON="1")
    wait_for_file(mark)
    server.process.send_signal(signal.SIGTERM)
    assert told(server, "Stopped", 1) == f"SIGTERM came while {doing}"


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + BOUND
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_memory_that_explodes_is_an_error_with_words(tmp_path: Path, launch: Launcher) -> None:
    server = launch(write_predictor(tmp_path / "a", load="self.all = bytearray(8 << 30)"), wait=False, ALLOW_PYTHON="1")
    words = told(server, "ModelLoadFailed", 3)
    assert words.startswith("predictor.py: MemoryError")
    assert words.endswith("MiB: raise spec.runtime.resources.limits.memory")


def test_constant_that_unfolds_to_many_gigabytes(tmp_path: Path, launch: Launcher) -> None:
    """onnxruntime computes constants as it loads: four numbers in the file, 32 GiB in memory. It is refused before that."""
    server = launch(unfolding(tmp_path / "a", (1 << 11, 1 << 11, 1 << 11)), wait=False)
    assert "ConstantOfShape" in told(server, "ModelLoadFailed", 3)


def unfolding(folder: Path, shape: tuple[int, ...]) -> Path:
    """Write an ONNX artifact whose one constant unfolds to this shape."""
    folder.mkdir()
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["whole"], value=one),
        helper.make_node("ReduceMax", ["whole"], ["most"], keepdims=0),
        helper.make_node("Mul", ["x", "most"], ["predict"]),
    ]
    graph = helper.make_graph(
        nodes, "unfolding", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("predict", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("shape", TensorProto.INT64, [len(shape)], np.array(shape, np.int64))],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    number = FeatureProfile("numeric", (1.0,))
    (folder / "profile.json").write_bytes(canonical(Profile({"x": number}, number, 1)))
    (folder / "golden.json").write_bytes(canonical(Golden({"x": [1.0]}, {"predict": [1.0]})))
    tensor = Tensor("x", "FP32", (-1,))
    write_manifest(folder, "onnx", Signature("regression", (tensor,), (Tensor("predict", "FP32", (-1,)),)))
    onnx.checker.check_model(made)
    return folder


@pytest.mark.parametrize("batching", ["off", "on"])
def test_call_that_does_not_return_is_answered(tmp_path: Path, launch: Launcher, batching: str) -> None:
    folder = write_predictor(tmp_path / "a", predict=f"{SLOW}{WRONG}time.sleep(600)\n{DOUBLED}")
    server = launch(folder, ALLOW_PYTHON="1", REQUEST_SECONDS="3", BATCHING=batching)
    late = server.post("/invocations", {"instances": [[7.0]]})
    assert (late.status, late.json()) == (504, {"error": "the model did not answer within 3 s"})
    assert server.post("/invocations", ROW).json() == {"predictions": [4.0]}
    assert server.metric("modelmill_requests_total", code="504") == 1
    assert server.process.poll() is None


def test_server_whose_every_thread_is_kept_ends(tmp_path: Path, launch: Launcher) -> None:
    folder = write_predictor(tmp_path / "a", predict=f"{SLOW}{WRONG}time.sleep(600)\n{DOUBLED}")
    server = launch(folder, ALLOW_PYTHON="1", REQUEST_SECONDS="1", BATCHING="off")
    threads = [
        threading.Thread(target=server.post, args=("/invocations", {"instances": [[7.0]]}))
        for _ in range(max(2, len(os.sched_getaffinity(0))))
    ]
    for thread in threads:
        thread.start()
    wait_for_log(server, "ModelStuck")
    ready = server.get("/v2/health/ready")
    assert (ready.status, ready.json()["error"].split(":")[0]) == (503, "ModelStuck")
    words = told(server, "ModelStuck", 1)
    assert words.endswith("as many as can run at once, have not returned for more than 1 s")
    for thread in threads:
        thread.join()


def test_call_that_keeps_the_event_loop_ends_the_server(tmp_path: Path, launch: Launcher) -> None:
    folder = write_predictor(tmp_path / "a", predict=f"{WRONG}{HELD}\n{DOUBLED}")
    server = launch(folder, ALLOW_PYTHON="1", REQUEST_SECONDS="1", BATCHING="off")
    with pytest.raises(ConnectionError):
        server.post("/invocations", {"instances": [[7.0]]})
    words = told(server, "ModelStuck", 1)
    assert words == "a call of the model kept the server from everything else for more than 6 s"


def test_term_ends_a_server_whose_call_does_not_return(tmp_path: Path, launch: Launcher) -> None:
    mark = tmp_path / "called"
    touch = f"pathlib.Path({str(mark)!r}).touch()"
    folder = write_predictor(tmp_path / "a", predict=f"{SLOW}{WRONG}{touch}; time.sleep(600)\n{DOUBLED}")
    server = launch(folder, ALLOW_PYTHON="1", REQUEST_SECONDS="2", BATCHING="off")
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(server.post("/invocations", {"instances": [[7.0]]}).status))
    asking.start()
    wait_for_file(mark)
    server.process.send_signal(signal.SIGTERM)
    assert told(server, "Stopped", 1) == "SIGTERM came, and 1 of the calls of the model did not return"
    asking.join()
    assert answers == [504]


def test_predictor_that_wants_to_exit_is_an_error_of_the_request(tmp_path: Path, launch: Launcher) -> None:
    folder = write_predictor(tmp_path / "a", predict=f"{WRONG}raise SystemExit(0)\n{DOUBLED}")
    server = launch(folder, ALLOW_PYTHON="1")
    assert server.post("/invocations", {"instances": [[7.0]]}).status == 500
    assert server.post("/invocations", ROW).status == 200


def test_server_goes_with_its_supervisor(tmp_path: Path, launch: Launcher) -> None:
    server = launch(write_predictor(tmp_path / "a"), ALLOW_PYTHON="1")
    pid = server.pid
    server.process.kill()
    server.process.wait(BOUND)
    deadline = time.monotonic() + BOUND
    while Path(f"/proc/{pid}/status").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
