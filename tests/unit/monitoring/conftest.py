from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelmill.api.base import API_VERSION

CLUSTER = Path(__file__).resolve().parents[3] / "hack" / "cluster"
VERSION = "fuel-economy-1"
REVISION = "0123456789"


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of promtool: installed, or out of Debian's package of Prometheus."""
    found = shutil.which("promtool")
    if found:
        return found
    program = "import sys; sys.path.insert(0, sys.argv[1]); import debian; print(debian.unpacked('prometheus'))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(CLUSTER)], capture_output=True, text=True, check=False, env=os.environ
    )
    path = Path(done.stdout.strip().splitlines()[-1], "usr", "bin", "promtool") if done.returncode == 0 else None
    if path is None or not path.exists():
        pytest.skip(f"promtool is not to be had: {done.stderr.strip()[-300:]}")
    return str(path)


@pytest.fixture
def service() -> Callable[..., dict[str, Any]]:
    """Make an InferenceService that serves VERSION; `drift` is spec.monitoring.drift."""

    def make(
        drift: dict[str, Any] | None = None,
        *,
        name: str = "fuel-economy",
        namespace: str = "ml",
        version: str | None = VERSION,
        retrain: dict[str, Any] | None = None,
        alerts: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        monitoring: dict[str, Any] = {"drift": drift or {}}
        if retrain is not None:
            monitoring["retrain"] = retrain
        status: dict[str, Any] = {"phase": "Stable"}
        if version is not None:
            track = {"digest": "sha256:" + "0" * 64, "revision": REVISION, "replicas": 2, "ready": 2}
            status["stable"] = {"version": version, **track}
        if alerts is not None:
            status["alerts"] = alerts
        return {
            "apiVersion": API_VERSION,
            "kind": "InferenceService",
            "metadata": {"name": name, "namespace": namespace, "uid": "u-1", "resourceVersion": "1", "generation": 1},
            "spec": {"model": {"name": "fuel-economy", "follow": "Approved"}, "monitoring": monitoring},
            "status": status,
        }

    return make
