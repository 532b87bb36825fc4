"""A revision is the hash of its pod template: what changes pods goes through a rollout, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.serving import target as target_module
from modelmill.serving.builders import pod_template
from modelmill.serving.builders.inputs import inputs_of
from modelmill.serving.target import Target, find_target
from tests.unit.serving.simulated import World

QUANTITIES = st.dictionaries(st.sampled_from(("cpu", "memory")), st.sampled_from(("1", "2", "500m")), max_size=2)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(1, 3),
        "rollout": st.sampled_from(({"strategy": "Direct"}, {"progressDeadlineSeconds": 60}, {})),
        "runtime": st.fixed_dictionaries(
            {},
            optional={
                "resources": st.fixed_dictionaries({}, optional={"requests": QUANTITIES, "limits": QUANTITIES}),
                "limits": st.fixed_dictionaries({}, optional={"maxRows": st.sampled_from((7, 10_000))}),
                "warmupRequests": st.sampled_from((0, 20)),
            },
        ),
        "monitoring": st.fixed_dictionaries(
            {},
            optional={
                "drift": st.fixed_dictionaries(
                    {},
                    optional={
                        "features": st.sampled_from((5, 10)),
                        "psiThreshold": st.sampled_from(("0.2", "0.3")),
                        "windowSeconds": st.sampled_from((60, 3600)),
                    },
                )
            },
        ),
    },
)


def target(world: World) -> Target:
    found = find_target(world.view())
    assert isinstance(found, Target)
    return found


def template(world: World) -> dict[str, Any]:
    view = world.view()
    assert view.newest is not None
    return pod_template.build_template(inputs_of(view.service, view.newest), world.image)


def pods(world: World) -> set[str]:
    return {str(pod["metadata"]["uid"]) for pod in world.pods}


@settings(max_examples=200, deadline=None)
@given(SPECS, SPECS)
def test_revisions_differ_exactly_when_the_pods_do(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = World(), World()
    before.parent["spec"] |= one
    after.parent["spec"] |= other
    assert (template(before) == template(after)) == (target(before).revision == target(after).revision)
    if template(before) != template(after):
        assert target(before).inputs != target(after).inputs


@settings(max_examples=20, deadline=None)
@given(SPECS, SPECS)
def test_every_change_of_the_pods_is_a_rollout(one: dict[str, Any], other: dict[str, Any]) -> None:
    world = World()
    world.parent["spec"] |= {**one, "replicas": 2}
    world.run(5)
    before, kept = template(world), pods(world)
    world.parent["spec"] = {**World().parent["spec"], **other, "replicas": 2}
    world.reconcile()
    assert (world.status["phase"] == "RollingOut") == (template(world) != before)
    world.run(1)
    if template(world) == before:
        assert pods(world) == kept
        assert world.status["stable"]["inputs"] == target(world).inputs


def other_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the builder of a later release: its pods have one more label."""
    build = pod_template.build_template

    def later(*arguments: Any) -> dict[str, Any]:
        made = build(*arguments)
        made["metadata"]["labels"]["app.kubernetes.io/part-of"] = "modelmill"
        return made

    monkeypatch.setattr(target_module, "build_template", later)


def test_release_of_the_operator_changes_nothing_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().serving()
    before, writes, kept = world.status, dict(world.writes), pods(world)
    deployment = dict(next(iter(world.deployments.values())))
    world.restart_operator(image="server:2")
    world.run(20)
    other_builder(monkeypatch)
    world.restart_operator(image="server:3")
    world.run(20)
    assert world.status == before | {"server": "Older"}
    assert dict(world.writes) == writes | {"status": writes["status"] + 1}
    assert pods(world) == kept
    assert next(iter(world.deployments.values())) == deployment


def test_after_a_release_pods_are_scaled_with_the_template_that_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().serving()
    (held,) = world.deployments.values()
    kept = pods(world)
    other_builder(monkeypatch)
    world.restart_operator(image="server:2")
    world.parent["spec"]["replicas"] = 6
    world.reconcile()
    world.run(5)
    (after,) = world.deployments.values()
    assert after["spec"] == {**held["spec"], "replicas": 6}
    assert kept < pods(world)
    assert world.status["phase"] == "Stable"


@pytest.mark.parametrize("edit", [{"runtime": {"warmupRequests": 1}}, None])
def test_next_revision_takes_the_image_of_the_release(edit: dict[str, Any] | None) -> None:
    world = World().serving()
    world.restart_operator(image="server:2")
    if edit is None:
        world.add("cars-2")
    else:
        world.parent["spec"] |= edit
    world.reconcile()
    assert world.status["phase"] == "RollingOut"
    assert world.status["canary"]["serverImage"] == "server:2"
    assert world.status["stable"]["serverImage"] == "server:1"
    world.run(60)
    assert world.status["stable"]["serverImage"] == "server:2"


