"""Which version served from when to when, and which were taken back: the bounded list in the status. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelmill.kube.conditions import timestamp
from modelmill.serving.view import View

KEPT = 10
MAX_TEXT = 1000

Record = Mapping[str, Any]


def was_whole(view: View, track: Record) -> bool:
    """Tell whether the track ever had all its pods ready as the stable one."""
    return any(
        entry["revision"] == track["revision"] and entry["outcome"] == "Serving"
        for entry in view.status.get("history") or ()
    )


def with_served(view: View, track: Record, replaces: Record | None = None) -> list[Record]:
    """Return the history in which `track` serves from now on, in the place of `replaces`."""
    now = timestamp(view.now)
    entries: list[Record] = []
    for old in view.status.get("history") or ():
        entry = dict(old)
        if replaces is not None and entry["revision"] == replaces["revision"] and entry["outcome"] == "Serving":
            entry |= {"endTime": now, "outcome": "Replaced", "message": f"replaced by {track['version']}"}
        entries.append(entry)
    new = {"version": track["version"], "revision": track["revision"], "startTime": now, "outcome": "Serving"}
    return _bounded([new, *entries])


def with_rolled_back(view: View, canary: Record, why: str) -> list[Record]:
    """Return the history in which the canary was taken back now."""
    new = {
        "version": canary["version"],
        "revision": canary["revision"],
        "startTime": canary["startTime"],
        "endTime": timestamp(view.now),
        "outcome": "RolledBack",
        "message": why[:MAX_TEXT],
    }
    return _bounded([new, *(view.status.get("history") or ())])


def _bounded(entries: Sequence[Record]) -> list[Record]:
    """Drop the oldest, but never the one that serves: `was_whole` asks for it after any number of rollbacks."""
    serving = [entry for entry in entries[KEPT:] if entry["outcome"] == "Serving"]
    return [*entries[: KEPT - len(serving)], *serving]
