"""Models run code of their own only where the resource asks for it and an administrator permits it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelmill import app
from modelmill.serving.target import template_now
from tests.unit.serving.simulated import World, condition

ASKED: dict[str, Any] = {"allowPython": True, "trustedTypes": ["mine.Model", "theirs.Model"]}


def world(runtime: dict[str, Any], *permitted: str) -> World:
    made = World(strategy="Direct", steps=None, analysis=None)
    made.parent["spec"]["runtime"] = runtime
    return permits(made, *permitted)


def permits(made: World, *namespaces: str) -> World:
    """Start the operator anew, with these namespaces."""
    made.model_code = namespaces
    made.start_operator()
    return made


@pytest.mark.parametrize("field", ASKED)
@pytest.mark.parametrize("permitted", [(), ("others", "m"), ("ml-2",)])
def test_without_an_administrators_word_no_pod_is_made(field: str, permitted: tuple[str, ...]) -> None:
    made = world({field: ASKED[field]}, *permitted)
    made.run(5)
    assert not made.deployments
    status, reason, message = condition(made, "Stalled")
    assert (status, reason) == ("True", "ModelCodeNotPermitted")
    assert f"spec.runtime.{field}" in message
    assert "namespace ml: have it added to modelCode.namespaces" in message


@pytest.mark.parametrize("permitted", [("others", "ml"), ("*",)])
def test_with_it_the_server_is_told(permitted: tuple[str, ...]) -> None:
    made = world(ASKED, *permitted)
    made.run(5)
    (deployment,) = made.deployments.values()
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one.get("value") for one in server["env"]}
    assert (env["MODELMILL_ALLOW_PYTHON"], env["MODELMILL_SKOPS_TRUSTED"]) == ("1", "mine.Model,theirs.Model")


def test_what_serves_goes_on_when_more_is_asked_than_is_permitted() -> None:
    made = world({})
    made.run(5)
    before = {pod["metadata"]["uid"] for pod in made.pods}
    made.parent["spec"]["runtime"] = ASKED
    made.reconcile()
    made.run(60)
    assert {pod["metadata"]["uid"] for pod in made.pods} == before
    status, reason, message = condition(made, "Ready")
    assert (status, reason) == ("True", "ModelCodeNotPermitted")
    assert "goes on serving" in message


def test_a_word_that_is_taken_back_makes_no_pods_anew() -> None:
    """Pods that are there stay. A Deployment that somebody deletes is not made from what is not permitted."""
    made = world(ASKED, "ml")
    made.run(5)
    assert len(made.deployments) == 1
    permits(made)
    made.reconcile()
    assert len(made.deployments) == 1
    stable = made.view().status.stable
    assert stable is not None
    assert template_now(replace(made.view(), model_code=True), stable) is not None
    assert template_now(made.view(), stable) is None


def test_the_word_is_the_environments() -> None:
    environment = {"MODELMILL_TRAINER_IMAGE": "t:1", "MODELMILL_SERVER_IMAGE": "s:1"}
    assert app.config_from(environment).model_code == []
    told = {**environment, "MODELMILL_MODEL_CODE_NAMESPACES": "ml, others"}
    assert app.config_from(told).model_code == ["ml", "others"]
