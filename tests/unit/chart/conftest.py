from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from hack.generate.manifests import KUBERNETES
from tests.support.programs import ROOT, helm

CHART = ROOT / "charts" / "modelmill"
NAMESPACE = "modelmill-system"

Render = Callable[..., list[dict[str, Any]]]


class Refused(Exception):
    """Helm refused; the text is its own."""


@pytest.fixture(scope="session")
def render() -> Render:
    """Render the chart with values; returns the objects. Raises Refused."""
    program = helm()

    def run(values: dict[str, Any] | None = None, chart: Any = CHART) -> list[dict[str, Any]]:
        # A fixed name of the Secret, since a token of the chart's own is another one each time.
        merged = {"alerts": {"tokenSecretName": "alerts"}} | (values or {})
        arguments = ["template", "release", str(chart), "-n", NAMESPACE, "--kube-version", KUBERNETES, "-f", "-"]
        done = subprocess.run(
            [program, *arguments], input=yaml.safe_dump(merged), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Refused(done.stderr)
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    return run
