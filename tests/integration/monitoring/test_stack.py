"""The objects of the Prometheus operator, made by the real operator on an API server that has its kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.bench import load
from hack.bench.light import LightServer
from hack.bench.operator_process import OperatorProcess
from tests.support.api_server import Cluster
from tests.support.prometheus_operator import definitions

pytestmark = pytest.mark.integration

KINDS = ("prometheusrules", "podmonitors", "alertmanagerconfigs")
SETTINGS = {
    "MODELMILL_MONITORING_LABELS": "release=stack",
    "MODELMILL_RUNBOOK_URL": "https://example.org/alerts",
    "MODELMILL_ALERT_TOKEN_FILE": "/dev/null",
    "MODELMILL_LEASE_NAME": "modelmill-operator",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    server = LightServer.up("test-stack")
    try:
        yield Cluster(server, server.install(tmp_path_factory.mktemp("operator")))
    finally:
        server.down()


@pytest.fixture
def operator(cluster: Cluster, tmp_path: Path) -> Iterator[OperatorProcess]:
    process = OperatorProcess(cluster.kubeconfig, tmp_path / "operator.log", settings=SETTINGS)
    process.wait_leading(60)
    yield process
    process.kill()


def made(cluster: Cluster, namespace: str) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for plural in KINDS for one in cluster.items(plural, namespace)}


def test_they_are_made_once_there_are_such_kinds_and_go_with_the_engine(
    cluster: Cluster, operator: OperatorProcess
) -> None:
    namespace = cluster.server.new_namespace("stack")
    service = load.inference_service(namespace, "shop")
    service["spec"]["monitoring"]["engine"] = "Auto"
    cluster.apply(load.model_version(namespace, "shop"), service)

    def status() -> dict[str, Any]:
        return cluster.status("inferenceservices", namespace, "shop")

    def engine() -> Any:
        return (status().get("monitoring") or {}).get("engine")

    cluster.eventually(lambda: engine() == "Embedded" and status().get("stable"), "the operator itself")
    assert cluster.items("configmaps", namespace) == []

    cluster.apply(*definitions())
    # An absent kind is looked for again within a minute or so.
    cluster.eventually(lambda: engine() == "Prometheus", "Prometheus", 180)
    cluster.eventually(lambda: len(made(cluster, namespace)) == 3, "all three objects")
    found = made(cluster, namespace)
    assert {one["metadata"]["name"] for one in found.values()} == {"shop-modelmill-rules", "shop-modelmill"}
    assert all(one["metadata"]["labels"]["release"] == "stack" for one in found.values())
    (group,) = found["PrometheusRule"]["spec"]["groups"]
    (runbook, *_) = [rule["annotations"]["runbook_url"] for rule in group["rules"] if "alert" in rule]
    assert runbook.startswith("https://example.org/alerts#modelmill")
    assert found["PodMonitor"]["spec"]["selector"] == {"matchLabels": {"modelmill.dev/inference-service": "shop"}}
    (receiver,) = found["AlertmanagerConfig"]["spec"]["receivers"]
    assert receiver["webhookConfigs"] == [
        {
            "url": "http://modelmill-operator.modelmill-system.svc:8080/alerts",
            "sendResolved": True,
            "maxAlerts": 200,
            "httpConfig": {
                "authorization": {"type": "Bearer", "credentials": {"name": "modelmill-alerts", "key": "token"}}
            },
        }
    ]
    ready = next(one for one in status()["conditions"] if one["type"] == "MonitoringReady")
    assert (ready["status"], ready["reason"]) == ("True", "RulesWritten")
    assert "PrometheusRule shop-modelmill-rules" in ready["message"]

    edited = json.dumps({"spec": {"groups": []}})
    cluster.kubectl("patch", "prometheusrule", "shop-modelmill-rules", "-n", namespace, "--type=merge", "-p", edited)
    cluster.eventually(lambda: made(cluster, namespace)["PrometheusRule"]["spec"]["groups"], "the rules again")

    embedded = json.dumps({"spec": {"monitoring": {"engine": "Embedded"}}})
    cluster.kubectl("patch", "inferenceservice", "shop", "-n", namespace, "--type=merge", "-p", embedded)
    cluster.eventually(lambda: not made(cluster, namespace), "none of them")
    assert engine() == "Embedded"
