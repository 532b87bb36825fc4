"""Hostile and unusual clients on the wire: order, slow answers, slow readers, bounds of memory, the end of the server."""

from __future__ import annotations

import re
import resource
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.artifacts import write_manifest
from modelmill.contracts.artifact import FeatureProfile, Golden, Profile, Signature, Tensor, canonical
from tests.support.connections import OFFER, changed, read, resident
from tests.support.model_server import Launcher, Running, wait_for_log, wait_in_progress

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
MEBI = 1 << 20
LARGE = 24 * MEBI
BODY_SECONDS, IDLE_SECONDS = 7, 8  # a busy machine takes its time for what is not to be late
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


def start(launch: Launcher, folder: Path, modules: Path | None = None, **environment: str) -> Running:
    limits = {"BODY_SECONDS": str(BODY_SECONDS), "IDLE_SECONDS": str(IDLE_SECONDS), "MAX_REQUEST_BYTES": str(MEBI)}
    limits["MAX_CONCURRENT_REQUESTS"] = "4000"
    return launch(folder, modules=modules, **{"ALLOW_PYTHON": "1", "BATCHING": "off", **limits, **environment})


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
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


def holds(server: Running, connection: socket.socket) -> bool:
    """Return whether the server has the connection open: one that it has closed has no inode, even if bytes are still to go."""
    ends = (f":{server.port:04X}", f":{connection.getsockname()[1]:04X}")
    lines = [line.split() for line in Path(f"/proc/{server.pid}/net/tcp").read_text().splitlines()[1:]]
    return any((line[1][-5:], line[2][-5:]) == ends and line[9] != "0" for line in lines)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not true():
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


def test_answers_come_in_the_order_of_requests(server: Running, connection: socket.socket, gate: Path) -> None:
    sizes = [7, *(1 + number % 5 for number in range(60))]
    shut_gate(gate, connection, server, b"".join(post(size) for size in sizes) + LIVE)
    assert not select.select([connection], [], [], 0.3)[0]  # the fast ones do not overtake the slow one
    gate.unlink()
    answers = read(connection, len(sizes) + 1)
    found = [len(answer[2].split(b'"')[3]) for answer in answers[:-1]]
    assert found == sizes
    assert answers[-1][2] == b'{"live":true}'


