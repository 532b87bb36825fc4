"""What trials report while they run, in the memory of the leading operator. What is lost with it only delays pruning."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from modelmill.tuning.pruning import thinned

MOST_STEPS: Final = 256
"""Points that are kept of a trial while it runs."""
MOST_PODS: Final = 5_000
"""Pods of one search: as many trials as it may have at all."""
PER_SECOND: Final = 2.0
BURST: Final = 20.0
"""Reports that one pod may send a second, and at once."""

FORGOTTEN_SECONDS: Final = 600.0
"""A search that nobody has planned for so long is gone: one that goes on is looked at every few seconds."""

TAKEN: Final = "taken"
STRANGER: Final = "stranger"
TOO_MANY: Final = "too many"
NOT_LEADING: Final = "not leading"


@dataclass(slots=True)
class _Pod:
    curve: dict[int, float] = field(default_factory=dict)
    left: float = BURST
    since: float = 0.0


class Reports:
    """Reports by the uid of the pod that sends them.

    Only pods are heard that a plan expects. url: where trials report. problem: why no report can be taken, for people.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self.problem = ""
        self._clock = clock
        self._pods: dict[str, dict[str, _Pod]] = {}
        self._looked: dict[str, float] = {}
        self._planned = False

    def expect(self, search: str, pods: Collection[str]) -> Mapping[str, Mapping[int, float]]:
        """Return what the pods of a search's running trials have reported; from now on it is they that may.

        search: identity of the TrainingJob. What others of that search reported is forgotten.
        """
        self._planned = True
        now = self._clock()
        self._looked[search] = now
        for gone in [one for one, at in self._looked.items() if now - at > FORGOTTEN_SECONDS]:
            del self._looked[gone]
            self._pods.pop(gone, None)
        before = self._pods.pop(search, {})
        expected = {uid: before.get(uid) or _Pod(since=now) for uid in list(pods)[:MOST_PODS]}
        if expected:
            self._pods[search] = expected
        else:
            del self._looked[search]
        return {uid: dict(one.curve) for uid, one in expected.items()}

    def take(self, pod: str, step: int, value: float) -> str:
        """Keep one report, and return what became of it. Of two about one step the first one counts."""
        if not self._planned:
            return NOT_LEADING
        found = next((pods[pod] for pods in self._pods.values() if pod in pods), None)
        if found is None:
            return STRANGER
        now = self._clock()
        found.left = min(BURST, found.left + (now - found.since) * PER_SECOND)
        found.since = now
        if found.left < 1.0:
            return TOO_MANY
        found.left -= 1.0
        found.curve.setdefault(step, value)
        found.curve = thinned(found.curve, MOST_STEPS)
        return TAKEN
