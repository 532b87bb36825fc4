"""What docs/reference/security.md promises: each boundary has a section, and each test that it names exists."""

from __future__ import annotations

import ast
import base64
import re
import subprocess
from pathlib import Path

import pytest

from modelmill.monitoring.intake import namespace_token
from tests.support.pages import blocks
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
    "Trial → operator",
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


@pytest.mark.parametrize("token", ["secret-of-the-operator", ""])
def test_the_recipe_of_a_namespaces_token_makes_it_and_ends_without_the_operators(token: str, tmp_path: Path) -> None:
    (recipe,) = (block for block in blocks(PAGE) if "openssl" in block)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\nprintf %s {base64.b64encode(token.encode()).decode()}\n")
    kubectl.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", recipe], env=environ, capture_output=True, text=True, check=False, timeout=60)
    if token:
        assert done.stdout == f"{namespace_token(token.encode(), 'ml')}\n"
    else:
        assert (done.stdout, "no token" in done.stderr) == ("", True)
