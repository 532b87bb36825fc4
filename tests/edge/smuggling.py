"""Requests in the bodies of others: what one of two readers takes for a body and the other for the next request.

The families are those of the literature: CL.TE, TE.CL, TE.TE, CL.0, 0.CL, TE.0, those by pauses, by the ends of chunks
(TERM.EXT, EXT.TERM, SPILL), by `Expect` and by hop-by-hop fields. SMUGGLED is answered only where it is a request of its own.
"""

from __future__ import annotations

from tests.edge.streams import (
    BODY,
    CHUNKED,
    GET,
    HOST,
    LAST,
    LENGTH,
    LIMIT,
    SIZE,
    SMUGGLED,
    bare,
    chunk,
    chunks,
    family,
    get,
    head,
    post,
    row,
    shown,
)

BOTH = "RFC 9112 §6.3, 3 and §11.2"
RULE = "RFC 9112 §6.3, §11.2"
HIDDEN = chunk(SMUGGLED) + LAST
NOWHERE = b"POST /nowhere HTTP/1.1"
N = b"%d" % len(SMUGGLED)

# Ways to write Transfer-Encoding that some reader has not seen.
OBFUSCATED = (
    b"Transfer-Encoding : chunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: \x00chunked", b" Transfer-Encoding: chunked", b"Transfer-Encoding\n : chunked",
    b"Transfer-Encoding: 'chunked'",
    b'Transfer-Encoding: "chunked"', b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"X: x\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:\n chunked", b"Transfer-Encoding: chunk\r\n ed", b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: chunked;", b"Transfer-Encoding: chunked\x0c",
    b"transfer-encoding: chunked\r\nTransfer-Encoding: cow", b"Transfer-\xc3\x8bncoding: chunked",
    b"Transfer-Encoding: c\x68unked\x7f",
    b"\x0bTransfer-Encoding: chunked", b"Transfer-Encoding\x85: chunked", b"TRANSFER-ENCODING: CHUNKED, X",
    b"Transfer-Encoding: ,x",
)  # fmt: skip

# Fields that a proxy takes off when Connection names them (RFC 9110 §7.6.1).
NAMED = (b"Content-Length", b"Transfer-Encoding", b"Host", b"content-length, host", b"close, Content-Length",
b"Connection", b"X", b"",
         b"Content-Type", b"@", b"\xff")  # fmt: skip

# Bodies that are requests: to pages that take none, to nowhere, and with methods that have no meaning for one.
BODIES = {
    "GET": (GET, "200 open | 400 close"),
    "GET of nowhere": (b"GET /nowhere HTTP/1.1", "404 open | 400 close"),
    "DELETE": (b"DELETE /v2/health/live HTTP/1.1", "400/405/501 either"),
    "OPTIONS": (b"OPTIONS /v2/health/live HTTP/1.1", "200/204/400/405/501 either"),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1", "200/204/400/404/405/501 either"),
    "TRACE": (b"TRACE /v2/health/live HTTP/1.1", "400/405/501 either"),
    "PUT": (b"PUT /v2/health/live HTTP/1.1", "400/405/501 either"),
    "POST to a page": (b"POST /v2/health/live HTTP/1.1", "405 open | 405 close"),
    "POST to nowhere": (NOWHERE, "404 open | 404 close"),
    "POST to a long path": (b"POST /" + b"a" * 5000 + b" HTTP/1.1", "404/414 either"),
    "POST to a model that is not there": (b"POST /v2/models/none/infer HTTP/1.1", "404 either"),
    "POST of what is no JSON": (b"POST /invocations HTTP/1.1", "400/415 open | 400/415 close"),
}

