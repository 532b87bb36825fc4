"""Hostile and unusual clients on the wire: order, slow answers, slow readers, bounds of memory, the end of the server."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelmill.contracts.artifact import FeatureProfile, Golden, Profile, Signature, Tensor, canonical
from tests.integration.server.conftest import Launcher, Running
from tests.integration.server.test_connections import read, resident
from tests.integration.server.test_lifecycle import wait_in_progress
from tests.unit.server.artifacts import write_manifest

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
MEBI = 1 << 20
LARGE = 24 * MEBI
BODY_SECONDS, IDLE_SECONDS = 3, 4
CHURN = 20_000
SETTLE_SECONDS = 30  # a limit for what ends by itself
STATES = ("slow", "idle", "half", "fresh", "unread")
WRONG_IN_LOG = ("Traceback", "never retrieved", "never awaited", "Fatal error", "socket.send() raised")

PREDICTOR = """
import pathlib, time


class Predictor:
    def __init__(self, folder):
        self.gate = pathlib.Path({gate!r})

    def predict(self, columns):
        time.sleep(0.002)  # too slow for the event loop
        x = columns["x"]
        while x[0] > 1 and self.gate.exists():
            time.sleep(0.01)
        return {{"predict": ["a" * int(value) for value in x]}}
"""


def post(size: int, headers: bytes = b"") -> bytes:
    """Return a request whose answer has a text of `size` letters; one letter does not wait for the gate."""
    body = b'{"instances": [[%d]]}' % size
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" % (headers, len(body))
    return head + body


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file: while it is there, the model answers only requests for one letter."""
    return tmp_path_factory.mktemp("gate") / "gate"


@pytest.fixture(scope="module")
def folder(gate: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact") / "slow"
    folder.mkdir()
    (folder / "predictor.py").write_text(PREDICTOR.format(gate=str(gate)))
    number, words = FeatureProfile("numeric", (1.0,)), FeatureProfile("categorical", (1.0,), categories=("a",))
    (folder / "profile.json").write_bytes(canonical(Profile({"x": number}, words, 1)))
    (folder / "golden.json").write_bytes(canonical(Golden({"x": [1.0]}, {"predict": ["a"]})))
    inputs, outputs = (Tensor("x", "FP64", (-1,)),), (Tensor("predict", "BYTES", (-1,)),)
    write_manifest(folder, "python", Signature("classification", inputs, outputs))
    return folder


def start(launch: Launcher, folder: Path, **environment: str) -> Running:
    limits = {"BODY_SECONDS": str(BODY_SECONDS), "IDLE_SECONDS": str(IDLE_SECONDS), "MAX_REQUEST_BYTES": str(MEBI)}
    limits["MAX_CONCURRENT_REQUESTS"] = "4000"
    return launch(folder, **{"ALLOW_PYTHON": "1", "BATCHING": "off", **limits, **environment})


@pytest.fixture(scope="module")
def shared(launch_shared: Launcher, folder: Path) -> Running:
    return start(launch_shared, folder)


@pytest.fixture
def server(shared: Running, gate: Path) -> Iterator[Running]:
    """The server; afterwards nothing runs, every connection has ended, and the log says nothing strange."""
    before = open_files(shared)
    yield shared
    gate.unlink(missing_ok=True)
    wait_in_progress(shared, 0)
    wait_until(lambda: open_files(shared) <= before)
    log = shared.log.read_text()
    assert not [words for words in WRONG_IN_LOG if words in log], log[-3000:]


@pytest.fixture
def connection(server: Running) -> Iterator[socket.socket]:
    with connected(server) as one:
        yield one


def connected(server: Running, receive_buffer: int = 0) -> socket.socket:
    one = socket.socket()
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.settimeout(60)
    one.connect(("127.0.0.1", server.port))
    return one


def open_files(server: Running) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def to_the_end(connection: socket.socket) -> bytes:
    """Return what still comes until the server closes."""
    received = []
    while data := connection.recv(1 << 18):
        received.append(data)
    return b"".join(received)


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", received)]


def shut_gate(gate: Path, connection: socket.socket, server: Running, sent: bytes) -> None:
    """Send requests of which the first is being answered when this returns, and waits for the gate."""
    gate.touch()
    connection.sendall(sent)
    wait_in_progress(server, 1)


def letters(answer: tuple[int, bytes, bytes]) -> int:
    """Return the length of the text in an answer to `post`."""
    assert answer[0] == 200, answer
    return answer[2].count(b"a")


def test_trailer_is_no_header(connection: socket.socket) -> None:
    body = b'{"instances": [[1]]}'
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + b"%x\r\n%s\r\n0\r\nContent-Encoding: gzip\r\n\r\n" % (len(body), body))
    assert letters(read(connection, 1)[0]) == 1


FRAMES = {
    "a trailer without end": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 4 * MEBI,
        431,
    ),
    "trailers without end": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: abc\r\n" * (MEBI // 2),
        431,
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frame_is_refused_in_words_and_ends_the_connection(
    server: Running, connection: socket.socket, name: str
) -> None:
    sent, status = FRAMES[name]
    before = resident(server)
    connection.sendall(sent)
    received = to_the_end(connection)
    assert statuses(received) == [status]
    assert b"connection: close\r\n" in received
    assert b'{"error":"' in received
    assert resident(server) < before + 8 * 1024
