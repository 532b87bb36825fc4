"""Defects that crash plans have found, each with a plan that fails without its mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """plan: the name of a plan. what: what went wrong in it."""

    plan: str
    what: str


FINDINGS: Sequence[Finding] = (
    Finding(
        "two jobs of one model: at rest: networkpolicies lose their owner",
        "A child whose owner reference somebody took away was not looked at before everything was.",
    ),
)
