"""What the operator is permitted, compared with what it asks for while it does its work."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from hack.bench import load
from hack.bench.light import ROOT
from hack.bench.operator_process import OperatorProcess
from tests.support.api_server import Cluster, Start
from tests.support.operated import run_started
from tests.support.strangers import is_served, stranger, told

pytestmark = pytest.mark.integration

Grant = tuple[str, str, str]

NOT_ASKED = {
    r"\S+ \S+/finalizers update": "asked by the admission plugin OwnerReferencesPermissionEnforcement only, off by default",
    r"\S* (deployments|poddisruptionbudgets|horizontalpodautoscalers|services|configmaps) create": (
        "an apply that makes an object is authorized as create, and noted as patch"
    ),
    r"\S* (deployments|poddisruptionbudgets|horizontalpodautoscalers|configmaps|modelversions|jobs) get": (
        "after a write that was refused since the cache was behind; for Services it is seen here"
    ),
    r"modelmill.dev (trainingjobs|inferenceservices) get": "after a status write on a stale object, and for alerts",
    r" events list": "a Job that has had no pod for five seconds",
    r"authentication.k8s.io tokenreviews create": "a trial that reports, which needs pods",
    r"batch jobs delete": "runs that are suspended or superseded",
    r"modelmill.dev modelversions create": "a run that published, which needs pods",
    r"modelmill.dev modelversions delete": "versions beyond historyLimit, which needs several runs",
    r"apps deployments delete": "the revision before, after a rollout, which needs pods",
    r" (services|configmaps) delete": "pruning is one rule for all level children",
    r"gateway.networking.k8s.io httproutes (get|watch|create|patch|delete)": "the API server has no Gateway API",
    r"monitoring.coreos.com (prometheusrules|podmonitors|alertmanagerconfigs) (get|watch|create|patch|delete)": (
        "the API server has no kinds of the Prometheus operator; tests/integration/monitoring/test_stack.py has them"
    ),
    r"coordination.k8s.io leases create": "the first election of a cluster, which another test may have held",
}
"""Grants that this run need not use, with the reason."""


def granted() -> set[Grant]:
    documents = yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text())
    roles = [
        one
        for one in documents
        if one and one["kind"] in ("Role", "ClusterRole") and "aggregate-to" not in str(one["metadata"]["labels"])
    ]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def work(cluster: Cluster, namespace: str, operator: OperatorProcess) -> None:
    """Let the operator do what can be done without pods."""
    cluster.apply(stranger(namespace), load.training_job(namespace, "cars"))
    cluster.apply(load.model_version(namespace, "shop"), load.inference_service(namespace, "shop"))
    told(cluster, namespace, "NameConflict")
    cluster.kubectl("delete", "service", "shop", "-n", namespace)
    run_started(cluster, namespace)
    cluster.kubectl("annotate", "inferenceservice", "shop", "-n", namespace, "wake=1")
    cluster.eventually(lambda: is_served(cluster, namespace), "the Service")
    cluster.eventually(lambda: cluster.items("poddisruptionbudgets", namespace), "the budget")
    bounds = '{"spec":{"autoscaling":{"maxReplicas":3,"targetCPUUtilizationPercentage":80}}}'
    cluster.kubectl("patch", "inferenceservice", "shop", "-n", namespace, "--type=merge", "-p", bounds)
    cluster.eventually(lambda: cluster.items("horizontalpodautoscalers", namespace), "the autoscaler")
    one_replica = '{"spec":{"replicas":1,"monitoring":null,"autoscaling":null}}'
    cluster.kubectl("patch", "inferenceservice", "shop", "-n", namespace, "--type=merge", "-p", one_replica)
    cluster.eventually(lambda: not cluster.items("poddisruptionbudgets", namespace), "no budget")
    cluster.kubectl("delete", "modelversion", "shop-1", "-n", namespace, "--wait=false")
    cluster.kubectl("delete", "inferenceservice", "shop", "-n", namespace)
    cluster.eventually(lambda: not cluster.items("modelversions", namespace), "the version let go")
    operator.wait_quiet(60)


def test_nothing_is_refused_and_every_grant_is_used_or_has_a_reason(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    cluster.audit.mark()
    work(cluster, namespace, start())
    requests = [
        entry for entry in cluster.audit.requests() if "objectRef" in entry and "resource" in entry["objectRef"]
    ]
    refused = [f"{one['verb']} {one['requestURI']}" for one in requests if _code(one) in (401, 403)]
    assert not refused
    used = {
        (
            entry["objectRef"].get("apiGroup", ""),
            "/".join(part for part in (entry["objectRef"]["resource"], entry["objectRef"].get("subresource")) if part),
            entry["verb"],
        )
        for entry in requests
    }
    texts = {" ".join(grant) for grant in granted()}
    unused = texts - {" ".join(grant) for grant in used}
    without_reason = {text for text in unused if not any(re.fullmatch(pattern, text) for pattern in NOT_ASKED)}
    assert not without_reason
    assert {" ".join(grant) for grant in used} <= texts
    assert len(unused) < len(texts) / 2


def _code(entry: Any) -> int:
    return int((entry.get("responseStatus") or {}).get("code", 0))
