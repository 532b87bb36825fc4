"""The dashboards of the chart: their queries parse, and ask only for what is there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import modelmill.app  # noqa: F401 - for what it registers
from modelmill.contracts import names
from tests.support.dashboards import DASHBOARDS, asked, panels, resolved
from tests.support.programs import debian_program
from tests.unit.chart.conftest import Render

NAME = re.compile(r"\b(?:[a-z_]+:)?modelmill_\w+(?::\w+)?\b|\bALERTS\b")
OF_SERVERS = {value for name, value in vars(names).items() if name.startswith("METRIC_")}
OF_OPERATOR = {sample for family in REGISTRY.collect() for sample in (family.name, f"{family.name}_total")}


def exists(metric: str) -> bool:
    """Tell whether a server or the operator has the series, or Prometheus makes it."""
    plain = re.sub(r"_(bucket|sum|count)$", "", metric)
    return metric == "ALERTS" or not {metric, plain}.isdisjoint(OF_SERVERS | OF_OPERATOR)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_metric_that_is_asked_for_exists(name: str) -> None:
    found = {metric for query in asked(name) for metric in NAME.findall(resolved(query))}
    assert found
    assert {metric for metric in found if not exists(metric)} == set()


def test_the_check_above_sees_what_does_not_exist() -> None:
    assert NAME.findall('sum(rate(modelmill_nothing_total{job="modelmill"}[5m]))')[0] == "modelmill_nothing_total"
    assert not exists("modelmill_nothing_total")
    assert not exists("inferenceservice:modelmill_psi:sum")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_is_promql(name: str, tmp_path: Path) -> None:
    rules = [{"record": f"query_{number}", "expr": resolved(query)} for number, query in enumerate(asked(name))]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool = debian_program("promtool", "prometheus")
    done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_variable_is_left_over(name: str) -> None:
    for query in asked(name):
        assert "$" not in resolved(query)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_panel_of_one_value_shows_that_of_now_and_no_older_one(name: str) -> None:
    shown = panels(name)
    assert {panel["type"] for panel in shown} & {"stat", "timeseries"} == {"stat", "timeseries"}
    for panel in shown:
        of_now = panel["type"] in ("stat", "bargauge")
        assert {(one["instant"], one["range"]) for one in panel["targets"]} == {(of_now, not of_now)}, panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_beside_each_other_and_have_names_of_their_own(name: str) -> None:
    placed = json.loads(DASHBOARDS[name].read_text())["panels"]
    assert len({panel["id"] for panel in placed}) == len(placed)
    taken: set[tuple[int, int]] = set()
    for panel in placed:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells


def test_the_config_map_is_what_the_sidecar_of_grafana_looks_for(render: Render) -> None:
    def config_maps(values: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in render(values) if one["kind"] == "ConfigMap"]

    assert config_maps({}) == []
    (one,) = config_maps(
        {"dashboards": {"enabled": True, "additionalLabels": {"grafana_dashboard": "own", "team": "a"}}}
    )
    assert one["metadata"]["labels"]["grafana_dashboard"] == "own"
    assert one["metadata"]["labels"]["team"] == "a"
    assert one["metadata"]["annotations"] == {"grafana_folder": "Modelmill"}
    assert {name: json.loads(text) for name, text in one["data"].items()} == {
        path.name: json.loads(path.read_text()) for path in DASHBOARDS.values()
    }
    (plain,) = config_maps({"dashboards": {"enabled": True, "folder": ""}})
    assert plain["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert "annotations" not in plain["metadata"]
