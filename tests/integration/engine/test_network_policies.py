"""NetworkPolicies of the pods, made by the operator when it is told to, with the permissions that the chart then gives it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import yaml

from hack.bench import load
from hack.bench.light import NAMESPACE, ROOT
from hack.generate.manifests import KUBERNETES, find_helm
from tests.support.api_server import Cluster, Start
from tests.support.strangers import is_served

pytestmark = pytest.mark.integration

SETTINGS = {"MODELMILL_NETWORK_POLICIES": "true", "MODELMILL_STORE_PORTS": "9000"}


@pytest.fixture
def permitted(cluster: Cluster) -> Iterator[None]:
    """Give the operator the role of a chart with networkPolicy.enabled, and its usual one afterwards."""
    helm = find_helm()
    assert helm is not None
    role = ["-s", "templates/rbac.yaml", "--kube-version", KUBERNETES, "-n", NAMESPACE]
    argv = [helm, "template", "modelmill", str(ROOT / "charts" / "modelmill"), *role, "--set"]

    def apply(enabled: str) -> None:
        rendered = subprocess.run(
            [*argv, f"networkPolicy.enabled={enabled}"], capture_output=True, text=True, check=True
        )
        roles = [one for one in yaml.safe_load_all(rendered.stdout) if one and one["kind"] == "ClusterRole"]
        cluster.apply(*roles)

    apply("true")
    yield
    apply("false")


@pytest.mark.usefixtures("permitted")
def test_pods_have_policies_that_are_kept_and_go_with_their_owner(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    cluster.audit.mark()
    operator = start(settings=SETTINGS)
    cluster.apply(load.training_job(namespace, "cars"))
    cluster.apply(load.model_version(namespace, "shop"), load.inference_service(namespace, "shop"))
    cluster.eventually(lambda: is_served(cluster, namespace), "the Service")
    names = {"cars-training", "shop-serving"}

    def policies() -> dict[str, dict[str, object]]:
        return {one["metadata"]["name"]: one for one in cluster.items("networkpolicies", namespace)}

    def ports(name: str) -> list[int]:
        spec = policies()[name]["spec"]
        return [port["port"] for rule in spec["egress"] for port in rule["ports"]]  # type: ignore[index]

    cluster.eventually(lambda: set(policies()) == names, "both policies")
    # The version that is served is in the status only after the first plan.
    for name in names:
        cluster.eventually(lambda name=name: ports(name) == [53, 53, 7070, 9000], f"the store's ports in {name}")
    owners = {name: one["metadata"]["ownerReferences"][0]["kind"] for name, one in policies().items()}  # type: ignore[index]
    assert owners == {"cars-training": "TrainingJob", "shop-serving": "InferenceService"}
    cluster.kubectl("delete", "networkpolicy", "cars-training", "-n", namespace)
    cluster.eventually(lambda: set(policies()) == names, "the policy made anew")
    operator.wait_quiet(60)
    refused = [
        f"{one['verb']} {one['requestURI']}"
        for one in cluster.audit.requests()
        if (one.get("responseStatus") or {}).get("code") in (401, 403)
        and f"/namespaces/{namespace}/" in one["requestURI"]  # those of other tests may be going
    ]
    assert refused == []
