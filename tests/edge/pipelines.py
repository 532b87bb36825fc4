"""Many requests on one connection: order, ends in the middle, and what keeps a connection (RFC 9112 §9.3)."""

from __future__ import annotations

from tests.edge.streams import (
    GET,
    POST,
    SMUGGLED,
    Again,
    bare,
    chunks,
    drip,
    family,
    get,
    head,
    post,
    row,
)

ORDER = "RFC 9112 §9.3.2"
KEEP = "RFC 9112 §9.3"
CLOSE = "RFC 9112 §9.6"
HEAD = get(line=b"HEAD /v2 HTTP/1.1")
OLD_GET, OLD_POST = GET.replace(b"1.1", b"1.0"), POST.replace(b"1.1", b"1.0")
LOST = get(line=b"GET /nowhere HTTP/1.1")
MIXED = post() + get() + HEAD + LOST + chunks() + post(body=b"{") + get(b"X: " + b"a" * 1000)
MIXED_RIGHT = "200 200 200 404 200 400 200"

# Values of Connection on HTTP/1.1 and whether it is kept: the options are a list of words in any letters.
KEPT = {
    b"keep-alive": "open", b"Keep-Alive": "open", b"": "open", b",": "open", b"x": "open", b"closed": "open",
    b"close-x": "open",
    b"enclose": "open", b"keep-alive, x": "open", b"Upgrade": "open", b"TE": "open",
    b"close": "close", b"Close": "close", b"CLOSE": "close", b"close, x": "close", b"x, close": "close", b"x,close": "close",
    b"x ,\tclose ,y": "close", b",close": "close", b"keep-alive, close": "close", b"close, keep-alive": "close",
    b" close ": "close",
    b"close\r\nConnection: x": "close", b"x\r\nConnection: close": "close", b"keep-alive\r\nConnection: Close": "close",
}  # fmt: skip

PIPELINES = family(
    "pipelines",
    [
        row("two", post() * 2, "200 200 open", ORDER),
        row("a thousand", post() * 1000, "200*1000 open", ORDER),
        row("a thousand pages", get() * 1000, "200*1000 open", ORDER),
        row("a thousand of nowhere", LOST * 1000, "404*1000 open", ORDER),
        row("a thousand in chunks", chunks() * 1000, "200*1000 open", ORDER),
        row("a thousand in odd pieces", drip(post() * 1000, 0.0, 613), "200*1000 open", ORDER),
        row("3,000 metrics", (Again(get(line=b"GET /v2 HTTP/1.1"), 3000),), "200*3000 open", ORDER),
        row("every kind", MIXED, f"{MIXED_RIGHT} open", ORDER, (2,)),
        row("every kind in pieces of 3", drip(MIXED, 0.0, 3), f"{MIXED_RIGHT} open", ORDER, (2,)),
        row("every kind ten times", MIXED * 10, " ".join([MIXED_RIGHT] * 10) + " open", ORDER, tuple(range(2, 70, 7))),
        row("empty lines between", (get() + b"\r\n") * 20, "200*20 open", "RFC 9112 §2.2"),
        row(
            "close in the middle", post() * 3 + post(b"Connection: close") + post() * 3 + SMUGGLED, "200*4 close", CLOSE
        ),
        row("the old version in the middle", post() + post(line=OLD_POST) + SMUGGLED, "200 200 close", KEEP),
        row("nonsense in the middle", post() * 3 + b"nonsense\r\n\r\n" + SMUGGLED, "200*3 400 close", "RFC 9112 §2.2"),
        row(
            "a wrong length in the middle",
            post() * 3 + bare(b"Content-Length: x") + SMUGGLED,
            "200*3 400 close",
            "RFC 9112 §6.3",
        ),
        row(
            "a wrong coding in the middle",
            post() * 3 + bare(b"Transfer-Encoding: x") + SMUGGLED,
            "200*3 400/501 close",
            "RFC 9112 §6.1",
        ),
        row(
            "no Host in the middle",
            post() * 3 + head(GET) + post(b"Connection: close"),
            "200*3 400 close | 200*3 400 200 close",
            "RFC 9112 §3.2",
        ),
        row(
            "too large in the middle",
            post() * 3 + bare(b"Content-Length: 99999999") + SMUGGLED,
            "200*3 413 close",
            "RFC 9110 §15.5.14",
        ),
        row(
            "CONNECT in the middle",
            post() + get(line=b"CONNECT x:80 HTTP/1.1") + SMUGGLED,
            "200 400/405/501 close",
            "RFC 9110 §9.3.6",
        ),
        row(
            "TRACE in the middle",
            post() + get(line=b"TRACE / HTTP/1.1") + get(),
            "200 400/405/501 200 open | 200 400/405/501 close",
            "RFC 9110 §9.3.8",
        ),
        row("a bad name behind a hundred", post() * 100 + get(b"A B: c"), "200*100 400 close", "RFC 9110 §5.1"),
        row("half behind a hundred", post() * 100 + post()[:-1], "200*100 408 close", "RFC 9110 §15.5.9"),
        row("the old version", get(line=OLD_GET), "200 close", KEEP),
        row("the old version, two", get(line=OLD_GET) + SMUGGLED, "200 close", KEEP),
        row("the old version, to be kept", get(b"Connection: keep-alive", line=OLD_GET), "200 either", KEEP),
        row(
            "the old version, to be kept, in a list",
            get(b"Connection: x, Keep-Alive", line=OLD_GET),
            "200 either",
            KEEP,
        ),
        row(
            "the old version, keep-alive and close",
            get(b"Connection: keep-alive, close", line=OLD_GET),
            "200 close",
            KEEP,
        ),
        row(
            "the old version by Proxy-Connection",
            get(b"Proxy-Connection: keep-alive", line=OLD_GET),
            "200 close",
            "RFC 9112 §C.2.2",
        ),
        row("Proxy-Connection: close", get(b"Proxy-Connection: close"), "200 either", "RFC 9112 §C.2.2"),
        row("Keep-Alive: timeout=0", get(b"Keep-Alive: timeout=0, max=0"), "200 open", "RFC 9112 §C.2.2"),
        *(
            row(f"Connection is {value!r}"[:60], get(b"Connection: " + value), f"200 {after}", "RFC 9110 §7.6.1")
            for value, after in KEPT.items()
        ),
        *(
            row(
                f"with a body, Connection is {value!r}"[:60],
                post(b"Connection: " + value),
                f"200 {after}",
                "RFC 9110 §7.6.1",
            )
            for value, after in KEPT.items()
        ),
        *(
            row(
                f"with a request behind, Connection is {value!r}"[:70],
                get(b"Connection: " + value) + SMUGGLED,
                "200 close",
                CLOSE,
            )
            for value, after in KEPT.items()
            if after == "close"
        ),
    ],
    8_192,
)
