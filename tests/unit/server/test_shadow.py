"""The mirror: what counts as agreement, what the file may say, and bounds that hold whatever the shadow does."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from modelmill.contracts import shadow as contract
from modelmill.contracts.shadow import Shadow
from modelmill_server.failure import StartError
from modelmill_server.http.messages import Answer, Request
from modelmill_server.settings import Settings
from modelmill_server.shadow import mirror as mirrors
from modelmill_server.shadow.agreement import SHAPE, VALUE, difference
from modelmill_server.shadow.mirror import Mirror, MirrorBounds, open_mirror

PATIENCE = 30  # seconds: a limit, not an expectation
EXACT = Shadow("demo-2", "abcdef0123", 1.0, 0.0, 0.0)
LOOSE = replace(EXACT, relative_tolerance=0.01, absolute_tolerance=0.5)
BODY = b'{"predictions":[1.5]}'
LIVE: Answer = (200, BODY, [("content-type", "application/json")])


def v1(*values: Any) -> tuple[bytes, dict[str, str]]:
    return json.dumps({"predictions": list(values)}).encode(), {}


def v2(*outputs: tuple[str, str, list[int], list[Any]], **more: Any) -> tuple[bytes, dict[str, str]]:
    told = [dict(zip(("name", "datatype", "shape", "data"), one, strict=True)) for one in outputs]
    return json.dumps({"model_name": "demo", "outputs": told, **more}).encode(), {}


def binary(datatype: str, data: bytes, shape: list[int]) -> tuple[bytes, dict[str, str]]:
    parameters = {"binary_data_size": len(data)}
    tensor = {"name": "predict", "datatype": datatype, "shape": shape, "parameters": parameters}
    head = json.dumps({"outputs": [tensor]}).encode()
    return head + data, {"inference-header-content-length": str(len(head))}


def floats(*values: float) -> bytes:
    return np.array(values, "<f8").tobytes()


ONE, TWO = ("predict", "FP64", [1], [1.0]), ("predict_proba", "FP64", [1, 2], [0.25, 0.75])
COMPARED = {
    "equal": (v1(1.5, 2.0), v1(1.5, 2.0), EXACT, None),
    "a little off": (v1(1.5), v1(1.5000001), EXACT, VALUE),
    "within both tolerances": (v1(100.0), v1(101.5), LOOSE, None),
    "beyond both": (v1(100.0), v1(101.6), LOOSE, VALUE),
    "the tolerance is of the live value": (v1(0.0), v1(0.6), LOOSE, VALUE),
    "whole numbers are labels": (v1(1), v1(2), replace(LOOSE, absolute_tolerance=5), VALUE),
    "a whole number beside one with a fraction": (v1(3), v1(3.0), EXACT, None),
    "labels": (v1("setosa"), v1("setosa"), EXACT, None),
    "other labels": (v1("setosa"), v1("virginica"), LOOSE, VALUE),
    "truth is no number": (v1(True), v1(1), LOOSE, VALUE),
    "missing values": (v1(None, 1.5), v1(None, 1.5), EXACT, None),
    "a value that is missing": (v1(2.0, 1.5), v1(None, 1.5), LOOSE, VALUE),
    "fewer rows": (v1(1.5, 1.5), v1(1.5), LOOSE, SHAPE),
    "rows of several values": (v1([0.1, 0.9]), v1([0.1, 0.9]), EXACT, None),
    "fewer values in a row": (v1([0.1, 0.9]), v1([1.0]), LOOSE, SHAPE),
    "a value instead of a row": (v1([0.1]), v1(0.1), LOOSE, SHAPE),
    "shape weighs more than value": (v1("a", [1.0]), v1("b", 1.0), LOOSE, SHAPE),
    "order of outputs": (v2(ONE, TWO, model_version="1", id="x"), v2(TWO, ONE, model_version="2"), EXACT, None),
    "one output less": (v2(ONE, TWO), v2(ONE), LOOSE, SHAPE),
    "another type": (v2(ONE), v2(("predict", "INT64", [1], [1])), LOOSE, SHAPE),
    "another shape": (v2(ONE), v2(("predict", "FP64", [1, 1], [1.0])), LOOSE, SHAPE),
    "binary": (binary("FP64", floats(1, math.nan), [2]), binary("FP64", floats(1, math.nan), [2]), EXACT, None),
    "binary, close": (binary("FP64", floats(1, math.inf), [2]), binary("FP64", floats(1.4, math.inf), [2]), LOOSE, None),
    "binary, off": (binary("FP64", floats(1), [1]), binary("FP64", floats(math.nan), [1]), LOOSE, VALUE),
    "binary, too few": (binary("FP64", floats(1, 2), [2]), binary("FP64", floats(1), [2]), LOOSE, SHAPE),
    "binary labels": (binary("BYTES", b"\1\0\0\0a", [1]), binary("BYTES", b"\1\0\0\0b", [1]), LOOSE, VALUE),
    "binary and JSON": (binary("FP64", floats(1), [1]), v2(ONE), LOOSE, SHAPE),
    "binary, cut off": (binary("FP64", floats(1), [1]), binary("FP64", floats(1)[:-1], [1]), LOOSE, SHAPE),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPARED)
def test_answers_are_compared(name: str) -> None:
    live, other, tolerance, expected = COMPARED[name]
    assert difference(live, other, tolerance) == expected


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"[]", {}),
        (b'"predictions"', {}),
        (b'{"error": "no"}', {}),
        (b'{"outputs": 7}', {}),
        (b'{"outputs": [{"name": "predict"}]}', {}),
        (b"[" * 100_000, {}),
        (b"{}", {"inference-header-content-length": "x"}),
        (b'{"predictions":[' + b"9" * 400 + b"]}", {}),
    ],
)
def test_what_is_no_answer_cannot_be_compared(body: bytes, headers: dict[str, str]) -> None:
    live = binary("FP64", floats(1), [1]) if headers else v1(1.5)
    with pytest.raises(ValueError, match=r"no answer of V2|no numbers"):
        difference(live, (body, headers), EXACT)


def test_the_file_says_what_was_written() -> None:
    assert contract.decode(contract.encode(LOOSE)) == LOOSE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": 2}, "version 1"),
        ({"version": ""}, "version must be a text"),
        ({"revision": "x" * 300}, "revision must be a text"),
        ({"sampleRatio": 1.5}, "sampleRatio must be a number from 0 to 1"),
        ({"sampleRatio": True}, "sampleRatio"),
        ({"relativeTolerance": -1}, "relativeTolerance must be a number from 0"),
        ({"absoluteTolerance": math.inf}, "absoluteTolerance"),
        ({"absoluteTolerance": "0"}, "absoluteTolerance"),
    ],
)
def test_a_file_that_says_something_else_is_refused(change: dict[str, Any], words: str) -> None:
    told = json.loads(contract.encode(EXACT)) | change
    with pytest.raises(ValueError, match=words):
        contract.decode(json.dumps(told))


@pytest.mark.parametrize(
    "url", ["https://shadow", "http://", "http://shadow/path", "http://user@shadow", "shadow:80", "http://shadow:x"]
)
def test_an_address_is_a_host_and_a_port(url: str) -> None:
    settings = Settings(Path(), shadow_url=url, shadow_file=Path("x"))
    with pytest.raises(StartError, match="MODELMILL_SHADOW_URL"):
        open_mirror(settings, model())


def test_address_and_file_go_together() -> None:
    with pytest.raises(StartError, match="go together"):
        open_mirror(Settings(Path(), shadow_url="http://shadow"), model())
    assert open_mirror(Settings(Path()), model()) is None
    assert open_mirror(Settings(Path(), shadow_url="http://[::1]:81/", shadow_file=Path("x")), model()) is not None


def model() -> Any:
    return SimpleNamespace(name="demo", version="demo-1")


def request(body: bytes = b"{}") -> Request:
    headers = {"content-type": "application/json", "authorization": "Bearer secret", "cookie": "a=b"}
    return Request("POST", "/invocations", headers, body, time.perf_counter())


def counted(mirror: Mirror) -> dict[str, float]:
    """Return the counters that are not 0, by name and last label; of the histogram how many."""
    counts = {}
    for sample in (sample for family in mirror.families() for sample in family.samples):
        if sample.value and not sample.name.endswith(("_bucket", "_sum")):
            last = sample.labels.get("result") or sample.labels.get("reason") or ""
            counts[f"{sample.name.removeprefix('modelmill_shadow_')} {last}".strip()] = sample.value
    return counts


async def wait(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for are plain numbers
            await asyncio.sleep(0.01)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def mirrored(
    talk: Talk, tmp_path: Path, until: Callable[[dict[str, float]], bool], count: int = 1, **bounds: Any
) -> Mirror:
    """Mirror some requests to a shadow that talks so, until the counters are as wanted."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    file = tmp_path / "shadow.json"
    file.write_text(contract.encode(EXACT))
    port = server.sockets[0].getsockname()[1]
    mirror = Mirror("127.0.0.1", port, file, ("demo", "demo-1"), MirrorBounds(**bounds))
    mirror.start()
    try:
        for _ in range(count):
            assert mirror.wants()
            mirror.offer("/invocations", request(), LIVE)
        await wait(lambda: until(counted(mirror)))
    finally:
        await mirror.close()
        server.close()
    return mirror


