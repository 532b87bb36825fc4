"""Which labels the training data makes plausible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from modelmill.contracts.artifact import Golden, Profile, Signature

WIDENED: Final = 10
"""How many widths of the target's range in training a label may lie outside of it: a tail that training did not see fits in,
another unit or a slip of the keyboard by powers of ten does not."""
LARGEST: Final = 1e150  # its square is finite, and so are sums of squares


@dataclass(frozen=True, slots=True)
class Plausible:
    """low, high: the range of labels that are numbers. classes: the labels of a classifier, None when they are not known."""

    low: float = -LARGEST
    high: float = LARGEST
    classes: frozenset[Any] | None = None

    def has_class(self, label: Any) -> bool:
        """Return whether the model could have answered this label."""
        return self.classes is None or label in self.classes


def plausible(signature: Signature, profile: Profile, golden: Golden) -> Plausible:
    """Return what is plausible for a model.

    The range is the profile's `target`. A profile without one leaves what the model itself was seen to predict:
    the golden rows, which are spread over its predictions, and the edges of the predictions' bins. Nothing is known of a model
    whose training data nobody saw: its golden rows are made up.
    """
    primary = signature.outputs[0]
    classes = next((tensor.classes for tensor in signature.outputs if tensor.classes), ())
    ends = profile.target or _predicted(golden.outputs.get(primary.name, ()), profile)
    if not ends or not profile.rows:
        return Plausible(classes=frozenset(classes) or None)
    low, high = min(ends), max(ends)
    # All targets equal, or a huge range: neither a width of 0 nor one of infinity.
    width = WIDENED * ((high - low) or abs(high) or 1.0)
    return Plausible(max(low - width, -LARGEST), min(high + width, LARGEST), frozenset(classes) or None)


def _predicted(column: Any, profile: Profile) -> list[float]:
    edges = profile.prediction.edges if profile.prediction is not None else ()
    return [value for value in (*column, *edges) if isinstance(value, float | int) and abs(value) <= LARGEST]
