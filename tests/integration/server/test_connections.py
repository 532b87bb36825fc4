"""HTTP/1.1 as it comes on the wire: framing, pipelining, versions, half-closed clients, refusals that can be read."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from pathlib import Path

import pytest
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from tests.support.connections import BODY, OFFER, POST, changed, read, receive, resident
from tests.support.fitted import cars, on_columns
from tests.support.model_server import Launcher, Running

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT = 20_000


@pytest.fixture(scope="module")
def server(launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Running:
    frame, target = cars("unknown")
    folder: Path = tmp_path_factory.mktemp("artifact") / "cars"
    write_artifact(folder, on_columns(Ridge(), frame).fit(frame, target), frame)
    return launch_shared(folder, MAX_REQUEST_BYTES=str(LIMIT), BODY_SECONDS="2")


@pytest.fixture
def connection(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


CHUNKED = b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

KEPT: dict[str, tuple[bytes, list[int]]] = {
    "one after the other": (POST * 50, [200] * 50),
    "others between": (POST + LIVE + POST, [200] * 3),
    "a wrong path between": (POST + LIVE.replace(b"live", b"dead") + POST, [200, 404, 200]),
    "an offer of h2c": (changed(OFFER) + POST + LIVE, [200] * 3),
    "an offer of h2c without a body": (changed(OFFER, LIVE) + POST, [200] * 2),
    "an offer of h2c in chunks": (
        changed(OFFER, CHUNKED) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) + POST,
        [200] * 2,
    ),
    "an offer of websockets": (changed(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", LIVE) + POST, [200] * 2),
    "chunks with extension and trailer": (
        CHUNKED + b"3;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\nT: x\r\n\r\n" % (BODY[:3], len(BODY) - 3, BODY[3:]),
        [200],
    ),
    "absolute form, escapes, a query": (LIVE.replace(b"/v2/health/live", b"http://x/v2%2Fhealth/live?a=/b"), [200]),
    "the old version, kept": (changed(b"Connection: keep-alive\r\n").replace(b"1.1", b"1.0"), [200]),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_connection_is_kept(connection: socket.socket, name: str, piece: int) -> None:
    sent, statuses = KEPT[name]
    for begin in range(0, len(sent), piece):
        connection.sendall(sent[begin : begin + piece])
    assert [status for status, _, _ in read(connection, len(statuses))] == statuses
    connection.sendall(LIVE)
    assert read(connection, 1)[0][2] == b'{"live":true}'


ENDED: dict[str, tuple[bytes, bool, list[int]]] = {
    # sent, whether the client then closes its half, statuses
    "asked to": (changed(b"Connection: close\r\n"), False, [200]),
    "the old version": (POST.replace(b"1.1", b"1.0"), False, [200]),
    "half closed": (POST * 3, True, [200] * 3),
    "half closed in the body": (POST[:-3], True, [400]),
    "half closed in chunks": (CHUNKED + b"ffff\r\n" + BODY, True, [400]),
    "nonsense behind a good one": (POST + b"nonsense\r\n\r\n", False, [200, 400]),
    "two lengths": (changed(b"Content-Length: 1\r\n"), False, [400]),
    "length and chunks": (changed(b"Transfer-Encoding: chunked\r\n"), False, [400]),
    "another encoding": (CHUNKED.replace(b"chunked", b"gzip, chunked"), False, [501]),
    "a folded header": (changed(b"A: b\r\n c\r\n"), False, [400]),
    "a tunnel": (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", False, [501]),
    "a body that does not come": (POST[:-1], False, [408]),
    "too large": (POST.replace(b"%d" % len(BODY), b"%d" % (3 * LIMIT)) + b" " * (3 * LIMIT - len(BODY)), False, [413]),
    "too large in chunks": (CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (2 * LIMIT, b" " * 2 * LIMIT), False, [413]),
    "too large, asked before": (
        changed(b"Expect: 100-continue\r\n", POST[: -len(BODY)]).replace(b": %d" % len(BODY), b": %d" % (2 * LIMIT)),
        False,
        [413],
    ),
}


@pytest.mark.parametrize("name", ENDED)
def test_connection_is_ended_after_an_answer_that_can_be_read(connection: socket.socket, name: str) -> None:
    sent, closed, statuses = ENDED[name]
    connection.sendall(sent)
    if closed:
        connection.shutdown(socket.SHUT_WR)
    answers = read(connection, len(statuses))
    assert [status for status, _, _ in answers] == statuses
    assert connection.recv(65536) == b""
    status, head, body = answers[-1]
    if status >= 400:
        assert b"connection: close" in head
        assert list(json.loads(body)) == ["error"]


def test_head_that_never_ends(connection: socket.socket) -> None:
    connection.sendall(LIVE[:-2])
    connection.sendall((b"X: " + b"a" * 10_000 + b"\r\n") * 100)
    ((status, _, body),) = read(connection, 1)
    assert status == 431
    assert "larger than" in json.loads(body)["error"]
    assert connection.recv(65536) == b""


def test_continue_is_said_when_the_body_is_welcome(connection: socket.socket) -> None:
    connection.sendall(changed(b"Expect: 100-continue\r\n", POST[: -len(BODY)]))
    assert receive(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(BODY)
    assert read(connection, 1)[0][0] == 200


def test_head_alone(connection: socket.socket) -> None:
    connection.sendall(b"HEAD /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = b""
    while data := connection.recv(65536):
        answer += data
    assert answer.endswith(b"\r\n\r\n")
    assert re.search(rb"content-length: [1-9]", answer)
    assert re.search(rb"date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", answer)


def test_client_that_does_not_read_its_answers_is_ended(server: Running, connection: socket.socket) -> None:
    before = resident(server)
    connection.settimeout(1)
    metrics = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    limit, ended = time.monotonic() + 60, False
    while not ended:
        assert time.monotonic() < limit
        try:
            connection.sendall(metrics)
        except TimeoutError:
            continue
        except OSError:
            ended = True
    assert resident(server) < before + 64 * 1024
    assert server.get("/v2/health/ready").status == 200


def test_connections_leave_nothing_behind(server: Running) -> None:
    files = Path(f"/proc/{server.pid}/fd")
    before, at_first = len(list(files.iterdir())), 0
    for number in range(3000):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
            one.sendall(POST[: number % len(POST)])
            if number % 3 == 0:  # broken, not closed
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number == 1000:
            at_first = resident(server)
    assert server.get("/v2/health/ready").status == 200
    assert resident(server) < at_first + 4096
    assert len(list(files.iterdir())) <= before + 2
    assert "Traceback" not in server.log.read_text()
