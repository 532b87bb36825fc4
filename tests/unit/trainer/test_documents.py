"""The pages that describe the stages say what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from modelmill.store import errors
from modelmill_trainer.stores import REASONS

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "images" / "trainer" / "modelmill_trainer"
PAGE = ROOT / "docs" / "reference" / "reasons-training.md"


def reasons_in_code() -> set[str]:
    found = {"GateFailed"} | reasons_of_the_store()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("StageError", "rejected")
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(first.value)
    return found


def reasons_of_the_store() -> set[str]:
    """Return the words of the store as the stages say them; an object that is too large is a champion that is corrupt."""
    words = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}
    return {REASONS.get(word, word) for word in words - {errors.OBJECT_TOO_LARGE}}


def test_every_reason_has_a_line_and_every_line_a_reason() -> None:
    assert set(re.findall(r"^\| `(\w+)`", PAGE.read_text(), re.MULTILINE)) == reasons_in_code()
