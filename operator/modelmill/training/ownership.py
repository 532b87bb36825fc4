"""Which TrainingJob a model belongs to: two of them would give different versions the same names."""

from __future__ import annotations

from collections.abc import Iterable

from modelmill.api.objects import ObjectMeta


def owner(training_jobs: Iterable[ObjectMeta]) -> ObjectMeta | None:
    """Return the TrainingJob that the model belongs to: the oldest that stays, by creation, then by identity."""
    staying = [one for one in training_jobs if not one.deleting]
    return min(staying, key=lambda one: (one.creation_timestamp, one.uid), default=None)
