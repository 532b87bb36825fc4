"""What the operator tells a stage by variables."""

from __future__ import annotations

import os

from modelmill_trainer.failure import StageError


def required(name: str) -> str:
    """Return the value of a variable. Raises StageError (SpecInvalid) where it is not set, or empty."""
    value = os.environ.get(name)
    if not value:
        raise StageError("SpecInvalid", f"{name} is not set")
    return value
