"""Python environments of the peers, made on first use from pinned requirements and kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


class MissingError(Exception):
    """Something that a measurement needs cannot be had; the text says why, in one line."""


def cache() -> Path:
    """Return the folder for what is kept from run to run: `MODELMILL_CACHE`, or ~/.cache/modelmill, and bench."""
    return Path(os.environ.get("MODELMILL_CACHE") or "~/.cache/modelmill").expanduser().resolve() / "bench"


def clean_environ() -> dict[str, str]:
    """Return this process's environment without what would bring our own packages or settings into a peer."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MODELMILL_", "VIRTUAL_ENV"))}


def environment(name: str) -> Path:
    """Return the `bin` folder of the environment of requirements-{name}.txt, made when it is missing. Raises MissingError."""
    requirements = HERE / f"requirements-{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = cache() / f"{name}-{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        _run([*pip, "--no-deps", "-r", str(requirements)])
        (folder / "complete").touch()
    return folder / "bin"


def open_loop_program() -> Path:
    """Return the open loop's load generator, built with Go when its source has changed. Raises MissingError."""
    source = HERE / "open_loop"
    digest = hashlib.sha256((source / "main.go").read_bytes()).hexdigest()[:12]
    program = cache() / f"open-loop-{digest}"
    if not program.exists():
        go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
        if go is None:
            raise MissingError("the open loop needs Go to build its load generator, and there is none")
        program.parent.mkdir(parents=True, exist_ok=True)
        _run([go, "build", "-o", str(program), "."], source)
    return program


def wrk_program() -> str:
    """Return the closed loop's load generator. Raises MissingError."""
    found = shutil.which("wrk")
    if found is None:
        raise MissingError("the closed loop needs wrk (Debian and Ubuntu: apt-get install wrk)")
    return found


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, env=clean_environ(), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "no words").splitlines()[-1]
        raise MissingError(
            f"{Path(command[0]).name} {' '.join(command[1:4])} ended with {done.returncode}: {words}"[:300]
        )
