"""Content-Length: how a body is measured (RFC 9110 §8.6, RFC 9112 §6.3)."""

from __future__ import annotations

from tests.edge.streams import (
    BODY,
    GET,
    HOST,
    LENGTH,
    LIMIT,
    POST,
    SIZE,
    End,
    bare,
    family,
    get,
    head,
    post,
    row,
    shown,
)

RULE = "RFC 9112 §6.3"
N = b"%d" % SIZE

# Everything that is not 1*DIGIT makes the framing invalid: 400, and the connection ends (RFC 9112 §6.3, 5).
NO_NUMBERS = (
    b"", b" ", b"\t", b"abc", b"+" + N, b"-" + N, b"-1", b"-0", b"+0", b"--" + N, b"0-" + N, b"0x%x" % SIZE, b"0X1", b"0b1",
    b"0o7", b"1e1", b"1E1", N + b".0", b"." + N, N + b".", b"3_0", N + b";", N + b";q=1", b";" + N, b"'" + N + b"'",
    b'"' + N + b'"', b"(" + N + b")", N + b" " + N, N + b" 0", N + b"\t0", N + b"/1", N + b"a", b"a" + N, N + b"L", N + b"\x00",
    b"\x00" + N, N + b"\x0b", b"\x0b" + N, N + b"\x0c", b"\x0c" + N, N + b"\x85", N + b"\xa0", b"\xa0" + N, b"\xef\xbb\xbf" + N,
    "".join(chr(0xFF10 + int(digit)) for digit in N.decode()).encode(), "\u0663\u0660".encode(), b"\xb2", b"NaN", b"Infinity",
    b"null", b"true", b"%%33", b"\\x31", b"\x1b[0m" + N, N + b"\x7f",
)  # fmt: skip

# Lists whose members differ or are no numbers (RFC 9112 §6.3, 5).
LISTS = (
    N + b", 0", b"0, " + N, N + b",1", N + b", " + N + b", 0", N + b", -" + N, N + b", a", b"a, " + N, N + b";" + N,
    N + b", " + N + b"x", b"1, 2, 3", b",", b", ,", b"0,0,1",
)  # fmt: skip

# Larger than the limit, and beyond what a machine word holds: no wrapping around (RFC 9110 §8.6).
HUGE = {
    "one over the limit": b"%d" % (LIMIT + 1),
    "five times the limit": b"%d" % (LIMIT * 5),
    "2^31": b"%d" % (1 << 31),
    "2^31 wrapped": b"%d" % ((1 << 32) + SIZE),
    "2^53": b"%d" % (1 << 53),
    "2^63 - 1": b"%d" % ((1 << 63) - 1),
    "2^63": b"%d" % (1 << 63),
    "2^64 - 1": b"%d" % ((1 << 64) - 1),
    "2^64 wrapped": b"%d" % ((1 << 64) + SIZE),
    "2^64": b"%d" % (1 << 64),
    "2^128 wrapped": b"%d" % ((1 << 128) + SIZE),
    "10^30": b"1" + b"0" * 30,
    "10^5000": b"1" + b"0" * 5000,
}


def _lines(first: bytes, second: bytes, *more: bytes) -> bytes:
    return bare(*(b"Content-Length: " + value for value in (first, second, *more)))


