"""A run because a person set the annotation modelmill.dev/run to a new text."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.kube.labels import RUN_ANNOTATION
from modelmill.training.triggers.reason import Reason
from modelmill.training.view import View

KIND = "Manual"
KEPT = 256
"""How much of the text is kept and compared."""


def reasons(view: View) -> Sequence[Reason]:
    """Return the reason when the annotation has a text that no run has answered."""
    text = view.annotations.get(RUN_ANNOTATION)
    if not text or text[:KEPT] == view.status.handled_annotation:
        return ()
    return (Reason(KIND, KIND, f"annotation {RUN_ANNOTATION} is {text[:64]!r}"),)
