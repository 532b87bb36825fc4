"""A proxy before an S3 store that strikes one call: the n-th of an operation on an object, once or from then on.

Requests are passed on byte for byte, with the Host that the client signed, so that their signatures stay valid.
"""

from __future__ import annotations

import http.client
import re
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

HOLD_SECONDS = 20  # a limit: a client that waits longer than this for an answer waits for ever
HEAD_END = b"\r\n\r\n"
LIST, GET, HEAD, PUT, DELETE = "List", "Get", "Head", "Put", "Delete"
OPERATIONS = {"GET": GET, "HEAD": HEAD, "PUT": PUT, "DELETE": DELETE}
# The payload log's names have the time and the process.
LOG_NAME = re.compile(r"\d{4}/\d\d/\d\d/\d\d/.*\.jsonl\.gz$")


@dataclass(frozen=True)
class Call:
    """One request. name: the key below the folder that the cell has for itself, or what is listed; number: from 1."""

    operation: str
    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.operation} {self.name} #{self.number}"

    @property
    def always_comes(self) -> bool:
        """Whether every run has it; which object is asked about, or put a second time, is left to chance."""
        return self.operation != HEAD and self.number == 1


@dataclass
class Answer:
    """What goes back to the client. headers: without those of the transport."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def head(self, length: int | None = None) -> bytes:
        """Return the head for a body of `length` bytes, or of this one's."""
        said = len(self.body) if length is None else length
        lines = [f"HTTP/1.1 {self.status} {http.client.responses.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, ("Content-Length", str(said)))]
        return "\r\n".join(lines).encode("latin-1") + HEAD_END


@dataclass
class Exchange:
    """One call while it is at the proxy. count: how often the fault struck before."""

    call: Call
    proxy: Proxy
    client: socket.socket
    method: str
    key: str
    head: bytes
    sent: int  # bytes of the body that the client announced
    count: int = 0
    said: int = 0  # the length of the body in the store's answer to HEAD
    _body: bytes | None = None

    def body(self) -> bytes:
        """Return the request's body, read whole."""
        if self._body is None:
            if b"\r\nexpect:" in self.head.lower():
                self.client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._body = b""
            while len(self._body) < self.sent and (chunk := self.client.recv(65536)):
                self._body += chunk
        return self._body

    def forward(self, body: bytes | None = None) -> Answer:
        """Pass the request on and return the store's answer. body: in place of the client's."""
        content = self.body() if body is None else body
        head = re.sub(rb"\r\n[Ee]xpect:[^\r]*", b"", self.head)
        with socket.create_connection(self.proxy.store, timeout=HOLD_SECONDS) as store:
            store.sendall(head + content)
            response = http.client.HTTPResponse(store, method=self.method)
            response.begin()
            answer = response.read()
            if self.method == "HEAD":
                self.said = int(response.headers.get("Content-Length", "0"))
            dropped = ("content-length", "transfer-encoding", "connection")
            headers = [(name, value) for name, value in response.headers.items() if name.lower() not in dropped]
            return Answer(response.status, headers, answer)

    def send(self, answer: Answer) -> None:
        """Send an answer whole."""
        self.body()
        if self.method == "HEAD":
            self.client.sendall(answer.head(self.said))
        else:
            self.client.sendall(answer.head() + answer.body)

    def reset(self) -> None:
        """End the connection with RST."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()

    def hold(self) -> None:
        """Say nothing more until the client gives up."""
        self.client.settimeout(HOLD_SECONDS)
        with suppress(OSError):
            while self.client.recv(65536):
                pass
        self.client.close()


Fault = Callable[[Exchange], None]


@dataclass
class Strike:
    """Where and how to strike. always: also at all later calls of the operation on that object.

    What a Head asks about one object may be asked about another in its place, so that all are struck then.
    """

    call: Call
    fault: Fault
    always: bool
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hits(self, call: Call) -> bool:
        """Whether this call is struck."""
        if not self.always:
            return call == self.call
        same_object = call.name == self.call.name or call.operation == HEAD
        return call.operation == self.call.operation and same_object and call.number >= self.call.number


class Proxy:
    """The proxy for one cell. calls: every call that came, with the length of the answer's body."""

    def __init__(self, endpoint: str, own: str, strike: Strike | None = None) -> None:
        """own: the folder of the bucket that only this cell uses; it is left out of the names of calls."""
        parts = urlsplit(endpoint)
        self.store = (parts.hostname or "", parts.port or 80)
        self.calls: list[tuple[Call, int]] = []
        self.strays: list[str] = []  # requests for anything but the bucket
        self._own, self._strike = own, strike
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError, http.client.HTTPException):
                    while proxy._exchange(self.request):
                        pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _exchange(self, client: socket.socket) -> bool:
        """Handle one request and return whether another may follow."""
        head = _head(client)
        if not head:
            return False
        method, target = head.split(b" ", 2)[:2]
        parts = urlsplit(target.decode())
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        length = re.search(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)", head)
        _, _, key = unquote(parts.path).removeprefix("/").partition("/")
        if not parts.path.startswith("/mill"):
            self.strays.append(target.decode())
        call = self._called(method.decode(), key, query)
        exchange = Exchange(call, self, client, method.decode(), key, head, int(length[1]) if length else 0)
        strike = self._strike
        if strike is not None and strike.hits(call):
            with strike.lock:
                exchange.count = strike.count
                strike.count += 1
            self.calls.append((call, 0))
            strike.fault(exchange)
            return client.fileno() >= 0
        answer = exchange.forward()
        self.calls.append((call, len(answer.body)))
        exchange.send(answer)
        return True

    def _called(self, method: str, key: str, query: dict[str, str]) -> Call:
        operation = OPERATIONS.get(method, method)
        name = key.removeprefix(self._own)
        if operation == GET and not key:
            operation = LIST
            name = query.get("prefix", "").removeprefix(self._own)
            name += " first" if query.get("max-keys") == "1" else ""
            name += " next" if "continuation-token" in query else ""
        name = LOG_NAME.sub("FILE", name)
        with self._lock:
            self._seen[operation, name] += 1
            return Call(operation, name, self._seen[operation, name])


def _head(client: socket.socket) -> bytes:
    """Read a request's head and not a byte more; empty when the client has ended."""
    head = b""
    while HEAD_END not in head:
        seen = client.recv(16384, socket.MSG_PEEK)
        if not seen:
            return b""
        end = (head + seen).find(HEAD_END)
        head += client.recv(len(seen) if end < 0 else end + len(HEAD_END) - len(head))
    return head


def flipped(content: bytes, place: int) -> bytes:
    """Return content with one bit of one byte turned."""
    if not content:
        return content
    at = (len(content) // 2 + 7 * place) % len(content)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
