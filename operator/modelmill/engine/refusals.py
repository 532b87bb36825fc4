"""What stands in the way of an object, told in its own conditions: the one place where the engine writes conditions.

A plan that the API server refuses never gets to its status, so that nothing of what it says about the object is seen. The
refusal takes its place: Ready is False with the refusal's reason and words until a plan goes through, whose own conditions
then stand there again. The same refusal is the same status, which is not written twice: trying again writes nothing.

A child that comes after the status hinders nothing of what that says. Its refusal is told beside: `ChildRefused`, and the
condition that says whether the child works. What was told stays in the status that a plan writes until its own try is over,
so that a refusal that goes on writes nothing either, after a restart as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from modelmill.engine.interface import Aside, Plan
from modelmill.kube.conditions import FALSE, TRUE, Condition, merge
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import fitted

MENDED_BY_A_PERSON = (Forbidden, Invalid, NameConflict, InternalError)
"""A quota, missing permissions, an admission policy, a name that is taken, an error of ours: Stalled, and an Event besides."""

MAX_CONDITIONS = 16
"""As many as the schemas take."""

TOLD = (*MENDED_BY_A_PERSON, ChildTerminating)
"""What becomes a condition. The rest passes by itself within seconds, or is an outage that no status could be written in."""

CHILD_REFUSED = "ChildRefused"
"""Type of the condition that is there, and True, while a child that comes after the status is refused."""


def unforeseen(error: Exception) -> InternalError:
    """Return what a person reads of an error of ours: one line, bounded."""
    words = fitted(f"{type(error).__name__}: {error}", 300)
    told = f"an error of the operator, whose log has the trace: {words}; nothing is changed until the object can be planned"
    return InternalError(told)


def refused(parent: Manifest, error: EngineError, now: datetime) -> dict[str, Any]:
    """Return the status that tells of an error of `TOLD`."""
    return not_ready(parent, type(error).__name__, _words(error), now, stalled=isinstance(error, MENDED_BY_A_PERSON))


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


def still_told(plan: Plan, parent: Manifest) -> Manifest | None:
    """Return the status to write before the children aside are tried: the plan's, with what was told of the last try."""
    if plan.status is None or not plan.aside:
        return plan.status
    about = {CHILD_REFUSED, *(aside.condition for aside in plan.aside)}
    reasons = {error.__name__ for error in TOLD}
    generation = int(parent["metadata"].get("generation", 1))
    before = (parent.get("status") or {}).get("conditions") or ()
    told = [old for old in before if old["type"] in about and old["reason"] in reasons]
    return _beside(plan.status, [{**old, "observedGeneration": generation} for old in told])


def told_beside(
    plan: Plan, parent: Manifest, refused: Sequence[tuple[Aside, EngineError]], now: datetime
) -> Manifest | None:
    """Return the status to write after the children aside were tried: the plan's, with what is refused of them."""
    errors = [(aside, error) for aside, error in refused if isinstance(error, TOLD)]
    if plan.status is None or not errors:
        return plan.status
    first = errors[0][1]
    texts = "; ".join(dict.fromkeys(_words(error) for _, error in errors))
    wanted = {CHILD_REFUSED: Condition(CHILD_REFUSED, TRUE, type(first).__name__, texts)}
    for aside, error in errors:
        if aside.condition:
            reason = type(error).__name__
            wanted.setdefault(aside.condition, Condition(aside.condition, FALSE, reason, _words(error)))
    generation = int(parent["metadata"].get("generation", 1))
    before = (parent.get("status") or {}).get("conditions") or ()
    return _beside(plan.status, merge(before, wanted.values(), generation, now))


def _beside(status: Manifest, told: Iterable[Mapping[str, Any]]) -> Manifest:
    """Return the status with these conditions: in the places of those of their types, `CHILD_REFUSED` at the end."""
    about = {one["type"]: one for one in told}
    if not about:
        return status
    kept = [about.pop(one["type"], one) for one in status.get("conditions") or ()]
    return {**status, "conditions": [*kept, *(one for kind, one in about.items() if kind == CHILD_REFUSED)]}


def _words(error: EngineError) -> str:
    return error.message if isinstance(error, ApiError) else str(error)