def says(*parts: bytes, pause: float = 0.0, end: bool = False) -> Talk:
    """Return a shadow that answers every request with these bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n{}"):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(pause)
                if end:
                    break
        except (OSError, EOFError):
            pass
        writer.close()

    return talk


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    length = b"content-length: %d" % len(body)
    return b"\r\n".join((b"HTTP/1.1 " + status, *headers, length, b"", body))


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
AGREES = {"requests_total 2xx": 1, "compared_total": 1, "duration_seconds_count": 1}
UNREADABLE = {"requests_total unreadable": 1}
STATUS_DIFFERS = {"compared_total": 1, "disagreed_total status": 1, "duration_seconds_count": 1}
TALKS = {
    "agrees": (says(answer(BODY)), AGREES),
    "drips, but ends in time": (says(*(bytes([one]) for one in answer(BODY)), pause=0.001), AGREES),
    "in chunks": (says(CHUNKED + b"5;a=b\r\n" + BODY[:5] + b"\r\n10\r\n" + BODY[5:] + b"\r\n0\r\n\r\n"), AGREES),
    "until the connection ends": (says(b"HTTP/1.0 200 OK\r\n\r\n" + BODY, end=True), AGREES),
    "disagrees": (says(answer(b'{"predictions":[1.6]}')), AGREES | {"disagreed_total value": 1}),
    "redirects": (
        says(answer(b"", b"location: http://127.0.0.1:1/", status=b"302 Found")),
        STATUS_DIFFERS | {"requests_total 3xx": 1},
    ),
    "refuses": (says(answer(b'{"error": "no"}', status=b"400 Bad")), STATUS_DIFFERS | {"requests_total 4xx": 1}),
    "fails": (
        says(answer(b"", status=b"503 Service Unavailable")),
        {"requests_total 5xx": 1, "duration_seconds_count": 1},
    ),
    "is no HTTP": (says(b"SSH-2.0-OpenSSH\r\n\r\n"), UNREADABLE),
    "has a status of its own": (says(b"HTTP/1.1 999 No\r\n\r\n"), UNREADABLE),
    "a head without end": (says(*[b"HTTP/1.1 200 OK\r\n", *[b"a: " + b"b" * 1000 + b"\r\n"] * 100]), UNREADABLE),
    "a gigabyte": (says(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"), UNREADABLE),
    "no number of bytes": (says(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), UNREADABLE),
    "chunks without end": (says(CHUNKED, *[b"400\r\n" + b"x" * 1024 + b"\r\n"] * 100), UNREADABLE),
    "a wrong chunk": (says(CHUNKED + b"zz\r\n"), UNREADABLE),
    "bytes without end": (says(b"HTTP/1.0 200 OK\r\n\r\n", *[b"x" * 1024] * 100), UNREADABLE),
    "compressed": (says(answer(BODY, b"content-encoding: gzip")), UNREADABLE),
    "no JSON": (says(answer(b"<html>")), UNREADABLE),
    "hangs up": (says(end=True), {"requests_total unreachable": 1}),
    "cut off": (says(answer(BODY)[:-3], end=True), {"requests_total unreachable": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", TALKS)
def test_whatever_the_shadow_says_is_counted(name: str, tmp_path: Path) -> None:
    talk, expected = TALKS[name]
    mirror = asyncio.run(mirrored(talk, tmp_path, bool, pause_seconds=0.0))
    assert counted(mirror) == expected


def test_a_shadow_that_hangs_or_drips_is_given_up(tmp_path: Path) -> None:
    drips = says(b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n", *[b" "] * 20, pause=0.2)
    for talk in (says(b"", pause=PATIENCE), drips):
        mirror = asyncio.run(mirrored(talk, tmp_path, bool, patience_seconds=0.3))
        assert counted(mirror) == {"requests_total timeout": 1}


def test_only_the_body_and_how_to_read_it_are_sent(tmp_path: Path) -> None:
    got: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"{}"))
        writer.write(answer(BODY))

    asyncio.run(mirrored(talk, tmp_path, bool))
    first, *lines = got[0].decode().removesuffix("\r\n\r\n{}").split("\r\n")
    assert first == "POST /invocations HTTP/1.1"
    sent = dict(line.split(": ") for line in lines)
    assert sent.pop("host").startswith("127.0.0.1:")
    assert sent == {"content-length": "2", "content-type": "application/json", "modelmill-shadow": "demo-1"}


def test_a_kept_connection_that_was_closed_is_made_anew(tmp_path: Path) -> None:
    talk = says(answer(BODY), end=True)  # it promises to go on, and does not
    mirror = asyncio.run(mirrored(talk, tmp_path, lambda seen: sum(seen.values()) >= 9, count=3, lines=1))
    assert counted(mirror) == {"requests_total 2xx": 3, "compared_total": 3, "duration_seconds_count": 3}


def test_nothing_waits_beyond_the_bounds(tmp_path: Path) -> None:
    hangs = says(b"", pause=PATIENCE)
    dropped = "dropped_total queue_full"
    by_count = asyncio.run(mirrored(hangs, tmp_path, lambda seen: dropped in seen, count=50, queue_requests=7))
    assert counted(by_count)[dropped] == 43
    one = len(b"{}") + len(BODY)
    by_bytes = asyncio.run(mirrored(hangs, tmp_path, lambda seen: dropped in seen, count=50, queue_bytes=5 * one + 1))
    assert counted(by_bytes)[dropped] == 45
    large = asyncio.run(mirrored(hangs, tmp_path, bool, each_bytes=len(BODY) - 1))
    assert counted(large) == {"dropped_total too_large": 1}


def test_what_was_compared_makes_room(tmp_path: Path) -> None:
    async def many() -> Mirror:
        mirror = await mirrored(says(answer(BODY)), tmp_path, bool, queue_requests=1)
        assert mirror._held_requests == mirror._held_bytes == 0
        return mirror

    assert counted(asyncio.run(many())) == AGREES


def test_the_file_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "LOOK_SECONDS", 0.01)
    file = tmp_path / "shadow.json"

    async def play() -> None:
        mirror = Mirror("127.0.0.1", 1, file, ("demo", "demo-1"))
        mirror.start()
        assert not mirror.wants()
        mirror.offer("/invocations", request(), LIVE)
        file.write_text(contract.encode(EXACT))
        await wait(mirror.wants)
        file.write_text("{")
        await wait(lambda: not mirror.wants())
        for number in range(6):
            file.write_text(contract.encode(replace(EXACT, revision=f"revision-{number}")))
            await wait(mirror.wants)
            await wait(lambda number=number: f"revision-{number}" in labels(mirror))
        file.unlink()
        await wait(lambda: not mirror.wants())
        assert labels(mirror) == {f"revision-{number}" for number in (2, 3, 4, 5)}
        assert counted(mirror) == {}
        await mirror.close()

    asyncio.run(play())


def labels(mirror: Mirror) -> set[str]:
    return {sample.labels["shadow_revision"] for family in mirror.families() for sample in family.samples}


def test_only_what_the_model_answered_is_mirrored(tmp_path: Path) -> None:
    async def play() -> None:
        file = tmp_path / "shadow.json"
        file.write_text(contract.encode(EXACT))
        mirror = Mirror("127.0.0.1", 1, file, ("demo", "demo-1"))
        mirror.start()
        for status in (400, 413, 499, 500, 503):
            mirror.offer("/invocations", request(), (status, b"", []))
        await asyncio.sleep(0.05)
        assert counted(mirror) == {}
        await mirror.close()

    asyncio.run(play())
