"""The client programs as processes: a call in the test is a call of the client in its own environment."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.integration.server.clients.environment import clean_environ, environment
from tests.integration.server.clients.programs import loop

PROGRAMS = Path(__file__).parent / "programs"
SECONDS = 120  # a limit for a call that hangs, not an expectation


class ClientError(Exception):
    """What the client raised: its type's name, the HTTP status or gRPC code as text, and the message."""

    def __init__(self, described: dict[str, Any]) -> None:
        super().__init__(f"{described['type']} [{described['status']}]: {described['message']}")
        self.type: str = described["type"]
        self.status: Any = described["status"]
        self.message: str = described["message"]


class ClientProcess:
    """One client library in a process of its environment."""

    def __init__(self, environment_name: str, module: str) -> None:
        python = environment(environment_name) / "bin" / "python"
        command = [str(python), str(PROGRAMS / "loop.py"), module]
        self._process = subprocess.Popen(
            command, env=clean_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1
        )

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Return the value of a function of the module. Raises ClientError with what it raised."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        guard = threading.Timer(SECONDS, process.kill)
        guard.start()
        try:
            loop.write(process.stdin, (name, arguments))
            result = loop.read(process.stdout)
        finally:
            guard.cancel()
        assert result is not None, f"the client ended, or was ended after {SECONDS} s, in {name}({arguments})"
        kind, value = result
        if kind == "error":
            raise ClientError(value)
        return value

    def close(self) -> None:
        """End the process by the end of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
