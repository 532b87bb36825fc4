"""What the operator logs while a plan runs: an exception there is a finding."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog


@contextmanager
def recorded_logs() -> Iterator[list[str]]:
    """Yield a list that gets a line for each exception and error that is logged; nothing is printed."""
    lines: list[str] = []

    def record(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        if method in ("exception", "error", "critical"):
            lines.append(structlog.processors.format_exc_info(_logger, method, event).__repr__()[-1500:])
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[record])
    try:
        yield lines
    finally:
        structlog.configure(**before)
