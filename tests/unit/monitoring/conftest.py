from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelmill.api.base import API_VERSION
from tests.support.programs import debian_program

VERSION = "fuel-economy-1"
REVISION = "0123456789"


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of promtool."""
    return debian_program("promtool", "prometheus")


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
