"""A transport without a socket, and what a connection holds on to."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

LEFT_ALONE = (type, ModuleType, FunctionType)
RAW = (bytes, bytearray, str, memoryview)


class FakeTransport:
    """Keeps what is written. taken: how many bytes the client takes at once; None for all."""

    def __init__(self, protocol: Any, taken: int | None = None) -> None:
        self.protocol = protocol
        self.sent = bytearray()
        self.closing = self.half_closed = False
        self._taken = taken
        self._unsent = 0

    def write(self, data: bytes) -> None:
        assert not self.half_closed, "written behind the end"
        if self.closing:
            return
        self.sent += data
        if self._taken is not None:
            blocked = self._unsent > self._taken
            self._unsent += len(data)
            if self._unsent > self._taken and not blocked:
                self.protocol.pause_writing()

    def take(self) -> bool:
        """Let the client take a part, and return whether there was any."""
        if self._taken is None or not self._unsent:
            return False
        blocked = self._unsent > self._taken
        self._unsent = max(0, self._unsent - self._taken)
        if blocked and self._unsent <= self._taken:
            self.protocol.resume_writing()
        return True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int) -> None:
        """Change nothing: `taken` says how much may be unsent."""

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def write_eof(self) -> None:
        self.half_closed = True

    def pause_reading(self) -> None:
        """Nothing comes by itself here."""

    def resume_reading(self) -> None:
        """Nothing comes by itself here."""


def held_bytes(root: object, beside: Iterable[object]) -> int:
    """Return the bytes of everything that can be reached from an object, without what is beside it."""
    seen = {id(one) for one in (*beside, sys.modules)}
    todo, held = [root], 0
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, LEFT_ALONE):
            continue
        seen.add(id(one))
        held += sys.getsizeof(one)
        if not isinstance(one, RAW):
            todo += gc.get_referents(one)
    return held
