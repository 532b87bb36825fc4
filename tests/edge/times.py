"""Slow, late, early and half: clients that stop, drip, close one half or both, or reset (RFC 9110 §15.5.9, RFC 9112 §8, §9)."""

from __future__ import annotations

from tests.edge.streams import (
    BODY,
    GET,
    HOST,
    LAST,
    LENGTH,
    PAST,
    SECONDS,
    SIZE,
    Again,
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
)

LATE = "RFC 9110 §15.5.9"
HALF = "RFC 9112 §8, §9.5"
GONE = "RFC 9112 §9.5"
HEAD = bare(LENGTH, body=b"")
WHOLE = post()
CUTS = {
    "the method": 2,
    "the target": 9,
    "the version": 24,
    "the first line": 28,
    "the name of a field": 31,
    "a value": 34,
    "a field": 37,
    "the last line": len(HEAD) - 1,
    "the body's first byte": len(HEAD) + 1,
    "the body": len(HEAD) + SIZE // 2,
    "the body's last byte": len(WHOLE) - 1,
}
PIPELINE = post() * 20 + get(line=b"GET /metrics HTTP/1.1") * 20
SLOW = (SECONDS + 2.5) / 12  # twelve pieces so far apart take longer than the server waits

TIMES = family(
    "times",
    [
        row("nothing", (PAST,), "close | 408 close", LATE),
        row("nothing, half closed", (End.HALF,), "close", HALF),
        row("nothing, closed", (End.CLOSE,), "gone", GONE),
        row("nothing, reset", (End.RESET,), "gone", GONE),
        row("an empty line", (b"\r\n", PAST), "close | 408 close", LATE),
        row("idle behind an answer", (get(), PAST), "200 close", "RFC 9112 §9.5"),
        row("half closed behind a request", (get(), End.HALF), "200 close", "RFC 9112 §9.6"),
        row("half closed behind three", (post() * 3, End.HALF), "200 200 200 close", "RFC 9112 §9.6"),
        row("half closed behind chunks", (chunks(), End.HALF), "200 close", "RFC 9112 §9.6"),
        row(
            "half closed behind a good one and a half",
            (post() + WHOLE[:20], End.HALF),
            "200 400 close | 200 close",
            HALF,
        ),
        *(row(f"stops in {name}", (WHOLE[:cut], PAST), "408 close", LATE) for name, cut in CUTS.items()),
        *(
            row(f"half closes in {name}", (WHOLE[:cut], End.HALF), "400 close | close", HALF)
            for name, cut in CUTS.items()
        ),
        *(
            row(f"half closes in {name}, later", (WHOLE[:cut], 0.2, End.HALF), "400 close | close", HALF)
            for name, cut in CUTS.items()
        ),
        *(row(f"closes in {name}", (WHOLE[:cut], End.CLOSE), "gone", GONE) for name, cut in CUTS.items()),
        *(row(f"resets in {name}", (WHOLE[:cut], 0.05, End.RESET), "gone", GONE) for name, cut in CUTS.items()),
        *(
            row(f"stops in {name} of the second", (post() + WHOLE[:cut], PAST), "200 408 close", LATE)
            for name, cut in CUTS.items()
        ),
        row("byte by byte", drip(post(), 0.0), "200 open", "RFC 9112 §2.2"),
        row("byte by byte in chunks", drip(chunks(), 0.0), "200 open", "RFC 9112 §7.1"),
        row("two bytes a time", drip(post() * 3, 0.001, 2), "200 200 200 open", "RFC 9112 §2.2"),
        row("a line at a time", (head(GET)[:-2], 0.05, b"Host: x\r\n", 0.05, b"\r\n"), "200 open", "RFC 9112 §2.2"),
        row("CR and LF apart", (get()[:-1], 0.1, b"\n"), "200 open", "RFC 9112 §2.2"),
        row("the body at last", (HEAD, SECONDS / 2, BODY), "200 open", LATE),
        row("a slow head", drip(get(), SLOW, len(get()) // 11), "408 close", LATE),
        row("a slow head without end", (get()[:-2], *drip(b"A: b\r\n" * 12, SLOW, 6)), "408 close", LATE),
        row("a slow body", (HEAD, *drip(BODY, SLOW, SIZE // 11)), "408 close", LATE),
        row("a slow body in chunks", (chunks(body=b""), *drip(chunk(b" ") * 12, SLOW, 6)), "408 close", LATE),
        row(
            "slow trailers", (chunks(body=chunk(BODY) + b"0\r\n"), *drip(b"A: b\r\n" * 12, SLOW, 6)), "408 close", LATE
        ),
        row("slow empty lines", drip(b"\r\n" * 12, SLOW, 2), "close | 408 close", LATE),
        row("slow in the second", (post(), *drip(get(), SLOW, len(get()) // 11)), "200 408 close", LATE),
        row("half closed behind a refusal", (b"nonsense\r\n\r\n", 0.2, End.HALF), "400 close", "RFC 9112 §9.6"),
        row("sends on behind a refusal", (b"nonsense\r\n\r\n", Again(b"x" * 1000, 2000)), "400 close", "RFC 9112 §9.6"),
        row(
            "sends on behind the last answer",
            (get(b"Connection: close"), Again(get(), 2000)),
            "200 close",
            "RFC 9112 §9.6",
        ),
        row("resets behind a refusal", (b"nonsense\r\n\r\n", End.RESET), "gone", GONE),
        row("closes before its answer", (post(), End.CLOSE), "gone", GONE),
        row("resets before its answer", (post(), End.RESET), "gone", GONE),
        row("closes before forty answers", (PIPELINE, End.CLOSE), "gone", GONE),
        row("resets before forty answers", (PIPELINE, End.RESET), "gone", GONE),
        row("resets among forty answers", (PIPELINE, 0.02, End.RESET), "gone", GONE),
        row("half closed before forty answers", (PIPELINE, End.HALF), "200*40 close", "RFC 9112 §9.6"),
        row(
            "closes within a large body", (bare(b"Content-Length: 100000", body=b" " * 60_000), End.CLOSE), "gone", GONE
        ),
        row(
            "resets within a large body",
            (bare(b"Content-Length: 100000", body=b" " * 60_000), 0.05, End.RESET),
            "gone",
            GONE,
        ),
        row("closes within many chunks", (chunks(body=b""), Again(b"1\r\n \r\n", 20_000), End.CLOSE), "gone", GONE),
        row(
            "resets within a refused body",
            (bare(b"Content-Length: 9999999", body=b" " * 60_000), End.RESET),
            "gone",
            GONE,
        ),
        row("the last chunk at last", (chunks(body=chunk(BODY)), SECONDS / 2, LAST), "200 open", LATE),
        row("a head that was begun before its time was over", (HOST, PAST), "408 close | 400 close", LATE),
    ],
)
