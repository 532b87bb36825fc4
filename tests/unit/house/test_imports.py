"""Who may import whom among tests and tools: what two tests share is in tests/support, and hack needs no tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def imports(text: str) -> Iterator[tuple[str, str]]:
    """Yield module and name of each `from … import …`, and ("…", "") of each `import …`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def problems(where: Path, text: str) -> Iterator[str]:
    """Yield what a file imports and may not; where: its path in the checkout."""
    folder = ".".join(where.parent.parts)
    for module, name in imports(text):
        if not f"{module}.".startswith("tests."):
            continue
        *parents, last = module.split(".")
        if where.parts[0] == "hack":
            yield f"{where} imports {module}: hack needs no tests"
        elif last.startswith("test_") or name.startswith("test_"):
            yield f"{where} imports {name} from {module}: what tests share is in tests/support"
        elif last == "conftest" and ".".join(parents) != folder:
            yield f"{where} imports {name} from another folder's conftest: what tests share is in tests/support"
        elif name.startswith("_"):
            yield f"{where} imports {name} from {module}: it is private there"


def test_tests_share_by_support_only_and_hack_needs_no_tests() -> None:
    files = [path for folder in ("tests", "hack") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 100
    found = (problems(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in files)
    assert [problem for of_file in found for problem in of_file] == []


@pytest.mark.parametrize(
    ("where", "line", "told"),
    [
        ("tests/unit/a/test_a.py", "from tests.unit.a.test_b import entry", "what tests share"),
        ("tests/unit/a/test_a.py", "from tests.unit.a import test_b", "what tests share"),
        ("tests/unit/a/test_a.py", "import tests.unit.a.test_b", "what tests share"),
        ("tests/unit/a/test_a.py", "from tests.unit.b.conftest import made", "another folder's conftest"),
        ("tests/unit/a/test_a.py", "from tests.support.objects import _private", "private"),
        ("hack/bench/a.py", "from tests.support.objects import job", "hack needs no tests"),
    ],
)
def test_an_import_that_may_not_be_is_found(where: str, line: str, told: str) -> None:
    (problem,) = problems(Path(where), line)
    assert told in problem


def test_what_may_be_imported() -> None:
    text = "from tests.support.objects import job\nfrom tests.unit.a.conftest import made\nimport testsuite\n"
    assert list(problems(Path("tests/unit/a/test_a.py"), text)) == []