NONSENSE = {
    "no HTTP": (b"nonsense\r\n\r\n", 400),
    "another encoding": (changed(b"Transfer-Encoding: gzip\r\n", LIVE), 501),
    "too large": (b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (9 * MEBI), 413),
    "a tunnel": (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_wrong_request_behind_a_slow_one_costs_no_answer(
    server: Running, connection: socket.socket, gate: Path, name: str
) -> None:
    wrong, status = NONSENSE[name]
    shut_gate(gate, connection, server, post(2) + post(1) + LIVE + wrong)
    time.sleep(BODY_SECONDS + 1.5)  # no time of the client's runs while the model works
    gate.unlink()
    assert statuses(to_the_end(connection)) == [200, 200, 200, status]


def test_wrong_request_behind_an_answer_that_is_not_read_keeps_its_place(server: Running) -> None:
    with connected(server, 16_384) as connection:
        connection.sendall(post(LARGE) + post(1) + LIVE + b"nonsense\r\n\r\n")
        time.sleep(1)
        received = to_the_end(connection)
    assert statuses(received) == [200, 200, 200, 400]
    assert received.count(b"a" * 1000) == LARGE // 1000


def test_half_of_a_request_behind_a_slow_one_has_its_time(
    server: Running, connection: socket.socket, gate: Path
) -> None:
    shut_gate(gate, connection, server, post(2) + post(1)[:-3])
    time.sleep(BODY_SECONDS + 1.5)
    gate.unlink()
    assert statuses(to_the_end(connection)) == [200, 408]


def test_half_of_a_head_behind_a_slow_one_ends(server: Running, connection: socket.socket, gate: Path) -> None:
    shut_gate(gate, connection, server, post(2) + LIVE[:20])
    gate.unlink()
    assert statuses(to_the_end(connection)) == [200, 408]


def test_continue_waits_for_the_answers_before(server: Running, connection: socket.socket, gate: Path) -> None:
    asking = post(1, b"Expect: 100-continue\r\n")
    head, body = asking.split(b"\r\n\r\n")
    shut_gate(gate, connection, server, post(2) + head + b"\r\n\r\n")
    assert not select.select([connection], [], [], 0.3)[0]
    gate.unlink()
    received = b""
    while b"100 Continue\r\n\r\n" not in received:
        received += connection.recv(65536)
    assert statuses(received) == [200, 100]
    connection.sendall(body)
    assert read(connection, 1)[0][0] == 200


def test_continue_is_not_said_to_the_old_version(connection: socket.socket) -> None:
    connection.sendall(post(1, b"Expect: 100-continue\r\n").replace(b"1.1", b"1.0"))
    assert statuses(to_the_end(connection)) == [200]


CLOSING_OFFERS = {
    "asked to close": changed(b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n", LIVE),
    "two lines": changed(b"Connection: close\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", LIVE),
    "the old version": changed(OFFER, LIVE).replace(b"1.1", b"1.0"),
}


@pytest.mark.parametrize("name", CLOSING_OFFERS)
def test_offer_of_another_protocol_does_not_keep_what_is_to_close(connection: socket.socket, name: str) -> None:
    connection.sendall(CLOSING_OFFERS[name])
    ((status, head, _),) = read(connection, 1)
    assert status == 200
    assert b"connection: close" in head
    assert connection.recv(1) == b""


def test_many_offers_in_one_piece(connection: socket.socket) -> None:
    connection.sendall(changed(OFFER, LIVE) * 1500)
    assert {status for status, _, _ in read(connection, 1500)} == {200}


def test_trailer_is_no_header(connection: socket.socket) -> None:
    body = b'{"instances": [[1]]}'
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + b"%x\r\n%s\r\n0\r\nContent-Encoding: gzip\r\n\r\n" % (len(body), body))
    assert letters(read(connection, 1)[0]) == 1


FRAMES = {
    "chunks in the old version": (
        b"POST /invocations HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks, then length": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks, then gzip": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        400,
    ),
    "the same length twice": (changed(b"Content-Length: 0\r\nContent-Length: 0\r\n", LIVE), 400),
    "a list of lengths": (changed(b"Content-Length: 0, 0\r\n", LIVE), 400),
    "no length": (changed(b"Content-Length:\r\n", LIVE), 400),
    "a length with a sign": (changed(b"Content-Length: +0\r\n", LIVE), 400),
    "a length beyond 64 bits": (changed(b"Content-Length: 18446744073709551616\r\n", LIVE), 400),
    "a space before the colon": (changed(b"Content-Length : 0\r\n", LIVE), 400),
    "bare LF": (LIVE.replace(b"\r\n", b"\n"), 400),
    "bare LF in the head": (changed(b"A: b\nC: d\r\n", LIVE), 400),
    "bare CR in the head": (changed(b"A: b\rC: d\r\n", LIVE), 400),
    "NUL in the target": (LIVE.replace(b"live", b"li\0ve"), 400),
    "bare LF in chunks": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", 400),
    "a space in chunks": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n", 400),
    "a size beyond 64 bits": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1%s\r\n" % (b"0" * 16),
        400,
    ),
    "a trailer without end": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 4 * MEBI,
        431,
    ),
    "trailers without end": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: abc\r\n" * (MEBI // 2),
        431,
    ),
    "an extension without end": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a=" + b"a" * 4 * MEBI,
        431,
    ),
    "a target without end": (b"GET /" + b"a" * 4 * MEBI, 414),
    "a name without end": (LIVE[:-2] + b"a" * 4 * MEBI, 431),
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


def test_refused_upload_is_told_while_it_still_sends(connection: socket.socket) -> None:
    connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (40 * MEBI))
    try:
        for _ in range(40):
            connection.sendall(b" " * MEBI)
    except OSError:
        pytest.fail("the connection was reset under the client")
    assert statuses(to_the_end(connection)) == [413]


def test_body_in_the_smallest_pieces_costs_little_memory(server: Running, connection: socket.socket) -> None:
    connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    before = resident(server)
    pieces = b"2\r\n  \r\n" * 10_000
    for _ in range(20):  # 400,000 bytes
        connection.sendall(pieces)
    server.get("/v2")
    assert resident(server) < before + 16 * 1024
    connection.sendall(b'14\r\n{"instances": [[1]]}\r\n0\r\n\r\n')
    assert letters(read(connection, 1)[0]) == 1


