"""Transfer-Encoding: which codings frame a body, and what hides them from one of two readers (RFC 9112 §6.1, §6.3, §7)."""

from __future__ import annotations

from tests.edge.streams import (
    BODY,
    CHUNKED,
    HOST,
    LAST,
    LENGTH,
    POST,
    Stream,
    bare,
    chunk,
    chunks,
    family,
    head,
    row,
    shown,
)

WIRE = chunk(BODY) + LAST
RULE = "RFC 9112 §6.1, §6.3"

# Codings that the server has not, or that are not chunked, or not at the end: 501 or 400, and the connection ends.
WRONG = (
    b"", b" ", b"gzip", b"deflate", b"compress", b"br", b"x", b"cow", b"null", b"none", b"trailers", b"identity", b"x-chunked",
    b"xchunked", b"chunkedx", b"chunke", b"hunked", b"chun ked", b"chun\tked", b"chunked chunked", b"chunked;q=1",
    b"chunked;a=b", b"chunked; a", b";chunked", b'"chunked"', b"'chunked'", b"[chunked]", b"(chunked)", b"chunked.",
    b"chunked\\",
    b"chunked\x00", b"\x00chunked", b"chunked\x0b", b"\x0bchunked", b"chunked\x0c", b"\x0cchunked", b"chunked\x7f",
    b"\x08chunked", b"chunked\xa0", b"\xa0chunked", b"chunked\x85", b"\xef\xbb\xbfchunked", "chun\u212aed".encode(),
    "\uff43hunked".encode(), b"gzip, chunked", b"chunked, gzip", b"chunked, identity", b"identity, chunked",
    b"chunked, chunked", b"chunked,chunked", b"chunked, cow", b"cow, chunked", b"gzip chunked", b"gzip;chunked", b"chunked/1",
    b"chunked=1", b"%63hunked", b"\\u0063hunked", b"chunked, x-gzip, chunked", b"chunked;x, chunked", b"chunked\x1b[0m",
)  # fmt: skip

# Names that are not Transfer-Encoding, or no names: ignored beside a length, or refused.
NO_NAMES = {
    "space before the colon": b"Transfer-Encoding : chunked",
    "tab before the colon": b"Transfer-Encoding\t: chunked",
    "NUL in the name": b"Transfer-Encoding\x00: chunked",
    "NUL before the name": b"\x00Transfer-Encoding: chunked",
    "a byte order mark": b"\xef\xbb\xbfTransfer-Encoding: chunked",
    "VT before the colon": b"Transfer-Encoding\x0b: chunked",
    "high byte in the name": b"Transfer-Encoding\xff: chunked",
    "a dash of another script": "Transfer\u2010Encoding: chunked".encode(),
    "a space in the name": b"Transfer Encoding: chunked",
    "no colon": b"Transfer-Encoding chunked",
    "equals": b"Transfer-Encoding=chunked",
    "bare CR behind": b"Transfer-Encoding: chunked\rA: b",
    "quoted name": b'"Transfer-Encoding": chunked',
}

# Two lines mean their list (RFC 9110 §5.3).
TWO = (
    (b"identity", b"chunked"), (b"chunked", b"identity"), (b"gzip", b"chunked"), (b"chunked", b"gzip"), (b"chunked",
    b"chunked"),
    (b"x", b"chunked"), (b"chunked", b"x"), (b"identity", b"identity"), (b"chunked\x00", b"chunked"), (b"cow", b"cow"),
)  # fmt: skip


def _both(name: str, fields: tuple[bytes, ...], right: str = "400/501 close") -> list[Stream]:
    """Return the row twice: alone, and beside a length that says something else."""
    return [
        row(name, bare(*fields, body=WIRE), right, RULE),
        row(f"{name}, beside a length", bare(LENGTH, *fields, body=WIRE), right, RULE),
    ]


