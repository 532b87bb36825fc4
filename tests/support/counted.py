"""What the pods of a service counted, made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelmill.contracts.counts import (
    DRIFT_RING,
    QUALITY_RING,
    SLOTS,
    FeatureReference,
    History,
    Key,
    Reference,
    Ring,
)

BINS = 10
SLOT_SECONDS = 300.0
END = 1_763_800_000.0
"""Unix time at which the window ends; CREATED is the same as RFC 3339 has it."""
CREATED = "2025-11-22T08:26:40Z"


def number() -> dict[str, float]:
    """Return the shares of a number's bins: deciles."""
    return {**{str(place): 0.098 for place in range(BINS)}, "missing": 0.02}


def window(shares: Mapping[str, Mapping[str, float]], rows: int, labels: Mapping[Key, float] | None = None) -> History:
    """Return the counts of a window that had rows with these shares of each feature, evenly over its slots.

    The prediction was as in training. labels: what the window of labels counted.
    """
    per_slot: dict[Key, float] = {
        ("bin", feature, name): share * rows / SLOTS for feature, bins in shares.items() for name, share in bins.items()
    }
    per_slot |= {("prediction", name): share * rows / SLOTS for name, share in number().items()}
    ring = Ring(SLOT_SECONDS)
    for slot in reversed(range(SLOTS)):
        ring = ring.added(END - slot * SLOT_SECONDS, per_slot)
    quality = Ring(24 * SLOT_SECONDS)
    if labels:
        quality = quality.added(END, labels)
    references = {name: FeatureReference(number(), 1.0 / len(shares)) for name in shares}
    reference = Reference(references, number(), 4000.0, END - 86_400.0)
    return History("0123456789", "cars-1", reference, {DRIFT_RING: ring, QUALITY_RING: quality})


def top(names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return shares of features whose values are all great."""
    return {name: {"8": 0.4, "9": 0.58, "missing": 0.02} for name in names}
