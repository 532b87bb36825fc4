"""Which version served from when to when, and which were taken back: the bounded list in the status. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelmill.api.inference_service_status import CanaryTrack, Served, StableTrack
from modelmill.kube.conditions import timestamp
from modelmill.kube.texts import fitted
from modelmill.serving.view import View

KEPT = 50
MAX_TEXT = 1000
TOLD_WHOLE = 10
SHORT_TEXT = 200
"""Length of the texts of the entries after the newest TOLD_WHOLE: the status is to stay small."""

Entries = tuple[Served, ...]


def served(entry: Served) -> bool:
    """Tell whether the version had all the traffic, and was not taken back afterwards."""
    return entry.outcome in ("Serving", "Replaced")


def taken_back_whole(entry: Served) -> bool:
    """Tell whether the version was taken back after it had come to serve: for an alert."""
    return entry.outcome == "RolledBack" and entry.weight is None


def was_taken_back_whole(history: Sequence[Served], version: str) -> bool:
    """Tell whether the history says of the version that it was taken back after it had come to serve."""
    return any(one.version == version and taken_back_whole(one) for one in history)


def was_whole(view: View, track: StableTrack) -> bool:
    """Tell whether the track ever had all its pods ready as the stable one."""
    return any(entry.revision == track.revision and entry.outcome == "Serving" for entry in view.status.history)


def with_served(
    view: View,
    track: StableTrack,
    replaces: StableTrack | None = None,
    grounds: str = "",
    why: str = "",
    *,
    taken_back: bool = False,
) -> Entries:
    """Return the history in which `track` serves, in the place of `replaces`: from now on, or from when it had all traffic.

    grounds: why it may, if told. why: why the other one ends; left out, that it is replaced. taken_back: it ends for an alert.
    """
    canary = view.status.canary
    rolled_out = canary if canary is not None and canary.revision == track.revision else None
    now = (rolled_out.whole_time if rolled_out is not None else None) or timestamp(view.now)
    ended = replaces.revision if replaces is not None else None
    entries = [
        replace(
            entry,
            end_time=now,
            outcome="RolledBack" if taken_back else "Replaced",
            message=why[:MAX_TEXT] or f"replaced by {track.version}",
        )
        if entry.revision == ended and entry.outcome == "Serving"
        else entry
        for entry in view.status.history
    ]
    new = Served(
        version=track.version,
        revision=track.revision,
        start_time=now,
        digest=track.digest,
        outcome="Serving",
        skips_steps=rolled_out.skips_steps if rolled_out is not None else None,
        message=grounds[:MAX_TEXT] or None,
    )
    return _bounded([new, *entries])


def with_rolled_back(view: View, candidate: CanaryTrack, why: str) -> Entries:
    """Return the history in which the candidate was taken back now."""
    new = Served(
        version=candidate.version,
        revision=candidate.revision,
        start_time=candidate.start_time,
        end_time=timestamp(view.now),
        outcome="RolledBack",
        weight=candidate.greatest_weight,
        message=why[:MAX_TEXT],
    )
    return _bounded([new, *view.status.history])


def with_superseded(view: View, track: CanaryTrack | StableTrack, why: str) -> Entries:
    """Return the history in which the track ended before it was stable. A candidate that was taken back is there already."""
    now = timestamp(view.now)
    start = track.start_time if isinstance(track, CanaryTrack) else now
    if any(one.revision == track.revision and one.start_time == start and one.end_time for one in view.status.history):
        return view.status.history
    new = Served(
        version=track.version,
        revision=track.revision,
        start_time=start,
        end_time=now,
        outcome="Superseded",
        weight=track.greatest_weight if isinstance(track, CanaryTrack) else 0,
        message=why[:MAX_TEXT],
    )
    return _bounded([new, *view.status.history])


def _bounded(entries: Sequence[Served]) -> Entries:
    """Drop the oldest, but never the one that serves: `was_whole` asks for it after any number of rollbacks."""
    entries = [
        entry if number < TOLD_WHOLE or not entry.message else replace(entry, message=fitted(entry.message, SHORT_TEXT))
        for number, entry in enumerate(entries)
    ]
    serving = [entry for entry in entries[KEPT:] if entry.outcome == "Serving"]
    return (*entries[: KEPT - len(serving)], *serving)
