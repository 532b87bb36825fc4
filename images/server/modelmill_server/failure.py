"""What can stop a server or its fetch before the first request, and how it is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from modelmill.contracts import names, result


class StartError(Exception):
    """The server or the fetch cannot go on.

    reason: one CamelCase word, see docs/reference/server.md. final: a repeat will fail the same way.
    """

    def __init__(self, reason: str, message: str, *, final: bool = True) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = " ".join(message.split())
        self.final = final

    @property
    def exit_code(self) -> int:
        """The exit code that says whether a repeat may help."""
        return names.EXIT_FINAL if self.final else names.EXIT_RETRY

    def line(self) -> str:
        """Return the failure in one line."""
        return f"{self.reason}: {self.message}"


def leave_message(failure: StartError) -> None:
    """Write the failure as the container's termination message, where there is a place for one."""
    leave_text(result.encode(result.StageResult(result.FAILED, failure.reason, (failure.message,))))


def leave_text(text: str) -> None:
    """Write the container's termination message, where there is a place for one."""
    path = Path(os.environ.get(names.ENV_TERMINATION_PATH, "/dev/termination-log"))
    if names.ENV_TERMINATION_PATH not in os.environ and not path.exists():
        return  # outside Kubernetes
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"the termination message could not be written to {path}: {error}", file=sys.stderr)
