"""What a check says: its verdict, and the value against its bounds for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from modelmill.measuring.prometheus import Answers
from modelmill.measuring.samples import Sample

Word = Literal["Pass", "Insufficient", "Inconclusive", "Error", "Fail"]
PASS: Final = "Pass"
FAIL: Final = "Fail"
ERROR: Final = "Error"
INCONCLUSIVE: Final = "Inconclusive"
INSUFFICIENT: Final = "Insufficient"
WORST: Final[Sequence[Word]] = (FAIL, ERROR, INCONCLUSIVE, INSUFFICIENT, PASS)
"""The worst verdict of the checks is that of a measurement."""

SIGNIFICANT: Final = 0.001
"""A value beyond its bound fails when chance makes it so less often than this."""
SUSPICIOUS: Final = 0.05
"""A value beyond its ratio to the stable version's passes when chance makes it so more often than this.

Two equal versions are beyond any ratio again and again when little is counted; against a fixed bound more counting decides.
"""


@dataclass(frozen=True, slots=True)
class Samples:
    """Both tracks over the same time.

    pods: ready pods of the candidate; silent: those of them that gave no figures. version, stable_version: whose labels count.
    answers: of Prometheus, by the query as the check has it.
    """

    candidate: Sample
    stable: Sample
    pods: int = 0
    silent: int = 0
    version: str = ""
    stable_version: str = ""
    answers: Answers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says, and the value against its bounds for people."""

    verdict: Word
    text: str


def worst_of(found: Sequence[Finding]) -> Finding:
    """Return the first finding of the worst verdict."""
    return min(found, key=lambda one: WORST.index(one.verdict))


def whole(value: str, found: Sequence[Finding]) -> Finding:
    """Return what a check says whose bounds say this: the value with the worst of them, or with all when all pass."""
    worst = worst_of(found)
    texts = [worst.text] if worst.verdict != PASS else [one.text for one in found]
    return Finding(worst.verdict, f"{value} {' '.join(texts)}")


def beyond_bound(chance: float, text: str) -> Finding:
    """Return what is said of a value beyond a fixed bound. chance: its p-value."""
    if chance < SIGNIFICANT:
        return Finding(FAIL, f"{text} (p < {SIGNIFICANT})")
    return Finding(INCONCLUSIVE, f"{text}, which may be chance (p {chance:.2g})")


def beyond_stable(chance: float, text: str) -> Finding:
    """Return what is said of a value beyond its ratio to the stable version's. chance: its p-value."""
    if chance >= SUSPICIOUS:
        return Finding(PASS, f"{text}, which chance explains (p {chance:.2g})")
    return beyond_bound(chance, text)
