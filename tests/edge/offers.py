"""Offers of another protocol, and expectations (RFC 9110 §7.8, §10.1.1): both may be ignored, neither changes the request."""

from __future__ import annotations

from tests.edge.streams import (
    BODY,
    CHUNKED,
    GET,
    HOST,
    LENGTH,
    LIMIT,
    PAST,
    POST,
    SIZE,
    SMUGGLED,
    Await,
    End,
    bare,
    chunk,
    chunks,
    drip,
    family,
    get,
    head,
    post,
    row,
    shown,
)

OFFER = "RFC 9110 §7.8"
CLOSE = "RFC 9112 §9.3, §9.6"
EXPECT = "RFC 9110 §10.1.1"
H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
OLD_GET, OLD_POST = GET.replace(b"1.1", b"1.0"), POST.replace(b"1.1", b"1.0")
OFFERED = (
    b"h2c", b"H2C", b"h2", b"websocket", b"TLS/1.0", b"TLS/1.2, HTTP/1.1", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/3",
    b"SHTTP/1.3, IRC/6.9",
    b"x", b"", b",", b"a/b/c", b"h2c, websocket, x", b"\xff", b"a" * 8000,
)  # fmt: skip
ASK = b"Expect: 100-continue"
AHEAD = bare(ASK, LENGTH, body=b"")

# The server ignores an expectation that it does not know, or answers 417.
EXPECTED = (
    b"x", b"100", b"100-continue, x", b"x, 100-continue", b"200-ok", b"100-continue;q=1", b'"100-continue"', b"",
    b"100-continu",
    b"100-continuee", b"101-upgrade", b"100 continue", b"\xff", b"x=y;z", b"a" * 8000,
)  # fmt: skip

