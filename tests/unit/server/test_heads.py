"""Heads and framing: what is one request to everybody, and what is refused because it might be another to a proxy."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urlsplit

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill_server.http.messages import Request
from modelmill_server.http.reading import RequestReader

LIMIT = 1000
GET = b"GET /v2 HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /v2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Receiver:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.requests: list[tuple[Request, bool]] = []
        self.refusal = 0
        self.words = ""
        self.reader = RequestReader(self, LIMIT)

    def body_begins(self, length: int, expects_continue: bool) -> None:
        pass

    def arrived(self, request: Request, keep: bool) -> None:
        self.requests.append((request, keep))

    def refuse(self, status: int, message: str) -> None:
        assert not self.refusal
        self.refusal, self.words = status, message
        self.reader.stop()


def read(sent: bytes, piece: int = 1 << 20) -> Receiver:
    receiver = Receiver()
    for begin in range(0, len(sent), piece):
        receiver.reader.feed(sent[begin : begin + piece])
    return receiver


def with_line(line: bytes) -> bytes:
    return GET + line + b"\r\n\r\n"


REFUSED: dict[str, tuple[bytes, int]] = {
    "codings on two lines": (with_line(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"), 501),
    "codings on two lines, turned round": (with_line(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), 400),
    "chunked twice": (with_line(b"Transfer-Encoding: chunked, chunked"), 400),
    "no coding": (with_line(b"Transfer-Encoding:"), 400),
    "a word like chunked": (with_line(b"Transfer-Encoding: xchunked"), 501),
    "chunked with a parameter": (with_line(b"Transfer-Encoding: chunked;q=1"), 501),
    "chunked behind a vertical tab": (with_line(b"Transfer-Encoding: \x0bchunked"), 400),
    "chunks and a length": (with_line(b"Content-Length: 5\r\nTransfer-Encoding: chunked"), 400),
    "chunks in the old version": (CHUNKED.replace(b"1.1", b"1.0"), 400),
    "two lengths": (with_line(b"Content-Length: 0\r\nContent-Length: 5"), 400),
    "the same length twice": (with_line(b"Content-Length: 5\r\nContent-Length: 5"), 400),
    "a length in other digits": (with_line("Content-Length: \u0665".encode()), 400),
    "no host": (b"GET /v2 HTTP/1.1\r\nA: b\r\n\r\n", 400),
    "no headers": (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
    "two hosts": (with_line(b"Host: y"), 400),
    "the same host twice": (with_line(b"host: x"), 400),
    "an empty host": (b"GET /v2 HTTP/1.1\r\nHost: \r\n\r\n", 400),
    "a list of hosts": (b"GET /v2 HTTP/1.1\r\nHost: x, y\r\n\r\n", 400),
    "a host with a path": (b"GET /v2 HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
    "a host with a user": (b"GET /v2 HTTP/1.1\r\nHost: u@x\r\n\r\n", 400),
    "a host with a word for a port": (b"GET /v2 HTTP/1.1\r\nHost: x:y\r\n\r\n", 400),
    "two hosts in the old version": (b"GET /v2 HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "HTTP/2.0": (GET.replace(b"1.1", b"2.0") + b"\r\n", 505),
    "HTTP/0.9": (GET.replace(b"1.1", b"0.9") + b"\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a version in small letters": (GET.replace(b"HTTP", b"http") + b"\r\n", 400),
    "no version": (b"GET /v2\r\n\r\n", 400),
    "two spaces in the request line": (GET.replace(b" /v2", b"  /v2") + b"\r\n", 400),
    "a tab in the request line": (GET.replace(b" /v2", b"\t/v2") + b"\r\n", 400),
    "a space in the target": (GET.replace(b"/v2", b"/v 2") + b"\r\n", 400),
    "a target that is not ASCII": (GET.replace(b"/v2", b"/\xff") + b"\r\n", 400),
    "a target without a slash": (GET.replace(b"/v2", b"v2") + b"\r\n", 400),
    "a target with a user": (GET.replace(b"/v2", b"http://u@x/v2") + b"\r\n", 400),
    "a target of another kind": (GET.replace(b"/v2", b"file:///v2") + b"\r\n", 400),
    "a star": (GET.replace(b"/v2", b"*") + b"\r\n", 400),
    "a folded header": (with_line(b"A: b\r\n c"), 400),
    "a folded first header": (b"GET /v2 HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    "a space before the colon": (with_line(b"A : b"), 400),
    "a space before the name": (with_line(b" A: b"), 400),
    "no name": (with_line(b": b"), 400),
    "no colon": (with_line(b"A"), 400),
    "a name that is no token": (with_line(b"A(: b"), 400),
    "a name that is not ASCII": (with_line(b"\xc4: b"), 400),
    "NUL in a value": (with_line(b"A: b\0c"), 400),
    "bare CR in a value": (with_line(b"A: b\rc"), 400),
    "bare CR before CRLF": (with_line(b"A: b\r"), 400),
    "bare LF in a value": (with_line(b"A: b\nc"), 400),
    "bare LF at the end": (GET[:-2] + b"\n\n", 400),
    "bare LF, not ended": (b"GET /v2 HTTP/1.1\nHost", 400),
    "a tunnel": (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
    "a head of 70,000 bytes": (with_line(b"A: " + b"a" * 70_000), 431),
    "a target of 70,000 bytes": (GET.replace(b"/v2", b"/" + b"a" * 70_000) + b"\r\n", 414),
    "201 headers": (with_line(b"A: b\r\n" * 199 + b"A: b"), 431),
    "what begins no request": (b"}", 400),
    "a body without a length": (b"{\"a\": 1}", 400),
    "a size of 100,000 digits": (CHUNKED + b"0" * 100_000, 400),
    "a chunk longer than it says, not ended": (CHUNKED + b"1\r\nab", 400),
    "a chunk longer than it says": (CHUNKED + b"1\r\nab\r\n0\r\n\r\n", 400),
    "no size of a chunk": (CHUNKED + b"\r\n\r\n", 400),
    "a size with a sign": (CHUNKED + b"+1\r\n", 400),
    "a size with 0x": (CHUNKED + b"0x1\r\n", 400),
    "a size with a space": (CHUNKED + b"1 \r\na\r\n", 400),
    "a size behind a space": (CHUNKED + b" 1\r\na\r\n", 400),
    "a size beyond 64 bits": (CHUNKED + b"0" * 16 + b"1\r\n", 400),
    "bare LF behind a size": (CHUNKED + b"1\na\r\n0\r\n\r\n", 400),
    "bare LF behind a chunk": (CHUNKED + b"1\r\na\n0\r\n\r\n", 400),
    "bare LF in an extension": (CHUNKED + b"1;a\nb\r\n", 400),
    "NUL in an extension": (CHUNKED + b"1;\0\r\n", 400),
    "an extension without end": (CHUNKED + b"1;" + b"a" * 70_000, 431),
    "extensions without end": (CHUNKED + (b"1;" + b"a" * 4000 + b"\r\na\r\n") * 20, 431),
    "a trailer that is folded": (CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n", 400),
    "a trailer without a name": (CHUNKED + b"0\r\n: b\r\n\r\n", 400),
    "a trailer with a bare LF": (CHUNKED + b"0\r\nA: b\nB: c\r\n\r\n", 400),
    "a trailer without end": (CHUNKED + b"0\r\nA: " + b"a" * 70_000, 431),
    "a trailer of 70,000 bytes": (CHUNKED + b"0\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "many tiny trailers": (CHUNKED + b"0\r\n" + b"A:\r\n" * 20_000 + b"\r\n", 431),
    "a body beyond what is read anyway": (CHUNKED + b"ffff\r\n" + b"a" * 5000, 413),
    "a length beyond what is read anyway": (with_line(b"Content-Length: 4001"), 413),
    "a length of 19 digits": (with_line(b"Content-Length: " + b"9" * 19), 413),
    "too large, asked before": (with_line(b"Expect: 100-continue\r\nContent-Length: 1001"), 413),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_request_is_refused(name: str, piece: int) -> None:
    sent, status = REFUSED[name]
    receiver = read(sent, piece if len(sent) < 10_000 else 100 * piece)
    assert (receiver.refusal, receiver.requests) == (status, [])
    assert receiver.reader.holds == 0
    receiver.reader.feed(GET + b"\r\n")
    assert receiver.requests == []


KEPT, CLOSED = True, False
TAKEN: dict[str, tuple[bytes, str, bytes, bool]] = {
    # sent, path, body, whether the connection is kept
    "white space around a value": (CHUNKED.replace(b" chunked", b"\t chunked \t") + b"0\r\n\r\n", "/v2", b"", KEPT),
    "chunked in capitals": (CHUNKED.replace(b"chunked", b"Chunked") + b"0\r\n\r\n", "/v2", b"", KEPT),
    "leading zeros": (CHUNKED + b"0001\r\na\r\n000\r\n\r\n", "/v2", b"a", KEPT),
    "extensions": (CHUNKED + b'1;a="b;c"\r\na\r\nA ;d\r\n' + b"b" * 10 + b"\r\n0;e\r\n\r\n", "/v2", b"a" + b"b" * 10, KEPT),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\nA: b\r\nHost: y\r\n\r\n", "/v2", b"a", KEPT),
    "an empty line before": (b"\r\n\r\n" + GET + b"\r\n", "/v2", b"", KEPT),
    "an address for a target": (GET.replace(b"/v2", b"http://other:80/a?b") + b"\r\n", "/a", b"", KEPT),
    "an address without a path": (GET.replace(b"/v2", b"HTTP://other?b") + b"\r\n", "/", b"", KEPT),
    "escapes": (GET.replace(b"/v2", b"/%76%2F?%00#a") + b"\r\n", "/v/", b"", KEPT),
    "an address of IPv6": (GET.replace(b": x", b": [::1]:80") + b"\r\n", "/v2", b"", KEPT),
    "a later version": (GET.replace(b"1.1", b"1.9") + b"\r\n", "/v2", b"", KEPT),
    "the old version": (GET.replace(b"1.1", b"1.0") + b"\r\n", "/v2", b"", CLOSED),
    "the old version without a host": (b"GET /v2 HTTP/1.0\r\n\r\n", "/v2", b"", CLOSED),
    "the old version, kept": (with_line(b"Connection: Keep-Alive").replace(b"1.1", b"1.0"), "/v2", b"", KEPT),
    "to be closed": (with_line(b"Connection: close"), "/v2", b"", CLOSED),
    "an offer": (with_line(b"Connection: Upgrade\r\nUpgrade: h2c"), "/v2", b"", KEPT),
    "an offer, to be closed": (with_line(b"Connection: close, Upgrade\r\nUpgrade: h2c"), "/v2", b"", CLOSED),
    "an offer, to be closed on another line": (
        with_line(b"Connection: close\r\nConnection: Upgrade\r\nUpgrade: h2c"), "/v2", b"", CLOSED,
    ),
    "an offer in the old version": (
        with_line(b"Connection: Upgrade\r\nUpgrade: h2c").replace(b"1.1", b"1.0"), "/v2", b"", CLOSED,
    ),
    "an offer with a body": (with_line(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1") + b"a", "/v2", b"a", KEPT),
    "a long head": (with_line(b"A: " + b"a" * 65_000), "/v2", b"", KEPT),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_request_is_taken(name: str, piece: int) -> None:
    sent, path, body, keep = TAKEN[name]
    receiver = read(sent + GET + b"\r\n", piece if len(sent) < 10_000 else 100 * piece)
    assert receiver.refusal == 0, receiver.words
    (first, kept), (second, _) = receiver.requests
    assert (first.path, first.body, kept) == (path, body, keep)
    assert second.path == "/v2"
    assert receiver.reader.holds == 0


class SecondReader:
    """What llhttp finds in the same bytes."""

    def __init__(self) -> None:
        self.urls: list[bytes] = []
        self.bodies: list[bytes] = []

    def on_message_begin(self) -> None:
        self.bodies.append(b"")

    def on_url(self, url: bytes) -> None:
        self.urls.append(url)

    def on_body(self, body: bytes) -> None:
        self.bodies[-1] += body


@pytest.mark.parametrize("name", [name for name in TAKEN if "offer" not in name and name != "a later version"])
def test_what_is_taken_means_the_same_to_another_reader(name: str) -> None:
    sent, path, body, keep = TAKEN[name]
    if name == "white space around a value":
        sent = sent.replace(b"\t", b" ")  # llhttp knows no tab there
    elif name == "extensions":
        sent = sent.replace(b" ;", b";")  # nor a space here
    found = SecondReader()
    httptools.HttpRequestParser(found).feed_data(sent + (GET + b"\r\n") * keep)
    assert found.bodies == [body, b""][: 1 + keep]
    assert unquote(urlsplit(found.urls[0].decode()).path or "/") == path


def test_lines_of_the_same_name_are_one_list() -> None:
    ((request, _),) = read(with_line(b"Content-Encoding: gzip\r\nA: 1\r\ncontent-encoding: identity")).requests
    assert request.headers == {"host": "x", "content-encoding": "gzip, identity", "a": "1"}


def test_trailers_are_no_headers() -> None:
    trailers = b"Content-Encoding: gzip\r\nInference-Header-Content-Length: 1\r\nHost: y\r\nConnection: close\r\n"
    ((request, keep),) = read(CHUNKED + b"0\r\n" + trailers + b"\r\n").requests
    assert request.headers == {"host": "x", "transfer-encoding": "chunked"}
    assert keep


def test_large_body_is_no_part_of_its_head() -> None:
    sent = GET + b"A: " + b"a" * 60_000 + b"\r\nContent-Length: 1000\r\n\r\n" + b"b" * 1000
    for piece in (60_500, 30_000, 100):
        assert [len(request.body) for request, _ in read(sent, piece).requests] == [1000]


token = st.text("ABCabc-_!#$%&'*+.^`|~019", min_size=1, max_size=9).map(str.encode)
value = st.binary(max_size=20).map(lambda raw: bytes(re.sub(rb"[^\t -~\x80-\xff]", b"", raw).strip(b" \t")))
FRAMES = {b"host", b"connection", b"transfer-encoding", b"content-length", b"expect"}


@given(
    st.lists(
        st.tuples(st.lists(st.tuples(token, value), max_size=5), st.lists(st.binary(max_size=40)), st.booleans()),
        max_size=4,
    ),
    st.lists(st.integers(0, 1000), max_size=9),
)
def test_requests_are_the_same_in_every_cut(requests: list[Any], cuts: list[int]) -> None:
    sent, bodies, headers = b"", [], []
    for given_fields, parts, chunked in requests:
        fields = [(name, content) for name, content in given_fields if name.lower() not in FRAMES]
        body = b"".join(parts)
        head = b"POST /a HTTP/1.1\r\nhost: x\r\n" + b"".join(b"%s: %s\r\n" % field for field in fields)
        if chunked:
            framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
            sent += head + b"transfer-encoding: chunked\r\n\r\n" + framed
        else:
            sent += head + b"content-length: %d\r\n\r\n%s" % (len(body), body)
        bodies.append(body)
        headers.append({name.decode().lower() for name, _ in fields})
    receiver = Receiver()
    for begin, end in pairwise([0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]):
        receiver.reader.feed(sent[begin:end])
    assert receiver.refusal == 0, receiver.words
    assert [request.body for request, _ in receiver.requests] == bodies
    names = [set(request.headers) - {"host", "content-length", "transfer-encoding"} for request, _ in receiver.requests]
    assert names == headers
