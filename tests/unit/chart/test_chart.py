from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelmill import __version__
from modelmill.app import config_from, controllers, watches
from modelmill.engine import access
from modelmill.workloads.network import Network
from tests.support.programs import ROOT, helm
from tests.support.schema import validate
from tests.unit.chart.conftest import CHART, NAMESPACE, Refused, Render

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
# Every value of the chart, with another one that must change what is rendered.
CHANGES: dict[str, Any] = {
    "fullnameOverride": "other",
    "replicas": 3,
    "maxConcurrentRollouts": 4,
    "maxConcurrentRetrains": 2,
    "images.operator": "example.test/operator@sha256:00",
    "images.trainer": "example.test/trainer:1",
    "images.server": "example.test/server:1",
    "images.pullPolicy": "Never",
    "images.pullSecrets": ["pull"],
    "watchNamespaces": ["team-a", "team-b"],
    "crds.enabled": False,
    "crds.keep": False,
    "rbac.create": False,
    "rbac.aggregateClusterRoles": False,
    "serviceAccount.create": False,
    "serviceAccount.name": "own",
    "serviceAccount.annotations": {"a": "b"},
    "alerts.tokenSecretName": "own",
    "admissionPolicy.enabled": False,
    "modelCode.namespaces": ["*", "research"],
    "analysis.prometheus.url": "http://prometheus.monitoring:9090",
    "analysis.prometheus.namespaceParameter": "namespace",
    "analysis.prometheus.ports": [8080],
    "networkPolicy.enabled": True,
    "networkPolicy.apiServerPorts": [8443],
    "networkPolicy.clientNamespaces": ["monitoring"],
    "networkPolicy.store.ports": [9000],
    "networkPolicy.store.cidrs": ["10.20.0.0/16", "fd00:1::/64"],
    "monitoring.additionalLabels": {"release": "stack"},
    "monitoring.runbookUrl": "https://example.org/alerts",
    "metrics.serviceMonitor.enabled": True,
    "metrics.serviceMonitor.interval": "7s",
    "metrics.serviceMonitor.additionalLabels": {"release": "stack"},
    "dashboards.enabled": True,
    "dashboards.folder": "Models",
    "dashboards.additionalLabels": {"a": "b"},
    "dashboards.annotations": {"a": "b"},
    "resources": {"requests": {"cpu": "1"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
}
NEEDS = {
    **{
        f"networkPolicy.{name}": {"networkPolicy": {"enabled": True}}
        for name in ("apiServerPorts", "clientNamespaces", "store.ports", "store.cidrs")
    },
    "analysis.prometheus.namespaceParameter": {"analysis": {"prometheus": {"url": "http://p:9090"}}},
    "analysis.prometheus.ports": {
        "networkPolicy": {"enabled": True},
        "analysis": {"prometheus": {"url": "http://p:9090"}},
    },
    **{
        f"dashboards.{name}": {"dashboards": {"enabled": True}}
        for name in ("folder", "additionalLabels", "annotations")
    },
    "metrics.serviceMonitor.interval": {"metrics": {"serviceMonitor": {"enabled": True}}},
    "metrics.serviceMonitor.additionalLabels": {"metrics": {"serviceMonitor": {"enabled": True}}},
}
OPEN = ("resources", "podAnnotations", "podLabels", "nodeSelector", "affinity")


def nested(path: str, value: Any, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return values with `value` at a dotted path."""
    values = copy.deepcopy(base or {})
    place = values
    *above, last = path.split(".")
    for name in above:
        place = place.setdefault(name, {})
    place[last] = value
    return values


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and value and path not in OPEN:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def objects_of(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] == kind]


def one_of(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = objects_of(objects, kind)
    return found


def test_the_table_above_names_every_value() -> None:
    assert sorted(leaves(VALUES)) == sorted(CHANGES)


@pytest.mark.parametrize("path", CHANGES)
def test_every_value_does_something(render: Render, path: str) -> None:
    before = NEEDS.get(path, {})
    assert render(nested(path, CHANGES[path], before)) != render(before)


@pytest.mark.parametrize(
    "path",
    [
        "unknown",
        "images.unknown",
        "crds.unknown",
        "rbac.unknown",
        "serviceAccount.unknown",
        "alerts.unknown",
        "analysis.unknown",
        "analysis.prometheus.unknown",
        "metrics.unknown",
        "monitoring.unknown",
        "admissionPolicy.unknown",
        "networkPolicy.unknown",
        "networkPolicy.store.unknown",
        "metrics.serviceMonitor.unknown",
        "resources.unknown",
    ],
)
def test_an_unknown_value_is_refused(render: Render, path: str) -> None:
    with pytest.raises(Refused, match="unknown"):
        render(nested(path, 1))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicas", "two"),
        ("replicas", -1),
        ("images.pullPolicy", "Sometimes"),
        ("images.operator", "a b"),
        ("watchNamespaces", "team-a"),
        ("watchNamespaces", ["Team A"]),
        ("fullnameOverride", ""),
        ("alerts.tokenSecretName", "../x"),
        ("podLabels", {"a": 1}),
        ("tolerations", [{"keys": "a"}]),
        ("modelCode.namespaces", ["A"]),
        ("analysis.prometheus.url", "prometheus:9090"),
        ("analysis.prometheus.url", "http://user:secret@prometheus:9090"),
        ("analysis.prometheus.url", "http://prometheus:9090/?a=b"),
        ("analysis.prometheus.namespaceParameter", "a&b"),
        ("networkPolicy.store.ports", [0]),
        ("networkPolicy.store.ports", ["443"]),
        ("networkPolicy.store.cidrs", ["10.0.0.1"]),
        ("networkPolicy.store.cidrs", ["10.0.0.0/8,0.0.0.0/0"]),
        ("networkPolicy.apiServerPorts", []),
        ("networkPolicy.clientNamespaces", ["Team A"]),
        ("metrics.serviceMonitor.interval", "often"),
        ("monitoring.runbookUrl", "{{ .Value }}"),
        ("monitoring.additionalLabels", {"a": 1}),
    ],
)
def test_a_wrong_value_is_refused(render: Render, path: str, value: Any) -> None:
    with pytest.raises(Refused, match="values don't meet the specifications"):
        render(nested(path, value))


def test_it_works_as_a_part_of_another_chart(render: Render, tmp_path: Path) -> None:
    parent = {"apiVersion": "v2", "name": "parent", "version": "1.0.0"}
    dependency = {"name": "modelmill", "version": "0.1.0", "condition": "modelmill.enabled"}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(parent | {"dependencies": [dependency]}))
    shutil.copytree(CHART, tmp_path / "charts" / "modelmill")
    values = {"global": {"anything": {"at": "all"}}}
    assert objects_of(render(values | {"modelmill": {"enabled": True}}, tmp_path), "Deployment")
    assert not render(values | {"modelmill": {"enabled": False}}, tmp_path)


NAMESPACES = {"watchNamespaces": ["team-a", "team-b"]}
POLICIES = {"networkPolicy": {"enabled": True}}


@pytest.mark.parametrize("values", [{}, NAMESPACES, POLICIES], ids=["cluster", "namespaces", "policies"])
def test_no_wildcard_and_nothing_on_secrets(render: Render, values: dict[str, Any]) -> None:
    roles = [one for one in render(values) if one["kind"] in ("Role", "ClusterRole")]
    assert len(roles) >= 5
    for role in roles:
        for rule in role["rules"]:
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not [word for word in words if "*" in word], role["metadata"]["name"]
            assert not {"secrets", "serviceaccounts/token", "pods/exec"} & set(words), role["metadata"]["name"]
            assert not {"escalate", "bind", "impersonate"} & set(words), role["metadata"]["name"]
            assert "nonResourceURLs" not in rule


Grant = tuple[str, str, str, tuple[str, ...]]


def grants(rules: Iterable[dict[str, Any]]) -> list[Grant]:
    """Return each permission of its own: group, resource, verb, names; sorted, so that a doubled one shows."""
    return sorted(
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def rules_of(objects: list[dict[str, Any]], kind: str, name: str) -> list[dict[str, Any]]:
    (role, *_) = [one for one in objects_of(objects, kind) if one["metadata"]["name"] == name]
    return list(role["rules"])


@pytest.mark.parametrize("values", [{}, POLICIES], ids=["usual", "policies"])
def test_the_operator_may_do_what_its_table_needs_and_nothing_else(render: Render, values: dict[str, Any]) -> None:
    objects = render(values)
    config = config_from(environment(objects))
    table = controllers(config)
    needed = access.namespace_rules(table, watches(table))
    everywhere = rules_of(objects, "ClusterRole", "modelmill-operator")
    assert grants(everywhere) == grants(needed)
    for role in objects_of(render(values | NAMESPACES), "Role"):
        if role["metadata"]["namespace"] != NAMESPACE:
            assert grants(role["rules"]) == grants(needed)
    leases = rules_of(objects, "Role", "modelmill-operator-leases")
    assert grants(leases) == grants(access.lease_rules(config.settings.lease_name))


def test_the_operator_may_ask_whose_a_token_is_and_nothing_more_about_identities(render: Render) -> None:
    rules = rules_of(render(), "ClusterRole", "modelmill-operator-token-reviews")
    assert grants(rules) == [("authentication.k8s.io", "tokenreviews", "create", ())]
    (binding,) = [
        one for one in objects_of(render(), "ClusterRoleBinding") if "token-reviews" in one["metadata"]["name"]
    ]
    assert binding["roleRef"]["name"] == "modelmill-operator-token-reviews"
    assert [one["name"] for one in binding["subjects"]] == ["modelmill-operator"]


def test_trials_report_to_the_service(render: Render) -> None:
    objects = render()
    found = {
        one["name"]: one for one in one_of(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    # The fieldRef of the Lease's namespace is the release's.
    assert found["MODELMILL_LEASE_NAMESPACE"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
    config = config_from({**environment(objects), "MODELMILL_LEASE_NAMESPACE": NAMESPACE})
    service = one_of(objects, "Service")
    (port,) = service["spec"]["ports"]
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert config.report_url == f"http://{host}:{port['port']}/trials/report"
    told = config_from({**environment(objects), "MODELMILL_SERVICE_URL": "https://mill.example/"})
    assert told.report_url == "https://mill.example/trials/report"


def test_with_namespaces_it_has_no_rights_on_the_cluster(render: Render) -> None:
    objects = render({"watchNamespaces": ["team-a", "team-b"], "rbac": {"aggregateClusterRoles": False}})
    assert not objects_of(objects, "ClusterRole")
    assert not objects_of(objects, "ClusterRoleBinding")
    roles = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in objects_of(objects, "Role")}
    assert roles == {
        ("team-a", "modelmill-operator"),
        ("team-b", "modelmill-operator"),
        (NAMESPACE, "modelmill-operator-leases"),
    }
    for binding in objects_of(objects, "RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "modelmill-operator", "namespace": NAMESPACE}]
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
    assert environment(objects)["MODELMILL_NAMESPACES"] == "team-a,team-b"


def named(objects: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in objects}


def test_two_releases_for_other_namespaces_stand_side_by_side(render: Render) -> None:
    """In one namespace, as docs/operations/scale.md tells it: no object of the one is the other's."""
    first = render({"watchNamespaces": ["team-a"]})
    more = {"crds": {"enabled": False}, "rbac": {"aggregateClusterRoles": False}, "alerts": {"tokenSecretName": ""}}
    second = render({"fullnameOverride": "modelmill-b", "watchNamespaces": ["team-b"], **more})
    assert not named(first) & named(second)
    assert environment(first)["MODELMILL_LEASE_NAME"] == "modelmill-operator"
    assert environment(second)["MODELMILL_LEASE_NAME"] == "modelmill-b"
    config = config_from(environment(second))
    assert grants(rules_of(second, "Role", "modelmill-b-leases")) == grants(
        access.lease_rules(config.settings.lease_name)
    )


def environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    container = one_of(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_the_operator_understands_its_environment(render: Render) -> None:
    config = config_from(environment(render({"watchNamespaces": ["team-a", "team-b"]})))
    assert config.settings.namespaces == ["team-a", "team-b"]
    assert config.server_image == f"modelmill/server:{__version__}"
    assert config.trainer_image == f"modelmill/trainer:{__version__}"
    assert config.image_pull_policy == "IfNotPresent"
    mounts = one_of(render(), "Deployment")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert config.alert_token_file == f"{mounts[0]['mountPath']}/token"
    labels = {"release": "stack", "team": "a"}
    told = {"additionalLabels": labels, "runbookUrl": "https://example.org/alerts"}
    given = environment(render({"monitoring": told})) | {"MODELMILL_LEASE_NAMESPACE": NAMESPACE}
    stack = config_from(given).stack
    assert (stack.labels, stack.runbooks) == (labels, told["runbookUrl"])
    assert stack.alerts_url == f"http://modelmill-operator.{NAMESPACE}.svc:8080/alerts"


def test_the_operator_makes_policies_when_the_chart_says_so(render: Render) -> None:
    assert config_from(environment(render())).network is None
    store = {"ports": [9000, 9001], "cidrs": ["10.20.0.0/16", "fd00:1::/64"]}
    config = config_from(environment(render({"networkPolicy": {"enabled": True, "store": store}})))
    assert config.network == Network([9000, 9001], ["10.20.0.0/16", "fd00:1::/64"])


def test_pods_are_restricted(render: Render) -> None:
    pod = one_of(render(), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert set(pod["volumes"][0]) == {"name", "secret"}
    assert set(pod["volumes"][1]) == {"name", "emptyDir"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "hostNetwork" not in pod


def test_selectors_find_the_pods(render: Render) -> None:
    objects = render({"replicas": 2, "podLabels": {"app.kubernetes.io/instance": "wrong"}})
    deployment = one_of(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        one_of(objects, "Service")["spec"]["selector"],
        one_of(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    assert one_of(objects, "Service")["spec"]["ports"][0]["port"] == 8080


def test_one_replica_has_no_disruption_budget(render: Render) -> None:
    assert not objects_of(render(), "PodDisruptionBudget")


def test_the_kinds_are_those_of_the_folder(render: Render) -> None:
    rendered = {one["metadata"]["name"]: one for one in objects_of(render(), "CustomResourceDefinition")}
    files = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert len(files) == 3
    for crd in files:
        one = rendered[crd["metadata"]["name"]]
        assert one["spec"] == crd["spec"]
        assert one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    dropped = objects_of(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert len(dropped) == 3
    assert not [one for one in dropped if one["metadata"].get("annotations")]
    assert not objects_of(render({"crds": {"enabled": False}}), "CustomResourceDefinition")


def test_a_token_is_made_unless_one_is_named(render: Render) -> None:
    assert not objects_of(render(), "Secret")
    secret = one_of(render({"alerts": {"tokenSecretName": ""}}), "Secret")
    other = one_of(render({"alerts": {"tokenSecretName": ""}}), "Secret")
    assert secret["metadata"]["name"] == "modelmill-operator-alerts"
    assert len(secret["data"]["token"]) >= 48
    assert secret["data"] != other["data"]


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_helm_finds_no_fault() -> None:
    done = subprocess.run([helm(), "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "all namespaces"),
        ({"watchNamespaces": ["team-a"]}, "the namespaces team-a"),
        ({"crds": {"enabled": False}}, "until somebody installs the three CustomResourceDefinitions"),
        ({"metrics": {"serviceMonitor": {"enabled": True}}}, "WARNING: metrics.serviceMonitor.enabled"),
    ],
)
def test_what_is_told_after_the_installation_can_be_pasted(
    render: Render, tmp_path: Path, values: dict[str, Any], told: str
) -> None:
    # `helm template` leaves NOTES.txt out, and `helm install` needs a cluster: the same text as a part of an object.
    chart = shutil.copytree(CHART, tmp_path / "chart")
    text = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "_notes.tpl").write_text('{{ define "notes" }}' + text + "{{ end }}")
    (chart / "templates" / "notes.yaml").write_text('kind: Notes\ntext: {{ include "notes" . | quote }}\n')
    notes = one_of(render(values, chart), "Notes")["text"]
    assert told in notes
    pasted = notes.split("<<'EOF'\n", 1)[1].split("\nEOF\n", 1)[0]
    found = list(yaml.safe_load_all(pasted))
    assert [one["kind"] for one in found] == ["Secret", "TrainingJob", "InferenceService"]
    for one in found:
        validate(one)
