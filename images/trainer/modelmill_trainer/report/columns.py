"""The columns of the data: those that the model does not take, and what those that it takes looked like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelmill.contracts.artifact import TEXT, FeatureProfile, Tensor
from modelmill_trainer.facts import Facts
from modelmill_trainer.kinds import EMPTY
from modelmill_trainer.preprocessing import ALL_DIFFERENT, COMMAS, DATES, MOSTLY_DIFFERENT, NO_VALUE

REASONS = {
    NO_VALUE: "no value in the rows to train on",
    DATES: "dates; give their parts as numbers to use them",
    MOSTLY_DIFFERENT: "texts that mostly differ, like a name, an identifier or free text",
    ALL_DIFFERENT: "texts that are all different, like a name or an identifier",
    COMMAS: COMMAS,
}
MAX_CATEGORIES = 8


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


def reference(tensor: Tensor, profile: FeatureProfile) -> str:
    """Return what the values of a feature were like in training: shares of categories and truth values, or bins of numbers
    and of lengths of text.
    """
    shares = list(zip(profile.categories, profile.ratios, strict=True)) if profile.categories else []
    if tensor.datatype == "BOOL" and len(profile.edges) == 1:
        shares = sorted(zip(("false", "true"), profile.ratios, strict=True), key=lambda share: -share[1])
    if shares:
        return ", ".join(f"{name} {share:.0%}" for name, share in shares[:MAX_CATEGORIES])
    edges, characters = profile.edges, " characters" if profile.kind == TEXT else ""
    if not edges:
        only = "one length only" if profile.kind == TEXT else "one value only"
        return only if profile.missing_ratio < 1 else "no value"
    if len(edges) == 1:
        return f"2 bins, edge {edges[0]:,.4g}{characters}"
    return f"{len(profile.ratios)} bins, edges {' to '.join(_apart(edges[0], edges[-1]))}{characters}"


def _apart(low: float, high: float) -> tuple[str, str]:
    """Return two different numbers with as many digits as tell them apart well."""
    for digits in (4, 8, 12):
        if float(f"{high:.{digits}g}") - float(f"{low:.{digits}g}") >= 0.9 * (high - low):
            break
    return f"{low:,.{digits}g}", f"{high:,.{digits}g}"