OFFERS = family(
    "offers",
    [
        row("h2c", get(*H2C), "200 open", OFFER),
        row("h2c with a body", post(*H2C), "200 open", OFFER),
        row("h2c with chunks", chunks(*H2C), "200 open", OFFER),
        row("websocket", get(*WEBSOCKET), "200 open", OFFER),
        row("websocket with a body", post(*WEBSOCKET), "200 open", OFFER),
        row("websocket to nowhere", get(*WEBSOCKET, line=b"GET /chat HTTP/1.1"), "404 open", OFFER),
        row(
            "websocket with a body that is a request",
            post(*WEBSOCKET, body=SMUGGLED, line=b"POST /chat HTTP/1.1"),
            "404 open",
            OFFER,
        ),
        row("websocket and a frame behind", get(*WEBSOCKET) + b"\x81\x05hello", "200 400 close | 200 408 close", OFFER),
        row("h2c and its preface behind", get(*H2C) + PREFACE, "200 400/505 close", OFFER),
        row("h2c and a request behind", get(*H2C) + post(), "200 200 open", OFFER),
        row("an offer without Connection", get(b"Upgrade: h2c"), "200 open", OFFER),
        row("Connection without an offer", get(b"Connection: Upgrade"), "200 open", OFFER),
        row("Connection without an offer, with a body", post(b"Connection: Upgrade"), "200 open", OFFER),
        row("Connection without an offer, in chunks", chunks(b"Connection: Upgrade"), "200 open", OFFER),
        row("two offers", get(*H2C, *WEBSOCKET[1:]), "200 open", OFFER),
        row(
            "two lines of Connection",
            get(b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: h2c"),
            "200 open",
            OFFER,
        ),
        row("close, Upgrade", get(b"Connection: close, Upgrade", b"Upgrade: h2c"), "200 close", CLOSE),
        row("Upgrade, close", get(b"Connection: Upgrade, close", b"Upgrade: h2c"), "200 close", CLOSE),
        row(
            "Upgrade and Close", get(b"Connection: Upgrade", b"Upgrade: h2c", b"Connection: Close"), "200 close", CLOSE
        ),
        row(
            "Close before Upgrade",
            get(b"Connection: CLOSE", b"Connection: Upgrade", b"Upgrade: h2c"),
            "200 close",
            CLOSE,
        ),
        row("close with an offer and a body", post(b"Connection: close, Upgrade", b"Upgrade: h2c"), "200 close", CLOSE),
        row(
            "close with an offer and chunks", chunks(b"Connection: close, Upgrade", b"Upgrade: h2c"), "200 close", CLOSE
        ),
        row(
            "close with an offer, one behind",
            get(b"Connection: close, Upgrade", b"Upgrade: h2c") + SMUGGLED,
            "200 close",
            CLOSE,
        ),
        row("the old version", get(*H2C, line=OLD_GET), "200 close", CLOSE),
        row("the old version with a body", post(*H2C, line=OLD_POST), "200 close", CLOSE),
        row(
            "the old version, to be kept",
            get(b"Connection: keep-alive, Upgrade", b"Upgrade: h2c", line=OLD_GET),
            "200 either",
            CLOSE,
        ),
        row("the old version, one behind", get(*H2C, line=OLD_GET) + SMUGGLED, "200 close", CLOSE),
        row("600 offers at once", get(*H2C) * 600, "200*600 open", OFFER),
        row("600 offers with bodies", post(*H2C) * 600, "200*600 open", OFFER),
        row("600 offers with chunks", chunks(*WEBSOCKET) * 600, "200*600 open", OFFER),
        row("600 offers and nonsense", get(*H2C) * 600 + b"nonsense\r\n\r\n", "200*600 400 close", OFFER),
        row("600 offers in pieces", drip(get(*H2C) * 600, 0.0, 997), "200*600 open", OFFER),
        row(
            "600 offers to be ended",
            get(*H2C) * 600 + get(b"Connection: close, Upgrade", b"Upgrade: h2c") + SMUGGLED,
            "200*601 close",
            OFFER,
        ),
        row("an offer byte by byte", drip(post(*H2C), 0.0), "200 open", OFFER),
        row("an offer and two lengths", bare(*H2C, LENGTH, b"Content-Length: 0"), "400 close", "RFC 9112 §6.3"),
        row(
            "an offer, a length and chunks",
            bare(*H2C, LENGTH, CHUNKED, body=chunk(BODY) + b"0\r\n\r\n"),
            "200 close | 400 close",
            "RFC 9112 §6.3",
        ),
        row(
            "an offer and a coding that is not there",
            bare(*H2C, b"Transfer-Encoding: x"),
            "400/501 close",
            "RFC 9112 §6.1",
        ),
        row(
            "an offer and codings on two lines",
            bare(*H2C, b"Transfer-Encoding: identity", CHUNKED, body=chunk(BODY) + b"0\r\n\r\n"),
            "400/501 close",
            "RFC 9112 §6.1",
        ),
        row("an offer and a length that is none", bare(*H2C, b"Content-Length: x"), "400 close", "RFC 9112 §6.3"),
        row(
            "an offer and a body that does not come",
            (bare(*H2C, b"Content-Length: %d" % (SIZE + 1)), PAST),
            "408 close",
            "RFC 9110 §15.5.9",
        ),
        row(
            "an offer and a body too large",
            bare(*H2C, b"Content-Length: %d" % (LIMIT * 9)),
            "413 close",
            "RFC 9110 §15.5.14",
        ),
        row("an offer without Host", head(GET, *H2C), "400 either", "RFC 9112 §3.2"),
        row("an offer with two Hosts", get(*H2C, b"Host: y"), "400 either", "RFC 9112 §3.2"),
        row(
            "an offer and a trailer",
            chunks(*H2C, body=chunk(BODY) + b"0\r\nContent-Encoding: gzip\r\n\r\n"),
            "200 open",
            "RFC 9110 §6.5.1",
        ),
        row("an offer and a content coding", post(*H2C, b"Content-Encoding: x"), "415 either", "RFC 9110 §15.5.16"),
        row(
            "an offer that is folded",
            get(b"Connection: Upgrade", b"Upgrade:\r\n h2c"),
            "200 open | 400 close",
            "RFC 9112 §5.2",
        ),
        row("an offer and an expectation", (bare(*H2C, ASK, LENGTH, body=b""), Await(), BODY), "100 200 open", EXPECT),
        row("CONNECT and an offer", get(*H2C, line=b"CONNECT x:80 HTTP/1.1"), "400/405/501 close", "RFC 9110 §9.3.6"),
        row(
            "CONNECT and one behind",
            get(line=b"CONNECT x:80 HTTP/1.1") + SMUGGLED,
            "400/405/501 close",
            "RFC 9110 §9.3.6",
        ),
        row(
            "CONNECT with a body",
            post(line=b"CONNECT x:80 HTTP/1.1") + SMUGGLED,
            "400/405/501 close",
            "RFC 9110 §9.3.6",
        ),
        *(
            row(f"the offer of {shown(one)}", get(b"Connection: Upgrade", b"Upgrade: " + one), "200 open", OFFER)
            for one in OFFERED
        ),
        *(
            row(
                f"the offer of {shown(one)} with a body",
                post(b"Connection: Upgrade", b"Upgrade: " + one),
                "200 open",
                OFFER,
            )
            for one in OFFERED
        ),
    ],
)

EXPECTATIONS = family(
    "expectations",
    [
        row("a body that waits", (AHEAD, Await(), BODY), "100 200 open", EXPECT),
        row("a body that does not wait", AHEAD + BODY, "100? 200 open", EXPECT),
        row("capitals", (AHEAD.replace(b"continue", b"CONTINUE"), Await(), BODY), "100 200 open", EXPECT),
        row("chunks that wait", (chunks(ASK, body=b""), Await(), chunk(BODY) + b"0\r\n\r\n"), "100 200 open", EXPECT),
        row("the head in pieces", (*drip(AHEAD, 0.0, 5), Await(), BODY), "100 200 open", EXPECT),
        row("a part of the body", (AHEAD + BODY[:5], 0.3, BODY[5:]), "100? 200 open", EXPECT),
        row("no body", get(ASK), "100? 200 open | 417 either", EXPECT),
        row("a body of nothing", post(ASK, body=b""), "100? 400 open", EXPECT),
        row("the old version", (bare(ASK, LENGTH, body=b"", line=OLD_POST), 0.3, BODY), "200 close", EXPECT),
        row("twice", (bare(ASK, ASK, LENGTH, body=b""), 0.3, BODY), "100? 200 open | 417 either", EXPECT),
        row(
            "to nowhere",
            (bare(ASK, LENGTH, body=b"", line=b"POST /nowhere HTTP/1.1"), 0.3, BODY),
            "100? 404 open | 404 close",
            EXPECT,
        ),
        row("too large", bare(ASK, b"Content-Length: %d" % (LIMIT * 2), body=b""), "413/417 close", EXPECT),
        row("far too large", bare(ASK, b"Content-Length: %d" % (1 << 62), body=b""), "413/417 close", EXPECT),
        row("the body does not come", (AHEAD, PAST), "100 408 close", "RFC 9110 §15.5.9"),
        row("half closed instead", (AHEAD, Await(), End.HALF), "100 400 close | 100 close", "RFC 9112 §8"),
        row("closed instead", (AHEAD, End.CLOSE), "gone", EXPECT),
        row("reset instead", (AHEAD, 0.1, End.RESET), "gone", EXPECT),
        row("two that wait", (AHEAD, Await(), BODY, AHEAD, Await(), BODY), "100 200 100 200 open", EXPECT),
        row("a wrong length", bare(ASK, b"Content-Length: x", body=b""), "400 close", "RFC 9112 §6.3"),
        row("a wrong coding", bare(ASK, b"Transfer-Encoding: x", body=b""), "400/501 close", "RFC 9112 §6.1"),
        row(
            "a length and chunks",
            bare(ASK, LENGTH, CHUNKED, body=b""),
            "400 close | 100? 400/408 close",
            "RFC 9112 §6.3",
        ),
        row("no Host", head(POST, ASK, LENGTH), "400 close | 100? 400/408 close", "RFC 9112 §3.2"),
        row(
            "in a trailer",
            chunks(body=chunk(BODY) + b"0\r\nExpect: 100-continue\r\n\r\n"),
            "200 open",
            "RFC 9110 §6.5.1",
        ),
        *(
            row(f"expects {shown(one)}", post(b"Expect: " + one), "100? 200 open | 417 either", EXPECT)
            for one in EXPECTED
        ),
        row(
            "Host is missing behind it",
            head(GET, ASK) + SMUGGLED.replace(HOST, b"Host: y"),
            "400 close | 100? 400 404 open",
            "RFC 9112 §3.2",
        ),
    ],
)
