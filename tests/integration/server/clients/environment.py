"""Python environments of other people's clients, made on first use from hashed requirements and kept.

They live in the cache folder of hack/cluster (`MODELMILL_CACHE`, or ~/.cache/modelmill): kserve and mlserver do not
resolve together, and neither belongs among this project's own packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]


def environment(name: str) -> Path:
    """Return the folder of the environment that requirements/clients-{name}.txt describes, made when it is missing.

    Raises AssertionError with what pip said when it cannot be made.
    """
    requirements = ROOT / "requirements" / f"clients-{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    home = Path(os.environ.get("MODELMILL_CACHE") or "~/.cache/modelmill").expanduser().resolve() / "clients"
    folder = home / f"{name}-{version}-{digest}"
    complete = folder / "complete"
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            _run([*pip, "--require-hashes", "-r", str(requirements)])
            complete.touch()
    return folder


def clean_environ() -> dict[str, str]:
    """Return this process's environment without what would bring our own packages or settings into a client."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MODELMILL_", "VIRTUAL_ENV"))}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
