"""Chart, rendered manifests and examples on a real API server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.generate.manifests import find_helm
from tests.support.light import ROOT, light_cluster

pytestmark = pytest.mark.integration

CHART = ROOT / "charts" / "modelmill"
NAMESPACE = "modelmill-system"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:modelmill-operator"
Run = Callable[..., str]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run kubectl or helm against the API server; returns what it printed, raises with what it complained about."""
    with light_cluster("test-packaging") as kubeconfig:
        helm = find_helm()
        assert helm is not None
        path = f"{Path(helm).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": path}

        def call(*arguments: str, text: str | None = None) -> str:
            done = subprocess.run(
                arguments, env=environment, input=text, capture_output=True, text=True, check=False, timeout=120
            )
            if done.returncode:
                raise AssertionError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
            return done.stdout

        yield call


@pytest.fixture(scope="module")
def installed(run: Run) -> None:
    install(run, CHART)
    run("kubectl", "create", "namespace", "ml")


def install(run: Run, chart: Path, *settings: str) -> str:
    base = ["helm", "upgrade", "--install", "modelmill", str(chart), "-n", NAMESPACE, "--create-namespace"]
    return run(*base, *settings)


def get(run: Run, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("kubectl", "get", *arguments, "-o", "json"))
    return found


@pytest.mark.usefixtures("installed")
def test_the_rules_of_the_kinds_accept_the_examples(run: Run) -> None:
    for folder in ("quickstart", "container-image"):
        told = run("kubectl", "-n", "ml", "apply", "--dry-run=server", "-f", str(ROOT / "examples" / folder))
        assert "created (server dry run)" in told


@pytest.mark.usefixtures("installed")
def test_kubectl_finds_the_kinds_by_short_name_and_category(run: Run) -> None:
    for name in ("mtj", "mmv", "mis", "modelmill"):
        run("kubectl", "-n", "ml", "get", name)
    told = run("kubectl", "explain", "trainingjobs.spec", "--api-version=modelmill.dev/v1alpha1")
    assert "evaluation" in told


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "may"),
    [
        ("create", "jobs.batch", "ml", True),
        ("delete", "jobs.batch", "ml", True),
        ("patch", "deployments.apps", "ml", True),
        ("update", "inferenceservices.modelmill.dev/status", "ml", True),
        ("create", "modelversions.modelmill.dev", "ml", True),
        ("update", "leases.coordination.k8s.io/modelmill-operator", NAMESPACE, True),
        ("update", "leases.coordination.k8s.io/another", NAMESPACE, False),
        ("update", "leases.coordination.k8s.io/modelmill-operator", "ml", False),
        ("get", "secrets", "ml", False),
        ("list", "secrets", NAMESPACE, False),
        ("get", "secrets/modelmill-operator-alerts", NAMESPACE, False),
        ("create", "pods", "ml", False),
        ("create", "pods/exec", "ml", False),
        ("update", "inferenceservices.modelmill.dev", "ml", False),
        ("delete", "trainingjobs.modelmill.dev", "ml", False),
        ("create", "rolebindings.rbac.authorization.k8s.io", "ml", False),
        ("create", "serviceaccounts/token", "ml", False),
    ],
)
def test_what_the_operator_may_do(run: Run, verb: str, resource: str, namespace: str, may: bool) -> None:
    kind, _, rest = resource.partition("/")
    group = kind.partition(".")[2]
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": kind.partition(".")[0]}
    if rest:
        attributes["subresource" if rest in ("status", "exec", "token") else "name"] = rest
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": OPERATOR, "resourceAttributes": attributes},
    }
    answer = json.loads(run("kubectl", "create", "-f", "-", "-o", "json", text=json.dumps(review)))
    assert answer["status"]["allowed"] is may


@pytest.mark.usefixtures("installed")
def test_the_token_stays_and_the_kinds_change_with_an_upgrade(run: Run, tmp_path: Path) -> None:
    secret = ("-n", NAMESPACE, "secret", "modelmill-operator-alerts")
    before = get(run, *secret)["data"]["token"]
    newer = shutil.copytree(CHART, tmp_path / "chart")
    crd = newer / "templates" / "crds" / "modelversions.modelmill.dev.yaml"
    crd.write_text(crd.read_text().replace("One immutable result of training", "Changed by an upgrade"))
    install(run, newer, "--set", "replicas=2")
    assert get(run, *secret)["data"]["token"] == before
    # The API server publishes its schemas a little after it has taken a CustomResourceDefinition.
    explain = ("kubectl", "explain", "modelversions", "--api-version=modelmill.dev/v1alpha1")
    tries = 0
    while "Changed by an upgrade" not in run(*explain):
        tries += 1
        assert tries < 60, "the changed description did not appear within a minute"
        time.sleep(1)
    budget = get(run, "-n", NAMESPACE, "poddisruptionbudget", "modelmill-operator")
    assert budget["spec"]["maxUnavailable"] == 1
    install(run, CHART)


@pytest.mark.usefixtures("installed")
def test_a_namespaced_operator_may_work_only_there(run: Run) -> None:
    for name in ("team-a", "team-b"):
        run("kubectl", "create", "namespace", name)
    settings = ["fullnameOverride=second", "watchNamespaces={team-a}", "crds.enabled=false"]
    flags = [part for one in settings for part in ("--set", one)]
    run("helm", "install", "second", str(CHART), "-n", "team-b", *flags)
    user = "--as=system:serviceaccount:team-b:second"
    assert run("kubectl", "auth", "can-i", "create", "jobs", "-n", "team-a", user).strip() == "yes"
    for namespace in ("team-b", "ml", "default"):
        with pytest.raises(AssertionError, match="no\n"):
            run("kubectl", "auth", "can-i", "create", "jobs", "-n", namespace, user)
    run("helm", "uninstall", "second", "-n", "team-b")


@pytest.mark.usefixtures("installed")
def test_an_editor_may_write_the_kinds_and_a_viewer_may_read_them(run: Run) -> None:
    for role, verbs in (("view", {"get", "list", "watch"}), ("edit", {"create", "update", "patch", "delete"})):
        found = get(run, "clusterrole", f"modelmill-operator-{role}")
        assert found["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
        assert verbs == set(found["rules"][0]["verbs"])


@pytest.mark.usefixtures("installed")
def test_uninstalling_leaves_the_kinds_and_their_objects(run: Run) -> None:
    job = ROOT / "examples" / "quickstart" / "2-training-job.yaml"
    run("kubectl", "-n", "ml", "apply", "-f", str(job))
    run("helm", "uninstall", "modelmill", "-n", NAMESPACE)
    assert get(run, "-n", "ml", "trainingjobs.modelmill.dev", "fuel-economy")["spec"]["model"] == "fuel-economy"
    # The chart, and the rendered manifests, take over what is there.
    install(run, CHART)
    run("helm", "uninstall", "modelmill", "-n", NAMESPACE)
    run("kubectl", "apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "manifests" / "install.yaml"))
    deployment = get(run, "-n", NAMESPACE, "deployment", "modelmill-operator")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    rendered = [one for one in yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text()) if one]
    (wanted,) = [one for one in rendered if one["kind"] == "Deployment"]
    assert container["image"] == wanted["spec"]["template"]["spec"]["containers"][0]["image"]
