"""Folders with the wheels that a hashed requirements file names, so that image builds need no network."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from progress import Failed, locked, run, step
from settings import cache_root

PYTHON = "3.11"
# Debian 12, which the images stand on, has glibc 2.36.
NEWEST_GLIBC = 36


def wheelhouse(name: str, requirements: Path) -> Path:
    """The folder with the wheels of a requirements file, downloaded when they changed.

    Raises:
        Failed: the file is missing, or a wheel is not to be had or has another hash.
    """
    if not requirements.exists():
        raise Failed(f"{requirements} is missing; `make lock` writes it")
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = cache_root() / "wheels" / f"{name}-{digest}"
    if folder.exists():
        return folder
    with locked(cache_root() / "wheels.lock"):
        log = cache_root() / "logs" / f"wheels-{name}.log"
        partial = folder.with_suffix(".new")
        shutil.rmtree(partial, ignore_errors=True)
        with step(f"downloading the wheels of the {name} image", log):
            run([*_pip(), "download", *_target(), "--dest", str(partial), "--requirement", str(requirements)], log)
        for old in folder.parent.glob(f"{name}-*"):
            shutil.rmtree(old) if old != partial else None
        partial.rename(folder)
    return folder


def _pip() -> list[str]:
    home = cache_root() / "pip"
    if not (home / "bin" / "pip").exists():
        run([sys.executable, "-m", "venv", "--clear", str(home)], cache_root() / "logs" / "pip.log")
    return [str(home / "bin" / "python"), "-m", "pip"]


def _target() -> list[str]:
    """Options that pick wheels for the image's Python, whatever Python runs this program."""
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, 16, -1)] + [f"manylinux2014_{machine}"]
    platforms = [option for tag in [*tags, f"linux_{machine}"] for option in ("--platform", tag)]
    abis = ["--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    return ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", PYTHON, *abis, *platforms]
