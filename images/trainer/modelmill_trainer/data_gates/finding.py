"""What a gate says: one sentence for all of its columns, however many and however called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_NAME: Final = 40
MAX_COLUMNS: Final = 5
"""How many columns a sentence tells about; it counts the others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """gate: its name, one CamelCase word. columns: those it is about, none for rows. stops: whether the run ends for it."""

    gate: str
    columns: tuple[str, ...]
    text: str
    stops: bool = False


def finding(gate: str, begin: str, told: Sequence[tuple[str, str]], mend: str, *, stops: bool = False) -> list[Finding]:
    """Return one finding about columns, or none without any. told: each column with what is to be said of it, or ''."""
    if not told:
        return []
    shown = [f"{called(name)} {words}".rstrip() for name, words in told[:MAX_COLUMNS]]
    more = f" and {len(told) - MAX_COLUMNS} more" if len(told) > MAX_COLUMNS else ""
    return [Finding(gate, tuple(name for name, _ in told), f"{begin}: {', '.join(shown)}{more}; {mend}", stops)]


def called(name: str) -> str:
    """Return the name of a column, or any text of the data, as a sentence has it: printable, and not too long."""
    text = name[: MAX_NAME + 1].encode(errors="replace").decode()
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(name) <= MAX_NAME else f"{text[: MAX_NAME - 1]}…"
