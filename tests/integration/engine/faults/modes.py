"""What goes wrong in a plan of tier 1: at a write, or in the watch of a kind."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.kube.objects import Resource
from modelmill.kube.resources import DEPLOYMENTS, JOBS, PODS
from tests.crash.faults import KILLED_AFTER, KILLED_BEFORE, REPLY_LOST, Write
from tests.integration.engine.fault_proxy import NO_ANSWER, SILENCE, FaultProxy, expired_line

DEATHS = (KILLED_BEFORE, KILLED_AFTER, REPLY_LOST)
STATUSES = ("403", "409", "422", "429", "500", "503")
FOR_EVER_SECONDS = 12.0
"""How long `for ever` is; afterwards it has to heal."""
TOLD_SECONDS = 60.0
"""How long `for ever` is at most while what a person must mend is not told, for a slow machine."""
MANY = 10
STALL_SECONDS = 8.0


@dataclass(frozen=True)
class WriteFault:
    """A write that fails. times: how often the same one does, or how often others of it in a row; 0 for ever."""

    write: Write
    mode: str
    times: int = 1

    @property
    def number(self) -> str:
        """Where docs/reliability.md has it."""
        return {KILLED_AFTER: "F1", KILLED_BEFORE: "F2", REPLY_LOST: "F3"}.get(self.mode, "F4")

    @property
    def told(self) -> bool:
        """Whether a person must mend it, so that it has to be told. A status that cannot be written tells nothing."""
        return self.times == 0 and self.mode in ("403", "422") and self.write.verb != "status"

    def __str__(self) -> str:
        return f"{self.write}: {self.mode} {({0: 'for ever', 1: 'once'}).get(self.times, f'{self.times} times')}"

    def strike(self, proxy: FaultProxy) -> Strikes:
        """Let the proxy fail the write; return the count of strikes."""
        strikes = Strikes(self)
        proxy.strike = strikes
        return strikes


class Strikes:
    """A fault at work. count: how often it struck. began: its first time, by `time.monotonic()`.

    told: whether a condition has told it.
    """

    def __init__(self, fault: WriteFault) -> None:
        self.told = False
        self.fault = fault
        self.count = 0
        self.began: float | None = None

    def __call__(self, write: Write) -> str | None:
        wanted = self.fault.write
        if (write.verb, write.kind, write.name) != (wanted.verb, wanted.kind, wanted.name) or write.time < wanted.time:
            return None
        if self.began is None:
            self.began = time.monotonic()
        if self._late(self.began) if self.fault.times == 0 else self.count >= self.fault.times:
            return None
        self.count += 1
        return self.fault.mode

    @property
    def lasting(self) -> bool:
        """Whether a refusal for ever has not ended yet."""
        return self.fault.times == 0 and self.began is not None and not self._late(self.began)

    def _late(self, began: float) -> bool:
        seconds = FOR_EVER_SECONDS if self.told or not self.fault.told else TOLD_SECONDS
        return time.monotonic() > began + seconds


STALLED = f"stalled for {STALL_SECONDS:.0f} s"
SILENT = "silent for ever"
EXPIRED = "expired in the stream"
REFUSED = "expired at the request"
TORN = "torn in a line"
DOUBLED = "each event three times"
WATCH_MODES = {STALLED: "F6", SILENT: "F9", EXPIRED: "F9", REFUSED: "F9", TORN: "F9", DOUBLED: "F10"}
WATCHED = (PODS, JOBS, DEPLOYMENTS, TRAINING_JOBS, MODEL_VERSIONS, INFERENCE_SERVICES)


@dataclass(frozen=True)
class WatchFault:
    """The watch of a kind that fails after so many events."""

    kind: Resource
    mode: str
    events: int

    @property
    def number(self) -> str:
        """Where docs/reliability.md has it."""
        return WATCH_MODES[self.mode]

    told = False

    def __str__(self) -> str:
        return f"watch of {self.kind.plural} {self.mode} after {self.events} events"

    def strike(self, proxy: FaultProxy) -> Streams:
        """Let the proxy fail the watch; return the count of strikes."""
        streams = Streams(self)
        proxy.relay = streams.relay
        proxy.refuse = streams.refuse
        return streams


class Streams:
    """A fault of a watch at work. count: how often it struck."""

    lasting = False

    def __init__(self, fault: WatchFault) -> None:
        self.fault = fault
        self.count = 0
        self._events = 0
        self._gone = threading.Event()

    def refuse(self, method: str, path: str) -> int | None:
        """Refuse the first request for a watch after the stream had ended."""
        if method != "GET" or "watch=" not in path or not self._concerns(path.partition("?")[0]):
            return None
        if not self._gone.is_set():
            return None
        self._gone.clear()
        self.count += 1
        return 410

    async def relay(self, path: str, line: bytes, response: web.StreamResponse) -> bool:
        """Pass a line on, or do what the fault does."""
        if not self._concerns(path) or b'"BOOKMARK"' in line[:30]:
            await response.write(line)
            return True
        self._events += 1
        mode = self.fault.mode
        if mode == DOUBLED:
            self.count += 1
            await response.write(line * 3)
            return True
        if self._events != self.fault.events:
            await response.write(line)
            return True
        self.count += 1
        if mode == SILENT:
            await asyncio.Event().wait()
        if mode == STALLED:
            await asyncio.sleep(STALL_SECONDS)
            await response.write(line)
            return True
        if mode == EXPIRED:
            await response.write(expired_line())
        if mode == TORN:
            await response.write(line[: len(line) // 2])
        if mode == REFUSED:
            self._gone.set()
        return False

    def _concerns(self, path: str) -> bool:
        return path.endswith(f"/{self.fault.kind.plural}")


GONE, THROTTLED = "gone", "429"


@dataclass(frozen=True)
class Outage:
    """From a write on the API server answers nothing (`gone`) or the same status to everything, for a time."""

    write: Write
    mode: str
    seconds: float

    told = False

    @property
    def number(self) -> str:
        """Where docs/reliability.md has it."""
        return {GONE: "F14", THROTTLED: "F4"}[self.mode]

    def __str__(self) -> str:
        return f"{self.write}: API server {self.mode} for {self.seconds:.0f} s"

    def strike(self, proxy: FaultProxy) -> Outages:
        """Let the outage begin with the write; return the count of requests that it struck."""
        return Outages(self, proxy)


class Outages:
    """An outage at work. count: requests that it struck."""

    def __init__(self, fault: Outage, proxy: FaultProxy) -> None:
        self.fault = fault
        self.count = 0
        self.began: float | None = None
        self._proxy = proxy
        proxy.strike = self._begin
        proxy.refuse = self._refuse

    @property
    def lasting(self) -> bool:
        """Whether it has begun and not ended yet."""
        return self.began is not None and time.monotonic() < self.began + self.fault.seconds

    def _begin(self, write: Write) -> str | None:
        if write == self.fault.write and self.began is None:
            self.began = time.monotonic()
            if self.fault.mode == GONE:
                self._proxy.end_streams()
                return REPLY_LOST
        return None

    def _refuse(self, _method: str, _path: str) -> int | None:
        if not self.lasting:
            return None
        self.count += 1
        return NO_ANSWER if self.fault.mode == GONE else int(self.fault.mode)


Fault = WriteFault | WatchFault | Outage
AtWork = Strikes | Streams | Outages


def sample(writes: Sequence[Write], kinds: Sequence[str], count: int, seed: str) -> list[Fault]:
    """Return faults of a scenario, chosen by the seed: a death, a lost answer, a refusal, a broken watch, and so on.

    writes: those of its clean run. kinds: of the objects that it has.
    """
    chance = random.Random(seed)
    makers = _makers(chance, writes, [one for one in WATCHED if one.kind in kinds])
    return [next(makers) for _ in range(count)]


def _makers(chance: random.Random, writes: Sequence[Write], kinds: Sequence[Resource]) -> Iterator[Fault]:
    while True:
        for mode in DEATHS:
            yield WriteFault(chance.choice(writes), mode)
        yield WriteFault(chance.choice(writes), chance.choice(STATUSES))
        yield WatchFault(chance.choice(kinds), chance.choice(list(WATCH_MODES)), chance.randint(1, 4))
        yield WriteFault(chance.choice(writes), chance.choice(STATUSES), MANY)
        yield WriteFault(chance.choice(writes), chance.choice(STATUSES), 0)
        deletes = [write for write in writes if write.verb == "delete"] or list(writes)
        yield WriteFault(chance.choice(deletes), chance.choice((*DEATHS, *STATUSES, SILENCE)))
        yield WriteFault(chance.choice(writes), SILENCE, chance.choice((1, 2)))
