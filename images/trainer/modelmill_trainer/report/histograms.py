"""What training saw and what came since, side by side: shares of the bins of a feature, or of the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from modelmill.contracts.artifact import CATEGORICAL, FeatureProfile, category_bin
from modelmill.contracts.names import BIN_MISSING, BIN_OTHER
from modelmill_trainer.report.chart import BLUE, VERMILLION, Axis, Chart, Entry, Figure
from modelmill_trainer.report.svg import cut_letters

MAX_BINS = 24
MAX_LABEL = 40
"""Most letters of a category: as many as are drawn, and some."""


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin with the shares of training and of the window, of which missing values are a part."""

    label: str
    reference: float
    live: float


def bins_of(shares: Mapping[str, float], counted: Mapping[str, float], profile: FeatureProfile | None) -> list[Bin]:
    """Return the bins in their order.

    shares: of training, by name of the bin. counted: in the window. profile: says what the names mean, None if it is not known.
    """
    total = sum(counted.get(name, 0.0) for name in shares)
    labels = _labels(profile) if profile is not None else {}
    named = [name for name in labels if name in shares] + [name for name in shares if name not in labels]
    return [
        Bin(labels.get(name, name), shares[name], counted.get(name, 0.0) / total if total else 0.0) for name in named
    ]


def _labels(profile: FeatureProfile) -> dict[str, str]:
    """Return what people read for the name of each bin, in the order of the bins."""
    if profile.kind == CATEGORICAL:
        labels = {category_bin(category): category for category in profile.categories}
        return {**labels, BIN_OTHER: "(others)", BIN_MISSING: "(missing)"}
    edges = _apart(profile.edges)
    if not edges:
        return {"0": "(any)", BIN_MISSING: "(missing)"}
    between = [f"{low} to {high}" for low, high in pairwise(edges)]
    ranges = [f"below {edges[0]}", *between, f"from {edges[-1]}"]
    return {**{str(place): label for place, label in enumerate(ranges)}, BIN_MISSING: "(missing)"}


def _apart(edges: Sequence[float]) -> list[str]:
    """Return the edges with as many digits as tell them apart."""
    texts: list[str] = []
    for digits in (4, 8, 17):
        texts = [f"{edge:,.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    return texts


def histogram(title: str, told: str, bins: Sequence[Bin]) -> Figure:
    """Return the picture with a table of the same shares. Of many bins the first are drawn."""
    drawn = bins[:MAX_BINS]
    labels = [cut_letters(one.label, MAX_LABEL) for one in drawn]
    most = max((share for one in drawn for share in (one.reference, one.live)), default=0.0)
    legend = [Entry("training", BLUE), Entry("the window", VERMILLION)]
    chart = Chart(title, told, Axis("", names=labels), Axis("share", 0.0, most or 1.0), legend=legend)
    for place, one in enumerate(drawn):
        chart.bar(place - 0.4, place, one.reference, BLUE)
        chart.bar(place, place + 0.4, one.live, VERMILLION)
    rows = [(label, f"{one.reference:.1%}", f"{one.live:.1%}") for label, one in zip(labels, drawn, strict=True)]
    return chart.figure(("value", "training", "the window"), rows)
