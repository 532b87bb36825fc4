"""Two operators share the namespaces out among them, each with its own Lease, service account and Roles, by the chart."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.bench import load
from hack.bench.audit import AuditLog
from hack.bench.light import NAMESPACE
from hack.bench.operator_process import OperatorProcess
from hack.generate.manifests import KUBERNETES
from tests.support.api_server import Cluster, Start
from tests.support.operated import run_started
from tests.support.programs import ROOT, helm

pytestmark = pytest.mark.integration

Release = Callable[[str, str], tuple[OperatorProcess, AuditLog]]


@pytest.fixture
def release(cluster: Cluster, start: Start, tmp_path: Path) -> Iterator[Release]:
    """Install a release for one namespace but for its Deployment, and start its operator."""
    program = helm()
    leases = []

    def one(name: str, namespace: str) -> tuple[OperatorProcess, AuditLog]:
        values: dict[str, Any] = {
            "fullnameOverride": name,
            "watchNamespaces": [namespace],
            "crds": {"enabled": False},
            "rbac": {"aggregateClusterRoles": False},
            "admissionPolicy": {"enabled": False},
            "alerts": {"tokenSecretName": "alerts"},
        }
        chart = str(ROOT / "charts" / "modelmill")
        argv = [program, "template", name, chart, "-n", NAMESPACE, "--kube-version", KUBERNETES, "-f", "-"]
        done = subprocess.run(argv, input=yaml.safe_dump(values), capture_output=True, text=True, check=True)
        documents = [one for one in yaml.safe_load_all(done.stdout) if one]
        cluster.apply(*(one for one in documents if one["kind"] in ("ServiceAccount", "Role", "RoleBinding")))
        (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        names = ("MODELMILL_NAMESPACES", "MODELMILL_LEASE_NAME")
        settings = {entry["name"]: entry["value"] for entry in container["env"] if entry["name"] in names}
        leases.append(name)
        log = AuditLog(cluster.server.audit_log, f"system:serviceaccount:{NAMESPACE}:{name}")
        kubeconfig = cluster.server.login_as(name, tmp_path / f"{name}.kubeconfig")
        return start(name, kubeconfig=kubeconfig, settings=settings), log

    yield one
    for name in leases:
        cluster.kubectl("-n", NAMESPACE, "delete", "lease,role,rolebinding,serviceaccount", name, "--ignore-not-found")


def namespaces_asked_about(log: AuditLog) -> set[str]:
    return {str(entry["objectRef"].get("namespace")) for entry in log.requests() if "objectRef" in entry}


def test_two_operators_of_other_namespaces_touch_only_their_own(
    cluster: Cluster, namespace: str, release: Release
) -> None:
    second = cluster.server.new_namespace(f"{namespace}-b")
    operators = {where: release(name, where) for where, name in ((namespace, "modelmill-a"), (second, "modelmill-b"))}
    for where in operators:
        cluster.apply(
            load.model_version(where, "bikes"),
            load.training_job(where, "cars"),
            load.inference_service(where, "bikes"),
        )
    for where, (operator, log) in operators.items():
        assert run_started(cluster, where)["number"] == 1
        cluster.eventually(lambda where=where: cluster.items("deployments", where), "a Deployment")
        operator.wait_quiet(60)
        assert namespaces_asked_about(log) <= {where, NAMESPACE, "None"}
        assert {line.split("/namespaces/")[1].split("/")[0] for line in log.write_lines()} == {where}
    cluster.kubectl("delete", "trainingjobs,inferenceservices,jobs,deployments", "--all", "-n", second, "--wait=false")


def test_two_operators_that_claim_the_same_namespace_double_nothing_and_come_to_rest(
    cluster: Cluster, namespace: str, release: Release
) -> None:
    """Not to be done: each write is tried twice. Deterministic names and preconditions keep it harmless."""
    pair = [release(name, namespace) for name in ("modelmill-a", "modelmill-b")]
    names = range(10)
    cluster.apply(
        *(load.model_version(namespace, f"bikes-{number}") for number in names),
        *(load.training_job(namespace, f"cars-{number}") for number in names),
        *(load.inference_service(namespace, f"bikes-{number}") for number in names),
    )
    cluster.eventually(lambda: len(cluster.items("jobs", namespace)) == len(names), "a Job for each")
    cluster.eventually(lambda: len(cluster.items("deployments", namespace)) == len(names), "a Deployment for each")
    for operator, _ in pair:
        operator.wait_quiet(120)
    for _, log in pair:
        log.mark()
    runs = [one["status"]["currentRun"]["number"] for one in cluster.items("trainingjobs", namespace)]
    assert runs == [1] * len(names)
    assert len(cluster.items("jobs", namespace)) == len(names)
    for operator, log in pair:
        operator.wait_quiet(60, still=5)
        assert log.write_lines() == []
