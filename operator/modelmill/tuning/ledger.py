"""The ledger of a search: every trial with its parameters and what became of it, in shards of 100, as texts by key."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Literal

from modelmill.contracts.documents import read_fields
from modelmill.kube.texts import fitted, word
from modelmill.tuning.pruning import MOST_POINTS, thinned

SHARD: Final = 100
"""Trials in a shard. One has about 420 bytes, and 10.4 kB at most: 32 parameters of 264 bytes, 8 metrics, a message,
8 reports; with fewer parameters 32 reports."""
HEADER_KEY: Final = "search"
MAX_METRICS: Final = 8
MAX_MESSAGE: Final = 256
MAX_STEP_DIGITS: Final = 10
MOST_TRIALS: Final = 100_000
MOST_ATTEMPTS: Final = 1_000
MOST_ROWS: Final = 2**53
SHA256: Final = re.compile(r"[0-9a-f]{64}")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
MUCH_TEXT: Final = 4_096
"""Bytes of parameters beside which only few reports have room in a shard, which a ConfigMap bounds to 1 MiB."""
FEW_POINTS: Final = 8

State = Literal["Running", "Succeeded", "Failed", "Pruned"]
RUNNING: Final = "Running"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
PRUNED: Final = "Pruned"
STATES: Final = (RUNNING, SUCCEEDED, FAILED, PRUNED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One trial. attempt: the try that runs or ended, from 1: a lost pod is no try that counts.

    pod: index of the first trial of its pod, which it shares with the trials of the same attempt; None for a pod of its own.
    parameters: by name, as texts. value: of the objective; None unless it succeeded. reason, message: why it did not succeed;
    of one that runs, message says why it has left a pod with others.
    started, finished: times of RFC 3339. reports: values of the objective by step, as `pruning.thinned` keeps them.
    model: sha256 of its model file in hex; empty where it told none.
    """

    index: int
    parameters: Mapping[str, str]
    attempt: int = 1
    state: State = "Running"
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    started: str = ""
    finished: str = ""
    pod: int | None = None
    reports: Mapping[str, float] = field(default_factory=dict)
    model: str = ""

    @property
    def first(self) -> int:
        """Index of the first trial of its pod."""
        return self.index if self.pod is None else self.pod

    def again(self) -> Entry:
        """Return the trial in its next attempt."""
        return replace(self, attempt=self.attempt + 1)

    def alone(self, message: str) -> Entry:
        """Return the trial in its next attempt, in a pod of its own. message: why the others are not with it any more."""
        return replace(self.again(), pod=None, message=fitted(message, MAX_MESSAGE))

    @property
    def curve(self) -> dict[int, float]:
        """What it reported, by step."""
        return {int(step): value for step, value in self.reports.items()}

    def with_reports(self, curve: Mapping[int, float]) -> Entry:
        """Return the trial with what it has reported, as many points as have room beside its parameters."""
        size = sum(len(text.encode()) for text in (*self.parameters, *self.parameters.values()))
        kept = thinned(curve, MOST_POINTS if size <= MUCH_TEXT else FEW_POINTS)
        return replace(self, reports={str(step): float(f"{kept[step]:.6g}") for step in sorted(kept)})

    def ended(self, state: State, finished: str, reason: str = "", message: str = "") -> Entry:
        """Return the trial as it ended without a value."""
        words = fitted(message, MAX_MESSAGE)
        return replace(self, state=state, finished=finished, reason=word(reason, "Failed"), message=words)

    def succeeded(self, metric: str, metrics: Mapping[str, float], finished: str, model: str = "") -> Entry:
        """Return the trial as it ended well; of its metrics that of the objective is kept first."""
        names = [metric, *(name for name in sorted(metrics) if name != metric)][:MAX_METRICS]
        kept = {name: metrics[name] for name in names}
        told = model if SHA256.fullmatch(model) else ""
        end = replace(self, state="Succeeded", value=metrics[metric], metrics=kept, finished=finished, message="")
        return replace(end, model=told)


