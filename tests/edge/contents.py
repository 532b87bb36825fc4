"""Bodies: content codings, what they become, content types, and JSON (RFC 9110 §8.3, §8.4, RFC 1951, RFC 1952, RFC 8259)."""

from __future__ import annotations

import gzip
import json
import struct
import zlib

from tests.edge.streams import BODY, LIMIT, bare, chunk, chunks, family, post, row, shown

CODING = "RFC 9110 §8.4, §15.5.16"
GZIP = "RFC 1952 §2.2, §2.3"
TYPE = "RFC 9110 §8.3, §15.5.16"
TEXT = "RFC 8259"
PACKED = gzip.compress(BODY, mtime=0)
INFER = b"POST /v2/models/demo/infer HTTP/1.1"


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def _flagged(flags: int, extra: bytes) -> bytes:
    """Return the gzip member with optional fields in its header."""
    return PACKED[:3] + bytes([flags]) + PACKED[4:10] + extra + PACKED[10:]


def _coded(coding: bytes, body: bytes) -> bytes:
    return post(b"Content-Encoding: " + coding, body=body)


MEMBER = gzip.compress(b"", mtime=0)
BOMB = gzip.compress(b" " * (16 << 20), mtime=0)
ZBOMB = zlib.compress(b" " * (16 << 20), 9)
HALVES = gzip.compress(BODY[:9], mtime=0) + gzip.compress(BODY[9:], mtime=0)

