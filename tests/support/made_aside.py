"""All children that a plan makes, those that come after the status among them."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.engine.interface import Plan
from modelmill.engine.parts import Contribution
from modelmill.kube.objects import Manifest


def applied(made: Plan | Contribution) -> Sequence[Manifest]:
    """Return the level children."""
    return [*(made.apply or ()), *(child for aside in made.aside for child in aside.apply)]


def created(made: Plan | Contribution) -> Sequence[Manifest]:
    """Return those that run to completion."""
    return [*made.create, *(child for aside in made.aside for child in aside.create)]