STREAMS = [
    row("chunked", chunks(), "200 open", "RFC 9112 §7.1"),
    row("capitals", bare(b"TRANSFER-ENCODING: CHUNKED", body=WIRE), "200 open", "RFC 9112 §7: case-insensitive"),
    row("mixed letters", bare(b"transfer-Encoding: ChUnKeD", body=WIRE), "200 open", "RFC 9112 §7: case-insensitive"),
    row("space behind", bare(CHUNKED + b" ", body=WIRE), "200 open", "RFC 9112 §5: OWS"),
    row("tabs behind", bare(CHUNKED + b"\t \t", body=WIRE), "200 open", "RFC 9112 §5: OWS"),
    row("spaces before", bare(b"Transfer-Encoding: \t  chunked", body=WIRE), "200 open", "RFC 9112 §5: OWS"),
    row("no space", bare(b"Transfer-Encoding:chunked", body=WIRE), "200 open", "RFC 9112 §5: OWS"),
    row("an empty member behind", bare(CHUNKED + b",", body=WIRE), "200 open | 400/501 close", "RFC 9110 §5.6.1"),
    row(
        "an empty member before",
        bare(b"Transfer-Encoding: ,chunked", body=WIRE),
        "200 open | 400/501 close",
        "RFC 9110 §5.6.1",
    ),
    row(
        "an empty line before",
        bare(b"Transfer-Encoding:", CHUNKED, body=WIRE),
        "200 open | 400/501 close",
        "RFC 9110 §5.6.1",
    ),
    row(
        "an empty line behind",
        bare(CHUNKED, b"Transfer-Encoding:", body=WIRE),
        "200 open | 400/501 close",
        "RFC 9110 §5.6.1",
    ),
    row("folded", bare(b"Transfer-Encoding:\r\n chunked", body=WIRE), "200 open | 400/501 close", "RFC 9112 §5.2"),
    row(
        "folded by a tab",
        bare(b"Transfer-Encoding:\r\n\tchunked", body=WIRE),
        "200 open | 400/501 close",
        "RFC 9112 §5.2",
    ),
    row("folded within", bare(b"Transfer-Encoding: chun\r\n ked", body=WIRE), "400/501 close", "RFC 9112 §5.2"),
    row("folded behind", bare(CHUNKED + b"\r\n , identity", body=WIRE), "400/501 close", "RFC 9112 §5.2"),
    row("bare LF behind", bare(CHUNKED + b"\nA: b", body=WIRE), "200 open | 400 close", "RFC 9112 §2.2"),
    row("bare LF before", bare(b"A: b\n" + CHUNKED, body=WIRE), "200 open | 400 close", "RFC 9112 §2.2"),
    row("in the field before, folded", bare(LENGTH, b"A: b\r\n " + CHUNKED), "200 open | 400 close", "RFC 9112 §5.2"),
    row("CR before CRLF", bare(CHUNKED + b"\r", body=WIRE), "200 open | 400/501 close", "RFC 9112 §2.2"),
    row(
        "bare CR before the coding",
        bare(b"Transfer-Encoding: \rchunked", body=WIRE),
        "200 open | 400/501 close",
        "RFC 9112 §2.2",
    ),
    row("bare CR before the name", bare(LENGTH, b"A: b\r" + CHUNKED), "200 open | 400 close", "RFC 9112 §2.2"),
    row("a name with a line below", bare(LENGTH, b"Transfer_Encoding: chunked"), "200 open", "RFC 9110 §5.1"),
    row("a longer name", bare(LENGTH, b"X-Transfer-Encoding: chunked"), "200 open", "RFC 9110 §5.1"),
    row("a shorter name", bare(LENGTH, b"Transfer-Encodin: chunked"), "200 open", "RFC 9110 §5.1"),
    row("TE beside a length", bare(LENGTH, b"TE: chunked"), "200 open", "RFC 9110 §10.1.4"),
    row(
        "Content-Encoding beside a length",
        bare(LENGTH, b"Content-Encoding: chunked"),
        "415/400 either",
        "RFC 9110 §15.5.16",
    ),
    row("length, then chunked", bare(LENGTH, CHUNKED, body=WIRE), "200 close | 400 close", "RFC 9112 §6.3, 3"),
    row("chunked, then length", bare(CHUNKED, LENGTH, body=WIRE), "200 close | 400 close", "RFC 9112 §6.3, 3"),
    row(
        "chunked and the whole length",
        bare(b"Content-Length: %d" % len(WIRE), CHUNKED, body=WIRE),
        "200 close | 400 close",
        "RFC 9112 §6.3, 3",
    ),
    row(
        "chunked and no length",
        bare(b"Content-Length: 0", CHUNKED, body=WIRE),
        "200 close | 400 close",
        "RFC 9112 §6.3, 3",
    ),
    row("chunked and a length that is no number", bare(b"Content-Length: x", CHUNKED, body=WIRE), "400 close", RULE),
    row(
        "the old version",
        bare(CHUNKED, body=WIRE, line=b"POST /invocations HTTP/1.0"),
        "200 close | 400/501 close",
        RULE,
    ),
    row(
        "the old version, to be kept",
        bare(b"Connection: keep-alive", CHUNKED, body=WIRE, line=b"POST /invocations HTTP/1.0"),
        "200 close | 400/501 close",
        RULE,
    ),
    row(
        "the old version and a length",
        bare(LENGTH, CHUNKED, body=WIRE, line=b"POST /invocations HTTP/1.0"),
        "200 close | 400/501 close",
        RULE,
    ),
    row(
        "white space behind the first line",
        POST + b"\r\n " + head(CHUNKED, HOST) + WIRE,
        "400 close | 400/411 400 close",
        "RFC 9112 §2.2",
    ),
    row("on GET", chunks(line=b"GET /v2/health/live HTTP/1.1"), "200 open | 400 close", "RFC 9110 §9.3.1"),
    row("on HEAD", chunks(line=b"HEAD /v2 HTTP/1.1"), "200 open | 400 close", "RFC 9110 §9.3.2", (0,)),
    row("empty in chunks", chunks(body=LAST), "400 open", "RFC 9112 §7.1"),
    row("a thousand lines", bare(*[CHUNKED] * 1000, body=WIRE), "400/431/501 close", RULE),
    *(
        one
        for number, value in enumerate(WRONG)
        for one in _both(f"coding {number}: {shown(value)}", (b"Transfer-Encoding: " + value,))
    ),
    *(
        one
        for first, second in TWO
        for one in _both(
            f"lines {shown(first)} and {shown(second)}",
            (b"Transfer-Encoding: " + first, b"Transfer-Encoding: " + second),
        )
    ),
    *(one for name, line in NO_NAMES.items() for one in _both(name, (line,))),
]

TRANSFERS = family("transfers", STREAMS)
