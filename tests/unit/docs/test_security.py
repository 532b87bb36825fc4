"""What docs/reference/security.md promises: each boundary has a section, and each test that it names exists."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.programs import ROOT

PAGE = ROOT / "docs" / "reference" / "security.md"
TEXT = PAGE.read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))
BOUNDARIES = (
    "Client → server",
    "Artifact → server",
    "Tenant's code → keys of its training pod",
    "Tenant → operator",
    "Tenant → tenant",
    "Alertmanager → operator",
)


@pytest.mark.parametrize(("path", "function"), NAMED)
def test_a_test_that_is_named_exists(path: str, function: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert any(name.startswith("test_") for name in functions)
    assert not function or function in functions


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_boundary_says_what_is_promised_what_is_not_and_what_shows_it(boundary: str) -> None:
    section = TEXT.split(f"## {boundary}\n", 1)[1].split("\n## ", 1)[0]
    assert "| Promised | Shown by |" in section
    assert "\nNot promised: " in section
    rows = [line for line in section.splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(rows) >= 4
    promised = section.split("| Promised | Shown by |\n|---|---|\n", 1)[1].split("\n\n", 1)[0].splitlines()
    assert [line for line in promised if "`tests/" not in line] == []


def test_no_other_test_is_named_without_its_path() -> None:
    assert len(NAMED) >= 25
    assert TEXT.count("test_") == sum(
        path.count("test_") + function.count("test_")
        for path, function in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
    )
