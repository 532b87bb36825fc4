"""The Job of a run: what each stage may see."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts.result import CONTAINERS, PREPARING
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


PREPARED: dict[str, Any] = {
    "prepare": {"container": {"image": "rows:1", "args": ["--fast"], "env": [{"name": "A", "value": "b"}]}}
}


def mounted(stage: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Return by path the volume and whether it is only read, but for the stage's own /tmp."""
    return {
        one["mountPath"]: (one["name"], bool(one.get("readOnly")))
        for one in stage["volumeMounts"]
        if one["mountPath"] != "/tmp"
    }


def test_a_prepare_stage_sees_the_objects_and_nothing_else() -> None:
    found = stages(**PREPARED)
    assert list(found) == ["fetch", "prepare", "divide", "train", "evaluate", "publish"]
    assert mounted(found["prepare"]) == {"/modelmill/input": ("raw", True), "/modelmill/output": ("prepared", False)}
    assert found["prepare"]["image"] == "rows:1"
    assert found["prepare"]["args"] == ["--fast"]
    env = {one["name"]: one.get("value") for one in found["prepare"]["env"]}
    assert (env["MODELMILL_INPUT"], env["MODELMILL_OUTPUT"]) == ("/modelmill/input", "/modelmill/output")
    assert (env["A"], env["PYTHONUNBUFFERED"]) == ("b", "1")
    assert not {"MODELMILL_STAGE", "AWS_SECRET_ACCESS_KEY"} & env.keys()


def test_of_prepared_rows_train_sees_its_own_alone() -> None:
    found = stages(**PREPARED)
    assert volumes(found["train"]) == volumes(stages()["train"])
    assert mounted(found["divide"])["/modelmill/prepared"] == ("prepared", True)
    assert mounted(found["fetch"])["/modelmill/raw"] == ("raw", False)
    keys = [name for name, stage in found.items() if "AWS_SECRET_ACCESS_KEY" in {one["name"] for one in stage["env"]}]
    assert keys == ["fetch", "publish"], "what a program of the user wrote is read without keys"
    assert not {"raw", "prepared"} & volumes(found["publish"])


def test_a_cloud_gives_its_identity_to_no_container_of_a_prepared_run_that_the_user_has_a_part_in() -> None:
    (job,) = plan(view(o.training_job(**PREPARED)), IMAGE).create
    template = job["spec"]["template"]
    skipped = template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"].split(",")
    assert set(skipped) == {"train", "evaluate", "prepare", "divide"}
    final = {rule["onExitCodes"]["containerName"] for rule in job["spec"]["podFailurePolicy"]["rules"][1:]}
    assert final == {"fetch", "divide", "train", "evaluate", "publish"}


def test_messages_of_a_prepared_run_fit_into_their_shares() -> None:
    assert len(stages(**PREPARED)) == CONTAINERS + PREPARING


SCRIPT = {"configMapRef": {"name": "own", "key": "fit.py"}, "args": ["--out", "$(MODELMILL_OUTPUT)/model.onnx"]}


@pytest.mark.parametrize("more", [{}, PREPARED])
def test_a_script_is_read_by_fetch_alone_and_run_where_there_are_no_keys(more: dict[str, Any]) -> None:
    (job,) = plan(view(o.training_job(train={"script": SCRIPT}, **more)), IMAGE).create
    pod = job["spec"]["template"]["spec"]
    found = {one["name"]: one for one in [*pod["initContainers"], *pod["containers"]]}
    assert [name for name, one in found.items() if "script" in volumes(one)] == ["fetch"]
    assert mounted(found["fetch"])["/modelmill/script"] == ("script", True)
    (volume,) = [one for one in pod["volumes"] if one["name"] == "script"]
    assert volume["projected"]["sources"] == [{"configMap": {"name": "own", "optional": True}}]
    train = found["train"]
    assert train["image"] == "trainer:1"
    assert train["args"] == ["script", "--argument=--out", "--argument=$(MODELMILL_OUTPUT)/model.onnx"]
    assert "AWS_SECRET_ACCESS_KEY" not in {one["name"] for one in train["env"]}
    assert volumes(train) == volumes(stages()["train"])
    final = {rule["onExitCodes"]["containerName"] for rule in job["spec"]["podFailurePolicy"]["rules"][1:]}
    assert "train" in final, "a library that is missing is missing at the next try, too"


@pytest.mark.parametrize(
    ("resources", "threads"),
    [
        ({}, "1"),
        ({"requests": {"cpu": "250m"}}, "1"),
        ({"requests": {"cpu": "1500m"}}, "2"),
        ({"requests": {"cpu": "1"}, "limits": {"cpu": "3.5"}}, "4"),
        ({"limits": {"cpu": "4k"}}, "1"),
        ({"limits": {"cpu": "9999"}}, "256"),
    ],
)
def test_stages_compute_with_as_many_threads_as_they_have_cpus(resources: dict[str, Any], threads: str) -> None:
    """A library takes one for each CPU of the node, and beside other pods those wait for each other."""
    (made,) = plan(view(o.training_job(podTemplate={"resources": resources})), IMAGE).create
    spec = made["spec"]["template"]["spec"]
    for one in (*spec["initContainers"], *spec["containers"]):
        assert {env["name"]: env.get("value") for env in one["env"]}["OMP_NUM_THREADS"] == threads


def test_an_image_of_somebody_else_computes_as_it_likes() -> None:
    (made,) = plan(view(o.training_job(train={"container": {"image": "a/b:1"}})), IMAGE).create
    (train,) = (one for one in made["spec"]["template"]["spec"]["initContainers"] if one["name"] == "train")
    assert "OMP_NUM_THREADS" not in {env["name"] for env in train["env"]}
