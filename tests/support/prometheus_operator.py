"""The kinds of the Prometheus operator, as far as an API server must know them.

Fields and their bounds: prometheus-operator, pkg/apis/monitoring (v1: PrometheusRule, PodMonitor; v1alpha1:
AlertmanagerConfig), those that are written here; an unknown one is refused.
"""

from __future__ import annotations

from typing import Any

from modelmill.kube.objects import Resource
from modelmill.kube.resources import ALERTMANAGER_CONFIGS, POD_MONITORS, PROMETHEUS_RULES

DURATION = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?)$",
}
TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


RULE = _object(
    {"record": TEXT, "alert": TEXT, "expr": {"x-kubernetes-int-or-string": True}, "for": DURATION, "labels": TEXTS,
     "annotations": TEXTS},
    "expr",
)  # fmt: skip
GROUP = _object({"name": {"type": "string", "minLength": 1}, "rules": _list(RULE)}, "name")
ENDPOINT = _object({"port": TEXT, "path": TEXT})
SECRET_KEY = _object({"name": TEXT, "key": TEXT}, "key")
MATCHER = _object(
    {
        "name": {"type": "string", "minLength": 1},
        "value": TEXT,
        "matchType": {"type": "string", "enum": ["!=", "=", "=~", "!~"]},
    },
    "name",
)
ROUTE = _object(
    {"receiver": TEXT, "groupBy": _list(TEXT), "groupWait": TEXT, "groupInterval": TEXT, "repeatInterval": TEXT,
     "matchers": _list(MATCHER)},
)  # fmt: skip
HTTP = _object({"authorization": _object({"type": TEXT, "credentials": SECRET_KEY})})
WEBHOOK = _object(
    {
        "url": TEXT,
        "sendResolved": {"type": "boolean"},
        "maxAlerts": {"type": "integer", "minimum": 0},
        "httpConfig": HTTP,
    }
)
RECEIVER = _object({"name": {"type": "string", "minLength": 1}, "webhookConfigs": _list(WEBHOOK)}, "name")
SPECS: dict[Resource, dict[str, Any]] = {
    PROMETHEUS_RULES: _object(
        {"groups": {**_list(GROUP), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}}
    ),
    POD_MONITORS: _object(
        {"selector": _object({"matchLabels": TEXTS}), "podMetricsEndpoints": _list(ENDPOINT)}, "selector"
    ),
    ALERTMANAGER_CONFIGS: _object({"route": ROUTE, "receivers": _list(RECEIVER)}),
}


def definitions() -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions."""
    return [_definition(resource, spec) for resource, spec in SPECS.items()]


def _definition(resource: Resource, spec: dict[str, Any]) -> dict[str, Any]:
    names = {"plural": resource.plural, "singular": resource.kind.lower(), "kind": resource.kind}
    schema = {"openAPIV3Schema": _object({"spec": spec}, "spec")}
    version = {"name": resource.version, "served": True, "storage": True, "schema": schema}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {**names, "listKind": f"{resource.kind}List"},
            "versions": [version],
        },
    }
