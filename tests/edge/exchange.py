"""Sends a stream and looks at what comes back, reading while it sends, as a client does that is no fool."""

from __future__ import annotations

import math
import select
import socket
import struct
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

from tests.edge.answers import MalformedError, WireAnswer, parse
from tests.edge.streams import Again, Await, End, Stream

WAIT_SECONDS = 20.0  # a bound against hanging: a busy machine lets answers wait
PIECE = 65_536


@dataclass
class Seen:
    """What a client saw. after: open, close, or gone. trouble: what no answer may be."""

    answers: list[WireAnswer] = field(default_factory=list)
    after: str = "gone"
    trouble: str = ""

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


class Client:
    """One connection. Raises MalformedError when something comes that is no answer."""

    def __init__(self, port: int, bodiless: Container[int] = ()) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.answers: list[WireAnswer] = []
        self.rest = b""  # what is no whole answer yet
        self._bodiless = bodiless
        self.ended = self._deaf = False

    def send(self, data: bytes) -> None:
        """Send, and take what comes meanwhile; of a server that has closed, take no notice."""
        rest, end = memoryview(data), time.monotonic() + WAIT_SECONDS
        while rest and not self._deaf and time.monotonic() < end:
            readable, writable, _ = select.select([] if self.ended else [self.socket], [self.socket], [], 1)
            if readable:
                self._take()
            if writable:
                try:
                    rest = rest[self.socket.send(rest) :]
                except BlockingIOError:
                    continue
                except OSError:
                    self._deaf = True

    @property
    def finals(self) -> int:
        """How many answers came; those that say to go on are none."""
        return sum(answer.status >= 200 for answer in self.answers)

    def read(self, seconds: float, finals: float = math.inf) -> None:
        """Take what comes until there are so many answers, the server closes, or the time is over."""
        end = time.monotonic() + seconds
        while not self.ended and self.finals < finals and (left := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                self._take()

    def wait(self) -> None:
        """Take what comes until there is one more answer, the server closes, or it takes too long."""
        before, end = len(self.answers), time.monotonic() + WAIT_SECONDS
        while not self.ended and len(self.answers) == before and time.monotonic() < end:
            if select.select([self.socket], [], [], 1)[0]:
                self._take()

    def finish(self, how: End) -> None:
        """End this side."""
        if how is End.HALF:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self._deaf = True
            return
        if how is End.RESET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _take(self) -> None:
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.ended = not data
        came, self.rest = parse(self.rest + data, self._bodiless, self.finals)
        self.answers += came


def exchange(port: int, stream: Stream, probe: bytes, answered: Callable[[WireAnswer], bool]) -> Seen:
    """Send the stream and return what came. Whether the connection is still good is asked with `probe`, where it may be.

    answered: whether an answer is the probe's own.
    """
    client = Client(port, stream.bodiless)
    try:
        return _exchanged(client, stream, probe, answered)
    except MalformedError as error:
        return Seen(trouble=str(error))
    finally:
        client.socket.close()


def _exchanged(client: Client, stream: Stream, probe: bytes, answered: Callable[[WireAnswer], bool]) -> Seen:
    half = False
    for part in _pieces(stream):
        if isinstance(part, bytes):
            client.send(part)
        elif isinstance(part, float):
            client.read(part)
        elif isinstance(part, Await):
            client.wait()
        else:
            client.finish(part)
            if part is not End.HALF:
                return Seen()
            half = True
    wanted = max(len(outcome.answers) for outcome in stream.outcomes)
    client.read(WAIT_SECONDS, wanted)
    if half or client.ended or all(outcome.after == "close" for outcome in stream.outcomes):
        client.read(WAIT_SECONDS)
        return _seen(client, "")
    before = len(client.answers)
    client.send(probe)
    client.read(WAIT_SECONDS, client.finals + 1)
    if len(client.answers) == before:
        return _seen(client, "" if client.ended else "the next request got no answer")
    if answered(client.answers[before]):
        del client.answers[before]
        return _seen(client, "")
    foreign = client.answers[before].status in (200, 404)  # a refusal says that the next request was not seen as one
    return _seen(client, "the next request got an answer that is not its own" if foreign else "")


def _seen(client: Client, trouble: str) -> Seen:
    left = f"{client.rest[:200]!r} left over" if client.rest else ""
    return Seen(client.answers, "close" if client.ended else "open", trouble or left)


def _pieces(stream: Stream) -> Iterator[bytes | float | Await | End]:
    """Yield what is sent; of what is repeated, pieces that are large enough to be quick."""
    for part in stream.sent:
        if isinstance(part, Again):
            at_once = max(1, PIECE // len(part.data))
            for begin in range(0, part.times, at_once):
                yield part.data * min(at_once, part.times - begin)
        else:
            yield part