STREAMS = [
    row("CL.TE", bare(b"Content-Length: %d" % len(LAST + SMUGGLED), CHUNKED, body=LAST + SMUGGLED), "400 close", BOTH),
    row("CL.TE, a part", bare(b"Content-Length: 6", CHUNKED, body=LAST + b"G"), "400 close", BOTH),
    row("TE.CL", bare(CHUNKED, b"Content-Length: 4", body=HIDDEN), "400 close", BOTH),
    row("TE.CL, length first", bare(b"Content-Length: 4", CHUNKED, body=HIDDEN), "400 close", BOTH),
    row("TE.CL of nothing", bare(b"Content-Length: 0", CHUNKED, body=HIDDEN), "400 close", BOTH),
    row(
        "TE.CL, a good one in chunks",
        bare(CHUNKED, LENGTH, body=chunk(BODY) + LAST + SMUGGLED),
        "200 close | 400 close",
        BOTH,
    ),
    row(
        "CL.TE on GET",
        bare(b"Content-Length: 5", CHUNKED, body=LAST + SMUGGLED, line=GET),
        "200 close | 400 close",
        BOTH,
    ),
    row(
        "CL.TE by the old version",
        bare(b"Content-Length: 5", CHUNKED, body=LAST + SMUGGLED, line=b"POST /nowhere HTTP/1.0"),
        "400/404/501 close",
        "RFC 9112 §6.1",
    ),
    row(
        "CL.TE kept by the old version",
        bare(
            b"Connection: keep-alive",
            b"Content-Length: 5",
            CHUNKED,
            body=LAST + SMUGGLED,
            line=b"POST /nowhere HTTP/1.0",
        ),
        "400/404/501 close",
        "RFC 9112 §6.1",
    ),
    *(row(f"TE.0 on {name}", chunks(body=HIDDEN, line=line), right, RULE) for name, (line, right) in BODIES.items()),
    *(row(f"CL.0 on {name}", post(body=SMUGGLED, line=line), right, RULE) for name, (line, right) in BODIES.items()),
    row("TE.0 on HEAD", chunks(body=HIDDEN, line=b"HEAD /v2 HTTP/1.1"), "200 open | 400 close", RULE, (0,)),
    row("CL.0 on HEAD", post(body=SMUGGLED, line=b"HEAD /v2 HTTP/1.1"), "200 open | 400 close", RULE, (0,)),
    row("CL.0 and a pause", (head(NOWHERE, HOST, b"Content-Length: " + N), 1.0, SMUGGLED), "404 open", "RFC 9112 §9.3"),
    row("TE.0 and a pause", (head(NOWHERE, HOST, CHUNKED), 1.0, HIDDEN), "404 open", "RFC 9112 §9.3"),
    row(
        "CL.0 and a pause on a page",
        (head(b"POST /v2 HTTP/1.1", HOST, b"Content-Length: " + N), 1.0, SMUGGLED),
        "405 either",
        "RFC 9112 §9.3",
    ),
    row(
        "CL.0 behind a refusal",
        bare(b"Content-Length: %d" % (LIMIT * 9), body=SMUGGLED),
        "413 close",
        "RFC 9110 §15.5.14",
    ),
    row(
        "CL.0 behind another refusal",
        bare(b"Content-Length: " + N, b"Content-Encoding: x", body=SMUGGLED),
        "415 either",
        RULE,
    ),
    row(
        "0.CL", bare(b"Content-Length:\r\n " + N, body=SMUGGLED, line=NOWHERE), "404 open | 400 close", "RFC 9112 §5.2"
    ),
    row("0.CL by a space", bare(b"Content-Length : " + N, body=SMUGGLED, line=NOWHERE), "400 close", "RFC 9112 §5.1"),
    row(
        "0.CL by a line of white space",
        head(NOWHERE)[:-2] + b" Content-Length: " + N + b"\r\nHost: x\r\n\r\n" + SMUGGLED,
        "400 close | 404 404 open",
        "RFC 9112 §2.2",
    ),
    row("0.CL by NUL", bare(b"Content-Length\x00: " + N, body=SMUGGLED, line=NOWHERE), "400 close", "RFC 9110 §5.1"),
    row(
        "0.CL by CR",
        bare(b"A: b\rContent-Length: " + N, body=SMUGGLED, line=NOWHERE),
        "400 close | 404 404 open",
        "RFC 9112 §2.2",
    ),
    row(
        "0.CL by LF",
        bare(b"A: b\nContent-Length: " + N, body=SMUGGLED, line=NOWHERE),
        "400 close | 404 open",
        "RFC 9112 §2.2",
    ),
    row(
        "0.CL by an early answer",
        (bare(b"Content-Length: " + N, body=b"", line=NOWHERE), 0.3, SMUGGLED),
        "404 open",
        "RFC 9112 §9.3",
    ),
    row(
        "two lengths, the first ends before",
        bare(b"Content-Length: 0", b"Content-Length: " + N, body=SMUGGLED),
        "400 close",
        RULE,
    ),
    row(
        "two lengths, the second ends before",
        bare(b"Content-Length: " + N, b"Content-Length: 0", body=SMUGGLED),
        "400 close",
        RULE,
    ),
    row("a list of lengths", bare(b"Content-Length: 0, " + N, body=SMUGGLED), "400 close", RULE),
    row("a length with a sign", bare(b"Content-Length: +" + N, body=SMUGGLED), "400 close", RULE),
    row("a length of base 16", bare(b"Content-Length: 0x0", body=SMUGGLED), "400 close", RULE),
    row(
        "a length in octal digits",
        bare(b"Content-Length: 0" + N, body=SMUGGLED, line=NOWHERE),
        "404 open",
        "RFC 9110 §8.6",
    ),
    row(
        "expectation and 0.CL",
        (bare(b"Expect: 100-continue", b"Content-Length: " + N, body=b"", line=NOWHERE), 0.3, SMUGGLED),
        "100? 404 open | 404/417 close",
        "RFC 9110 §10.1.1",
    ),
    row(
        "expectation that is none and 0.CL",
        bare(b"Expect: y 100-continue", b"Content-Length: " + N, body=SMUGGLED, line=NOWHERE),
        "404 open | 417 either",
        "RFC 9110 §10.1.1",
    ),
    row(
        "expectation behind a line end and 0.CL",
        bare(b"Expect:\n 100-continue", b"Content-Length: " + N, body=SMUGGLED, line=NOWHERE),
        "100? 404 open | 400/417 close",
        "RFC 9110 §10.1.1",
    ),
    row(
        "expectation on GET and CL.0",
        bare(b"Expect: 100-continue", b"Content-Length: " + N, body=SMUGGLED, line=GET),
        "100? 200 open | 400/417 close",
        "RFC 9110 §10.1.1",
    ),
    row("EXT.TERM", chunks(body=b"2;\nxx\r\n4c\r\n" + LAST + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row("TERM.EXT", chunks(body=b"2;a\n\r\nxx\r\n" + LAST + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row("CR EXT", chunks(body=b"2;a\rxx\r\n" + LAST + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row("SPILL by one byte", chunks(body=b"5\r\nAAAAAX2\r\n43\r\n" + LAST + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row("SPILL by LF", chunks(body=b"5\r\nAAAAA\n2\r\n43\r\n" + LAST + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row("SPILL by CR", chunks(body=b"5\r\nAAAAA\r2\r\n43\r\n" + LAST + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row("SPILL by nothing", chunks(body=b"5\r\nAAAAA2\r\n43\r\n" + LAST + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row("ONE.TWO", chunks(body=chunk(BODY) + b"0\r\n" + SMUGGLED), "400 close", "RFC 9112 §7.1.2"),
    row("TWO.ONE", chunks(body=chunk(BODY) + b"0\n\n" + SMUGGLED), "400 close | 200 404 open", "RFC 9112 §7.1"),
    row("ZERO.TWO", chunks(body=chunk(BODY) + b"0" + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row(
        "a size that wraps to nothing",
        chunks(body=b"10000000000000000\r\n\r\n" + SMUGGLED),
        "400/413 close",
        "RFC 9112 §7.1",
    ),
    row("a size that is cut", chunks(body=b"0x\r\n\r\n" + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row("a size with a sign", chunks(body=b"+0\r\n\r\n" + SMUGGLED), "400 close", "RFC 9112 §7.1"),
    row(
        "a last chunk with a space", chunks(body=b"0 \r\n\r\n" + SMUGGLED), "400 close | 400 404 open", "RFC 9112 §7.1"
    ),
    row(
        "a trailer that is a length",
        chunks(body=chunk(BODY) + b"0\r\nContent-Length: " + N + b"\r\n\r\n" + SMUGGLED),
        "200 404 open | 400 close",
        "RFC 9110 §6.5.1",
    ),
    row(
        "a trailer that is a coding",
        chunks(body=chunk(BODY) + b"0\r\nTransfer-Encoding: gzip\r\n\r\n" + SMUGGLED),
        "200 404 open | 400/501 close",
        "RFC 9110 §6.5.1",
    ),
    row(
        "a trailer that closes",
        chunks(body=chunk(BODY) + b"0\r\nConnection: close\r\n\r\n" + SMUGGLED),
        "200 404 open | 200 close",
        "RFC 9110 §6.5.1",
    ),
    row("one in a field", get(b"A: b", b"C: GET /smuggled HTTP/1.1"), "200 open", "RFC 9112 §5"),
    row(
        "one behind a fold",
        get(b"A: b\r\n GET /smuggled HTTP/1.1\r\n Host: x"),
        "200 open | 400 close",
        "RFC 9112 §5.2",
    ),
    row("one behind CRs", get(b"A: b\r\r\rGET /smuggled HTTP/1.1\r"), "200 open | 400 close", "RFC 9112 §2.2"),
    row(
        "one in the target",
        get(line=b"GET /x%20HTTP/1.1%0d%0a%0d%0aGET%20/smuggled HTTP/1.1"),
        "404 open",
        "RFC 9112 §3.2",
    ),
    row(
        "one in the query", get(line=b"GET /v2/health/live?%0d%0aGET%20/smuggled HTTP/1.1"), "200 open", "RFC 9112 §3.2"
    ),
    row(
        "one in the method",
        SMUGGLED[:-4].replace(b"GET", b"GETGET", 1) + b"\r\n\r\n",
        "400/404/405/501 either",
        "RFC 9112 §3.1",
    ),
    row(
        "one behind two LF",
        get(b"A: b\n\nGET /smuggled HTTP/1.1"),
        "400 close | 200 400 either | 200 404 open",
        "RFC 9112 §2.2",
    ),
    row("a request of its own", post() + SMUGGLED, "200 404 open", "RFC 9112 §9.3.2"),
    row("a request of its own behind chunks", chunks() + SMUGGLED, "200 404 open", "RFC 9112 §9.3.2"),
    row("behind a last answer", post(b"Connection: close") + SMUGGLED, "200 close", "RFC 9112 §9.6"),
    row(
        "behind the last answer of the old version",
        post(line=b"POST /invocations HTTP/1.0") + SMUGGLED,
        "200 close",
        "RFC 9112 §9.3",
    ),
    *(
        row(f"TE.TE {number}: {shown(line)}", bare(b"Content-Length: 0", line, body=HIDDEN), "400/501 close", RULE)
        for number, line in enumerate(OBFUSCATED)
    ),
    *(
        row(
            f"CL.TE by {number}: {shown(line)}",
            bare(b"Content-Length: %d" % len(LAST + SMUGGLED), line, body=LAST + SMUGGLED),
            "400/501 close",
            RULE,
        )
        for number, line in enumerate(OBFUSCATED)
    ),
    *(
        row(
            f"Connection names {shown(value)}",
            post(b"Connection: " + value),
            "200 either | 400 close",
            "RFC 9110 §7.6.1",
        )
        for value in NAMED
    ),
    *(
        row(
            f"Connection names {shown(value)}, a request as the body",
            post(b"Connection: " + value, body=SMUGGLED, line=NOWHERE),
            "404 either | 400 close",
            "RFC 9110 §7.6.1",
        )
        for value in NAMED
    ),
    row("a length of the good one, the body of two", bare(LENGTH, body=BODY + SMUGGLED[:-2]), "200 408 close", RULE),
    row("half of one behind", post() + SMUGGLED[: len(SMUGGLED) // 2], "200 408 close", "RFC 9110 §15.5.9"),
    row("one byte behind", post() + b"G", "200 408 close", "RFC 9110 §15.5.9"),
    row(
        "a length one larger, then one",
        bare(b"Content-Length: %d" % (SIZE + 1)) + SMUGGLED,
        "400 400 close | 400 400/404/405/501 either",
        "RFC 9112 §6.3",
    ),
]

SMUGGLING = family("smuggling", STREAMS)
