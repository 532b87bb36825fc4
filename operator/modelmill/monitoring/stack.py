"""What the Prometheus stack of the cluster is given for one InferenceService: rules, what to scrape, where alerts go. Pure.

Where the API server has the kinds of the Prometheus operator these are its objects; else the rules are in a ConfigMap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modelmill.api.objects import InferenceService
from modelmill.contracts.verdict import Holdout
from modelmill.engine.interface import Aside, World
from modelmill.kube.labels import MANAGED_BY, MANAGED_BY_LABEL, SERVICE_LABEL
from modelmill.kube.objects import Manifest, Resource
from modelmill.kube.resources import ALERTMANAGER_CONFIGS, POD_MONITORS, PROMETHEUS_RULES
from modelmill.monitoring.alertmanager import KIND_LABEL
from modelmill.monitoring.readiness import READY
from modelmill.monitoring.rules.config_map import build_config_map, rules_name
from modelmill.monitoring.rules.group import build_group
from modelmill.monitoring.rules.scope import Rule

KINDS: Final = (PROMETHEUS_RULES, POD_MONITORS, ALERTMANAGER_CONFIGS)
"""Kinds of the Prometheus operator; a cluster need not have them."""
SUFFIX: Final = "-modelmill"
RUNBOOKS: Final = "docs/operations/alerts.md"
TOKEN_SECRET: Final = "modelmill-alerts"
"""Secret of the service's namespace whose key `token` Alertmanager sends; see docs/operations/alerts.md."""
MAX_ALERTS: Final = 200
"""Alerts in one notification."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What the administrator says of it.

    runbooks: address of the page with a section for each alert. labels: of all objects, by which a Prometheus selects them.
    alerts_url: where Alertmanager delivers; empty for no AlertmanagerConfig.
    """

    runbooks: str = RUNBOOKS
    labels: Mapping[str, str] = field(default_factory=dict)
    alerts_url: str = ""

    def children(self, service: InferenceService, holdout: Holdout | None, served: Collection[Resource]) -> list[Aside]:
        """Return what Prometheus raises alerts by; nothing before a version serves.

        holdout: of that version, None where it is not known. served: which of KINDS there are.
        """
        group = build_group(service, holdout, self.runbooks)
        if group is None:
            return []
        rules = self._rules(service, group) if PROMETHEUS_RULES in served else build_config_map(service, group)
        wanted = [rules]
        if POD_MONITORS in served:
            wanted.append(self._pod_monitor(service))
        if ALERTMANAGER_CONFIGS in served and self.alerts_url:
            wanted.append(self._alertmanager_config(service))
        return [Aside([one], condition=READY) for one in wanted]

    def _object(self, resource: Resource, service: InferenceService, name: str, spec: dict[str, Any]) -> Manifest:
        labels = {**self.labels, MANAGED_BY_LABEL: MANAGED_BY, SERVICE_LABEL: service.name}
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "namespace": service.namespace, "labels": labels},
            "spec": spec,
        }

    def _rules(self, service: InferenceService, group: Rule) -> Manifest:
        return self._object(PROMETHEUS_RULES, service, rules_name(service.name), {"groups": [group]})

    def _pod_monitor(self, service: InferenceService) -> Manifest:
        spec = {
            "selector": {"matchLabels": {SERVICE_LABEL: service.name}},
            "podMetricsEndpoints": [{"port": "http", "path": "/metrics"}],
        }
        return self._object(POD_MONITORS, service, f"{service.name}{SUFFIX}", spec)

    def _alertmanager_config(self, service: InferenceService) -> Manifest:
        about = [
            {"name": "inferenceservice", "value": service.name, "matchType": "="},
            {"name": KIND_LABEL, "value": ".+", "matchType": "=~"},
        ]
        credentials = {"name": TOKEN_SECRET, "key": "token"}
        webhook = {
            "url": self.alerts_url,
            "sendResolved": True,
            "maxAlerts": MAX_ALERTS,
            "httpConfig": {"authorization": {"type": "Bearer", "credentials": credentials}},
        }
        route = {
            "receiver": "modelmill",
            "matchers": about,
            "groupBy": ["namespace", "inferenceservice"],
            # Short: one run answers everything that fires meanwhile.
            "groupWait": "10s",
            "groupInterval": "1m",
            "repeatInterval": "4h",
        }
        spec = {"route": route, "receivers": [{"name": "modelmill", "webhookConfigs": [webhook]}]}
        return self._object(ALERTMANAGER_CONFIGS, service, f"{service.name}{SUFFIX}", spec)


def kinds_served(world: World, namespace: str) -> frozenset[Resource]:
    """Return the kinds of the Prometheus operator that the API server has and that may be written there."""
    return frozenset(kind for kind in KINDS if world.watched(kind, namespace))
