"""Chunks: their sizes, ends, extensions, and the trailers behind the last (RFC 9112 §7.1)."""

from __future__ import annotations

from tests.edge.streams import (
    BODY,
    CHUNKED,
    HOST,
    LAST,
    LIMIT,
    PAST,
    POST,
    SIZE,
    Again,
    End,
    chunk,
    chunks,
    family,
    head,
    row,
    shown,
)

RULE = "RFC 9112 §7.1"
TRAILER = "RFC 9110 §6.5.1, RFC 9112 §7.1.2"
X = b"%x" % SIZE

# No 1*HEXDIG.
NO_SIZES = (
    b"", b" ", b"\t", b"x", b"g", b"0x" + X, b"0X" + X, b"+" + X, b"-" + X, b"-1", b"--1", X + b".", b"." + X, X + b".0",
    X + b"g", b"g" + X, X + b" ", X + b"\t", b" " + X, b"\t" + X, X + b" " + X, X + b",", X + b", " + X, X + b"_", b"1_e",
    b"\x00" + X, X + b"\x00", X + b"\x0b", b"\x0b" + X, X + b"\x0c", X + b"\x85", X + b"\xa0", b"#" + X, b"'" + X + b"'",
    b'"' + X + b'"', b"(" + X + b")", b"%31", b"\\x1", "\u0663".encode(), "\uff13".encode(), b"\xb2", b"&h1", b"1e-",
    X + b"h", X + b":", X + b"=1", b"=" + X, b";a", b"; a=b", b"NaN",
)  # fmt: skip

# Sizes that no body may have; none wraps around to a small one.
HUGE = (
    b"ffffffff", b"100000000", b"100000000" + X[-1:], b"7fffffffffffffff", b"8000000000000000", b"ffffffffffffffff",
    b"fffffffffffffff0", b"fffffffffffffffe", b"10000000000000000", b"100000000000000" + X.rjust(2, b"0"),
    b"3" + X.rjust(16, b"0"), b"1" + X.rjust(32, b"0"), b"f" * 40, b"f" * 4000, b"%x" % (LIMIT * 5),
)  # fmt: skip

# What stands where CRLF has to, behind the data of a chunk.
NO_ENDS = (
    b"",
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\n\n",
    b"\n\r",
    b" \r\n",
    b"\t\r\n",
    b"x\r\n",
    b"\x00\r\n",
    b"\r \n",
    b"\r\x00\n",
)