CODED = {
    "gzip": (b"gzip", PACKED, "200 open", CODING),
    "gzip in capitals": (b"GZIP", PACKED, "200 open", "RFC 9110 §8.4.1: case-insensitive"),
    "x-gzip": (b"x-gzip", PACKED, "200 open", "RFC 9110 §8.4.1.3"),
    "gzip and spaces": (b" gzip  ", PACKED, "200 open", CODING),
    "deflate": (b"deflate", zlib.compress(BODY), "200 open", "RFC 9110 §8.4.1.2"),
    "Deflate": (b"Deflate", zlib.compress(BODY), "200 open", "RFC 9110 §8.4.1"),
    "deflate without its wrapper": (b"deflate", _raw_deflate(BODY), "200/400 open", "RFC 9110 §8.4.1.2"),
    "identity": (b"identity", BODY, "200/415 open", CODING),
    "IDENTITY": (b"IDENTITY", BODY, "200/415 open", CODING),
    "nothing named": (b"", BODY, "200/400/415 open", CODING),
    "an empty list": (b",", BODY, "200/400/415 open", CODING),
    "gzip, gzip": (b"gzip, gzip", gzip.compress(PACKED), "200/415 open", CODING),
    "deflate, gzip": (b"deflate, gzip", gzip.compress(zlib.compress(BODY)), "200/415 open", CODING),
    "gzip, identity": (b"gzip, identity", PACKED, "200/415 open", CODING),
    "gzip a thousand times": (b", ".join([b"gzip"] * 1000), PACKED, "400/415 open", CODING),
    "chunked": (b"chunked", BODY, "400/415 open", CODING),
    "br": (b"br", BODY, "415 open", CODING),
    "zstd": (b"zstd", BODY, "415 open", CODING),
    "compress": (b"compress", BODY, "415 open", CODING),
    "aes128gcm": (b"aes128gcm", BODY, "415 open", CODING),
    "no token": (b"\xff\xfe", BODY, "400/415 open", CODING),
    "8,000 letters": (b"a" * 8000, BODY, "415 open", CODING),
    "gzip that is none": (b"gzip", BODY, "400 open", GZIP),
    "gzip of nothing": (b"gzip", b"", "400 open", GZIP),
    "gzip of an empty text": (b"gzip", MEMBER, "400 open", GZIP),
    "gzip that is deflate": (b"gzip", zlib.compress(BODY), "400 open", GZIP),
    "deflate that is gzip": (b"deflate", PACKED, "400 open", GZIP),
    "deflate that is none": (b"deflate", BODY, "400 open", GZIP),
    "half": (b"gzip", PACKED[: len(PACKED) // 2], "400 open", GZIP),
    "without its end": (b"gzip", PACKED[:-8], "400 open", GZIP),
    "without the last byte": (b"gzip", PACKED[:-1], "400 open", GZIP),
    "only the header": (b"gzip", PACKED[:10], "400 open", GZIP),
    "a wrong sum": (b"gzip", PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "400 open", GZIP),
    "a wrong size": (b"gzip", PACKED[:-4] + b"\0\0\0\0", "400 open", GZIP),
    "another method": (b"gzip", PACKED[:2] + b"\x07" + PACKED[3:], "400 open", GZIP),
    "reserved flags": (b"gzip", _flagged(0xE0, b""), "400 open", "RFC 1952 §2.3.1.2"),
    "an extra field": (b"gzip", _flagged(4, struct.pack("<H", 4) + b"abcd"), "200 open", GZIP),
    "an extra field that is longer than all": (b"gzip", _flagged(4, b"\xff\xff"), "400 open", GZIP),
    "a file name": (b"gzip", _flagged(8, b"../../etc/passwd\0"), "200 open", GZIP),
    "a file name without end": (b"gzip", PACKED[:3] + b"\x08" + PACKED[4:10] + b"a" * 9000, "400 open", GZIP),
    "a comment": (b"gzip", _flagged(16, b"a\0"), "200 open", GZIP),
    "two members": (b"gzip", HALVES, "200 open", "RFC 1952 §2.2: a series of members"),
    "an empty member behind": (b"gzip", PACKED + MEMBER, "200 open", "RFC 1952 §2.2"),
    "an empty member before": (b"gzip", MEMBER + PACKED, "200 open", "RFC 1952 §2.2"),
    "thirty empty members": (b"gzip", MEMBER * 30 + PACKED, "200 open", "RFC 1952 §2.2"),
    "6,000 empty members": (b"gzip", MEMBER * 6000, "400/413 open", "RFC 1952 §2.2"),
    "half a second member": (b"gzip", HALVES[:-9], "400 open", "RFC 1952 §2.2"),
    "zeros behind": (b"gzip", PACKED + b"\0" * 20, "200/400 open", GZIP),
    "nonsense behind": (b"gzip", PACKED + b"nonsense", "200/400 open", GZIP),
    "a second member that is too large": (b"gzip", PACKED + gzip.compress(b" " * LIMIT), "413 open", "RFC 9110 §15.5.14"),
    "a thousand members that are too large": (b"gzip", gzip.compress(b" " * 1000) * 1000, "413 open", "RFC 9110 §15.5.14"),
    "one byte too large": (b"gzip", gzip.compress(b" " * (LIMIT + 1)), "413 open", "RFC 9110 §15.5.14"),
    "a bomb of 16 MB": (b"gzip", BOMB, "413 open", "RFC 9110 §15.5.14"),
    "a bomb by deflate": (b"deflate", ZBOMB, "413 open", "RFC 9110 §15.5.14"),
    "a bomb of bombs": (b"gzip, gzip", gzip.compress(BOMB), "413/415 open", "RFC 9110 §15.5.14"),
    "a bomb in one member of two": (b"gzip", PACKED + BOMB, "413 open", "RFC 9110 §15.5.14"),
    "a bomb that ends too early": (b"gzip", BOMB[:-20], "413 open", "RFC 9110 §15.5.14"),
}  # fmt: skip

TYPES = {
    b"application/json": "200 open",
    b"APPLICATION/JSON": "200 open",
    b"application/json; charset=utf-8": "200 open",
    b"application/json;charset=\"UTF-8\"": "200 open",
    b"application/json; charset=utf-16": "200/400/415 open",
    b"application/json; charset=": "200/400/415 open",
    b"application/x-www-form-urlencoded": "200/415 open",
    b"text/plain": "200/415 open",
    b"text/csv": "415 open",
    b"TEXT/CSV; charset=utf-8": "415 open",
    b"multipart/form-data; boundary=x": "400/415 open",
    b"application/x-protobuf": "400/415 open",
    b"application/grpc": "400/415 open",
    b"image/png": "400/415 open",
    b"x": "200/400/415 open",
    b"/": "200/400/415 open",
    b"\xff": "200/400/415 open",
    b"a" * 8000: "200/400/415 open",
}  # fmt: skip

GOOD = BODY.decode()
TEXTS: dict[str, tuple[bytes, str]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + BODY, "200/400 open"),
    "UTF-16": (GOOD.encode("utf-16"), "400 open"),
    "UTF-32": (GOOD.encode("utf-32"), "400 open"),
    "no UTF-8": (BODY.replace(b"USA", b"\xff\xfe"), "400 open"),
    "an overlong form": (BODY.replace(b"USA", b"\xc0\xaf"), "400 open"),
    "a surrogate alone": (BODY.replace(b"USA", b"\\ud800"), "200/400 open"),
    "a surrogate in UTF-8": (BODY.replace(b"USA", b"\xed\xa0\x80"), "400 open"),
    "NUL in a text": (BODY.replace(b"USA", b"\0"), "400 open"),
    "NUL in escapes": (BODY.replace(b"USA", b"\\u0000"), "200 open"),
    "a control character": (BODY.replace(b"USA", b"\n"), "400 open"),
    "NUL behind": (BODY + b"\0", "400 open"),
    "NaN": (BODY.replace(b"100.0", b"NaN"), "200/400 open"),
    "Infinity": (BODY.replace(b"100.0", b"-Infinity"), "400 open"),
    "1e400": (BODY.replace(b"100.0", b"1e400"), "400 open"),
    "-1e400": (BODY.replace(b"100.0", b"-1e400"), "400 open"),
    "5,000 digits": (BODY.replace(b"100.0", b"7" * 5000), "400 open"),
    "5,000 digits for a whole number": (BODY.replace(b" 4,", b" " + b"7" * 5000 + b","), "400 open"),
    "an exponent without end": (BODY.replace(b"100.0", b"1e" + b"9" * 5000), "400 open"),
    "digits without end behind the point": (BODY.replace(b"100.0", b"0." + b"3" * 100_000), "200/400 open"),
    "a number in base 16": (BODY.replace(b"100.0", b"0x64"), "400 open"),
    "a leading zero": (BODY.replace(b"100.0", b"0100"), "400 open"),
    "a leading plus": (BODY.replace(b"100.0", b"+100"), "400 open"),
    "a comment": (b"/* */" + BODY, "400 open"),
    "a comma at the end": (BODY[:-1] + b",}", "400 open"),
    "single quotes": (BODY.replace(b'"', b"'"), "400 open"),
    "two documents": (BODY + BODY, "400 open"),
    "a name twice": (BODY[:-1] + b"," + BODY[1:], "200/400 open"),
    "a name that is wide": (b'{"instances": [[100.0, 4, "USA"]], "%s": 1}' % (b"a" * 50_000), "200/400 open"),
    "lists 60,000 deep": (b"[" * 60_000 + b"]" * 60_000, "400 open"),
    "objects 20,000 deep": (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "400 open"),
    "lists without end": (b'{"instances": ' + b"[" * 100_000, "400 open"),
    "60,000 empty rows": (b'{"instances": [' + b"[]," * 40_000 + b"[]]}", "400/413 open"),
    "rows of other lengths": (b'{"instances": [[1, 4, "a"], [1, 4], []]}', "400 open"),
    "spaces up to the limit": (BODY.ljust(LIMIT), "200 open"),
    "only spaces": (b" " * LIMIT, "400 open"),
    "null": (b"null", "400 open"),
    "a string": (b'"x"', "400 open"),
    "a half": (BODY[: len(BODY) // 2], "400 open"),
}  # fmt: skip

# The length of the JSON in front of binary data, in a field of its own (the protocol's binary extension).
JSON_LENGTHS = (
    b"",
    b"-1",
    b"+5",
    b"0",
    b"1",
    b"1e3",
    b"x",
    b"5, 5",
    b"99999999999999999999999",
    b"0x5",
    b" 5 5",
    b"\xff",
    b"5.0",
    b"\xb2",
)
TWO_CODINGS = (b"Content-Encoding: gzip", b"Content-Encoding: gzip")
TENSOR = {"name": "power", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}
BINARY = json.dumps({"inputs": [TENSOR]}).encode()

CONTENTS = family(
    "contents",
    [
        *(
            row(f"coding: {name}", _coded(coding, body), right, source)
            for name, (coding, body, right, source) in CODED.items()
        ),
        *(row(f"type: {shown(value)}", post(b"Content-Type: " + value), right, TYPE) for value, right in TYPES.items()),
        *(row(f"text: {name}", post(body=body), right, TEXT) for name, (body, right) in TEXTS.items()),
        *(
            row(f"text in gzip: {name}", _coded(b"gzip", gzip.compress(body)), right, TEXT)
            for name, (body, right) in TEXTS.items()
            if len(body) > 10_000
        ),
        *(
            row(
                f"length of the JSON: {shown(value)}",
                post(b"Inference-Header-Content-Length: " + value, body=BINARY, line=INFER),
                "400 open",
                TYPE,
            )
            for value in JSON_LENGTHS
        ),
        row(
            "type on two lines",
            post(b"Content-Type: application/json", b"Content-Type: text/csv"),
            "200/400/415 open",
            TYPE,
        ),
        row("coding on two lines", post(*TWO_CODINGS, body=PACKED), "400/415 open", CODING),
        row("coding on two lines, coded twice", post(*TWO_CODINGS, body=gzip.compress(PACKED)), "200/415 open", CODING),
        row(
            "codings on two lines, the last unknown",
            post(b"Content-Encoding: gzip", b"Content-Encoding: br", body=PACKED),
            "415 open",
            CODING,
        ),
        row(
            "codings on two lines, the first unknown",
            post(b"Content-Encoding: br", b"Content-Encoding: gzip", body=PACKED),
            "400/415 open",
            CODING,
        ),
        row(
            "coded in chunks",
            chunks(b"Content-Encoding: gzip", body=chunk(PACKED[:7]) + chunk(PACKED[7:]) + b"0\r\n\r\n"),
            "200 open",
            CODING,
        ),
        row(
            "coded by a transfer coding",
            bare(b"Transfer-Encoding: gzip, chunked", body=chunk(PACKED) + b"0\r\n\r\n"),
            "400/501 close",
            "RFC 9112 §6.1",
        ),
        row("forty bombs behind each other", _coded(b"gzip", BOMB) * 40, "413*40 open", "RFC 9110 §15.5.14"),
    ],
    16_384,
)
