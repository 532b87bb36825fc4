"""What lies in the folder where an image's program starts is not imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What each program says when it is asked for help, or has no environment.
STARTED = {"operator": "is not set", "server": "usage", "trainer": "usage"}
SOURCES = os.pathsep.join(str(ROOT / part) for part in ("operator", "images/server", "images/trainer"))


def dockerfile(image: str) -> str:
    return (ROOT / "images" / image / "Dockerfile").read_text().replace("\\\n", " ")


def environment(image: str) -> dict[str, str]:
    """Return what ENV says, with the repository's sources in place of /app."""
    found: dict[str, str] = {}
    for line in re.findall(r"^ENV (.*)$", dockerfile(image), re.MULTILINE):
        found |= dict(re.findall(r"(\w+)=(\S+)", line))
    assert found["PYTHONPATH"] == "/app"
    return found | {"PYTHONPATH": SOURCES, "PATH": os.environ["PATH"]}


def command(image: str) -> list[str]:
    """Return ENTRYPOINT with the Python of the tests."""
    (line,) = re.findall(r"^ENTRYPOINT (.*)$", dockerfile(image), re.MULTILINE)
    program, *arguments = json.loads(line)
    assert program == "python"
    return [sys.executable, *arguments, "--help"]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a folder as a stage of another image may leave it: it is the home of the stages as well."""
    for name in ("modelmill_trainer", "modelmill_server", "modelmill"):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("__init__.py", "__main__.py", "app.py"):
            (folder / file).write_text(f"print('PLANTED {name}')\n")
    (tmp_path / "json.py").write_text("print('PLANTED json')\n")
    site = tmp_path / f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text("print('PLANTED usercustomize')\n")
    return tmp_path


def started(image: str, folder: Path, **changes: str) -> str:
    done = subprocess.run(
        command(image),
        cwd=folder,
        env=environment(image) | {"HOME": str(folder)} | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("image", STARTED)
def test_nothing_is_imported_from_the_folder_where_the_program_starts(image: str, planted: Path) -> None:
    said = started(image, planted)
    assert STARTED[image] in said
    assert "PLANTED" not in said


@pytest.mark.parametrize("image", STARTED)
def test_without_the_safe_path_it_would_be(image: str, planted: Path) -> None:
    assert "PLANTED" in started(image, planted, PYTHONSAFEPATH="")


@pytest.mark.parametrize("image", STARTED)
def test_the_program_starts_where_nobody_may_write(image: str) -> None:
    assert re.findall(r"^WORKDIR (.*)$", dockerfile(image), re.MULTILINE) == ["/"]
