"""Log lines that no client can make many or long: bounded by the place in the code that writes them, in number and length.

A client decides how often a line is written, and through the text of an exception also what is in it. The bounds are on the
handler, so they hold for every library too (grpcio and asyncio log a trace for each failed call), and whoever logs does not
have to think of them. What counts as one kind is the place in the code, not the text: a stranger can vary the text.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PERIOD_SECONDS = 10.0
MOST_ENTRIES = 10  # of one place in the code, in a period
MOST_CHARACTERS = 8_000  # of one entry, its trace included; the middle of a longer one is left out
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029)}

log = logging.getLogger("modelmill_server")

Place = tuple[str, int]


class RateLimit(logging.Filter):
    """Lets so many entries of one place in the code through in a period, and says after it how many were left out."""

    def __init__(self, period: float = PERIOD_SECONDS) -> None:
        super().__init__()
        self._period = period
        self._lock = threading.Lock()
        self._end = 0.0
        self._counts: dict[Place, int] = {}
        self._teller: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the entry is to be written."""
        place = record.pathname, record.lineno
        with self._lock:
            now = time.monotonic()
            if self._teller is None and now >= self._end:
                self._counts.clear()
                self._end = now + self._period
            count = self._counts.get(place, 0) + 1
            self._counts[place] = count
            if count > MOST_ENTRIES and self._teller is None:
                self._teller = threading.Timer(self._end - now, self.tell)
                self._teller.daemon = True
                self._teller.start()
        return count <= MOST_ENTRIES

    def tell(self) -> None:
        """End the period, and say what was left out in it."""
        with self._lock:
            counts, self._counts, self._end = self._counts, {}, 0.0
            if self._teller is not None:
                self._teller.cancel()
                self._teller = None
        left_out = {place: count - MOST_ENTRIES for place, count in counts.items() if count > MOST_ENTRIES}
        if left_out:
            told = ", ".join(f"{count} of {Path(path).name}:{line}" for (path, line), count in left_out.items())
            log.warning("more than %d entries of a kind in %g s; left out: %s", MOST_ENTRIES, self._period, told)


class BoundedFormatter(logging.Formatter):
    """Formats entries of bounded length; only the first line of an entry begins in the first column."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry. Control characters are escaped, and further lines are indented: no text can pass for an entry."""
        text = super().format(record)
        if len(text) > MOST_CHARACTERS:
            half = MOST_CHARACTERS // 2
            text = f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"
        return text.translate(CONTROLS).replace("\n", "\n    ")


def set_up() -> Callable[[], None]:
    """Write the entries of every logger from INFO on to standard error, within the bounds.

    Return what says, at the end, how many were left out.
    """
    limit = RateLimit()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(BoundedFormatter(LINE))
    handler.addFilter(limit)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return limit.tell
