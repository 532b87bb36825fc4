"""Columns that look like identifiers of rows. A model learns nothing from them that holds for the rows to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from modelmill_trainer.kinds import NUMBER, TEXT

MIN_ROWS = 50
"""With fewer rows, a count or a measure often differs in each of them as well."""
MAX_NAMED = 10


def identifiers_note(frames: Sequence[pd.DataFrame], features: Sequence[str], kinds: Mapping[str, str]) -> str:
    """Return a sentence that names the features whose values are texts or whole numbers, another in each row; or an empty text.

    frames: parts of the data, whose rows count together.
    """
    found = [name for name in features if _identifies(pd.concat([frame[name] for frame in frames]), kinds[name])]
    if not found:
        return ""
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    named = ", ".join(found[:MAX_NAMED])
    return f"columns that may be identifiers: {named}{more}; leave them out by spec.data.features.exclude"


def _identifies(column: pd.Series, kind: str) -> bool:
    if kind not in (NUMBER, TEXT) or len(column) < MIN_ROWS or column.isna().any() or not column.is_unique:
        return False
    if kind == TEXT:
        return True
    numbers = column.to_numpy("float64")
    return bool((numbers == np.floor(numbers)).all())
