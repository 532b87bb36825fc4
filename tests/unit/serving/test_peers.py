"""Pods that share a key share the labels: they find and reach each other, and a release that knows this rolls no service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelmill.serving.builders import pod_template
from modelmill.serving.builders.inputs import Inputs, inputs_of
from modelmill.serving.network import network_part
from modelmill.workloads.network import Network
from tests.support import objects as o
from tests.unit.serving.simulated import KINDS, World

KEY = {"keySecretRef": {"name": "feedback-key"}}
PEERS = "MODELMILL_FEEDBACK_PEERS"


def with_key() -> World:
    world = World()
    world.parent["spec"]["feedback"] = KEY
    return world


def environments(world: World) -> list[dict[str, str]]:
    pods = [one["spec"]["template"]["spec"]["containers"][0] for one in world.deployments.values()]
    return [{one["name"]: one.get("value") for one in pod["env"]} for pod in pods]


def test_pods_find_each_other_whatever_their_revision() -> None:
    world = with_key().serving()
    service = world.children[KINDS["Service"]]["cars-peers"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {
        "modelmill.dev/inference-service": "cars", "app.kubernetes.io/managed-by": "modelmill",
    }  # fmt: skip
    (server,) = (one["spec"]["template"]["metadata"]["labels"] for one in world.deployments.values())
    assert service["spec"]["selector"].items() <= server.items()
    assert [port["port"] for port in service["spec"]["ports"]] == [8080]
    assert "publishNotReadyAddresses" not in service["spec"], "a pod that does not serve owns no labels"
    assert [env[PEERS] for env in environments(world)] == ["cars-peers"]


def test_without_a_key_there_is_nothing_to_share() -> None:
    world = World().serving()
    assert "cars-peers" not in world.children[KINDS["Service"]]
    assert all(PEERS not in env for env in environments(world))


def test_the_service_goes_with_the_key() -> None:
    world = with_key().serving()
    del world.parent["spec"]["feedback"]
    world.reconcile()
    world.run(60)
    assert "cars-peers" not in world.children[KINDS["Service"]]
    assert all(PEERS not in env for env in environments(world))


def test_a_release_that_knows_peers_rolls_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_key()
    built = pod_template.settings_of

    def of_an_earlier_release(inputs: Inputs) -> dict[str, str]:
        return {name: value for name, value in built(inputs).items() if name != PEERS}

    with monkeypatch.context() as earlier:
        earlier.setattr(pod_template, "settings_of", of_an_earlier_release)
        world.serving()
    before = set(world.deployments)
    world.restart_operator()
    world.run(30)
    assert set(world.deployments) == before
    assert world.status["phase"] == "Stable"


def test_the_key_alone_is_what_the_hash_has_of_it() -> None:
    view = with_key().view()
    assert view.newest is not None
    assert inputs_of(view.service, view.newest).hash() != inputs_of(World().view().service, view.newest).hash()
    assert {one for one in Inputs.__dataclass_fields__ if "peer" in one} == set()


@pytest.mark.parametrize("feedback", [None, KEY])
def test_only_pods_that_share_labels_reach_others_of_their_service(feedback: Any) -> None:
    parent = o.inference_service()
    parent["spec"] |= {"feedback": feedback} if feedback else {}
    (policy,) = asyncio.run(network_part(Network()).contribute(parent, World(), o.NOW)).apply or ()
    own = [{"podSelector": {"matchLabels": {"modelmill.dev/inference-service": "cars"}}}]
    rules = [rule for rule in policy["spec"]["egress"] if rule.get("to") == own]
    assert [rule["ports"] for rule in rules] == ([[{"protocol": "TCP", "port": 8080}]] if feedback else [])