def test_release_in_the_middle_of_a_rollout_does_not_begin_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(5)
    revision = world.status["canary"]["revision"]
    other_builder(monkeypatch)
    world.restart_operator(image="server:2")
    world.run(60)
    assert world.events.count("RolloutStarted") == 1
    assert (world.status["stable"]["revision"], world.status["stable"]["serverImage"]) == (revision, "server:1")
    assert world.lost == 0


def test_release_is_no_reason_to_try_what_was_taken_back_again() -> None:
    world = World().serving()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(30)
    assert world.status["phase"] == "RolledBack"
    world.restart_operator(image="server:2")
    world.run(100)
    assert world.events.count("RolloutStarted") == 1
    world.parent["metadata"]["annotations"] = {"modelmill.dev/retry": "with the new server"}
    world.reconcile()
    assert world.status["canary"]["serverImage"] == "server:2"


def test_deployment_that_somebody_deleted_comes_back_with_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().serving()
    (name,) = world.deployments
    world.restart_operator(image="server:2")
    del world.deployments[name]
    world.run(5)
    (again,) = world.deployments.values()
    assert again["metadata"]["name"] == name
    assert {one["image"] for one in again["spec"]["template"]["spec"]["containers"]} == {"server:1"}
    assert world.status["phase"] == "Stable"


def test_deployment_without_its_template_is_scaled_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().serving()
    other_builder(monkeypatch)
    world.restart_operator(image="server:2")
    (deployment,) = world.deployments.values()
    deployment["metadata"]["annotations"] = {"modelmill.dev/pod-template": '{"spec":{"containers":[]}}'}
    world.reconcile()
    template, writes = deployment["spec"]["template"], dict(world.writes)
    world.reconcile()
    assert dict(world.writes) == writes
    world.parent["spec"]["replicas"] = 2
    world.reconcile()
    world.run(3)
    (after,) = world.deployments.values()
    assert (after["spec"]["replicas"], after["spec"]["template"]) == (2, template)


def asked(world: World, text: str) -> None:
    world.parent["metadata"]["annotations"] = {"modelmill.dev/refresh": text}
    world.reconcile()


def test_a_person_may_ask_for_the_image_of_the_release() -> None:
    world = World().serving()
    asked(world, "early")
    world.run(5)
    assert world.status["phase"] == "Stable", "it has that image already"
    world.restart_operator(image="server:2")
    world.run(5)
    assert (world.status["phase"], world.status["server"]) == ("Stable", "Older"), "the old word is answered"
    asked(world, "now")
    assert (world.status["canary"]["version"], world.status["canary"]["serverImage"]) == ("cars-1", "server:2")
    world.run(60)
    assert (world.status["stable"]["serverImage"], world.status["server"]) == ("server:2", "Current")
    assert world.events.count("RolloutStarted") == 1
    assert world.lost == 0


def test_an_image_that_fails_is_taken_back_and_tried_again_by_a_word_only() -> None:
    world = World().serving()
    world.restart_operator(image="server:2")
    world.errors = {"cars-1"}
    asked(world, "now")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["serverImage"]) == ("RolledBack", "server:1")
    world.errors = set()
    world.restart_operator()
    world.run(60)
    assert world.events.count("RolloutStarted") == 1
    asked(world, "again")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["serverImage"]) == ("Stable", "server:2")


def test_another_release_takes_the_place_of_an_image_that_failed() -> None:
    world = World().serving()
    world.restart_operator(image="server:2")
    world.errors = {"cars-1"}
    asked(world, "now")
    world.run(60)
    assert world.status["phase"] == "RolledBack"
    world.errors = set()
    world.restart_operator(image="server:3")
    world.run(5)
    assert (world.status["phase"], world.status["server"]) == ("Stable", "Older")
    asked(world, "server 3")
    world.run(60)
    assert world.status["stable"]["serverImage"] == "server:3"


def test_a_release_in_the_middle_of_an_exchange_lets_it_end() -> None:
    world = World().serving()
    world.restart_operator(image="server:2")
    asked(world, "now")
    world.run(3)
    world.restart_operator(image="server:3")
    world.run(60)
    assert world.events.count("RolloutStarted") == 1
    assert (world.status["stable"]["serverImage"], world.status["server"]) == ("server:2", "Older")