# What stands where CRLF has to, behind a size.
NO_LINE_ENDS = (b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\r\n", b"\n\r", b"\x0b\r\n", b"\x00\r\n", b" \n", b"\t\n")

EXTENSIONS = {
    "a name": (b";a", "200 open"),
    "a value": (b";a=b", "200 open"),
    "a quoted value": (b';a="b c;d=e"', "200 open"),
    "a quoted pair": (b';a="\\"b\\""', "200 open"),
    "an empty quoted value": (b';a=""', "200 open"),
    "two": (b";a=b;c", "200 open"),
    "bad white space": (b" ; a = b", "200 open | 400 close"),
    "a tab before": (b"\t;a", "200 open | 400 close"),
    "without a name": (b";", "200 open | 400 close"),
    "without a value": (b";a=", "200 open | 400 close"),
    "two semicolons": (b";;", "200 open | 400 close"),
    "only a value": (b";=b", "200 open | 400 close"),
    "an open quote": (b';a="b', "200 open | 400 close"),
    "another size": (b";5", "200 open"),
    "CR within": (b";a\rb", "400 close"),
    "LF within": (b";a\nb", "400 close"),
    "LF in quotes": (b';a="\n"', "400 close"),
    "CRLF in quotes": (b';a="\r\n"', "400 close"),
    "NUL": (b";a\x00", "400 close"),
    "a control character": (b";a\x01", "200 open | 400 close"),
    "a high byte": (b";a=\xff", "200 open | 400 close"),
    "a comma": (b",a", "400 close"),
    "10,000 bytes": (b";" + b"a" * 10_000, "200 open | 400/413/431 close"),
    "200,000 bytes": (b";" + b"a" * 200_000, "400/413/431 close"),
}

# Fields that would change how the message is read, if a trailer were merged into its head.
TRAILERS = {
    "a digest": (b"Digest: x", "200 open"),
    "Content-Encoding": (b"Content-Encoding: gzip", "200 open"),
    "Content-Type": (b"Content-Type: text/csv", "200 open"),
    "the length of a JSON head": (b"Inference-Header-Content-Length: 1", "200 open"),
    "Content-Length of nothing": (b"Content-Length: 0", "200 open | 400 close"),
    "Content-Length of all": (b"Content-Length: %d" % SIZE, "200 open | 400 close"),
    "Content-Length beyond the limit": (b"Content-Length: %d" % (LIMIT * 9), "200 open | 400 close"),
    "Content-Length that is no number": (b"Content-Length: x", "200 open | 400 close"),
    "Transfer-Encoding": (b"Transfer-Encoding: chunked", "200 open | 400 close"),
    "another Transfer-Encoding": (b"Transfer-Encoding: gzip", "200 open | 400/501 close"),
    "Host": (b"Host: other", "200 open"),
    "Host that is none": (b"Host: a b", "200 open"),
    "Connection: close": (b"Connection: close", "200 either"),
    "Connection: keep-alive": (b"Connection: keep-alive", "200 open"),
    "an offer": (b"Connection: Upgrade\r\nUpgrade: h2c", "200 open"),
    "an offer of websockets": (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x", "200 open"),
    "Expect": (b"Expect: 100-continue", "200 open"),
    "Expect the unknown": (b"Expect: x", "200 open"),
    "Trailer": (b"Trailer: a", "200 open"),
    "a high byte": (b"A: \xff", "200 open"),
    "an empty value": (b"A:", "200 open"),
    "folded": (b"A: b\r\n c", "200 open | 400 close"),
    "no colon": (b"A", "400 close"),
    "no name": (b": a", "400 close"),
    "a space in the name": (b"A B: c", "400 close"),
    "a space before the colon": (b"A : b", "400 close"),
    "NUL in the name": (b"A\x00: b", "400 close"),
    "NUL in the value": (b"A: \x00", "200 open | 400 close"),
    "CR in the value": (b"A: b\rc: d", "200 open | 400 close"),
    "white space first": (b" A: b", "400 close | 200 open"),
    "a request": (b"GET /smuggled HTTP/1.1", "400 close"),
    "a chunk": (b"5", "400 close"),
    "fifty": (b"\r\n".join(b"T%d: a" % number for number in range(50)), "200 open"),
}

START = head(POST, HOST, CHUNKED)


def _trailed(fields: bytes) -> bytes:
    return chunks(body=chunk(BODY) + b"0\r\n" + fields + b"\r\n\r\n")


def _pieces(size: int, extension: bytes = b"") -> bytes:
    """Return the body in chunks of that size."""
    parts = (BODY[begin : begin + size] for begin in range(0, SIZE, size))
    return b"".join(chunk(part, b"%x%s" % (len(part), extension)) for part in parts) + LAST


STREAMS = [
    row("one byte each", chunks(body=_pieces(1)), "200 open", RULE),
    row("seven bytes each, with extensions", chunks(body=_pieces(7, b";a=b")), "200 open", RULE),
    row("capital digits", chunks(body=chunk(BODY, X.upper()) + LAST), "200 open", RULE),
    row("leading zeros", chunks(body=chunk(BODY, b"000" + X) + LAST), "200 open", RULE),
    row("many leading zeros", chunks(body=chunk(BODY, b"0" * 60 + X) + LAST), "200 open | 400 close", RULE),
    row(
        "100,000 leading zeros",
        chunks(body=chunk(BODY, b"0" * 100_000 + X) + LAST),
        "400/413/431 close | 200 open",
        RULE,
    ),
    row("a last chunk of many zeros", chunks(body=chunk(BODY) + b"00000\r\n\r\n"), "200 open", RULE),
    row("a last chunk with an extension", chunks(body=chunk(BODY) + b"0;a=b\r\n\r\n"), "200 open", RULE),
    row("no last chunk, then half closed", (chunks(body=chunk(BODY)), End.HALF), "400 close | close", "RFC 9112 §8"),
    row("no last chunk", (chunks(body=chunk(BODY)), PAST), "408 close", "RFC 9110 §15.5.9"),
    row("no end of the trailer section", (chunks(body=chunk(BODY) + b"0\r\n"), PAST), "408 close", "RFC 9110 §15.5.9"),
    row("half of the last line", (chunks(body=chunk(BODY) + b"0\r\n\r"), PAST), "408 close", "RFC 9110 §15.5.9"),
    row(
        "half closed in the trailers",
        (chunks(body=chunk(BODY) + b"0\r\nA: b"), End.HALF),
        "400 close | close",
        "RFC 9112 §8",
    ),
    row("half closed in a chunk", (chunks(body=X + b"\r\n" + BODY[:5]), End.HALF), "400 close | close", "RFC 9112 §8"),
    row("half closed in a size", (chunks(body=X), End.HALF), "400 close | close", "RFC 9112 §8"),
    row("half closed behind a size", (chunks(body=X + b"\r\n"), End.HALF), "400 close | close", "RFC 9112 §8"),
    row("half closed before the first", (chunks(body=b""), End.HALF), "400 close | close", "RFC 9112 §8"),
    row("nothing behind a request in chunks is lost", chunks() + chunks(), "200 200 open", RULE),
    row("shorter by one", chunks(body=chunk(BODY, b"%x" % (SIZE - 1)) + LAST), "400 close", RULE),
    row("longer by one", chunks(body=chunk(BODY, b"%x" % (SIZE + 1)) + LAST), "400 close", RULE),
    row("LF ends the last chunk", chunks(body=chunk(BODY) + b"0\n\r\n"), "400 close | 200 open", RULE),
    row("LF twice", chunks(body=chunk(BODY) + b"0\n\n"), "400 close | 200 open", RULE),
    row("LF ends the trailer section", chunks(body=chunk(BODY) + b"0\r\n\n"), "400 close | 200 open", "RFC 9112 §2.2"),
    row("LF ends a trailer", _trailed(b"A: b\nC: d"), "400 close | 200 open", "RFC 9112 §2.2"),
    row("beyond the limit", chunks(body=chunk(b" " * LIMIT) + chunk(BODY) + LAST), "413 either", "RFC 9110 §15.5.14"),
    row(
        "far beyond the limit", (START, Again(chunk(b" " * 1000), LIMIT * 8 // 1000)), "413 close", "RFC 9110 §15.5.14"
    ),
    row("endless small chunks", (START, Again(b"1\r\n \r\n", LIMIT * 6)), "413 close", "RFC 9110 §15.5.14"),
    row("the limit in small chunks", (START, Again(b"2\r\n  \r\n", 10_000), chunk(BODY), LAST), "200 open", RULE),
    row(
        "1,000 extensions of 1,000 bytes",
        (START, Again(b"1;%s\r\n \r\n" % (b"a" * 1000), 1000), chunk(BODY), LAST),
        "200 open | 400/413/431 close",
        "RFC 9112 §7.1.1",
    ),
    row(
        "4 MB of extensions",
        (START, Again(b"1;%s\r\n \r\n" % (b"a" * 4000), 1000), chunk(BODY), LAST),
        "400/413/431 close",
        "RFC 9112 §7.1.1: ought to limit the total",
    ),
    row("an extension without end", (START, b"1;a=", Again(b"a" * 1000, 4000)), "400/413/431 close", "RFC 9112 §7.1.1"),
    row("a size without end", (START, Again(b"0" * 1000, 4000)), "400/413/431 close", RULE),
    row(
        "20,000 small trailers",
        (chunks(body=chunk(BODY) + b"0\r\n"), Again(b"X: abc\r\n", 20_000), b"\r\n"),
        "400/413/431 close",
        TRAILER,
    ),
    row(
        "trailers without end",
        (chunks(body=chunk(BODY) + b"0\r\n"), Again(b"X: abc\r\n", 500_000)),
        "400/413/431 close",
        TRAILER,
    ),
    row(
        "the smallest trailers without end",
        (chunks(body=chunk(BODY) + b"0\r\n"), Again(b"X:\r\n", 1_000_000)),
        "400/413/431 close",
        TRAILER,
    ),
    row(
        "a trailer without end",
        (chunks(body=chunk(BODY) + b"0\r\nX: "), Again(b"a" * 1000, 8000)),
        "400/413/431 close",
        TRAILER,
    ),
    row(
        "the name of a trailer without end",
        (chunks(body=chunk(BODY) + b"0\r\n"), Again(b"a" * 1000, 8000)),
        "400/413/431 close",
        TRAILER,
    ),
    row(
        "a trailer folded without end",
        (chunks(body=chunk(BODY) + b"0\r\nX: a\r\n"), Again(b" a\r\n", 1_000_000)),
        "400/413/431 close",
        TRAILER,
    ),
    *(
        row(f"no size {number}: {shown(value)}", chunks(body=chunk(BODY, value) + LAST), "400 close", RULE)
        for number, value in enumerate(NO_SIZES)
    ),
    *(
        row(f"huge {shown(value)}", chunks(body=chunk(BODY, value) + LAST), "400/413 close | 408 close", RULE)
        for value in HUGE
    ),
    *(
        row(f"{shown(value)} behind data", chunks(body=X + b"\r\n" + BODY + value + LAST), "400 close", RULE)
        for value in NO_ENDS
    ),
    *(
        row(f"{shown(value)} behind a size", chunks(body=X + value + BODY + b"\r\n" + LAST), "400 close", RULE)
        for value in NO_LINE_ENDS
    ),
    *(
        row(f"extension: {name}", chunks(body=chunk(BODY, X + value) + LAST), right, "RFC 9112 §7.1.1")
        for name, (value, right) in EXTENSIONS.items()
    ),
    *(row(f"trailer: {name}", _trailed(fields), right, TRAILER) for name, (fields, right) in TRAILERS.items()),
]

CHUNKS = family("chunks", STREAMS, 8_192)
