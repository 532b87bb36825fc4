"""Malformed requests: nothing dies, nothing leaks, and a good client beside them sees no error.

MODELMILL_FUZZ_MUTATIONS sets how many bodies are made by chance; they are the same in every run.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hack.artifacts import column_of, datatype_of, write_artifact
from tests.edge.lengths import LENGTHS
from tests.edge.strangers import STRANGERS
from tests.integration.server.malformed import (
    GOOD,
    INFER,
    JSON_LENGTH,
    SIZE,
    broken_documents,
    dumped,
    message,
    mutated,
    packed,
    wrong_values,
)
from tests.support.fitted import cars, on_columns
from tests.support.model_server import Answer, Launcher, Running

MUTATIONS = int(os.environ.get("MODELMILL_FUZZ_MUTATIONS", "1500"))
IDLE_SOCKETS = 500
HALF_SENT = 100
ROUNDS = 12
GROWTH_BYTES = 8 * 1024 * 1024  # of memory, after the first two rounds
BODY_SECONDS = 2
SETTLE_SECONDS = 20  # a limit for closing what clients have left
FRAMES = [stream.data() for stream in (*LENGTHS.streams, *STRANGERS.streams)][::5]
TRACES = (b"Traceback", b"/site-packages/", b'File "', b"modelmill_server")


@dataclass
class Beside:
    """A good client that keeps calling and compares every value."""

    port: int
    bodies: list[bytes]
    expected: list[Any]
    calls: int = 0
    errors: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def calling(self) -> Iterator[None]:
        thread = threading.Thread(target=self._call)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._stop.clear()

    def _call(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                for _ in range(20):
                    self._once(connection, self.calls % len(self.bodies))
                    if self._stop.wait(0.005):
                        break
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
            finally:
                connection.close()

    def _once(self, connection: http.client.HTTPConnection, place: int) -> None:
        connection.request("POST", INFER, self.bodies[place])
        response = connection.getresponse()
        content = response.read()
        self.calls += 1
        if response.status != 200:
            self.errors.append(f"{response.status} {content[:200]!r}")
            return
        found = np.array(json.loads(content)["outputs"][0]["data"])
        if not np.allclose(found, self.expected[place], atol=1e-4):
            self.errors.append(f"{found} instead of {self.expected[place]}")


@dataclass
class Target:
    """The server under attack."""

    running: Running
    beside: Beside
    saw: int = 0

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.running.pid}/fd").iterdir()))

    def memory(self) -> int:
        """Return the resident bytes."""
        return int(Path(f"/proc/{self.running.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        """Send a body, check what every answer has to be, and return the answer."""
        answer = self.running.post(path, body, headers)
        self.saw += 1
        check(answer, f"{path} {body[:300]!r}")
        return answer


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, launch_shared: Launcher) -> Target:
    frame, target = cars("unknown")
    model = on_columns(LogisticRegression(), frame).fit(
        frame, np.where(target > np.median(target), "thrifty", "thirsty")
    )
    folder = tmp_path_factory.mktemp("artifact")
    write_artifact(folder, model, frame)
    running = launch_shared(folder, BODY_SECONDS=str(BODY_SECONDS))
    bodies, expected = [], []
    for begin, end in ((0, 1), (1, 4), (4, 68)):
        rows = frame[begin:end]
        tensors = [
            {"name": name, "shape": [len(rows)], "datatype": datatype_of(frame[name]), "data": column_of(rows[name])}
            for name in frame
        ]
        bodies.append(json.dumps({"inputs": tensors, "outputs": [{"name": "predict_proba"}]}).encode())
        expected.append(model.predict_proba(rows).reshape(-1))
    return Target(running, Beside(running.port, bodies, expected))


@pytest.fixture
def target(attacked: Target) -> Iterator[Target]:
    """The server, with the good client beside; afterwards it lives, has let go of every socket, and wrote no trace."""
    pid, files, calls = attacked.running.pid, attacked.open_files(), attacked.beside.calls
    with attacked.beside.calling():
        yield attacked
    assert attacked.beside.errors == []
    assert attacked.beside.calls > calls
    assert attacked.running.process.poll() is None
    assert attacked.running.get("/v2/health/ready").status == 200
    assert Path(f"/proc/{pid}/cmdline").read_bytes().count(b"modelmill_server") == 1
    deadline = time.monotonic() + SETTLE_SECONDS
    while attacked.open_files() > files and time.monotonic() < deadline:
        time.sleep(0.1)
    assert attacked.open_files() <= files
    assert "Traceback" not in attacked.running.log.read_text()


def check(answer: Answer, what: str) -> None:
    """Check that an answer is a prediction, or an error in the one form that errors have, without a trace."""
    assert answer.status < 500, (what, answer)
    assert not any(trace in answer.body for trace in TRACES), (what, answer)
    if answer.status != 200:
        assert answer.headers["content-type"] == "application/json", (what, answer)
        assert list(answer.json()) == ["error"], (what, answer)
        assert isinstance(answer.json()["error"], str)
    assert len(answer.body) < 2_000 or answer.status == 200, what


def test_broken_documents_are_refused(target: Target) -> None:
    bodies = list(broken_documents())
    for body in bodies:
        for path in GOOD:
            if body.strip() != dumped(path):
                assert target.post(path, body).status in (400, 413), (path, body[:200])
    assert target.saw >= len(bodies) * (len(GOOD) - 1)


def test_wrong_values_are_refused(target: Target) -> None:
    for path, body in wrong_values():
        assert target.post(path, body).status in (400, 413), (path, body[:400])


def test_lying_binary_requests_are_refused(target: Target) -> None:
    assert target.post(INFER, *packed()).status == 200
    good = packed()[0]
    wrong: list[dict[str, Any]] = [
        {"json_bytes": value} for value in (-1, 0, 1, len(good) + 1, 10**17, 10**30, "x", "", "1.5", "+9")
    ]
    wrong += [{"size": value} for value in (-1, 0, 8, 15, 17, 24, 1 << 31, 1 << 63, 10**30, 1.5, "16", True, [16], {})]
    wrong += [{"datatype": value} for value in ("INT32", "BYTES", "BF16", "", "FP16")]
    wrong += [{"shape": value} for value in ([0], [-2], [1], [4], [2, 2], [1 << 40], [1 << 70], [])]
    wrong += [{"tail": value} for value in (b"", b"\xff" * 46, b"\xff" * 1_000_000)]
    for change in wrong:
        assert target.post(INFER, *packed(**change)).status in (400, 413), change
    for text in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7fUSA", struct.pack("<I", 3) + b"\xff\xfe\xfd", b"\3\0\0"):
        head = {"name": "origin", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(text)}}
        body = json.dumps({"inputs": [head]}).encode()
        assert target.post(INFER, body + text, {JSON_LENGTH: str(len(body))}).status == 400
    extremes = struct.pack("<2d", float("nan"), float("inf")), struct.pack("<2d", 1e300, -1e300)
    for raw in (*extremes, struct.pack("<2Q", (1 << 64) - 1, 1 << 63)):
        datatype = "FP64" if raw in extremes else "UINT64"
        tail = struct.pack("<2d", 1, 1) + raw + struct.pack("<I", 1) * 2
        answer = target.post(INFER, *packed(tail=tail[:40] + b"a" + struct.pack("<I", 1) + b"a", datatype=datatype))
        assert answer.status == 400, (datatype, answer)


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize(
    ("datatype", "form", "value"), [("UINT64", "Q", 1 << 63), ("UINT64", "Q", (1 << 64) - 1), ("FP64", "d", 1e30)]
)
def test_whole_numbers_beyond_the_feature_are_refused(
    target: Target, rows: int, datatype: str, form: str, value: float
) -> None:
    values = {"power": ("FP64", "d", 1.0), "cylinders": (datatype, form, value), "origin": ("BYTES", "Ic", 1)}
    tensors, tail = [], b""
    for name, (declared, packing, item) in values.items():
        raw = struct.pack(f"<{packing}", item, *([b"a"] if name == "origin" else [])) * rows
        size = {"binary_data_size": len(raw)}
        tensors.append({"name": name, "shape": [rows], "datatype": declared, "parameters": size})
        tail += raw
    head = json.dumps({"inputs": tensors}).encode()
    assert target.post(INFER, head + tail, {JSON_LENGTH: str(len(head))}).status == 400


def test_mutations_are_answered(target: Target) -> None:
    chance = random.Random(20260102)
    binary, headers = packed()
    seen: dict[int, int] = {}
    for number in range(MUTATIONS):
        path = list(GOOD)[number % len(GOOD)]
        if path == INFER and number % 2:
            length = chance.choice((headers[JSON_LENGTH], str(chance.randrange(len(binary) + 9)), "-1", "0"))
            answer = target.post(path, mutated(chance, binary), {JSON_LENGTH: length})
        else:
            answer = target.post(path, mutated(chance, dumped(path)))
        assert answer.status in (200, 400, 404, 409, 413), answer
        seen[answer.status] = seen.get(answer.status, 0) + 1
    assert sum(seen.values()) == MUTATIONS
    assert seen[400] > MUTATIONS / 2


def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes, close this half and return what comes back; nothing may be open for longer than a minute."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, suppress(OSError):  # it may be reset
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            received += part
    return received


def test_idle_and_half_sent_connections_do_no_harm(target: Target) -> None:
    files, calls = target.open_files(), target.beside.calls
    idle = [socket.create_connection(("127.0.0.1", target.running.port)) for _ in range(IDLE_SOCKETS)]
    half = [socket.create_connection(("127.0.0.1", target.running.port)) for _ in range(HALF_SENT)]
    try:
        for number, connection in enumerate(half):
            whole = message(f"Content-Length: {SIZE}")
            connection.sendall(whole[: 1 + number * (len(whole) - SIZE - 3) // HALF_SENT])
        for _ in range(20):
            assert target.post(INFER, dumped(INFER)).status == 200
        assert target.open_files() >= files + IDLE_SOCKETS
        assert target.beside.calls > calls
    finally:
        for connection in (*idle, *half):
            connection.close()


def one_round(target: Target, number: int) -> None:
    """Send some of everything once."""
    chance = random.Random(number)
    for body in list(broken_documents())[::3]:
        target.post(chance.choice(list(GOOD)), body)
    for path, body in list(wrong_values())[::3]:
        target.post(path, body)
    for _ in range(100):
        path = chance.choice(list(GOOD))
        target.post(path, mutated(chance, dumped(path)))
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda sent: exchange(target.running.port, sent), FRAMES))) == len(FRAMES)
    for connection in [socket.create_connection(("127.0.0.1", target.running.port)) for _ in range(100)]:
        connection.close()


def test_memory_does_not_grow(target: Target) -> None:
    one_round(target, 0)
    one_round(target, 1)
    memory = target.memory()
    for number in range(2, ROUNDS):
        one_round(target, number)
    grown = target.memory() - memory
    assert grown < GROWTH_BYTES, f"{grown / 1e6:.1f} MB more after {ROUNDS - 2} rounds"
