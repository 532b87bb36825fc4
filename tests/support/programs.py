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


def debian_alertmanager() -> list[str]:
    """Return how Alertmanager is called. Debian's reads its templates at a fixed place, where those of its package are laid.

    They are in a mount namespace of that process alone, which is the one that is started; skips where that is not permitted.
    """
    program = debian_program("prometheus-alertmanager", "prometheus-alertmanager")
    share = Path(program).parents[1] / "share"
    if share == Path("/usr/share"):
        return [program]
    mounted = 'mount -t overlay overlay -o "lowerdir=$0:/usr/share" /usr/share && exec "$@"'
    call = ["unshare", "--mount", "--map-root-user", "sh", "-c", mounted, str(share)]
    tried = subprocess.run([*call, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"Alertmanager cannot be given its templates: {tried.stderr.strip()[-300:]}")
    return [*call, program]
