"""The Job of a run: what each stage may see."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts.result import CONTAINERS
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, plan, view

TRAINS = [{}, {"train": {"container": {"image": "mine:1"}}}]


def stages(**spec: Any) -> dict[str, dict[str, Any]]:
    """Return the containers of run 1's Job by name."""
    (job,) = plan(view(o.training_job(**spec)), IMAGE).create
    pod = job["spec"]["template"]["spec"]
    return {one["name"]: one for one in [*pod["initContainers"], *pod["containers"]]}


def volumes(stage: dict[str, Any]) -> set[str]:
    return {mount["name"] for mount in stage["volumeMounts"]}


@pytest.mark.parametrize("spec", TRAINS)
def test_the_kubelet_keeps_the_longest_message_of_every_container(spec: dict[str, Any]) -> None:
    assert len(stages(**spec)) == CONTAINERS


@pytest.mark.parametrize("spec", TRAINS)
def test_stages_share_only_the_folders_of_the_contract(spec: dict[str, Any]) -> None:
    found = stages(**spec)
    fetch, train, evaluate, publish = (volumes(found[name]) for name in ("fetch", "train", "evaluate", "publish"))
    assert fetch & train == {"input"}
    assert train & evaluate == {"input", "output"}
    assert fetch & evaluate == {"input", "holdout"}
    assert evaluate & publish == {"holdout", "evaluated"}
    assert fetch & publish == {"holdout"}


@pytest.mark.parametrize("spec", TRAINS)
def test_the_keys_are_where_nothing_of_a_tenant_is_run_or_mounted(spec: dict[str, Any]) -> None:
    found = stages(**spec)
    keys = {name: {one["name"] for one in stage["env"]} & {"AWS_SECRET_ACCESS_KEY"} for name, stage in found.items()}
    assert [name for name, some in keys.items() if some] == ["fetch", "publish"]
    assert not volumes(found["train"]) & volumes(found["publish"])
    writes = {
        name: {one["name"] for one in stage["volumeMounts"] if not one.get("readOnly")} - {f"tmp-{name}"}
        for name, stage in found.items()
    }
    assert writes == {
        "fetch": {"input", "holdout"}, "train": {"input", "output"}, "evaluate": {"evaluated"}, "publish": set(),
    }  # fmt: skip


def test_a_cloud_gives_its_identity_to_no_container_that_runs_a_model() -> None:
    (job,) = plan(view(o.training_job()), IMAGE).create
    template = job["spec"]["template"]
    assert template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == "train,evaluate"
    assert template["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("spec", TRAINS)
def test_each_stage_has_a_tmp_that_it_may_write(spec: dict[str, Any]) -> None:
    for stage in stages(**spec).values():
        assert [m["mountPath"] for m in stage["volumeMounts"]].count("/tmp") == 1


@pytest.mark.parametrize("spec", TRAINS)
def test_every_stage_requests_compute(spec: dict[str, Any]) -> None:
    for stage in stages(**spec).values():
        assert set(stage["resources"]["requests"]) == {"cpu", "memory"}


def test_what_a_program_of_the_user_prints_and_why_it_fails_stay_in_order() -> None:
    """Held back until the exit, a printed line would come after the error and be told as the reason."""
    own = {"image": "mine:1"}
    named = {"env": [{"name": "PYTHONUNBUFFERED", "value": ""}]}
    for container, wanted in ((own, "1"), (own | named, "")):
        env = {one["name"]: one.get("value") for one in stages(train={"container": container})["train"]["env"]}
        assert env["PYTHONUNBUFFERED"] == wanted


def test_pull_policy_of_the_installation_is_that_of_the_built_in_stages() -> None:
    assert [one["imagePullPolicy"] for one in stages().values()] == ["Always"] * 4


def test_image_of_the_user_is_pulled_as_kubernetes_does_by_its_tag() -> None:
    found = stages(train={"container": {"image": "mine:1"}})
    assert {name: one.get("imagePullPolicy") for name, one in found.items()} == {
        "fetch": "Always",
        "train": None,
        "evaluate": "Always",
        "publish": "Always",
    }
