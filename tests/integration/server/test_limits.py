"""What all clients together may take of the server: connections, memory, lines of its log."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.artifacts import write_manifest
from modelmill.contracts.artifact import FeatureProfile, Golden, Profile, Signature, Tensor, canonical
from tests.support.connections import read, resident
from tests.support.model_server import Launcher, Running

MEBI = 1 << 20
CONNECTIONS = 200
BODY = MEBI
HELD = 8 * MEBI
PROBES = ("/v2/health/live", "/v2/health/ready", "/metrics")
PREDICTOR = """
class Predictor:
    def __init__(self, folder):
        pass

    def predict(self, columns):
        if columns["x"][0] == 2:
            raise ValueError("hostile\\n2026-01-01 00:00:00,000 INFO modelmill_server: ready" + "a" * 100_000)
        return {"predict": columns["x"]}
"""


@pytest.fixture(scope="module")
def server(launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Running:
    folder: Path = tmp_path_factory.mktemp("artifact") / "plain"
    folder.mkdir()
    (folder / "predictor.py").write_text(PREDICTOR)
    number = FeatureProfile("numeric", (1.0,))
    (folder / "profile.json").write_bytes(canonical(Profile({"x": number}, number, 1)))
    (folder / "golden.json").write_bytes(canonical(Golden({"x": [1.0]}, {"predict": [1.0]})))
    write_manifest(
        folder, "python", Signature("regression", (Tensor("x", "FP64", (-1,)),), (Tensor("predict", "FP64", (-1,)),))
    )
    return launch_shared(
        folder, ALLOW_PYTHON="1", MAX_CONNECTIONS=str(CONNECTIONS), MAX_REQUEST_BYTES=str(BODY), HELD_BYTES=str(HELD)
    )


@contextlib.contextmanager
def many(server: Running, count: int, sent: bytes, behind: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections that send this and no more; a connection that the server ends in the middle is as good."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            opened.append(one)
            with contextlib.suppress(OSError):
                one.sendall(sent)
                one.sendall(behind)
        yield opened


HALF_BODY = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET /v2/health/live HTTP/1.1\r\nHost:", HALF_BODY])
def test_probes_answer_when_the_port_is_full(server: Running, sent: bytes) -> None:
    with many(server, CONNECTIONS + 100, sent):
        for path in PROBES * 3:
            assert server.get(path).status == 200


@pytest.mark.parametrize(
    ("count", "sent", "behind"),
    [
        (150, b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"a" * 65_000),
        (40, HALF_BODY.replace(b"20", b"%d" % BODY), b"a" * (BODY - 1)),
        (40, HALF_BODY.replace(b"Content-Length: 20", b"Transfer-Encoding: chunked") + b"fffff\r\n", b"a" * 0xFFFFE),
    ],
)
def test_half_sent_requests_take_no_more_than_their_budget(
    server: Running, count: int, sent: bytes, behind: bytes
) -> None:
    before = resident(server)
    with many(server, count, sent, behind) as opened:
        for path in PROBES:
            assert server.get(path).status == 200
        assert server.post("/invocations", {"instances": [[1]]}).status == 200
        assert resident(server) < before + (HELD + 8 * MEBI) // 1024
        status, head, body = read(opened[-1], 1)[0]
        assert (status, b"retry-after: 1" in head) == (503, True), body
    whole = b'{"instances": [[1]]}'.ljust(BODY)
    assert server.post("/invocations", whole).status == 200


def test_failing_requests_do_not_fill_the_log(server: Running) -> None:
    before = server.log.stat().st_size
    for _ in range(300):
        assert server.post("/invocations", {"instances": [[2]]}).status == 500
    written = server.log.read_text()[before:]
    assert len(written) < 200_000
    assert "hostile" in written
    assert not [line for line in written.splitlines() if line.startswith("2026-01-01")]
