"""Which encoding an answer gets."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from functools import partial

import pytest

from modelmill_server.protocols.bodies import chosen_encoding, compressed, decompressed, is_read
from modelmill_server.queries.columns import RejectedError


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("deflate, gzip", "gzip"),
        ("GZIP ; Q=1", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=0, *", "deflate"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("identity", None),
        ("identity, gzip", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0", None),
        ("gzip;q=2", None),
        ("gzip;q=nan", None),
        ("gzip;q=-1", None),
        ("gzip;q=", None),
        ("gzip;level=9", None),
        ("br", None),
        (",;,=;q,", None),
        (" " * 300 + "gzip", None),
        ("," * 60_000 + "gzip", None),
    ],
)
def test_the_encoding_that_weighs_most(accepted: str, encoding: str | None) -> None:
    assert chosen_encoding(accepted) == encoding


def test_bodies_come_back() -> None:
    body = b"0.123456," * 10_000
    assert gzip.decompress(compressed(body, "gzip")) == zlib.decompress(compressed(body, "deflate")) == body
    for encoding in ("gzip", "deflate"):
        assert decompressed(compressed(body, encoding), encoding, len(body)) == body


BODY = b'{"instances": [[1]]}'
packed = partial(gzip.compress, mtime=0)  # names of tests are made of it: the same in every process
MEMBERS = packed(BODY[:7]) + packed(b"") + packed(BODY[7:])


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("identity", BODY),
        ("Identity", BODY),
        ("GZIP", packed(BODY)),
        ("x-gzip", packed(BODY)),
        ("Deflate", zlib.compress(BODY)),
        ("gzip", MEMBERS),
    ],
)
def test_body_is_read_in_every_spelling_and_all_of_its_members(encoding: str, sent: bytes) -> None:
    assert decompressed(sent, encoding, len(BODY)) == BODY


@pytest.mark.parametrize(
    ("encoding", "sent", "status"),
    [
        ("gzip", b"", 400),
        ("gzip", BODY, 400),
        ("gzip", zlib.compress(BODY), 400),
        ("gzip", packed(BODY)[:-1], 400),
        ("gzip", MEMBERS[:-9], 400),
        ("gzip", packed(BODY) + b"nonsense", 400),
        ("deflate", zlib.compress(BODY) * 2, 400),
        ("gzip", packed(b"") * 100_000, 400),
        ("gzip", packed(b" " * (1 << 26)), 413),
        ("gzip", packed(BODY) + packed(b" "), 413),
        ("gzip", packed(b" ") * 1000, 413),
        ("deflate", zlib.compress(b" " * (1 << 26)), 413),
        ("br", BODY, 415),
        ("gzip, gzip", packed(packed(BODY)), 415),
        ("", BODY, 415),
    ],
)
def test_body_that_is_not_what_it_says_or_becomes_too_much_is_refused(encoding: str, sent: bytes, status: int) -> None:
    with pytest.raises(RejectedError) as refused:
        decompressed(sent, encoding, len(BODY))
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("content_type", "read"),
    [
        ("application/json", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("application/vnd.seldon+json", True),
        ("application/octet-stream", True),
        ("application/x-www-form-urlencoded", True),
        ("text/plain;charset=UTF-8", True),
        ("text/csv", False),
        ("Text/CSV; header=present", False),
        ("multipart/form-data; boundary=x", False),
        ("application/x-protobuf", False),
        ("", False),
        ("x", False),
    ],
)
def test_types_of_bodies_that_are_read(content_type: str, read: bool) -> None:
    assert is_read(content_type) is read


def test_nothing_of_a_long_header_is_remembered() -> None:
    """A stranger may send as many as are remembered, of 64 KiB each."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for place in range(256):
            assert is_read(f"application/json; {place}{'x' * 60_000}")
            assert chosen_encoding(f"gzip, {place}{'x' * 60_000}") == "gzip"
        assert tracemalloc.get_traced_memory()[0] - before < 1 << 20
    finally:
        tracemalloc.stop()
