"""Malformed requests: broken documents, wrong values and bodies changed by chance."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from typing import Any

DEPTH = 100_000
DIGITS = "7" * 5_000
INFER, PREDICT = "/v2/models/demo/infer", "/v1/models/demo:predict"
EXPLAIN, INVOKE, FEEDBACK = "/v1/models/demo:explain", "/invocations", "/feedback"
JSON_LENGTH = "Inference-Header-Content-Length"
ROW = {"power": 100.0, "cylinders": 4, "origin": "USA"}
TYPES = {"power": "FP64", "cylinders": "INT64", "origin": "BYTES"}
GOOD = {
    INFER: {
        "inputs": [{"name": n, "shape": [2], "datatype": TYPES[n], "data": [value] * 2} for n, value in ROW.items()],
        "id": "7",
        "outputs": [{"name": "predict"}, {"name": "predict_proba", "parameters": {"binary_data": False}}],
    },
    PREDICT: {"instances": [ROW, ROW]},
    EXPLAIN: {"inputs": {name: [value] for name, value in ROW.items()}},
    INVOKE: {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}},
    FEEDBACK: {"id": "AAAA", "labels": ["thrifty", "thirsty"]},
}


def dumped(path: str) -> bytes:
    return json.dumps(GOOD[path]).encode()


def broken_documents() -> Iterator[bytes]:
    """Yield bodies that are wrong for every path."""
    yield from (b"", b" " * 1_000_000, b"null", b"1", b'"text"', b"{}", b"[]", b"\0" * 100, b"NaN", b"Infinity")
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"), (b'{"inputs":', b"}"), (b'{"instances":[', b"]}")):
        yield opening * DEPTH
        yield opening * DEPTH + b"1" + closing * DEPTH
        yield opening * DEPTH + b"NaN" + closing * DEPTH
    yield from (DIGITS.encode(), b"-" + DIGITS.encode(), b'{"a":%s}' % DIGITS.encode(), b"1e999", b"[1e999]")
    for text in (
        b"\xff",
        b"\xc3\x28",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\\ud800",
        b"\\udfff\\ud800",
    ):
        yield b'{"id":"%s"}' % text
        yield b'{"%s":NaN}' % text
        yield text
    for path, good in GOOD.items():
        body = dumped(path)
        yield from (body[: len(body) * part // 10] for part in range(1, 10))
        yield body + body
        yield body + b"\0"
        yield json.dumps(good).encode("utf-16")
        yield b"\xff\xfe" + body


HOSTILE = [
    "[" * DEPTH + "]" * DEPTH, '{"a":' * DEPTH + "1" + "}" * DEPTH, DIGITS, f"-{DIGITS}", f"0.{DIGITS}", "NaN", "Infinity",
    "-Infinity", "1e999", "-1e999", "3.5e38", "1.5", str(1 << 63), str(-(1 << 63) - 1), str(1 << 64), "1e30", "null",
    '"4"', '"\\ud800"', '"\\u0000"', "[]", "{}", "[[4]]", '{"4":4}', f'"{"x" * 100_000}"',
]  # fmt: skip
SHAPES = [
    "[-1]", "[0]", "[1]", "[3]", "[-2,-1]", "[2,0]", "[2,2]", "[1,1,1]", "[]", "[[2]]", "{}", "null", "2", '"2"', '["2"]',
    "[true]", "[1.5]", "[2147483648]", "[4294967298]", f"[{1 << 63}]", f"[{1 << 64}]", f"[{DIGITS}]", f"[{'1,' * 9999}1]",
    "[NaN]", "[1e999]", "[2,-9223372036854775808]", "[-9223372036854775807,2]",
]  # fmt: skip
DATATYPES = ['"FP16"', '"BF16"', '"fp64"', '""', "null", "1", '"BYTES"', f'"{"F" * 50_000}"', '"FP64\\u0000"']


def wrong_values() -> Iterator[tuple[str, bytes]]:
    """Yield paths and bodies with one wrong thing in a good body; a whole number is the feature that takes least."""
    for path in (PREDICT, EXPLAIN, INVOKE, INFER):
        good = dumped(path).decode()
        for value in HOSTILE:
            yield path, good.replace("4", value, 1).encode("utf-8", "surrogatepass")
    cylinders = json.dumps(GOOD[INFER]).partition('"cylinders"')
    for word, old, values in (
        ("shape", "[2]", SHAPES),
        ("datatype", '"INT64"', DATATYPES),
        ("data", "[4, 4]", HOSTILE),
    ):
        for value in values:
            changed = cylinders[2].replace(f'"{word}": {old}', f'"{word}": {value}', 1)
            assert changed != cylinders[2]
            yield INFER, "".join((*cylinders[:2], changed)).encode()


def packed(**changes: Any) -> tuple[bytes, dict[str, str]]:
    """Return a body in binary form and its header; keywords: size, json_bytes, tail, datatype, shape."""
    values = {
        "power": struct.pack("<2d", 100.0, 90.0),
        "cylinders": struct.pack("<2q", 4, 6),
        "origin": b"".join(struct.pack("<I", 3) + text for text in (b"USA", b"USA")),
    }
    tensors = []
    for name, raw in values.items():
        tensors.append(
            {"name": name, "shape": [2], "datatype": TYPES[name], "parameters": {"binary_data_size": len(raw)}}
        )
    tensors[1] |= {key: changes[key] for key in ("datatype", "shape") if key in changes}
    tensors[1]["parameters"] = {"binary_data_size": changes.get("size", 16)}
    head = json.dumps({"inputs": tensors}).encode()
    body = head + changes.get("tail", b"".join(values.values()))
    return body, {JSON_LENGTH: str(changes.get("json_bytes", len(head)))}


def mutated(chance: random.Random, body: bytes) -> bytes:
    """Return a body with one to four things changed by chance."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        end = min(len(changed), at + chance.randint(1, 12))
        what = chance.randrange(6)
        if what == 0:
            changed[at:end] = chance.randbytes(end - at)
        elif what == 1:
            del changed[at:end]
        elif what == 2:
            changed[at:at] = changed[chance.randrange(len(changed) + 1) :][: chance.randint(1, 40)]
        elif what == 3:
            changed[at:end] = chance.choice(
                ('"', "[", "]", "{", "}", ",", ":", "-", "1e9", "null", "NaN", "\\u")
            ).encode()
        elif what == 4:
            changed[at:at] = chance.choice(HOSTILE[5:]).encode("utf-8", "surrogatepass")
        else:
            changed = changed[:at]
    return bytes(changed)


BODY = json.dumps(GOOD[PREDICT]).encode()
SIZE = len(BODY)


def message(*headers: str, body: bytes = BODY, line: str = f"POST {PREDICT} HTTP/1.1") -> bytes:
    return "".join(f"{part}\r\n" for part in (line, "Host: demo", *headers, "")).encode("latin-1") + body
