"""Which encoding an answer gets."""

from __future__ import annotations

import gzip
import zlib

import pytest

from modelmill_server.protocols.bodies import chosen_encoding, compressed, decompressed


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
