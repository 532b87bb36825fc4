"""A trial reports how good it is so far, so that the operator may stop it. Nothing that goes wrong here fails the training."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelmill.contracts.names import ENV_REPORT_TOKEN, ENV_REPORT_URL

TIMEOUT_SECONDS: Final = 5.0
TRIES: Final = 3
"""For one report: another replica of the operator may answer that it does not lead."""
WAIT_SECONDS: Final = 1.0
MOST_FAILED: Final = 5
"""Reports in a row that may fail; after them nothing is reported, so that no trial waits for a network that is not there."""
PASSING: Final = (429, 503)


@dataclass(slots=True)
class Reporter:
    """Sends reports to a URL with the token in a file, which is read anew each time: it is renewed. failed: in a row."""

    url: str
    token: Path
    wait: float = WAIT_SECONDS
    failed: int = 0
    _told: set[str] = field(default_factory=set)

    def report(self, step: int, value: float) -> None:
        """Send one report; what hinders it is printed once."""
        if self.failed >= MOST_FAILED:
            return
        try:
            self._sent(json.dumps({"step": step, "value": value}, allow_nan=False).encode())
            self.failed = 0
        except (OSError, ValueError) as error:
            self.failed += 1
            words = f"{error}: {_words(error)}" if isinstance(error, urllib.error.HTTPError) else str(error)
            if words not in self._told:
                self._told.add(words)
                print(f"train: not reported, which only delays pruning: {words[:300]}", flush=True)

    def _sent(self, body: bytes) -> None:
        for left in range(TRIES - 1, -1, -1):
            headers = {"Authorization": f"Bearer {self.token.read_text().strip()}", "Content-Type": "application/json"}
            request = urllib.request.Request(self.url, body, headers)  # noqa: S310 - the operator's own address
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
                    return
            except urllib.error.HTTPError as error:
                if error.code not in PASSING or not left:
                    raise
            time.sleep(self.wait)


def _words(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(500).decode(errors="replace")
    except OSError:
        return ""


def reporter() -> Reporter | None:
    """Return the reporter that the environment tells of; None where nothing is pruned."""
    url, token = os.environ.get(ENV_REPORT_URL), os.environ.get(ENV_REPORT_TOKEN)
    return Reporter(url, Path(token)) if url and token else None
