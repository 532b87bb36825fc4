"""The children of an InferenceService, one by one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from modelmill.api.runtime import Runtime
from modelmill.contracts.shutdown import ending_seconds
from modelmill.serving.builders.deployment import build_deployment, recorded_template, scaled, template_of
from modelmill.serving.builders.inputs import inputs_of
from modelmill.serving.builders.pod_disruption_budget import build_pod_disruption_budget
from modelmill.serving.builders.pod_template import build_template
from modelmill.serving.builders.settings import more_settings
from modelmill.serving.target import Target, find_target
from modelmill.serving.traffic.service import build_service
from modelmill_server.settings import from_environment
from tests.support import objects as o
from tests.support.every_setting import EVERY_SETTING, RUNTIME
from tests.unit.serving.simulated import World, condition


def deployment(world: World | None = None) -> dict[str, Any]:
    world = world or World()
    return build_deployment(world.view(), "abc", template_of(template(world)), 3)


def template(world: World) -> dict[str, Any]:
    view = world.view()
    assert view.newest is not None
    return build_template(inputs_of(view.service, view.newest), world.image)


def pod_spec(world: World | None = None) -> dict[str, Any]:
    return dict(deployment(world)["spec"]["template"]["spec"])


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def test_pods_meet_the_restricted_standard() -> None:
    pod = pod_spec()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in (*pod["initContainers"], *pod["containers"]):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_keys_of_the_store_are_seen_by_fetch_only() -> None:
    pod = pod_spec()
    (fetch,), (server,) = pod["initContainers"], pod["containers"]
    env = environment(fetch)
    assert env["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "keys", "key": "AWS_SECRET_ACCESS_KEY"}}
    assert env["MODELMILL_ARTIFACT_DIGEST"] == o.DIGEST
    assert not any(name.startswith("AWS_") for name in environment(server))


def test_store_with_a_service_account_needs_no_secret() -> None:
    world = World()
    world.versions[0]["spec"]["store"] = {"uri": "s3://models", "serviceAccountName": "reader"}
    pod = pod_spec(world)
    assert pod["serviceAccountName"] == "reader"
    assert "AWS_SECRET_ACCESS_KEY" not in environment(pod["initContainers"][0])


def test_a_pod_gets_no_request_before_it_is_ready_and_finishes_those_it_has() -> None:
    pod = pod_spec()
    (server,) = pod["containers"]
    assert server["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert server["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert server["lifecycle"]["preStop"]["sleep"]["seconds"] < pod["terminationGracePeriodSeconds"]
    rolling = deployment()["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}


def test_limits_of_the_spec_reach_the_server() -> None:
    world = World()
    world.parent["spec"]["runtime"] = {
        "limits": {"maxRows": 7},
        "warmupRequests": 3,
        "resources": {"limits": {"cpu": "1"}},
    }
    (server,) = pod_spec(world)["containers"]
    env = environment(server)
    assert env["MODELMILL_MAX_ROWS"] == "7"
    assert env["MODELMILL_WARMUP_REQUESTS"] == "3"
    assert server["resources"]["limits"] == {"cpu": "1"}


def test_every_setting_reaches_the_pod() -> None:
    world = World()
    world.parent["spec"] |= EVERY_SETTING
    pod = pod_spec(world)
    (fetch,), (server,) = pod["initContainers"], pod["containers"]
    assert environment(fetch)["MODELMILL_FETCH_SECONDS"] == "600"
    environ = {name: value for name, value in environment(server).items() if isinstance(value, str)}
    told, usual = from_environment(environ, "/a", "::", 8080), from_environment({}, "/a", "::", 8080)
    assert (told.max_request_bytes, told.max_rows, told.max_concurrent, told.connections) == (2048, 7, 3, 100)
    assert (told.request_seconds, told.body_seconds, told.idle_seconds, told.drain_seconds) == (120, 11, 75, 20)
    assert (told.load_seconds, told.row_seconds) == (200, 6)
    assert (told.grpc_port, told.batching) == (8081, "off")
    assert (told.trusted_types, told.allow_python) == (("mine.Model",), True)
    same = {one.name for one in fields(told) if getattr(told, one.name) == getattr(usual, one.name)}
    assert same == {"folder", "host", "port", "held_bytes", "threads"} | OF_NO_SETTING
    assert server["startupProbe"]["failureThreshold"] >= 3 * 200


OF_NO_SETTING = {"feedback_key"}


def test_placement_reaches_the_pod_in_the_words_of_kubernetes() -> None:
    world = World()
    world.parent["spec"] |= EVERY_SETTING
    pod, wanted = pod_spec(world), RUNTIME["podTemplate"]
    spread = pod["topologySpreadConstraints"]
    selector = {"matchLabels": {"modelmill.dev/inference-service": "cars", "modelmill.dev/revision": "abc"}}
    assert spread == [{**one, "labelSelector": selector} for one in wanted["topologySpreadConstraints"]]
    for name in wanted.keys() - {"topologySpreadConstraints"}:
        assert pod[name] == wanted[name], name


def test_the_account_of_the_store_is_that_of_the_pod_unless_another_is_named() -> None:
    world = World()
    world.versions[0]["spec"]["store"] = {"uri": "s3://models", "serviceAccountName": "reader"}
    world.parent["spec"]["runtime"] = {"podTemplate": {"serviceAccountName": "server"}}
    assert pod_spec(world)["serviceAccountName"] == "server"
    world.parent["spec"]["runtime"] = {"podTemplate": {}}
    assert pod_spec(world)["serviceAccountName"] == "reader"


def test_variables_of_the_resource_are_taken_as_they_are_and_after_our_own() -> None:
    world = World()
    world.parent["spec"] |= EVERY_SETTING
    (fetch,), (server,) = pod_spec(world)["initContainers"], pod_spec(world)["containers"]
    assert environment(server)["TZ"] == "$$(HOME)"
    assert "TZ" not in environment(fetch)
    names = [one["name"] for one in server["env"]]
    assert len(set(names)) == len(names)


def test_an_image_of_the_user_serves_what_ours_fetched() -> None:
    world = World()
    world.parent["spec"]["runtime"] = {"image": "registry/mine:1", "env": [{"name": "LD_PRELOAD", "value": "x"}]}
    pod = pod_spec(world)
    (fetch,), (server,) = pod["initContainers"], pod["containers"]
    assert (fetch["image"], fetch["imagePullPolicy"]) == ("server:1", "IfNotPresent")
    assert (server["image"], "imagePullPolicy" in server, "args" in server) == ("registry/mine:1", False, False)
    assert environment(server)["MODELMILL_MODEL_FOLDER"] == environment(fetch)["MODELMILL_MODEL_FOLDER"]
    assert environment(server)["LD_PRELOAD"] == "x"
    assert server["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not any(name.startswith("AWS_") for name in environment(server))
    (usual,) = pod_spec()["containers"]
    same = ("ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "volumeMounts")
    assert {name: server[name] for name in same} == {name: usual[name] for name in same}


def test_what_is_not_known_of_an_image_of_the_user_is_told() -> None:
    world = World()
    world.settle()
    assert "spec.runtime.image" not in condition(world, "Ready")[2]
    world = World()
    world.parent["spec"]["runtime"] = {"image": "registry/mine:1"}
    world.settle()
    assert condition(world, "Ready")[0] == "True"
    assert "its server is spec.runtime.image registry/mine:1" in condition(world, "Ready")[2]


def test_keys_that_a_server_needs_are_seen_by_it_only() -> None:
    world = World()
    world.parent["spec"] |= EVERY_SETTING
    pod = pod_spec(world)
    fetch, server = (environment(one) for one in (*pod["initContainers"], *pod["containers"]))
    assert server["MODELMILL_FEEDBACK_KEY"] == {"secretKeyRef": {"name": "feedback-key", "key": "key"}}
    assert server["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "log-keys", "key": "AWS_SECRET_ACCESS_KEY"}}
    assert server["MODELMILL_PAYLOAD_LOG"] == "s3://logs/$$(HOME)", "nothing is expanded in it"
    assert (server["MODELMILL_PAYLOAD_SAMPLE_RATIO"], server["AWS_ENDPOINT_URL_S3"]) == ("0.25", "http://logs:9000")
    assert fetch["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "keys", "key": "AWS_SECRET_ACCESS_KEY"}}
    assert not {"MODELMILL_FEEDBACK_KEY", "MODELMILL_PAYLOAD_LOG"} & fetch.keys()


def test_a_server_without_a_word_has_the_defaults_of_the_resource() -> None:
    """A variable that is not there means the same as one with the default of the field."""
    server = from_environment(more_settings(Runtime()), "/a", "::", 8080)
    assert server == from_environment({}, "/a", "::", 8080)


def test_a_service_that_sets_nothing_has_the_variables_that_it_always_had() -> None:
    """A variable more would be another template, and each service would be rolled out anew after an upgrade."""
    (server,) = pod_spec()["containers"]
    assert set(environment(server)) == {
        *(
            "MODELMILL_MODEL_NAME",
            "MODELMILL_MODEL_VERSION",
            "MODELMILL_ARTIFACT_DIGEST",
            "MODELMILL_MAX_REQUEST_BYTES",
        ),
        *("MODELMILL_MAX_ROWS", "MODELMILL_MAX_CONCURRENT_REQUESTS", "MODELMILL_WARMUP_REQUESTS"),
        "MODELMILL_DRIFT_FEATURES",
    }


@pytest.mark.parametrize(("drain", "request_seconds"), [(15, 60), (0, 1), (600, 3600)])
def test_a_pod_has_the_time_to_finish_its_longest_request(drain: int, request_seconds: int) -> None:
    world = World()
    timeouts = {"drainSeconds": drain, "requestSeconds": request_seconds}
    world.parent["spec"]["runtime"] = {"timeouts": timeouts}
    pod = pod_spec(world)
    before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= before + drain + request_seconds + 5
    assert pod["terminationGracePeriodSeconds"] > before + ending_seconds(drain, request_seconds)


def test_grpc_is_a_port_of_the_service_while_pods_speak_it() -> None:
    world = World(strategy="Direct", steps=None, analysis=None)
    world.settle()
    (http,) = world.service["spec"]["ports"]
    assert (http["name"], http["port"]) == ("http", 80)
    assert "gRPC" not in condition(world, "Available")[2]
    world.parent["spec"]["runtime"] = {"grpc": {"enabled": True}}
    world.reconcile()
    h2c = {"name": "grpc", "port": 8081, "protocol": "TCP", "targetPort": 8081, "appProtocol": "kubernetes.io/h2c"}
    assert world.service["spec"]["ports"] == [http, h2c]
    world.run(60)
    (server,) = pod_spec(world)["containers"]
    assert {"name": "grpc", "containerPort": 8081, "protocol": "TCP"} in server["ports"]
    assert "gRPC at cars.ml.svc:8081" in condition(world, "Available")[2]
    world.parent["spec"]["runtime"] = {}
    world.reconcile()
    assert world.service["spec"]["ports"] == [http, h2c], "the stable pods still speak it"
    world.run(60)
    assert world.service["spec"]["ports"] == [http]


def test_scaling_touches_the_number_of_pods_only() -> None:
    made = deployment()
    made["metadata"] |= {"uid": "u", "resourceVersion": "7", "managedFields": []}
    made["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    less = scaled(made, 1)
    assert less["spec"] == {**made["spec"], "replicas": 1}
    assert set(less["metadata"]) == {"name", "namespace", "labels"}


def test_selectors_match_the_pods() -> None:
    made, view = deployment(), World().view()
    labels = made["spec"]["template"]["metadata"]["labels"].items()
    budget = build_pod_disruption_budget(view)
    assert budget is not None
    for selector in (
        made["spec"]["selector"]["matchLabels"],
        budget["spec"]["selector"]["matchLabels"],
        build_service(view, None)["spec"]["selector"],
        build_service(view, "abc")["spec"]["selector"],
    ):
        assert selector.items() <= labels
    assert build_service(view, "abc")["spec"]["selector"]["modelmill.dev/revision"] == "abc"


def test_pods_are_spread_among_those_of_their_revision() -> None:
    (spread,) = pod_spec()["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"]["modelmill.dev/revision"] == "abc"


def test_every_container_has_requests_and_a_tmp_of_its_own() -> None:
    pod = pod_spec()
    containers = [*pod["initContainers"], *pod["containers"]]
    assert all(one["resources"]["requests"].keys() >= {"cpu", "memory"} for one in containers)
    tmp = [mount["name"] for one in containers for mount in one["volumeMounts"] if mount["mountPath"] == "/tmp"]
    assert len(set(tmp)) == len(containers)


def test_the_deployment_holds_the_template_that_its_revision_is_the_hash_of() -> None:
    world = World()
    made = template_of(template(world))
    held = build_deployment(world.view(), made.revision, made, 2)
    assert recorded_template(held, made.revision) == made
    for spoiled in ("", "{", "[" * 100_000, "[]", '{"metadata":{}}'):
        held["metadata"]["annotations"]["modelmill.dev/pod-template"] = spoiled
        assert recorded_template(held, made.revision) is None


def test_one_pod_has_no_budget() -> None:
    assert build_pod_disruption_budget(World(replicas=1).view()) is None


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"replicas": 9}, True),
        ({"rollout": {"strategy": "Direct"}}, True),
        ({"monitoring": {"drift": {"psiThreshold": "0.3"}}}, False),
        ({"runtime": {"warmupRequests": 1}}, False),
        ({"runtime": {"warmupRequests": 20}}, True),
    ],
)
def test_revision_changes_with_what_makes_other_pods(change: dict[str, Any], same: bool) -> None:
    world = World()
    before = find_target(world.view())
    world.parent["spec"] |= change
    after = find_target(world.view())
    assert isinstance(before, Target)
    assert isinstance(after, Target)
    assert (before.revision == after.revision) is same
    assert (before.inputs == after.inputs) is same


@pytest.mark.parametrize(
    ("model", "reason"),
    [("trucks", "VersionOfAnotherModel"), ("cars", "VersionRejected")],
)
def test_pinned_version_that_may_not_serve_is_refused_with_the_mend(model: str, reason: str) -> None:
    world = World()
    world.versions[0]["spec"] |= {"model": model, "approval": "Rejected"}
    world.parent["spec"]["model"] = {"name": "cars", "version": "cars-1"}
    world.reconcile()
    (stalled,) = [one for one in world.status["conditions"] if one["type"] == "Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", reason)
    assert "cars-1" in stalled["message"]


def test_no_address_is_expanded_on_its_way_to_a_server() -> None:
    """Kubernetes makes `$` of `$$`, and expands `$(NAME)`, in the value of a variable."""
    world = World()
    view = world.view()
    assert view.newest is not None
    inputs = replace(
        inputs_of(view.service, view.newest),
        artifact_uri="s3://models/$(HOME)/US$$",
        store=view.newest.spec.store.model_copy(update={"endpoint": "http://s3/$(HOME)"}),
    )
    fetch = environment(build_template(inputs, world.image)["spec"]["initContainers"][0])
    assert fetch["MODELMILL_ARTIFACT_URI"] == "s3://models/$$(HOME)/US$$$$"
    assert fetch["AWS_ENDPOINT_URL_S3"] == "http://s3/$$(HOME)"
