"""The columns of the data that the model does not take, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelmill_trainer.facts import Facts
from modelmill_trainer.kinds import DATE, EMPTY, TEXT


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that the model does not take. why: begins with a small letter and has no full stop."""

    name: str
    why: str


def left_out(facts: Facts, taken: Iterable[str], *, built_in: bool) -> list[LeftOut]:
    """Return the columns without the target, in the order of the data.

    taken: the model's features. built_in: whether the built-in stage trained it, whose rules are known.
    """
    used = {*taken, facts.target}
    return [
        LeftOut(name, _why(name, kind, facts.excluded, built_in=built_in))
        for name, kind in facts.kinds.items()
        if name not in used
    ]


def _why(name: str, kind: str, excluded: Iterable[str], *, built_in: bool) -> str:
    if name in excluded:
        return "excluded by data.features.exclude"
    if kind == EMPTY:
        return "it has no value in any row"
    if not built_in:
        return "the train image's model does not take it"
    if kind == DATE:
        return "dates; give their parts as numbers to use them"
    if kind == TEXT:
        return "dates, or text that differs in most rows, like a name"
    return "it has no value in the rows to train on"
