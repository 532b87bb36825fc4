"""What stands in the way of an object, told in its own conditions: the one place where the engine writes Ready and Stalled.

A plan that the API server refuses never gets to its status, so that nothing of what it says about the object is seen. The
refusal takes its place: Ready is False with the refusal's reason and words until a plan goes through, whose own conditions
then stand there again. The same refusal is the same status, which is not written twice: trying again writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelmill.engine.errors import (
    ApiError,
    ChildTerminating,
    EngineError,
    Forbidden,
    InternalError,
    Invalid,
    NameConflict,
)
from modelmill.kube.conditions import FALSE, TRUE, Condition, merge
from modelmill.kube.objects import Manifest

MENDED_BY_A_PERSON = (Forbidden, Invalid, NameConflict, InternalError)
"""A quota, missing permissions, an admission policy, a name that is taken, an error of ours: Stalled, and an Event besides."""

MAX_CONDITIONS = 8
"""As many as the schemas take."""

TOLD = (*MENDED_BY_A_PERSON, ChildTerminating)
"""What becomes a condition. The rest passes by itself within seconds, or is an outage that no status could be written in."""


def refused(parent: Manifest, error: EngineError, now: datetime) -> dict[str, Any]:
    """Return the status that tells of an error of `TOLD`."""
    message = error.message if isinstance(error, ApiError) else str(error)
    return not_ready(parent, type(error).__name__, message, now, stalled=isinstance(error, MENDED_BY_A_PERSON))


def not_ready(parent: Manifest, reason: str, message: str, now: datetime, *, stalled: bool) -> dict[str, Any]:
    """Return the status of the parent as it is, but for Ready and Stalled, which keep their places among the conditions.

    Another writer may have filled the list: conditions beyond `MAX_CONDITIONS` give way, since a status that is refused tells
    nothing.
    """
    status: Mapping[str, Any] = parent.get("status") or {}
    before = status.get("conditions") or ()
    generation = int(parent["metadata"].get("generation", 1))
    wanted = [
        Condition("Ready", FALSE, reason, message),
        Condition("Stalled", TRUE if stalled else FALSE, reason, message),
    ]
    told = {condition["type"]: condition for condition in merge(before, wanted, generation, now)}
    known = [condition for condition in before if condition["type"] in told]
    others = [condition for condition in before if condition not in known]
    stay = [*known, *others[: MAX_CONDITIONS - len(told)]]
    kept = [told.pop(condition["type"], condition) for condition in before if condition in stay]
    return {**status, "conditions": [*kept, *told.values()], "observedGeneration": generation}
