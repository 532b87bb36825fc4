"""Programs of other projects that check what we write; a test is skipped when one is not to be had."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hack.generate.manifests import find_helm

ROOT = Path(__file__).resolve().parents[2]


def debian_program(name: str, package: str) -> str:
    """Path of a program: installed, or out of Debian's package, which is unpacked into the cache."""
    found = shutil.which(name)
    if found:
        return found
    program = "import sys; sys.path.insert(0, sys.argv[1]); import debian; print(debian.unpacked(sys.argv[2]))"
    arguments = [sys.executable, "-c", program, str(ROOT / "hack" / "cluster"), package]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{name} is not to be had: {done.stderr.strip()[-300:]}")
    folder = Path(done.stdout.strip().splitlines()[-1], "usr")
    return str(next(path for place in ("bin", "sbin") if (path := folder / place / name).exists()))


def helm() -> str:
    """Path of helm: in PATH, or as `python3 hack/cluster bin` built it."""
    found = find_helm()
    if found is None:
        pytest.skip("helm is not to be had: python3 hack/cluster bin builds it")
    return found
