"""What the images hold: every module of ours that their programs import is copied into them."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ("operator", "trainer", "server")


def copied(image: str) -> Iterator[tuple[str, str]]:
    """Yield (place in the repository, place in the image) of what goes below /app."""
    for line in (ROOT / "images" / image / "Dockerfile").read_text().splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and words[-1].startswith("/app"):
            for source in words[1:-1]:
                yield source, words[-1]


@pytest.fixture(params=IMAGES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder as /app is in an image."""
    for source, target in copied(request.param):
        place = tmp_path / target.removeprefix("/")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    return tmp_path / "app"


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_what_is_imported_is_there(app: Path) -> None:
    files = list(app.rglob("*.py"))
    names = {(path, name) for path in files for name in imported(path) if name.startswith("modelmill")}
    assert names
    for path, name in sorted(names):
        place = app.joinpath(*name.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file(), f"{path.relative_to(app)} imports {name}"


def test_what_is_copied_is_an_input_of_the_image() -> None:
    """The tag of an image follows the content of its inputs only."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import imagebuild as i; print(*i.RECIPES[sys.argv[2]].sources)"
    )
    for image in IMAGES:
        command = [sys.executable, "-c", program, str(ROOT / "hack" / "cluster"), image]
        sources = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        for source, _ in copied(image):
            assert any(Path(source).is_relative_to(known) for known in sources), f"{image}: {source}"
