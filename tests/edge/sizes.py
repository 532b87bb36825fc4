"""Large heads, large bodies, and large numbers of fields (RFC 9110 §15.5.14, §15.5.15, RFC 6585 §5)."""

from __future__ import annotations

from tests.edge.streams import (
    BODY,
    GET,
    HOST,
    LIMIT,
    POST,
    Again,
    bare,
    chunk,
    chunks,
    drip,
    family,
    get,
    head,
    post,
    row,
)

HEAD = "RFC 6585 §5, RFC 9110 §5.4"
TARGET = "RFC 9110 §15.5.15, RFC 9112 §3"
CONTENT = "RFC 9110 §15.5.14"
START = head(GET, HOST)[:-2]
LARGE = b"X: " + b"a" * 70_000
TOO_LARGE = "400/431 close"
LARGE_BODY = BODY[:-1].ljust(95_000) + BODY[-1:]

SIZES = family(
    "sizes",
    [
        row("a field of 30,000 bytes", get(b"X: " + b"a" * 30_000), "200 open | 431 close", HEAD),
        row("a field of 70,000 bytes", get(LARGE), TOO_LARGE, HEAD),
        row("a field of 70,000 bytes in two pieces", (get(LARGE)[:9000], 0.1, get(LARGE)[9000:]), TOO_LARGE, HEAD),
        row("a field of 70,000 bytes in small pieces", drip(get(LARGE), 0.0, 4096), TOO_LARGE, HEAD),
        row("a field of 70,000 bytes before a body", post(LARGE), TOO_LARGE, HEAD),
        row("a field of 70,000 bytes behind a good one", get() + get(LARGE), "200 400/431 close", HEAD),
        row("a field of 1 MB", get(b"X: " + b"a" * 1_000_000), TOO_LARGE, HEAD),
        row("a field without end", (START, b"X: ", Again(b"a" * 1000, 8000)), TOO_LARGE, HEAD),
        row("a name of 70,000 bytes", get(b"a" * 70_000 + b": b"), TOO_LARGE, HEAD),
        row("a name without end", (START, Again(b"a" * 1000, 8000)), TOO_LARGE, HEAD),
        row("a name of spaces without end", (START, Again(b" " * 1000, 8000)), TOO_LARGE, HEAD),
        row("white space without end before a value", (START, b"X:", Again(b" " * 1000, 8000)), TOO_LARGE, HEAD),
        row("2,000 fields", get(*(b"X-%d: a" % number for number in range(2000))), "200 open | 400/431 close", HEAD),
        row("10,000 fields", get(*(b"X-%d: a" % number for number in range(10_000))), TOO_LARGE, HEAD),
        row("16,000 empty fields", get(*[b"a:"] * 16_000), "200 open | 400/431 close", HEAD),
        row("fields without end", (START, Again(b"X: abc\r\n", 500_000)), TOO_LARGE, HEAD),
        row("the smallest fields without end", (START, Again(b"a:\r\n", 1_000_000)), TOO_LARGE, HEAD),
        row("folds without end", (START, b"X: a\r\n", Again(b" a\r\n", 1_000_000)), TOO_LARGE, HEAD),
        row("a Host without end", (GET + b"\r\nHost: ", Again(b"a" * 1000, 8000)), TOO_LARGE, HEAD),
        row(
            "a length without end",
            (POST + b"\r\nHost: x\r\nContent-Length: ", Again(b"0" * 1000, 8000)),
            "400/413/431 close",
            HEAD,
        ),
        row(
            "a coding without end",
            (POST + b"\r\nHost: x\r\nTransfer-Encoding: ", Again(b"a, " * 1000, 8000)),
            "400/431/501 close",
            HEAD,
        ),
        row(
            "a list of codings without end",
            (POST + b"\r\nHost: x\r\n", Again(b"Transfer-Encoding: x\r\n", 99_000)),
            "400/431/501 close",
            HEAD,
        ),
        row("a Connection without end", (START, b"Connection: ", Again(b"close, " * 100, 9000)), TOO_LARGE, HEAD),
        row(
            "a target of 20,000 bytes", get(line=b"GET /%s HTTP/1.1" % (b"a" * 20_000)), "404 open | 414 either", TARGET
        ),
        row("a target of 70,000 bytes", get(line=b"GET /%s HTTP/1.1" % (b"a" * 70_000)), "400/414/431 close", TARGET),
        row("a query of 70,000 bytes", get(line=b"GET /v2?%s HTTP/1.1" % (b"a" * 70_000)), "400/414/431 close", TARGET),
        row(
            "a target of 10,000 escapes",
            get(line=b"GET /%s HTTP/1.1" % (b"%41" * 10_000)),
            "404 open | 414 either",
            TARGET,
        ),
        row("a target without end", (b"GET /", Again(b"a" * 1000, 8000)), "400/414/431 close", TARGET),
        row("a query without end", (b"GET /?", Again(b"a=b&" * 250, 8000)), "400/414/431 close", TARGET),
        row("a method without end", (Again(b"A" * 1000, 8000),), "400/414/431/501 close", "RFC 9112 §3"),
        row("a version without end", (GET, Again(b"1" * 1000, 8000)), "400/414/431/505 close", "RFC 9112 §3"),
        row(
            "spaces without end in the first line",
            (b"GET ", Again(b" " * 1000, 8000)),
            "400/414/431 close",
            "RFC 9112 §3",
        ),
        row(
            "empty lines without end",
            (Again(b"\r\n" * 500, 8000),),
            "400/431 close | close | 408 close",
            "RFC 9112 §2.2",
        ),
        row("LF without end", (Again(b"\n" * 1000, 8000),), "400/431 close | close | 408 close", "RFC 9112 §2.2"),
        row("CR without end", (Again(b"\r" * 1000, 8000),), "400/431 close | close | 408 close", "RFC 9112 §2.2"),
        row("NUL without end", (Again(b"\0" * 1000, 8000),), "400/431 close", "RFC 9112 §2.2"),
        row("the limit", post(body=BODY.ljust(LIMIT)), "200 open", CONTENT),
        row("one more than the limit", post(body=BODY.ljust(LIMIT + 1)), "413 either", CONTENT),
        row("twice the limit", post(body=BODY.ljust(LIMIT * 2)), "413 either", CONTENT),
        row(
            "ten times the limit",
            (bare(b"Content-Length: %d" % (LIMIT * 10), body=b""), Again(b" " * 1024, LIMIT // 100)),
            "413 close",
            CONTENT,
        ),
        row("a terabyte", bare(b"Content-Length: 1000000000000"), "413 close", CONTENT),
        row(
            "one more than the limit to nowhere",
            post(body=b" " * (LIMIT + 1), line=b"POST /x HTTP/1.1"),
            "404/413 either",
            CONTENT,
        ),
        row("95,000 bytes behind a small head", post(body=LARGE_BODY), "200 open", CONTENT),
        row(
            "95,000 bytes in two pieces",
            (post(body=LARGE_BODY)[:60], 0.1, post(body=LARGE_BODY)[60:]),
            "200 open",
            CONTENT,
        ),
        row(
            "95,000 bytes with the end of the head",
            (post(body=LARGE_BODY)[:70], 0.1, post(body=LARGE_BODY)[70:]),
            "200 open",
            CONTENT,
        ),
        row(
            "95,000 bytes in chunks, in two pieces",
            (chunks(body=b"")[:40], 0.1, chunks(body=b"")[40:], chunk(LARGE_BODY), b"0\r\n\r\n"),
            "200 open",
            CONTENT,
        ),
        row(
            "95,000 bytes behind a half head",
            (get() + post(body=LARGE_BODY)[:30], 0.1, post(body=LARGE_BODY)[30:]),
            "200 200 open",
            CONTENT,
        ),
        row(
            "95,000 bytes of requests behind a half head",
            (get()[:-1], 0.1, b"\n", get() * 2000),
            "200*2001 open",
            "RFC 9112 §9.3.2",
        ),
        row(
            "small pieces up to the limit",
            (bare(b"Content-Length: %d" % LIMIT, body=BODY), *drip(b" " * (LIMIT - len(BODY)), 0.0, 100)),
            "200 open",
            CONTENT,
        ),
        row("forty bodies of the limit", post(body=BODY.ljust(LIMIT)) * 40, "200*40 open", CONTENT),
    ],
    16_384,
)
