"""The API server's audit log: what one user asked of it since a mark."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@dataclass(frozen=True)
class Tally:
    """Writes by resource (`jobs`, `trainingjobs/status`, …), those that were taken and those that were refused."""

    taken: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.taken + other.taken, self.refused + other.refused)

    def writes(self) -> int:
        """Return how many were taken, Events left out."""
        return sum(count for name, count in self.taken.items() if name != "events")

    def events(self) -> int:
        """Return how many Events were written."""
        return self.taken["events"]

    def total(self) -> int:
        """Return how many there were of any sort."""
        return self.taken.total() + self.refused.total()

    def refusals(self) -> int:
        """Return how many were answered with an error."""
        return self.refused.total()


def entries(lines: Iterable[bytes], user: str) -> Iterator[Mapping[str, Any]]:
    """Yield the requests of this user. A last line that is not complete yet is left out."""
    for line in lines:
        if user.encode() in line and line.endswith(b"\n"):
            entry = json.loads(line)
            if entry["user"]["username"] == user:
                yield entry


def writing(entry: Mapping[str, Any]) -> bool:
    """Tell whether the request writes an object other than a Lease."""
    return entry["verb"] in WRITES and entry.get("objectRef", {}).get("resource", "leases") != "leases"


def tally(requests: Iterable[Mapping[str, Any]]) -> Tally:
    """Count the writes. A dry run and a review of access (`selfsubjectaccessreviews`) are counted like any other."""
    found = Tally()
    for entry in filter(writing, requests):
        reference = entry["objectRef"]
        name = "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
        refused = entry.get("responseStatus", {}).get("code", 0) >= 400
        (found.refused if refused else found.taken)[name] += 1
    return found


class AuditLog:
    """What one user asked of the API server since a mark."""

    def __init__(self, path: Path, user: str) -> None:
        self._path = path
        self._user = user
        self._mark = 0
        self.mark()

    def mark(self) -> None:
        """Count from here on."""
        self._mark = self._path.stat().st_size if self._path.exists() else 0

    def requests(self) -> Iterator[Mapping[str, Any]]:
        """Yield the user's requests since the mark."""
        with self._path.open("rb") as file:
            file.seek(self._mark)
            yield from entries(file, self._user)

    def tally(self) -> Tally:
        """Return the writes since the mark, Lease renewals left out."""
        return tally(self.requests())

    def write_lines(self) -> list[str]:
        """Return the writes since the mark as readable lines, for messages."""
        return [
            f"{entry['verb']} {entry['requestURI']} {entry.get('responseStatus', {}).get('code')}"
            for entry in filter(writing, self.requests())
        ]

    def write_times(self) -> dict[str, list[str]]:
        """Return when writes came since the mark, in RFC 3339 and UTC, by the token that they came with."""
        times: dict[str, list[str]] = {}
        for entry in filter(writing, self.requests()):
            (token,) = entry["user"]["extra"]["authentication.kubernetes.io/credential-id"]
            times.setdefault(token, []).append(entry["requestReceivedTimestamp"])
        return times
