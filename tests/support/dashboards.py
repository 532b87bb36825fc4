"""The chart's dashboards, and what their queries ask of a Prometheus."""

from __future__ import annotations

import json
from typing import Any

from tests.support.programs import ROOT

DASHBOARDS = {path.stem: path for path in sorted((ROOT / "charts/modelmill/files/dashboards").glob("*.json"))}
VALUES = {
    "namespace": "ml",
    "inferenceservice": "cars",
    "model_version": "cars-1",
    "window": "1m",
    "job": ".*",
    "__rate_interval": "1m",
}


def panels(name: str) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that show something."""
    found: list[dict[str, Any]] = json.loads(DASHBOARDS[name].read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def asked(name: str) -> list[str]:
    """Return the queries of a dashboard: of its panels, and of its marks."""
    document = json.loads(DASHBOARDS[name].read_text())
    marks = [mark["expr"] for mark in document["annotations"]["list"]]
    return [*(target["expr"] for panel in panels(name) for target in panel["targets"]), *marks]


def resolved(query: str) -> str:
    """Return a query with the values of `VALUES` for Grafana's variables."""
    for name, value in VALUES.items():
        query = query.replace(f"${name}", value)
    return query
