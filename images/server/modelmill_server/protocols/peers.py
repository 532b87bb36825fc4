"""The servers of one service share the labels: each id belongs to one of them, which counts it and remembers that it did.

Which one follows from the id and the addresses alone, so that all choose the same and nothing is agreed on; a server that goes
or comes changes the owner of its own share of ids and of no others. Source: Thaler and Ravishankar, Using name-based mappings
to increase hit rates, IEEE/ACM Transactions on Networking 6(1), 1998 (highest random weight).
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from modelmill_server.http.exchange import Line, UnreadableError

PROOF_HEADER: Final = "modelmill-feedback-proof"
PATH: Final = "/feedback"
LOOK_SECONDS: Final = 5.0  # between two looks at the names, as long as a cluster's DNS lets an answer be kept
PATIENCE_SECONDS: Final = 1.0  # for names, and for the owner's answer
MOST_AT_ONCE: Final = 100
REPLY_BYTES: Final = 64 * 1024
ANSWERED: Final = (200, 409)

Resolve = Callable[[str], Awaitable[Collection[str]]]


class Peers:
    """The servers that share the labels; belongs to the event loop."""

    def __init__(self, names: Sequence[str], port: int, *, resolve: Resolve | None = None) -> None:
        """names: host names, each of one server or of many, or addresses. port: of all of them. resolve: raises OSError."""
        self._names = names
        self._port = port
        self._resolve = resolve or _resolved
        self._known: list[str] = []
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self._asking = 0

    async def owner(self, code: bytes) -> str | None:
        """Return the address of the server that counts the labels of this id; None when it is this one or none is known."""
        addresses = await self._addresses()
        if len(addresses) < 2:
            return None
        owner = max(addresses, key=lambda address: hashlib.sha256(code + address.encode()).digest())
        return None if _is_own(owner) else owner

    async def ask(self, owner: str, body: bytes, proof: str) -> tuple[int, bytes] | None:
        """Return status and body of the owner's answer to feedback; None when it does not count it, whatever the reason.

        A refusal is none: what this server read, it can refuse itself, and a server of an earlier release may not read it.
        """
        if self._asking >= MOST_AT_ONCE:
            return None
        host = f"[{owner}]" if ":" in owner else owner
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: {host}:{self._port}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{PROOF_HEADER}: {proof}\r\nconnection: close\r\n\r\n"
        )
        line = Line(owner, self._port)
        self._asking += 1
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await line.connect()
                reply = await line.ask(head.encode() + body, REPLY_BYTES)
        except (OSError, EOFError, UnreadableError):  # a TimeoutError is an OSError
            return None
        finally:
            self._asking -= 1
            line.close()
        return (reply.status, reply.body) if reply.status in ANSWERED else None

    async def _addresses(self) -> Sequence[str]:
        async with self._looking:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                # While names are not told, the addresses of before are the best that is known.
                with suppress(OSError):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        found = [await self._resolve(name) for name in self._names]
                    self._known = sorted({address for addresses in found for address in addresses})
                self._looked = time.monotonic()
        return self._known


async def _resolved(name: str) -> Collection[str]:
    """Return the addresses of a name; none where there is no such name. Raises OSError when that is not known."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            return ()
        raise
    return {str(address[0]) for *_, address in found}


def _is_own(address: str) -> bool:
    """Return whether an address is that by which this machine reaches it: nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return str(probe.getsockname()[0]) == address
    except OSError:
        return False