STREAMS = [
    row("exact", post(), "200 open", "RFC 9110 §8.6"),
    row("leading zeros", bare(b"Content-Length: 000" + N), "200 open", "RFC 9110 §8.6: 1*DIGIT"),
    row(
        "a thousand leading zeros", bare(b"Content-Length: " + b"0" * 1000 + N), "200 open | 400 close", "RFC 9110 §8.6"
    ),
    row("5,000 leading zeros", bare(b"Content-Length: " + b"0" * 5000 + N), "200 open | 400 close", "RFC 9110 §8.6"),
    row("white space around", bare(b"Content-Length: \t  " + N + b" \t "), "200 open", "RFC 9112 §5: OWS"),
    row("no space", bare(b"Content-Length:" + N), "200 open", "RFC 9112 §5: OWS"),
    row("capitals", bare(b"CONTENT-LENGTH: " + N), "200 open", "RFC 9110 §5.1"),
    row("small letters", bare(b"content-length: " + N), "200 open", "RFC 9110 §5.1"),
    row("nothing", post(body=b""), "400 open", "RFC 9112 §6.3, 6"),
    row("nothing on GET", get(b"Content-Length: 0"), "200 open", "RFC 9112 §6.3, 6"),
    row("a body on GET", post(line=GET), "200 open | 400 close", "RFC 9110 §9.3.1"),
    row("a body on HEAD", post(line=b"HEAD /v2 HTTP/1.1"), "200 open | 400 close", "RFC 9110 §9.3.2", (0,)),
    row("a body on DELETE", post(line=b"DELETE /v2 HTTP/1.1"), "400/405 either", "RFC 9110 §9.3.5"),
    row("a body on OPTIONS", post(line=b"OPTIONS /v2 HTTP/1.1"), "200/204/400/405 either", "RFC 9110 §9.3.7"),
    row("the old version", post(line=b"POST /invocations HTTP/1.0"), "200 close", "RFC 9112 §9.3"),
    row("the old version without", head(b"POST /invocations HTTP/1.0", HOST), "400/411 close", "RFC 9112 §6.3, 7"),
    row("none, a body behind", bare(), "400/411 close | 400/411 400/408 close", "RFC 9112 §6.3, 7"),
    row(
        "a name with a line below",
        bare(b"Content_Length: " + N),
        "400/411 close | 400/411 400/408 close",
        "RFC 9110 §5.1",
    ),
    row("a longer name", bare(b"X-Content-Length: " + N), "400/411 close | 400/411 400/408 close", "RFC 9110 §5.1"),
    row(
        "shorter by one", bare(b"Content-Length: %d" % (SIZE - 1)), "400 400/408 close | 400 close", "RFC 9112 §6.3, 6"
    ),
    row("longer by one", bare(b"Content-Length: %d" % (SIZE + 1)), "408 close", "RFC 9110 §15.5.9"),
    row(
        "longer by one, then half closed",
        (bare(b"Content-Length: %d" % (SIZE + 1)), End.HALF),
        "400 close | close",
        "RFC 9112 §8",
    ),
    row(
        "longer, the next request fills it", bare(b"Content-Length: %d" % (SIZE + len(get()))) + get(), "400 open", RULE
    ),
    row("space before the colon", bare(b"Content-Length : " + N), "400 close", "RFC 9112 §5.1"),
    row("tab before the colon", bare(b"Content-Length\t: " + N), "400 close", "RFC 9112 §5.1"),
    row("no colon", bare(b"Content-Length " + N), "400 close", "RFC 9112 §5"),
    row("two colons", bare(b"Content-Length:: " + N), "400 close", RULE),
    row("equals", bare(b"Content-Length= " + N), "400 close", "RFC 9112 §5"),
    row("NUL in the name", bare(b"Content-Length\x00: " + N), "400 close", "RFC 9110 §5.1"),
    row("CR in the name", bare(b"Content-\rLength: " + N), "400 close", "RFC 9112 §2.2"),
    row("a dash of another script", bare("Content\u2010Length: ".encode() + N), "400 close", "RFC 9110 §5.1"),
    row("folded before the number", bare(b"Content-Length:\r\n " + N), "200 open | 400 close", "RFC 9112 §5.2"),
    row("folded within", bare(b"Content-Length: %s\r\n %s" % (N[:1], N[1:])), "400 close", "RFC 9112 §5.2"),
    row(
        "folded into the field before",
        bare(b"A: b\r\n Content-Length: " + N),
        "400 close | 400 400 close",
        "RFC 9112 §5.2",
    ),
    row(
        "white space behind the first line",
        POST + b"\r\n Content-Length: " + N + b"\r\nHost: x\r\n\r\n" + BODY,
        "400 close | 400 400 close",
        "RFC 9112 §2.2",
    ),
    row("bare CR behind", bare(LENGTH + b"\rA: b"), "400 close", "RFC 9112 §2.2"),
    row("bare LF behind", bare(LENGTH + b"\nA: b"), "200 open | 400 close", "RFC 9112 §2.2"),
    row("the same twice", _lines(N, N), "200 open | 400 close", RULE),
    row("the same in a list", bare(b"Content-Length: %s, %s" % (N, N)), "200 open | 400 close", RULE),
    row("the same in another spelling", _lines(N, b"0" + N), "200 open | 400 close", RULE),
    row("a list with an empty end", bare(b"Content-Length: %s," % N), "200 open | 400 close", RULE),
    row("a list with an empty begin", bare(b"Content-Length: ,%s" % N), "200 open | 400 close", RULE),
    row("two lines, the first is shorter", _lines(b"1", N), "400 close", RULE),
    row("two lines, the second is shorter", _lines(N, b"1"), "400 close", RULE),
    row("two lines, the first is nothing", _lines(b"0", N), "400 close", RULE),
    row("two lines, the second is nothing", _lines(N, b"0"), "400 close", RULE),
    row("two lines, the first is empty", _lines(b"", N), "400 close", RULE),
    row("two lines, the second is empty", _lines(N, b""), "400 close", RULE),
    row("two lines, one is no number", _lines(N, b"x"), "400 close", RULE),
    row("two lines with another between", bare(LENGTH, b"A: b", b"Content-Length: 0"), "400 close", RULE),
    row("two lines in other letters", bare(LENGTH, b"CONTENT-LENGTH: 0"), "400 close", RULE),
    row("three lines", _lines(N, N, b"0"), "400 close", RULE),
    row("a hundred lines", bare(*[LENGTH] * 99, b"Content-Length: 0"), "400/431 close", RULE),
    *(
        row(name, bare(b"Content-Length: " + value), "400/408/413 close", "RFC 9110 §8.6, §15.5.14")
        for name, value in HUGE.items()
    ),
    *(
        row(f"no number {number}: {shown(value)}", bare(b"Content-Length: " + value), "400 close", RULE)
        for number, value in enumerate(NO_NUMBERS)
    ),
    *(row(f"list {shown(value)}", bare(b"Content-Length: " + value), "400 close", RULE) for value in LISTS),
]

LENGTHS = family("lengths", STREAMS)
