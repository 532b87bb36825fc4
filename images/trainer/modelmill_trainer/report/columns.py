"""The columns of the data that the model does not take, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelmill_trainer.facts import Facts
from modelmill_trainer.kinds import EMPTY
from modelmill_trainer.preprocessing import DATES, FREE_TEXT, NO_VALUE

REASONS = {
    NO_VALUE: "no value in the rows to train on",
    DATES: "dates; give their parts as numbers to use them",
    FREE_TEXT: "free text: it differs in most rows, like a name",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that the model does not take, and why."""

    name: str
    why: str


def left_out(facts: Facts, taken: Iterable[str], why: Mapping[str, str]) -> list[LeftOut]:
    """Return the columns without the target, in the order of the data.

    taken: the model's features. why: `preprocessing.unusable` by feature.
    """
    used = {*taken, facts.target}
    return [LeftOut(name, _told(facts, name, why.get(name, ""))) for name in facts.kinds if name not in used]


def _told(facts: Facts, name: str, why: str) -> str:
    if name in facts.excluded:
        return "excluded by data.features.exclude"
    if facts.kinds[name] == EMPTY:
        return "no value in any row"
    return REASONS.get(why, "the model that the train stage left does not take it")
