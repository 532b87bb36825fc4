"""HTTP on the wire: what is sent, what is read, and what the server's process holds."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

from tests.support.model_server import Running

BODY = json.dumps({"instances": [[100.0, 4, "USA"]]}).encode()
POST = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
# As Java's HttpClient sends its first request.
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


def read(connection: socket.socket, answers: int) -> list[tuple[int, bytes, bytes]]:
    """Return status, head and body of so many answers; none is followed by bytes that belong to no answer."""
    found, buffer = [], b""
    while len(found) < answers:
        while b"\r\n\r\n" not in buffer:
            buffer += receive(connection)
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"content-length: (\d+)", head)
        size = int(length[1]) if length else 0
        while len(buffer) < size:
            buffer += receive(connection)
        found.append((status, head, buffer[:size]))
        buffer = buffer[size:]
    assert buffer == b""
    return found


def receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    assert data, "the connection ended"
    return data


def changed(headers: bytes, request: bytes = POST) -> bytes:
    return request.replace(b"Host: x\r\n", b"Host: x\r\n" + headers)


def resident(server: Running) -> int:
    """Return the resident memory of the server in KiB."""
    text = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    assert found
    return int(found[1])
