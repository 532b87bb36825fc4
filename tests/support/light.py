"""A real API server with etcd on loopback, without nodes, for the time of a test module."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def light_cluster(name: str) -> Iterator[Path]:
    """Bring an API server up, yield the path of its kubeconfig, and take it down.

    Its name tells checkouts and workers apart, which may be at it at the same time.
    """
    place = f"{ROOT} {os.environ.get('PYTEST_XDIST_WORKER', '')}"
    name = f"{name}-{hashlib.sha256(place.encode()).hexdigest()[:6]}"
    tool = [sys.executable, str(ROOT / "hack" / "cluster"), "apiserver"]
    subprocess.run([*tool, "up", "--name", name], check=True, capture_output=True)
    try:
        done = subprocess.run([*tool, "kubeconfig", "--name", name], check=True, capture_output=True, text=True)
        yield Path(done.stdout.strip().splitlines()[-1])
    finally:
        subprocess.run([*tool, "down", "--name", name], check=True, capture_output=True)