def test_half_closed_client_gets_its_slow_answers(server: Running, connection: socket.socket, gate: Path) -> None:
    shut_gate(gate, connection, server, post(2) + post(3) + LIVE)
    connection.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    gate.unlink()
    received = to_the_end(connection)
    assert statuses(received) == [200] * 3
    assert received.endswith(b'{"live":true}')


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("behind", [b"", post(2) * 20, post(1)[:-5], LIVE[:10]])
def test_client_that_leaves_gives_back_its_place(server: Running, gate: Path, reset: bool, behind: bytes) -> None:
    connection = connected(server)
    shut_gate(gate, connection, server, post(2) + behind)
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    gate.unlink()
    wait_in_progress(server, 0)


def test_large_answer_reaches_a_slow_reader_whole(server: Running) -> None:
    """The reader takes longer than a body may, but it reads; with and without a connection that is kept."""
    found = {}

    def slowly(name: str, headers: bytes) -> None:
        with connected(server, 65_536) as connection:
            connection.sendall(post(LARGE, headers))
            taken = 0
            while taken < LARGE and (data := connection.recv(65_536)):
                taken += data.count(b"a")
                time.sleep(len(data) / (3 * MEBI))
            found[name] = taken

    threads = [threading.Thread(target=slowly, args=(one.decode(), one)) for one in (b"", b"Connection: close\r\n")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(taken >= LARGE for taken in found.values()), found
    assert len(found) == 2


@pytest.mark.parametrize("headers", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("half_closed", [False, True])
@pytest.mark.parametrize("size", [60_000, LARGE])
def test_client_that_reads_nothing_is_ended(server: Running, headers: bytes, half_closed: bool, size: int) -> None:
    before = resident(server)
    with connected(server, 4_096) as connection:
        connection.sendall(b"".join([post(size)] * (100 if size < MEBI else 3)) + post(size, headers))
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: holds(server, connection))
        wait_until(lambda: not holds(server, connection))
    assert resident(server) < before + 6 * LARGE // 1024


def test_endless_requests_behind_a_slow_one_are_not_read(
    server: Running, connection: socket.socket, gate: Path
) -> None:
    gate.touch()
    before = resident(server)
    connection.setblocking(False)
    sent, requests = 0, post(2) * 10_000
    while select.select([], [connection], [], 0.5)[1]:  # until the server reads no more
        sent += connection.send(requests[sent % len(requests) :])
        assert sent < 400 * MEBI
    assert resident(server) < before + 48 * 1024
    wait_in_progress(server, 1)


def test_every_answer_lets_in_no_more_than_it_takes_out(server: Running, connection: socket.socket) -> None:
    connection.setblocking(False)
    before, sent, requests = resident(server), 0, post(1) * 10_000
    for _ in range(400):  # 2 s, in which the model answers some hundred
        if select.select([], [connection], [], 0)[1]:
            sent += connection.send(requests[sent % len(requests) :])
        time.sleep(0.005)
    assert resident(server) < before + 48 * 1024


def test_idle_connections_end(server: Running) -> None:
    fresh, used, half = (connected(server) for _ in range(3))
    used.sendall(LIVE)
    assert read(used, 1)[0][0] == 200
    half.sendall(LIVE[:-2])
    assert to_the_end(fresh) == to_the_end(used) == b""
    assert statuses(to_the_end(half)) == [408]
    for connection in (fresh, used, half):
        connection.close()


def test_date_follows_the_clock(connection: socket.socket) -> None:
    dates = []
    for _ in range(2):
        connection.sendall(LIVE)
        date = re.search(rb"date: (.*) GMT", read(connection, 1)[0][1])
        assert date
        dates.append(date[1])
        time.sleep(1.1)
    assert dates[0] < dates[1] or b" 00:0" in dates[1]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /v2/health/live?x=%00#a HTTP/1.1", 200),
        (b"GET http://other:80/v2/health/live HTTP/1.1", 200),
        (b"GET HTTP://other/v2/health/live?x=http://y/z HTTP/1.1", 200),
        (b"GET /%76%32/health/%6Cive HTTP/1.1", 200),
        (b"GET //v2/health/live HTTP/1.1", 404),
        (b"GET /v2/health/live/ HTTP/1.1", 404),
        (b"GET /v2/../v2/health/live HTTP/1.1", 404),
        (b"GET /%ff%00%zz HTTP/1.1", 404),
        (b"OPTIONS * HTTP/1.1", 405),
        (b"GET http://other HTTP/1.1", 200),
        (b"GET http://other?x HTTP/1.1", 200),
        (b"HEAD /invocations HTTP/1.1", 405),
    ],
)
def test_targets(connection: socket.socket, line: bytes, status: int) -> None:
    connection.sendall(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert statuses(to_the_end(connection)) == [status]


def test_many_connections_at_once(server: Running) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(2000, soft - 200)
    connections = [connected(server) for _ in range(count)]
    for connection in connections:
        connection.sendall(LIVE + post(1)[:-3])
    for connection in connections:
        assert read(connection, 1)[0][0] == 200
    for connection in connections:
        connection.sendall(post(1)[-3:])
    for connection in connections:
        assert letters(read(connection, 1)[0]) == 1
        connection.close()


def test_memory_does_not_grow_over_connections(server: Running) -> None:
    kinds = (LIVE, LIVE[:-9], b"nonsense\r\n\r\n", changed(OFFER, LIVE), LIVE * 3, post(1)[:-2], b"")

    def churn(connections: int) -> int:
        for number in range(connections):
            sent = kinds[number % len(kinds)]
            with connected(server) as one:
                one.sendall(sent)
                if sent.endswith(b"\r\n\r\n"):
                    assert one.recv(4096).startswith(b"HTTP/1.1")
                if number % 2:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_in_progress(server, 0)
        return resident(server)

    first = churn(CHURN // 5)
    assert churn(CHURN) < first + 2048


@pytest.fixture
def waiting(launch: Launcher, folder: Path, gate: Path) -> Iterator[Running]:
    """A server of one test, which may be ended."""
    running = start(launch, folder)
    yield running
    gate.unlink(missing_ok=True)
    assert not [words for words in WRONG_IN_LOG if words in running.log.read_text()]


def test_term_with_connections_in_every_state(waiting: Running, gate: Path) -> None:
    server = waiting
    slow, idle, half, fresh, unread = (connected(server, 4_096 if name == "unread" else 0) for name in STATES)
    idle.sendall(LIVE)
    assert read(idle, 1)[0][0] == 200
    half.sendall(post(1)[:-3])
    unread.sendall(post(LARGE))
    wait_until(lambda: server.metric("modelmill_requests_total", code="200") == 1)
    shut_gate(gate, slow, server, post(2) + post(3) + LIVE)
    server.process.send_signal(signal.SIGTERM)
    wait_for_log(server, "shutting down")
    time.sleep(2.5)  # longer than the time to drain: only what runs keeps the process
    assert server.process.poll() is None
    gate.unlink()
    late = (half, post(1)[-3:]), (fresh, LIVE)
    for connection, rest in late:
        connection.sendall(rest)
    for connection in (slow, half, fresh):
        ((status, head, _),) = read(connection, 1)
        assert status == 200
        assert b"connection: close" in head
        assert connection.recv(1) == b""  # what was sent behind it was not begun, and the client knows it
    assert idle.recv(1) == b""
    assert server.process.wait(SETTLE_SECONDS) == 0
    for connection in (slow, idle, half, fresh, unread):
        connection.close()


def test_plain_asyncio_does_the_same(launch: Launcher, folder: Path, gate: Path, tmp_path: Path) -> None:
    """Where uvloop is not installed."""
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["uvloop"] = None\n')
    server = start(launch, folder, modules=tmp_path)
    assert "uvloop" not in Path(f"/proc/{server.pid}/maps").read_text()
    with connected(server) as one:
        shut_gate(gate, one, server, post(7) + post(1) * 40 + changed(OFFER, post(1)) + b"nonsense\r\n\r\n")
        gate.unlink()
        assert statuses(to_the_end(one)) == [200] * 42 + [400]
    with connected(server) as one:
        one.sendall(post(LARGE) + LIVE)
        one.shutdown(socket.SHUT_WR)
        received = to_the_end(one)
        assert statuses(received) == [200, 200]
        assert len(received) > LARGE
    with connected(server) as one:
        one.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (9 * MEBI) + b" " * 9 * MEBI
        )
        assert statuses(to_the_end(one)) == [413]
    with connected(server, 4_096) as one:
        one.sendall(post(LARGE) * 2)
        wait_until(lambda: holds(server, one))
        wait_until(lambda: not holds(server, one))
    assert server.terminate() == 0
    log = server.log.read_text()
    assert not [words for words in WRONG_IN_LOG if words in log], log[-3000:]
