"""What the NetworkPolicies say, read by a reader of their own: which pods reach which, and that no neighbour is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from modelmill.api.resources import MODEL_VERSIONS
from modelmill.engine.cache import Cache
from modelmill.serving.network import network_part as serving_part
from modelmill.training.network import network_part as training_part
from modelmill.workloads.network import Network
from tests.support import objects as o
from tests.support.network_policies import Peer, admitted
from tests.support.programs import ROOT
from tests.unit.training.planning import IMAGE, plan, value_of, view

OURS = {"app.kubernetes.io/managed-by": "modelmill"}
STORE = Peer("10.244.0.5", "store", {"app": "s3"})
AMAZON, METADATA = Peer("52.216.0.1"), Peer("169.254.169.254")
STRANGER = Peer("10.244.0.6", "hostile", {"app": "x"})
KEYS = {"uri": "s3://models/prod", "endpoint": "http://s3:7070", "secretRef": {"name": "keys"}}


def training_policy(network: Network = Network(), **store: Any) -> dict[str, Any]:  # noqa: B008 - it is frozen
    job = o.training_job(**({"store": store} if store else {}))
    contribution = value_of(training_part(network).contribute(job, Cache(), o.NOW))
    (policy,) = contribution.apply
    return dict(policy)


def serving_policy(
    network: Network = Network(),  # noqa: B008 - it is frozen
    spec: Mapping[str, Any] | None = None,
    **stores: Any,
) -> dict[str, Any]:
    """Return the policy of a service whose stable and candidate version, by name, are in these stores."""
    cache, tracks = Cache(), {}
    for track, (name, store) in zip(("stable", "canary"), stores.items(), strict=False):
        version = o.model_version(name.replace("_", "-"))
        cache.put(MODEL_VERSIONS, {**version, "spec": {**version["spec"], "store": store}})
        common = {"version": name.replace("_", "-"), "digest": o.DIGEST, "revision": "abc", "replicas": 1, "ready": 1}
        more = {
            "startTime": "2026-01-02T03:04:05Z",
            "step": 0,
            "weight": 10,
            "actualWeight": 10,
            "stepTime": "2026-01-02T03:04:05Z",
        }
        tracks[track] = common if track == "stable" else {**common, **more}
    service = o.with_status(o.inference_service(), tracks)
    service["spec"] |= spec or {}
    (policy,) = value_of(serving_part(network).contribute(service, cache, o.NOW)).apply
    return dict(policy)


def training_pod() -> Peer:
    (job,) = plan(view(o.training_job()), IMAGE).create
    return Peer("10.244.0.7", "ml", job["spec"]["template"]["metadata"]["labels"])


def server(service: str = "cars", namespace: str = "ml") -> Peer:
    labels = {**OURS, "modelmill.dev/inference-service": service, "app.kubernetes.io/name": "modelmill-server"}
    return Peer("10.244.0.8", namespace, labels)


def reached(policies: Sequence[dict[str, Any]], source: Peer, target: Peer) -> set[tuple[str, int]]:
    ports = [("TCP", port) for port in (22, 53, 80, 443, 5432, 6443, 7070, 8080, 8081, 9000)] + [
        ("UDP", 53),
        ("UDP", 123),
    ]
    return {(protocol, port) for protocol, port in ports if admitted(policies, source, target, port, protocol)}


DNS = {("UDP", 53), ("TCP", 53)}


def test_the_reader_opens_what_no_policy_selects() -> None:
    assert len(reached([], STRANGER, STORE)) == 12
    assert len(reached([training_policy()], STRANGER, STORE)) == 12


def test_a_training_pod_reaches_names_and_its_store() -> None:
    policies = [training_policy()]
    assert reached(policies, training_pod(), STORE) == DNS | {("TCP", 7070)}
    assert reached(policies, training_pod(), AMAZON) == DNS | {("TCP", 7070)}
    assert reached(policies, training_pod(), METADATA) == DNS
    assert reached(policies, training_pod(), Peer("fd00:ec2::254")) == DNS


def test_nobody_reaches_a_training_pod() -> None:
    policies = [training_policy()]
    for source in (STRANGER, STORE, server(), AMAZON, Peer("10.244.0.9", "ml")):
        assert reached(policies, source, training_pod()) == set()


@pytest.mark.parametrize(
    ("store", "port"),
    [
        ({"uri": "s3://a/b", "secretRef": {"name": "k"}}, 443),
        ({"uri": "s3://a/b", "secretRef": {"name": "k"}, "endpoint": "https://s3.example"}, 443),
        ({"uri": "s3://a/b", "secretRef": {"name": "k"}, "endpoint": "http://s3.example/path"}, 80),
        ({"uri": "s3://a/b", "secretRef": {"name": "k"}, "endpoint": "http://[fd00::1]:9000"}, 9000),
    ],
)
def test_the_port_is_that_of_the_endpoint(store: dict[str, Any], port: int) -> None:
    assert reached([training_policy(**store)], training_pod(), AMAZON) == DNS | {("TCP", port)}


@pytest.mark.parametrize("endpoint", ["http://s3:port", "http://s3:70700", "http://[s3"])
def test_an_endpoint_that_is_none_opens_nothing(endpoint: str) -> None:
    assert reached([training_policy(**{**KEYS, "endpoint": endpoint})], training_pod(), AMAZON) == DNS


def test_trials_that_report_reach_the_operator_and_no_other_pod_of_its_namespace(render: Any) -> None:
    own, operator = operator_policy(render, clientNamespaces=["monitoring"])
    searching = o.training_job(tuning=o.tuning(pruning={"name": "Median"}, validation={"fraction": "0.2"}))
    part = training_part(Network(), operator.namespace)
    (policy,) = value_of(part.contribute(searching, Cache(), o.NOW)).apply
    assert reached([dict(policy), own], training_pod(), operator) == {("TCP", 8080)}
    assert reached([training_policy(), own], training_pod(), operator) == set()
    neighbour = Peer("10.244.0.3", operator.namespace, {"app": "x"})
    assert reached([dict(policy)], training_pod(), neighbour) == DNS | {("TCP", 7070)}
    assert reached([own], STRANGER, operator) == set()
    watched, operator = operator_policy(render, clientNamespaces=["monitoring"], store={})
    assert reached([dict(policy), watched], Peer("10.244.0.7", "ml", {"app": "x"}), operator) == set()


def test_a_store_in_a_folder_needs_no_network() -> None:
    for more in ({}, {"secretRef": {"name": "k"}}):
        assert reached([training_policy(uri="file:///models", **more)], training_pod(), AMAZON) == DNS


def test_an_identity_of_the_cloud_is_exchanged_where_the_cloud_does_it() -> None:
    policies = [training_policy(uri="s3://a/b", serviceAccountName="trainer")]
    assert reached(policies, training_pod(), METADATA) == DNS | {("TCP", 80), ("TCP", 443)}


def test_what_an_administrator_says_of_stores_counts() -> None:
    network = Network(store_ports=[9000], store_cidrs=["52.216.0.0/16"])
    policies = [training_policy(network)]
    assert reached(policies, training_pod(), AMAZON) == DNS | {("TCP", 7070), ("TCP", 9000)}
    assert reached(policies, training_pod(), STORE) == DNS | {("TCP", 7070), ("TCP", 9000)}
    assert reached(policies, training_pod(), Peer("198.51.100.1")) == DNS


def test_a_server_is_reached_on_its_port_and_reaches_the_stores_of_its_versions() -> None:
    policies = [serving_policy(cars_1=KEYS, cars_2={**KEYS, "endpoint": "https://s3.example:9000"})]
    for source in (STRANGER, AMAZON, training_pod()):
        assert reached(policies, source, server()) == {("TCP", 8080)}
    assert reached(policies, server(), STORE) == DNS | {("TCP", 7070), ("TCP", 9000)}


def test_a_server_that_speaks_grpc_is_reached_on_its_port() -> None:
    policies = [serving_policy(spec={"runtime": {"grpc": {"enabled": True}}}, cars_1=KEYS)]
    assert {port for _, port in reached(policies, STRANGER, server())} == {8080, 8081}


def test_a_server_reaches_the_store_of_its_payload_log() -> None:
    log = {"uri": "s3://logs", "endpoint": "http://logs:9000", "secretRef": {"name": "keys"}}
    policies = [serving_policy(spec={"payloadLog": log}, cars_1=KEYS)]
    assert reached(policies, server(), STORE) == DNS | {("TCP", 7070), ("TCP", 9000)}


def test_a_server_without_a_version_reaches_names_only() -> None:
    assert reached([serving_policy()], server(), STORE) == DNS


def test_a_neighbour_is_not_meant() -> None:
    policies = [training_policy(), serving_policy(cars_1=KEYS)]
    for neighbour in (
        server("trucks"),
        server("cars", "other"),
        Peer("10.244.0.9", "ml", {"app": "shop"}),
        Peer("10.244.0.9", "ml", {"modelmill.dev/inference-service": "cars"}),
        Peer("10.244.0.9", "ml", OURS),
    ):
        assert len(reached(policies, STRANGER, neighbour)) == 12
        assert len(reached(policies, neighbour, AMAZON)) == 12


def test_policies_have_names_of_their_own() -> None:
    names = {training_policy()["metadata"]["name"], serving_policy()["metadata"]["name"]}
    assert names == {"cars-training", "cars-serving"}


def operator_policy(render: Any, **values: Any) -> tuple[dict[str, Any], Peer]:
    objects = render({"networkPolicy": {"enabled": True, **values}})
    (policy,) = [one for one in objects if one["kind"] == "NetworkPolicy"]
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    return policy, Peer("10.244.0.2", deployment["metadata"]["namespace"], labels)


def test_the_operator_reaches_the_api_server_and_metrics_of_servers(render: Any) -> None:
    policy, operator = operator_policy(render)
    assert reached([policy], operator, Peer("172.30.0.1")) == DNS | {("TCP", 443), ("TCP", 6443)}
    assert reached([policy], operator, server()) == DNS | {("TCP", 443), ("TCP", 6443), ("TCP", 8080)}
    assert reached([policy], operator, STRANGER) == DNS | {("TCP", 443), ("TCP", 6443)}


def test_the_operator_is_reached_by_those_who_are_named(render: Any) -> None:
    policy, operator = operator_policy(render)
    assert reached([policy], STRANGER, operator) == {("TCP", 8080)}
    assert reached([policy], AMAZON, operator) == set()
    policy, operator = operator_policy(render, clientNamespaces=["monitoring"])
    assert reached([policy], STRANGER, operator) == set()
    assert reached([policy], Peer("10.244.0.4", "monitoring"), operator) == {("TCP", 8080)}
    assert reached([policy], STRANGER, Peer("10.244.0.3", operator.namespace, {"app": "x"})) != set()


def test_nothing_else_is_made_unless_the_chart_says_so() -> None:
    installed = [one for one in yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text()) if one]
    assert not [one for one in installed if one["kind"] == "NetworkPolicy"]


def test_pods_of_batch_runs_reach_what_they_read_and_write_and_are_reached_by_nobody() -> None:
    cache = Cache()
    for name, port in (("cars-1", 7070), ("cars-2", 7072)):
        version = o.model_version(name)
        where = {**KEYS, "endpoint": f"http://s3:{port}"}
        cache.put(MODEL_VERSIONS, {**version, "spec": {**version["spec"], "store": where}})
    entry = {
        "name": "new",
        "input": {"uri": "s3://new", "format": "csv"},
        "output": {"uri": "s3://scored"},
        "store": {"endpoint": "http://data:9000", "secretRef": {"name": "keys"}},
    }
    run = {
        "name": "new-1", "trigger": "Manual", "phase": "Running", "version": "cars-1", "digest": o.DIGEST, "partitions": 1,
        "output": "s3://scored/new-1", "startTime": "2026-01-02T03:04:05Z",
    }  # fmt: skip
    stable = {"version": "cars-2", "digest": o.DIGEST, "revision": "abc", "replicas": 1, "ready": 1}
    service = o.with_status(
        o.inference_service(batch=[entry]), {"stable": stable, "batch": [{"name": "new", "runs": [run]}]}
    )
    of_servers, of_runs = value_of(serving_part(Network()).contribute(service, cache, o.NOW)).apply
    pod = Peer("10.244.0.9", "ml", {**OURS, "modelmill.dev/scores-for": "cars"})
    assert of_runs["spec"]["ingress"] == []
    assert of_runs["spec"]["podSelector"]["matchLabels"].items() <= pod.labels.items()
    assert not of_servers["spec"]["podSelector"]["matchLabels"].items() <= pod.labels.items()
    ports = {port["port"] for rule in of_runs["spec"]["egress"] for port in rule["ports"]}
    assert {7070, 7072, 9000} <= ports, "of the version that the run began with, of the stable one, of the data"


def test_pods_of_drift_reports_reach_the_store_of_their_version_and_are_reached_by_nobody() -> None:
    cache = Cache()
    for name, port in (("cars-1", 7070), ("cars-2", 7072)):
        version = o.model_version(name)
        where = {**KEYS, "endpoint": f"http://s3:{port}"}
        cache.put(MODEL_VERSIONS, {**version, "spec": {**version["spec"], "store": where}})
    stable = {"version": "cars-2", "digest": o.DIGEST, "revision": "abc", "replicas": 1, "ready": 1}
    job = {
        "name": "cars-report-1", "phase": "Running", "reason": "asked", "version": "cars-1", "digest": o.DIGEST,
        "uri": "s3://models/reports/ml/cars/1.html", "startTime": "2026-01-02T03:04:05Z",
    }  # fmt: skip

    def policies(**changes: Any) -> Any:
        service = o.with_status(o.inference_service(), {"stable": stable, "report": {"job": {**job, **changes}}})
        return value_of(serving_part(Network()).contribute(service, cache, o.NOW)).apply

    assert len(policies(phase="Succeeded")) == 1, "there is none where there is no pod"
    _, of_reports = policies()
    pod = Peer("10.244.0.9", "ml", {**OURS, "modelmill.dev/reports-on": "cars"})
    assert of_reports["spec"]["ingress"] == []
    assert of_reports["spec"]["podSelector"]["matchLabels"].items() <= pod.labels.items()
    ports = {port["port"] for rule in of_reports["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 7070}
