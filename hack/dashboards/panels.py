"""Parts of a dashboard in Grafana's JSON model. Source: Grafana documentation, dashboard JSON model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
"""Columns of Grafana's grid."""
ROW_HEIGHT: Final = 8
STAT_HEIGHT: Final = 4
SCHEMA_VERSION: Final = 39
ALPHABETICAL, NEWEST_FIRST = 1, 8
"""Orders of a variable's values; the second takes numbers in a name for what they are."""
ON_TIME_RANGE: Final = 2
"""A variable's query is asked again when the time range changes."""
OF_NOW: Final = ("stat", "bargauge")
"""Types of panels that show one value: that at the end of the time range. Of a range they would show the last one that there
was, however old."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query in PromQL, and how its series are named."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel. form: Grafana's type. says: what is seen in it, and what to make of it.

    steps: colours from a value on, of which the first is from the least value. points: at most so many in time; 0 for as
    many as there are pixels.
    """

    title: str
    says: str
    queries: Sequence[Query]
    form: str = "timeseries"
    unit: str = "short"
    least: float | None = None
    most: float | None = None
    steps: Sequence[tuple[float, str]] = ()
    points: int = 0

    def manifest(self, number: int, place: dict[str, int]) -> dict[str, Any]:
        """Return the panel as JSON. number: its id. place: its gridPos."""
        first, *others = self.steps or ((0.0, "green"),)
        thresholds = [
            {"color": first[1], "value": None},
            *({"color": color, "value": value} for value, color in others),
        ]
        limits = {name: value for name, value in (("min", self.least), ("max", self.most)) if value is not None}
        return {
            "id": number,
            "type": self.form,
            "title": self.title,
            "description": self.says,
            "datasource": DATASOURCE,
            "gridPos": place,
            **({"maxDataPoints": self.points} if self.points else {}),
            "targets": [
                _target(query, chr(ord("A") + place), of_now=self.form in OF_NOW)
                for place, query in enumerate(self.queries)
            ],
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    **limits,
                    "color": {"mode": "thresholds" if self.steps else "palette-classic"},
                    "thresholds": {"mode": "absolute", "steps": thresholds},
                    **_drawn(self),
                },
                "overrides": [],
            },
            "options": _options(self.form),
        }


def _target(query: Query, letter: str, *, of_now: bool) -> dict[str, Any]:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": of_now,
        "range": not of_now,
    }


def _drawn(panel: Panel) -> dict[str, Any]:
    if panel.form != "timeseries":
        return {}
    line = {"style": {"mode": "line"}} if panel.steps else {"style": {"mode": "off"}}
    return {"custom": {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "thresholdsStyle": line["style"]}} | (
        {"color": {"mode": "palette-classic"}}
    )


def _options(form: str) -> dict[str, Any]:
    if form == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value"}
    if form in ("status-history", "state-timeline"):
        return {"showValue": "never", "rowHeight": 0.9, "legend": {"showLegend": False}, "tooltip": {"mode": "single"}}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


@dataclass(frozen=True, slots=True)
class Row:
    """A headline and the panels below it: those of type stat in one low line, the others beside each other, two in a line."""

    title: str
    panels: Sequence[Panel]


def datasource() -> dict[str, Any]:
    """Return the variable that chooses a Prometheus."""
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}


def asked(
    name: str, label: str, query: str, *, pattern: str = "", every: bool = False, order: int = 1
) -> dict[str, Any]:
    """Return a variable whose values a query gives. pattern: its first group is the value. every: all of them at once may be
    chosen. order: of the values."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "regex": f"/{pattern}/" if pattern else "",
        "refresh": ON_TIME_RANGE,
        "sort": order,
        "multi": every,
        "includeAll": every,
        **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if every else {"current": {}}),
    }


def chosen(name: str, label: str, values: Sequence[str], usual: str) -> dict[str, Any]:
    """Return a variable of which one of a few values is chosen."""
    options = [{"text": value, "value": value, "selected": value == usual} for value in values]
    return {
        "name": name,
        "label": label,
        "type": "custom",
        "query": ",".join(values),
        "options": options,
        "current": {"text": usual, "value": usual},
    }


def annotation(name: str, expression: str, title: str) -> dict[str, Any]:
    """Return marks in time wherever the expression has a value. title: of a mark, by labels."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "purple",
        "expr": expression,
        "step": "60s",
        "titleFormat": title,
        "textFormat": "",
        "tagKeys": "",
        "useValueForTime": False,
    }


def dashboard(
    identity: str,
    title: str,
    says: str,
    variables: Sequence[dict[str, Any]],
    rows: Sequence[Row],
    annotations: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the dashboard. identity: its uid, by which links find it and another release takes its place."""
    return {
        "uid": identity,
        "title": title,
        "description": says,
        "tags": ["modelmill"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {"list": list(variables)},
        "annotations": {"list": list(annotations)},
        "panels": list(_placed(rows)),
    }


def _placed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        found.append(
            {
                "id": len(found) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        top += 1
        low = [panel for panel in row.panels if panel.form == "stat"]
        for column, panel in enumerate(low):
            width = WIDTH // len(low)
            place = {"x": column * width, "y": top, "w": width, "h": STAT_HEIGHT}
            found.append(panel.manifest(len(found) + 1, place))
        top += STAT_HEIGHT if low else 0
        high = [panel for panel in row.panels if panel.form != "stat"]
        for number, panel in enumerate(high):
            half = WIDTH // 2
            alone = number == len(high) - 1 and number % 2 == 0
            place = {
                "x": half * (number % 2),
                "y": top + ROW_HEIGHT * (number // 2),
                "w": WIDTH if alone else half,
                "h": ROW_HEIGHT,
            }
            found.append(panel.manifest(len(found) + 1, place))
        top += ROW_HEIGHT * -(-len(high) // 2)
    return found
