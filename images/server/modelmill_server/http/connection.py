"""HTTP/1.1 on the event loop: one connection is one object, its requests are answered one after the other.

A request whose answer is there at once never leaves the callback that brought its last byte: no task, no second
thread, one write.

*Refusals.* What is wrong with the bytes is found while requests before it may still wait for the model, and their
clients have a right to their answers, in order. So a refusal does two things at two times. At once, nothing more is
read (`RequestReader.stop`) and the refusal is kept in `_refusal`. Its answer is written by `_rest`, when the queue is
empty, nothing runs and the client takes what is written. After it, as after every answer that closes, `_linger` shuts
our half only: a client that is still sending would otherwise get a reset, which throws the refusal away before it is
read (RFC 9112, 9.6). What it still sends is dropped until it closes or its time is over.

*Memory.* What is kept between two callbacks (a part of a request, requests that wait, the one that the model works on, answers
of more than SMALL_BYTES that their client does not take) is charged to the budget of all connections by `_settle`, and given
back there: the sum is computed anew each time, so that no way out can forget a part of it. A large answer for which there is
no room is not begun: its client gets 503.

*Time.* `deadline` is the one clock of a connection, looked at by `Connections.sweep`: a client's own time runs only
while it owes something (the head, the body, taking its answers), never while the model works. A client that takes its
answers slowly is kept as long as each period brings it further; `_unsent` is what was left at the last look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from modelmill_server.http.budget import SMALL_BYTES
from modelmill_server.http.messages import CLIENT_LEFT, JSON, Answer, Request, write_busy, write_error
from modelmill_server.http.reading import NOT_HANDLED, RequestReader

if TYPE_CHECKING:
    from modelmill_server.http.connections import Connections

log = logging.getLogger("modelmill_server")

MAX_PIPELINED = 16  # requests of one connection that wait; then it is not read from
FIRST_REQUEST_SECONDS = 1.0  # for a connection that was just made when the server ends
LINGER_SECONDS = 2.0  # a client that is still sending gets so long to read why it was refused
JSON_LINE = b"content-type: application/json\r\n"
CUT_OFF = "the request ends before its body does"
BUSY = "the server holds as much of unanswered requests as it may; try again later"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NEVER = float("inf")
FIRST_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Connection(asyncio.Protocol):
    """One connection. deadline: when `expire` is to be called, by time.monotonic; NEVER while its client owes nothing.

    address: of the client.
    """

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self._handler = owner.handler
        self._bounds = owner.bounds
        self._transport: Any = None
        self._budget = owner.budget
        self._reader = RequestReader(self, owner.bounds.body_bytes)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._queued = 0  # bytes of the requests that wait
        self._task: asyncio.Task[None] | None = None
        self._worked_on: Request | None = None  # by the task
        self._charged = 0
        self._refusing = False  # nothing that still comes is looked at
        self._refusal: tuple[Request, Answer] | None = None  # to be written behind the answers that are due
        self._continue = False  # the client waits for a word before it sends the body
        self._fresh = True
        self._paused = False  # not read from, since enough requests wait
        self._blocked = False  # the client does not take its answers
        self._unsent = 0
        self._ended = False  # the client has closed its half
        self.address = ""
        self.deadline = NEVER

    # Called by the event loop.

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        self._transport = transport
        transport.set_write_buffer_limits(high=SMALL_BYTES)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""  # none: it has left already
        self.deadline = time.monotonic() + self._bounds.idle_seconds
        if not self._owner.admit(self):
            self.refuse(503, "too many connections at once; try again later")

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection; a request of which a part is here counts as left by its client."""
        self._owner.open.discard(self)
        self.deadline = NEVER
        self._blocked = False
        left = self._reader.stop()
        if left is not None:
            self._handler.refused(left, CLIENT_LEFT)
        self._forget_waiting()
        self._reader.close()
        self._settle()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and answer the requests that it completes."""
        reader = self._reader
        reader.feed(data)
        if (
            self._charged
            or self._queued
            or self._worked_on
            or self._blocked
            or reader.incoming is not None
            or reader.rest
        ):
            self._settle()

    def eof_received(self) -> bool:
        """Keep the other half open while there is something to answer."""
        self._ended = True
        if self._reader.incoming is not None:
            self.refuse(400, CUT_OFF)
        if self._task is not None or self._waiting or self._refusal is not None:
            return True
        self._close()
        return False

    def pause_writing(self) -> None:
        """The client does not read its answers: answer no more for now, and not for ever."""
        self._blocked = True
        self._transport.pause_reading()
        self._expect_taking()

    def resume_writing(self) -> None:
        """Go on, but not in this callback: asyncio's transport may not be closed in it (it would be closed twice)."""
        self._blocked = False
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if self._blocked or self._transport.is_closing():
            return
        self.deadline = NEVER
        self._next()
        if not (self._blocked or self._paused or self._transport.is_closing()):
            self._transport.resume_reading()
        self._settle()

    # Called by the reader.

    def body_begins(self, length: int, expects_continue: bool) -> None:
        """Give the body its time, if there is room for it."""
        if not self._budget.allows(self._charged, self._charged + length):
            self.refuse(503, BUSY)
            return
        if not self._blocked:
            self.deadline = time.monotonic() + self._bounds.body_seconds
        if expects_continue:
            self._continue = True
            if self._task is None and not self._waiting and not self._blocked:
                self._say_continue()

    def arrived(self, request: Request, keep: bool) -> None:
        """Answer the request, or let it wait for those before it."""
        if not self._blocked:
            self.deadline = NEVER
        self._fresh = self._continue = False
        if request.body and self._budget.is_spent:
            self.refuse(503, BUSY, request)
            return
        self._waiting.append((request, keep))
        self._queued += request.size
        if self._task is None and not self._blocked:
            self._next()
        elif self._crowded():
            self._paused = self._reader.paused = True
            self._transport.pause_reading()

    def refuse(self, status: int, message: str, whole: Request | None = None) -> None:
        """Answer what is wrong, behind the answers that are due, and end the connection. whole: the request, if it is."""
        self._refusing = True
        begun = self._reader.stop() or whole
        if begun is not None:
            self._handler.refused(begun, status)
        answer = write_busy(message) if status == 503 else write_error(status, message)
        self._refusal = begun or Request("", "", {}, b"", 0.0), answer
        if not self._blocked:
            self.deadline = NEVER
        self._settle()
        self._rest()

    # Answers.

    def _next(self) -> None:
        """Answer what waits, as far as answers are there at once."""
        while self._waiting and not self._blocked and not self._transport.is_closing():
            request, keep = self._waiting.popleft()
            self._queued -= request.size
            answer = self._handler.handle(request)
            if not isinstance(answer, tuple):
                self._worked_on, request.grown = request, self._settle
                self._task = asyncio.get_running_loop().create_task(self._later(request, keep, answer))
                return
            self._write(request, keep, answer)
        if self._paused:
            self._read_on()
        self._rest()

    async def _later(self, request: Request, keep: bool, coming: Coroutine[Any, Any, Answer]) -> None:
        try:
            answer = await coming
        except Exception:
            log.exception("a request could not be handled")
            answer = write_error(500, NOT_HANDLED)
        self._task = None
        self._worked_on = None
        if self._transport.is_closing():
            self._settle()
            return
        self._write(request, keep, answer)
        if self._blocked:
            self._expect_taking()
        self._next()
        self._settle()

    def _crowded(self) -> bool:
        """Return whether so much waits that no more is to be read."""
        return len(self._waiting) >= MAX_PIPELINED or self._queued > self._bounds.body_bytes

    def _read_on(self) -> None:
        if not self._blocked and not self._crowded() and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
            ended, self._ended = self._ended, False  # the end of input is behind what is read here
            self._reader.go_on()
            self._ended = ended

    def _rest(self) -> None:
        """Wait for the next request, unless one is in hand; say what is wrong with the last, when its turn has come."""
        if self._task is not None or self._waiting or self._blocked:
            return
        if self._refusing:
            refusal, self._refusal = self._refusal, None
            if refusal is not None:
                self._write(refusal[0], False, refusal[1])
            if not self._blocked:
                self._linger()
            return
        if self._ended:
            if self._reader.incoming is not None:
                self.refuse(400, CUT_OFF)
            else:
                self._close()
        elif self._reader.incoming is None:
            self.deadline = time.monotonic() + self._bounds.idle_seconds
        else:
            self.deadline = time.monotonic() + self._bounds.body_seconds
            if self._continue:
                self._say_continue()

    def _say_continue(self) -> None:
        self._continue = False
        self._transport.write(CONTINUE)

    def _write(self, request: Request, keep: bool, answer: Answer) -> None:
        status, body, headers = answer
        if len(body) > SMALL_BYTES and not self._budget.allows(self._charged, self._charged + len(body)):
            keep, (status, body, headers) = False, write_busy(BUSY)
        keep = keep and not self._handler.draining and not self._owner.closing
        parts = [FIRST_LINES[status], self._owner.date(), b"content-length: %d\r\n" % len(body)]
        for header in headers:
            parts.append(JSON_LINE if header is JSON else f"{header[0]}: {header[1]}\r\n".encode("latin-1"))
        if not keep:
            parts.append(b"connection: close\r\n")
        elif "keep-alive" in request.headers.get("connection", "").lower():
            parts.append(b"connection: keep-alive\r\n")  # asked for by clients of HTTP/1.0
        parts.append(b"\r\n")
        if request.method != "HEAD":
            parts.append(body)
        self._transport.write(b"".join(parts))
        if not keep:
            self._forget_waiting()
            self._reader.stop()
            self._refusing, self._refusal = True, None

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._queued = 0

    def _settle(self) -> None:
        """Charge to the budget what is kept; where that is too much, keep no more of what is not whole."""
        budget, before = self._budget, self._charged
        keeps = self._reader.holds + self._queued
        if self._worked_on is not None:
            keeps += self._worked_on.size
        if self._blocked:
            keeps += self._transport.get_write_buffer_size()
        if keeps > before and not self._refusing and not budget.allows(before, keeps):
            self.refuse(503, BUSY)
            return
        self._charged = keeps
        budget.change(before, keeps)

    # The end.

    def _linger(self) -> None:
        """Close in a way that lets a client that still sends read its answer."""
        transport = self._transport
        if self._ended:
            self._close()
        elif not transport.is_closing():
            transport.write_eof()
            transport.resume_reading()
            self._expect_taking()

    def _expect_taking(self) -> None:
        """Give the client time to take what is not sent yet, or to close."""
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline = time.monotonic() + (self._bounds.body_seconds if self._unsent else LINGER_SECONDS)

    def _close(self) -> None:
        self._transport.close()
        self._expect_taking()

    # Called by the owner.

    @property
    def in_request(self) -> bool:
        """Whether a head is here whose body is not."""
        return self._reader.incoming is not None

    def expire(self) -> None:
        """End the connection: its time for a head or a body is over, or it does not take its answers."""
        busy = self._task is not None or bool(self._waiting)
        reader = self._reader
        if self._blocked or self._transport.is_closing() or (self._refusing and not busy):
            before = self._unsent
            self._expect_taking()
            if not 0 < self._unsent < before:  # it takes nothing, or has it all
                self.abort()
        elif self._paused:  # it is not its fault
            self.deadline = time.monotonic() + self._bounds.body_seconds
        elif busy and (not reader.begun or self._refusing):
            self.deadline = NEVER
        elif not reader.begun:
            self._close()
        else:
            seconds = self._bounds.idle_seconds if reader.incoming is None else self._bounds.body_seconds
            self.refuse(408, f"the request did not arrive within {seconds:g} s")

    def close_soon(self) -> None:
        """Close now, unless a request is in hand; where none was there yet, the first may be on its way."""
        if self._task is not None or self._waiting or self._reader.begun or self._refusing:
            return
        if self._fresh:
            self.deadline = time.monotonic() + FIRST_REQUEST_SECONDS
        else:
            self._close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
