"""A target that a single column gives away: known too late to be asked for, or computed from it."""

from __future__ import annotations

from typing import Final

from modelmill_trainer.data_gates.finding import Finding, finding
from modelmill_trainer.data_gates.summary import Summary

GIVEN_AWAY: Final = 0.98
"""Strength from which on a column gives the target away: a correlation of 0.99. The best honest columns of the data sets of the
tests stay below 0.85 (petal width, of the kind of an iris)."""
BEFORE: Final = 0.9
"""Strength in the data of the last good version below which the column is held for another one."""


def leaks(now: Summary, before: Summary | None, called: str) -> list[Finding]:
    """Return the columns that give the target away. It stops the run where they did not in the last good version's data.

    Such a model passes every gate, on a hold-out that has the same leak, and is worth nothing where it is asked; so a column
    that changed into one is no drift. Without a version to compare with it may be meant, and is told.
    """
    found = [(name, column.strength) for name, column in now.columns.items() if (column.strength or 0.0) >= GIVEN_AWAY]
    changed: list[tuple[str, str]] = []
    known: list[tuple[str, str]] = []
    for name, strength in found:
        old = before.columns[name].strength if before is not None and name in before.columns else None
        if old is None and before is not None and before.rows and name not in before.columns:
            old = 0.0
        (changed if old is not None and old < BEFORE else known).append((name, f"({strength:.3f} of 1)"))
    if before is not None and before.rows:
        known = []
    mend = "put them in data.features.exclude unless they are known when a prediction is asked for"
    return [
        *finding(
            "TargetLeaked", f"columns give the target away by themselves, which they did not in the data of {called}",
            changed, f"correct them or {mend}", stops=True,
        ),
        *finding("TargetLeaked", "columns give the target away by themselves", known, mend),
    ]  # fmt: skip
