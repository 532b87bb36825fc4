"""Mutations of the corpus against a connection in this process, guided by the lines of the transport that they reach.

An input that takes a way through `modelmill_server.http` that none took before, or is refused in words that none was, is
kept and changed further. What has to hold of every input is in `Trial`; an input that breaks it is made small and told.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import modelmill_server.http
from modelmill_server.http.connections import ConnectionBounds, Connections
from modelmill_server.http.messages import Answer, Request
from tests.edge.answers import parse
from tests.edge.reference import Meaning, meanings
from tests.edge.sockets import FakeTransport, held_bytes

TRANSPORT = str(Path(modelmill_server.http.__file__).parent)
BOUNDS = ConnectionBounds(body_bytes=512, body_seconds=1.0, idle_seconds=1.0)
SPARSE = replace(BOUNDS, held_bytes=400)
"""So few bytes for all requests that some find no place."""
LONGEST = 8_000  # of inputs, but for the few that are made large
HELD_BYTES = 4 << 20  # of one connection: a head of 64 KiB in the smallest fields, what waits, and a read
NOT_TRACED: AbstractContextManager[Any] = nullcontext()
WORDS = re.compile(rb'\{"error":"[^0-9\'\\"]*')  # of a refusal, up to what is quoted
EXPIRIES = 8  # more than any connection needs to end when its clock is over
SEPARATORS = (
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b",",
    b":",
    b";",
    b"=",
    b'"',
    b"0",
    b"\x0b",
    b"\x80",
    b"\xff",
    b"\r\n\r\n",
)


class Handler:
    """Answers at once, or a little later where the path says so, and numbers its answers."""

    draining = False

    def __init__(self) -> None:
        self.handled: list[Request] = []
        self.refused_methods: list[str] = []
        self.running = 0

    def handle(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        self.handled.append(request)
        answer = (200, request.path.encode()[:50], [("number", str(len(self.handled) - 1))])
        if "live" not in request.path:
            return answer
        self.running += 1
        return self._later(answer)

    def refused(self, request: Request, status: int) -> None:
        self.refused_methods.append(request.method)

    async def _later(self, answer: Answer) -> Answer:
        for _ in range(3):
            await asyncio.sleep(0)
        self.running -= 1
        return answer


@dataclass
class Trial:
    """One input, cut into pieces, on one connection.

    end: what the client does behind it: waits until its time is over (expire), closes one half, leaves, or resets while it is
    being answered. slow: it takes its answers in parts. hasty: it sends its pieces without waiting for answers.
    """

    data: bytes
    cuts: tuple[int, ...] = ()
    end: str = "expire"
    slow: bool = False
    hasty: bool = False
    bounds: ConnectionBounds = BOUNDS
    said: set[bytes] = field(default_factory=set)
    ways: AbstractContextManager[Any] = NOT_TRACED

    async def run(self) -> tuple[list[Request], list[int]]:
        """Return what was handled, and the statuses. Raises AssertionError where something does not hold."""
        handler = Handler()
        connections = Connections(handler, self.bounds)
        connection = connections.make()
        transport = FakeTransport(connection, 500 if self.slow else None)
        connection.connection_made(transport)
        for begin, end in zip((0, *self.cuts), (*self.cuts, len(self.data)), strict=True):
            if not transport.closing:
                with self.ways:
                    connection.data_received(self.data[begin:end])
                if not self.hasty:
                    await self._quiet(handler, transport)
        if len(self.data) > LONGEST:
            assert held_bytes(connection, (connections, handler, transport)) < HELD_BYTES
        if self.end == "reset":
            transport.closing = True
        if self.end == "half" and not transport.closing and not connection.eof_received():
            assert transport.closing
        if not transport.closing:
            await self._quiet(handler, transport)
        for _ in range(EXPIRIES if self.end in ("expire", "half") else 0):
            if not transport.closing:
                connection.expire()
                await self._quiet(handler, transport)
        assert transport.closing or self.end == "leave", "the connection does not end"
        connection.connection_lost(None)
        await self._quiet(handler, transport)
        assert not connections.open
        assert connections.budget.held == 0
        return self._checked(handler, bytes(transport.sent))

    def _checked(self, handler: Handler, sent: bytes) -> tuple[list[Request], list[int]]:
        bodiless = {place for place, request in enumerate(handler.handled) if request.method == "HEAD"}
        if handler.refused_methods and handler.refused_methods[0] == "HEAD":
            bodiless.add(len(handler.handled))
        answers, rest = parse(sent, bodiless)
        assert not rest, f"not an answer: {rest[:200]!r}"
        final = [answer for answer in answers if answer.status >= 200]
        numbers = [int(answer.headers[b"number"]) for answer in final if b"number" in answer.headers]
        assert numbers == list(range(len(numbers))), f"out of order: {numbers}"
        assert all(answer.status >= 400 and answer.status != 500 for answer in final[len(numbers) :]), (
            "a refusal that is none"
        )
        assert len(final) <= len(numbers) + 1, "more answers than requests"
        assert len(answers) - len(final) <= len(handler.handled) + 1, "more interim answers than requests"
        self.said |= {words[0] for answer in final if (words := WORDS.match(answer.body))}
        return handler.handled, [answer.status for answer in final]

    @staticmethod
    async def _quiet(handler: Handler, transport: FakeTransport) -> None:
        """Let go on what can."""
        while True:
            took = transport.take()
            await asyncio.sleep(0)
            if not took and not handler.running:
                return


async def check(trial: Trial) -> None:
    """Run a trial, whole and in pieces, and compare it with the second reader. Raises AssertionError."""
    handled, statuses = await trial.run()
    meant = list(meanings(trial.data))
    assert len(handled) <= len(meant), f"handled {handled[len(meant)]}, which is no request"
    for request, meaning in zip(handled, meant, strict=False):
        found = Meaning(request.method, request.path if meaning.path else "", dict(request.headers), request.body)
        assert found == meaning, f"handled {found} where {meaning} was sent"
    if trial.cuts and trial.end != "reset" and not trial.slow and trial.bounds is BOUNDS:
        whole = await replace(trial, cuts=(), said=set(), ways=NOT_TRACED).run()
        assert len(whole[0]) == len(handled), f"handled {len(handled)} in pieces, {len(whole[0])} in one"
        refused = [[status >= 400 for status in one] for one in (statuses, whole[1])]  # in other words, perhaps
        assert refused[0] == refused[1], f"{statuses} in pieces, {whole[1]} in one"


class Ways:
    """The ways through the transport that were taken: pairs of lines behind each other."""

    def __init__(self) -> None:
        self.taken: set[tuple[CodeType, int, int]] = set()
        self._last: dict[FrameType, int] = {}

    def __enter__(self) -> Ways:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return self._stepped if frame.f_code.co_filename.startswith(TRANSPORT) else None

    def _stepped(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "line":
            self.taken.add((frame.f_code, self._last.get(frame, 0), frame.f_lineno))
            self._last[frame] = frame.f_lineno
        elif event == "return":
            self._last.pop(frame, None)
        return self._stepped


@dataclass
class Fuzzer:
    """Changes inputs by chance, always the same for a seed."""

    pool: list[bytes]
    chance: random.Random
    tried: int = 0
    kept: int = 0

    def __post_init__(self) -> None:
        lines = {line for one in self.pool for line in one[:2000].split(b"\r\n") if len(line) < 200}
        self._lines = sorted(lines)
        of_bytes = self._insert, self._delete, self._flip, self._repeat, self._cut, self._swap
        self._changes = *of_bytes, self._splice, self._add_line, self._drop_line

    async def run(self, seconds: float) -> None:
        """Try inputs for so long. Raises AssertionError with the smallest input that was found to break something."""
        ways, said = Ways(), set[bytes]()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            trial = self._next()
            before = len(ways.taken) + len(said)
            trial.ways = ways
            await self._tried(trial)
            self.tried += 1
            said |= trial.said
            if len(ways.taken) + len(said) > before and len(trial.data) <= LONGEST:
                self.kept += 1
                self.pool.append(trial.data)

    async def _tried(self, trial: Trial) -> None:
        try:
            await check(trial)
        except Exception as error:
            small = await smallest(trial)
            raise AssertionError(
                f"{str(error)[:500]} with {small.data!r} cut at {small.cuts}, then {small.end}"
            ) from error

    def _next(self) -> Trial:
        chance, pool = self.chance, self.pool
        data = pool[-chance.randrange(1, 1 + min(len(pool), 200))] if chance.random() < 0.5 else chance.choice(pool)
        for _ in range(chance.choice((0, 1, 1, 2, 3, 6))):
            data = chance.choice(self._changes)(data)
        if chance.random() < 0.005:
            at, size = self._place(data), chance.choice((1, 6, 30, 300, 3000))
            data = data[:at] + data[at : at + size] * (chance.randrange(60_000, 300_000) // size) + data[at + size :]
        else:
            data = data[:LONGEST]
        cuts: tuple[int, ...] = ()
        if chance.random() < 0.4 and len(data) > 1:
            cuts = tuple(sorted({chance.randrange(1, len(data)) for _ in range(chance.choice((1, 2, 8)))}))
        end, bounds = chance.choice(("expire", "half", "leave", "reset")), SPARSE if chance.random() < 0.1 else BOUNDS
        return Trial(data, cuts, end, chance.random() < 0.1, chance.random() < 0.5, bounds)

    def _place(self, data: bytes) -> int:
        return self.chance.randrange(len(data) + 1)

    def _insert(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self.chance.choice(SEPARATORS) + data[at:]

    def _delete(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + data[at + self.chance.choice((1, 1, 2, 8, 30)) :]

    def _flip(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + bytes([self.chance.randrange(256)]) + data[at + 1 :]

    def _repeat(self, data: bytes) -> bytes:
        at, size = self._place(data), self.chance.choice((1, 4, 30, 300))
        return data[:at] + data[at : at + size] * self.chance.choice((2, 3, 40)) + data[at + size :]

    def _splice(self, data: bytes) -> bytes:
        other = self.chance.choice(self.pool)
        return data[: self._place(data)] + other[self._place(other) :]

    def _add_line(self, data: bytes) -> bytes:
        parts = data.split(b"\r\n")
        parts.insert(self.chance.randrange(len(parts) + 1), self.chance.choice(self._lines))
        return b"\r\n".join(parts)

    def _drop_line(self, data: bytes) -> bytes:
        parts = data.split(b"\r\n")
        del parts[self.chance.randrange(len(parts))]
        return b"\r\n".join(parts)

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _swap(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + data[at : at + 1].swapcase() + data[at + 1 :] + self.chance.choice(self.pool)


async def smallest(trial: Trial) -> Trial:
    """Return an input that still breaks something, of which no part can be left out."""
    size = len(trial.data) // 2
    while size:
        at = 0
        while at < len(trial.data):
            data = trial.data[:at] + trial.data[at + size :]
            cuts = tuple(cut for cut in trial.cuts if cut < len(data))
            shorter = replace(trial, data=data, cuts=cuts, said=set(), ways=NOT_TRACED)
            if await _breaks(shorter):
                trial = shorter
            else:
                at += size
        size //= 2
    return trial


async def _breaks(trial: Trial) -> bool:
    try:
        await check(trial)
    except Exception:
        return True
    return False