@dataclass(frozen=True, slots=True)
class Header:
    """What the trials have in common.

    generation: hash of the space and of all else that makes results comparable. digest, rows, holdout_rows: the data.
    carried: how many trials were taken over from the search before, whose `maxTrials` was raised.
    end: why the search is over, as a CamelCase word; empty while it goes on. message: the same for people.
    """

    generation: str
    digest: str
    rows: int
    holdout_rows: int
    carried: int = 0
    end: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """All trials of a search in the order of their indexes, which are their places.

    damaged: why it cannot be relied on. shards: what it was decoded from.
    """

    header: Header
    entries: tuple[Entry, ...] = ()
    damaged: str = ""
    shards: Sequence[Mapping[str, str]] = field(default=(), compare=False)

    def count(self, state: State) -> int:
        """Return how many trials are in a state."""
        return sum(one.state == state for one in self.entries)

    def running(self) -> list[Entry]:
        """Return the trials that have not ended."""
        return [one for one in self.entries if one.state == RUNNING]

    def changed(self, *entries: Entry) -> Ledger:
        """Return the ledger with entries in the place of those with their indexes, or behind them."""
        known = {one.index: one for one in (*self.entries, *entries)}
        return replace(self, entries=tuple(known[index] for index in sorted(known)))

    def ranked(self, direction: str) -> list[Entry]:
        """Return the trials that succeeded, the best first; of equals the one that was suggested first."""
        sign = -1 if direction == "Maximize" else 1
        scored = [(sign * one.value, one.index, one) for one in self.entries if one.value is not None]
        return [one for _, _, one in sorted(scored, key=lambda row: row[:2])]


def encode(ledger: Ledger, before: Ledger | None = None) -> list[Mapping[str, str]]:
    """Return the shards: in each a text for each trial by its index, and in the first the header.

    before: the ledger as it was decoded; what did not change since is not encoded anew.
    """
    count = max(1, math.ceil(len(ledger.entries) / SHARD))
    return [_shard(ledger, place, before) for place in range(count)]


def _shard(ledger: Ledger, place: int, before: Ledger | None) -> Mapping[str, str]:
    part = slice(place * SHARD, (place + 1) * SHARD)
    header = {HEADER_KEY: _text(asdict(ledger.header))} if place == 0 else {}
    if before is not None and place < len(before.shards) and before.entries[part] == ledger.entries[part]:
        return {**before.shards[place], **header}
    return {f"{one.index:05}": _text(asdict(one)) for one in ledger.entries[part]} | header


def decode(shards: Sequence[Mapping[str, str]]) -> Ledger | None:
    """Return the ledger in the shards, or None when the first has no header. What somebody damaged is said in `damaged`."""
    if not shards:
        return None
    try:
        header = read_fields(Header, json.loads(shards[0][HEADER_KEY]))
        sound = _is_sound(header)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    if not sound:
        return None
    texts = {key: text for shard in shards for key, text in shard.items() if key != HEADER_KEY}
    entries: list[Entry] = []
    for place, key in enumerate(sorted(texts)):
        entry = _entry(texts[key])
        if entry is None or entry.index != place:
            return Ledger(header, tuple(entries), f"trial {place} cannot be read under key {key}", shards)
        entries.append(entry)
    return Ledger(header, tuple(entries), shards=shards)


@lru_cache(maxsize=4096)
def _entry(text: str) -> Entry | None:
    try:
        raw = json.loads(text)
        entry = read_fields(Entry, raw)
        numbers = [entry.value or 0.0, *entry.metrics.values(), *entry.reports.values()]
        steps = all(step.isascii() and step.isdigit() and len(step) <= MAX_STEP_DIGITS for step in entry.reports)
        texts = [*entry.parameters, *entry.parameters.values()]
        texts += [entry.reason, entry.message, entry.started, entry.finished, entry.model]
        plain = all(map(_is_text, texts)) and all(
            isinstance(one, float | int) and abs(one) <= sys.float_info.max for one in numbers
        )
        whole = _is_count(entry.index, MOST_TRIALS) and _is_count(entry.attempt, MOST_ATTEMPTS) and entry.attempt > 0
        pod = entry.pod is None or (isinstance(entry.pod, int) and 0 <= entry.pod <= entry.index)
        known = not entry.model or SHA256.fullmatch(entry.model) is not None
        scored = (entry.value is not None) == (entry.state == SUCCEEDED)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError):
        return None
    return entry if plain and whole and pod and known and scored and steps and entry.state in STATES else None


def _is_sound(header: Header) -> bool:
    """Tell whether a header may have been written by us: anybody who may edit ConfigMaps can write another."""
    texts = (header.generation, header.digest, header.end, header.message)
    counts = ((header.carried, MOST_TRIALS), (header.rows, MOST_ROWS), (header.holdout_rows, MOST_ROWS))
    if not all(map(_is_text, texts)):
        return False
    plain = DIGEST.fullmatch(header.digest) is not None and (not header.end or bool(word(header.end, "")))
    return plain and all(_is_count(one, most) for one, most in counts)


def _is_text(value: Any) -> bool:
    """Tell whether it is a text that can be written: half of a surrogate pair cannot."""
    return isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _text(plain: Mapping[str, Any]) -> str:
    filled = {name: value for name, value in plain.items() if value not in (None, "", {}) or name == "parameters"}
    return json.dumps(filled, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
