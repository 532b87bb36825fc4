"""The annotation modelmill.dev/reproduce: a version is made again from its recipe, compared, and no new one comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from modelmill.api.model_version import ModelVersionSpec
from modelmill.contracts import names, stage
from modelmill.contracts.result import REPRODUCED, DataFacts, Reproduction, StageResult, WarmStart, encode
from modelmill.engine.interface import Plan
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, complete, plan, started, status_of, view

ANNOTATION = "modelmill.dev/reproduce"
DATA = "sha256:" + "d" * 64
PINNED = "ghcr.io/mill/trainer@sha256:" + "1" * 64
OWN = {
    "image": "registry.local:5000/own:2",
    "command": ["python"],
    "args": ["train.py", "$(MODELMILL_SEED)"],
    "env": [{"name": "HOME", "value": "/home/me"}, {"name": "DEPTH", "value": "US$$"}],
}


def pod_of(images: Mapping[str, str], ending: StageResult) -> dict[str, Any]:
    pod = o.pod("p", [], [o.ended("publish", 0, encode(ending), "Completed")], "Succeeded")
    pod["status"]["containerStatuses"][0]["imageID"] = images.get("publish", "")
    pod["status"]["initContainerStatuses"] = [
        {"name": name, "imageID": images.get(name, "")} for name in ("prepare", "train")
    ]
    return pod


def made_version(
    image: str = "ghcr.io/mill/trainer:1",
    images: Mapping[str, str] | None = None,
    copied: bool = True,
    versions: Sequence[dict[str, Any]] = (),
    begun: str = "",
    **spec: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a TrainingJob whose run 1 has ended, and its version as the API server has it."""
    parent = o.training_job(**spec)
    first = plan(view(parent, versions=versions), replace(IMAGE, name=image))
    parent = o.with_status(parent, first.status or {})
    manifest = dict(first.create[0])
    name = manifest["metadata"]["name"]
    outcome = replace(o.published(), data=DataFacts(DATA, 100, 20, copied=copied))
    if begun:
        outcome = replace(outcome, warm_start=WarmStart(begun))
    pods = {name: [pod_of(images or {}, outcome)]}
    ending = plan(
        view(parent, versions=versions, jobs={name: o.job(manifest, o.condition("Complete"))}, pods=pods), IMAGE
    )
    version = dict(ending.create[0])
    version["metadata"] |= {
        "uid": "v-uid",
        "generation": 1,
        "resourceVersion": "3",
        "creationTimestamp": "2026-01-02T03:04:05Z",
    }
    return o.with_status(parent, ending.status or {}), version


def annotated(parent: dict[str, Any], text: str = "cars-1") -> dict[str, Any]:
    return {**parent, "metadata": {**parent["metadata"], "annotations": {ANNOTATION: text}}}


def told(job: Mapping[str, Any]) -> stage.StageSpec:
    (publish,) = job["spec"]["template"]["spec"]["containers"]
    return stage.decode(next(one["value"] for one in publish["env"] if one["name"] == names.ENV_STAGE))


def begun(parent: dict[str, Any], version: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    made = plan(view(annotated(parent), versions=[version]), IMAGE)
    (job,) = made.create
    return o.with_status(annotated(parent), made.status or {}), dict(job)


def ended(parent: dict[str, Any], job: dict[str, Any], version: dict[str, Any], ending: StageResult) -> Plan:
    name = job["metadata"]["name"]
    jobs = {name: o.job(job, o.condition("Complete"))}
    return plan(view(parent, versions=[version], jobs=jobs, pods={name: [pod_of({}, ending)]}), IMAGE)


def waiting(made: Plan) -> str:
    ((pending),) = status_of(made)["pendingTriggers"]
    assert not made.create
    return str(pending["message"])


def test_the_recipe_is_what_the_run_told_its_stages_and_the_images_by_digest() -> None:
    _, version = made_version(images={"publish": PINNED})
    recipe = ModelVersionSpec.model_validate(version["spec"]).recipe
    assert recipe is not None
    spec = stage.decode(recipe.stage)
    assert spec.estimator == stage.Estimator("sklearn.linear_model.Ridge", {"alpha": 0.5})
    assert (spec.data.uri, spec.data.target, spec.seed) == ("s3://data/cars/", "mpg", 0)
    assert (recipe.image, recipe.container) == (PINNED, None)


@pytest.mark.parametrize(
    ("image", "image_id", "said"),
    [
        ("ghcr.io/mill/trainer:1", "docker-pullable://" + PINNED, PINNED),
        ("trainer:1", "docker.io/library/trainer@sha256:ab", "docker.io/library/trainer@sha256:ab"),
        ("mill/trainer", "docker.io/mill/trainer@sha256:ab", "docker.io/mill/trainer@sha256:ab"),
        ("reg:5000/t:1", "reg:5000/t@sha256:ab", "reg:5000/t@sha256:ab"),
        ("trainer:1", "sha256:abcdef", "trainer:1"),  # loaded into the node
        ("trainer:1", "docker.io/library/import-2026-01-02@sha256:ab", "trainer:1"),
        ("trainer:1", "", "trainer:1"),
    ],
)
def test_an_image_is_pinned_when_it_can_be_pulled_so(image: str, image_id: str, said: str) -> None:
    _, version = made_version(image, {"publish": image_id})
    assert version["spec"]["recipe"]["image"] == said


def test_a_container_is_kept_as_the_resource_had_it() -> None:
    digest = "registry.local:5000/own@sha256:" + "2" * 64
    _, version = made_version(images={"train": digest}, train={"container": OWN})
    assert version["spec"]["recipe"]["container"] == {**OWN, "image": digest}
    ModelVersionSpec.model_validate(version["spec"])


def test_a_version_is_made_again_as_it_was_whatever_the_spec_says_by_then() -> None:
    parent, version = made_version(images={"publish": PINNED})
    parent["spec"]["train"] = {"container": OWN}
    parent["spec"]["data"] = {**parent["spec"]["data"], "target": "weight"}
    parent["status"]["trainedHash"] = status_of(plan(view(parent), IMAGE))["trainedHash"]
    current, job = begun(parent, version)
    spec = told(job)
    assert spec.reproduces == stage.Origin("cars-1", "s3://models/prod/ml/cars/sha256-aa/", o.DIGEST)
    assert (spec.data.snapshot, spec.data.copy, spec.data.target) == (DATA, False, "mpg")
    assert (spec.run, spec.version, spec.champion) == (2, "cars-1", None)
    pod = job["spec"]["template"]["spec"]
    assert {one["image"] for one in (*pod["initContainers"], *pod["containers"])} == {PINNED}
    assert current["status"]["currentRun"]["reason"] == "Reproduce"
    assert [one["message"] for one in current["status"]["conditions"] if one["type"] == "Ready"] == [
        "run 2 makes cars-1 again"
    ]


def test_a_container_runs_again_with_its_parameters() -> None:
    parent, version = made_version(train={"container": OWN})
    version["spec"]["recipe"]["parameters"] = '{"lr":0.5}'
    _, job = begun(parent, version)
    (train,) = [one for one in job["spec"]["template"]["spec"]["initContainers"] if one["name"] == "train"]
    env = {one["name"]: one["value"] for one in train["env"]}
    assert (train["image"], train["command"], train["args"]) == (OWN["image"], OWN["command"], OWN["args"])
    assert (env["HOME"], env["DEPTH"], env["MODELMILL_PARAM_LR"]) == ("/home/me", "US$$", "0.5")
    assert names.ENV_STAGE not in env


def test_the_same_bytes_are_told_and_no_version_is_made() -> None:
    parent, version = made_version()
    current, job = begun(parent, version)
    metrics = {"r2": 0.91, "mae": 2.0}
    data = DataFacts(DATA, 100, 20, copied=True)
    ending = StageResult(REPRODUCED, data=data, metrics=metrics, reproduction=Reproduction("cars-1", True, metrics))
    made = ended(current, job, version, ending)
    assert not made.create
    last = status_of(made)["lastRun"]
    assert last["outcome"] == "Reproduced"
    assert last["reproduced"] == {"version": "cars-1", "bytes": "Same"}
    assert "version" not in last
    assert [event.reason for event in made.events] == ["RunReproduced"]
    status = status_of(made)
    assert (status["phase"], status["latestVersion"]) == ("Idle", "cars-1")
    after = plan(view(o.with_status(annotated(parent), status), versions=[version]), IMAGE)
    assert not after.create  # answered


def test_other_bytes_are_told_with_the_difference_of_each_metric() -> None:
    parent, version = made_version()
    current, job = begun(parent, version)
    before = Reproduction("cars-1", False, {"r2": 0.91, "mae": 2.0, "mape": 0.1})
    data = DataFacts(DATA, 100, 20, copied=True)
    made = ended(
        current, job, version, StageResult(REPRODUCED, data=data, metrics={"r2": 0.9, "mae": 2.0}, reproduction=before)
    )
    last = status_of(made)["lastRun"]
    assert last["reproduced"] == {"version": "cars-1", "bytes": "Different", "differences": {"r2": "-0.01"}}
    assert last["message"] == "cars-1 was made again: the served model has other bytes; metrics differ by: r2 -0.01"


def test_the_annotation_taken_away_and_set_again_asks_again() -> None:
    parent, version = made_version()
    current, job = begun(parent, version)
    data = DataFacts(DATA, 100, 20)
    ending = StageResult(REPRODUCED, data=data, reproduction=Reproduction("cars-1", True))
    status = status_of(ended(current, job, version, ending))
    assert status["handledReproduction"] == "cars-1"
    gone = status_of(plan(view(o.with_status(parent, status), versions=[version]), IMAGE))
    assert "handledReproduction" not in gone
    assert plan(view(o.with_status(annotated(parent), gone), versions=[version]), IMAGE).create


def test_what_cannot_be_made_again_is_told_in_words() -> None:
    parent, version = made_version()
    assert "there is no ModelVersion 'cars-7'" in waiting(
        plan(view(annotated(parent, "cars-7"), versions=[version]), IMAGE)
    )
    _, plain = made_version(copied=False)
    assert "cars-1 has no copy of its data" in waiting(plan(view(annotated(parent), versions=[plain]), IMAGE))
    by_hand = o.model_version("cars-1")
    assert "cars-1 has no copy of its data" in waiting(plan(view(annotated(parent), versions=[by_hand]), IMAGE))
    old = {**version, "spec": {key: value for key, value in version["spec"].items() if key != "recipe"}}
    assert "cars-1 has no recipe" in waiting(plan(view(annotated(parent), versions=[old]), IMAGE))


@pytest.mark.parametrize(
    "changes", [{"stage": "{}"}, {"stage": '{"v": 1}'}, {"stage": "[" * 9000}, {"parameters": "[1]"}]
)
def test_a_recipe_that_somebody_made_up_is_told(changes: dict[str, str]) -> None:
    parent, version = made_version()
    version["spec"]["recipe"] |= changes
    assert "cannot be read" in waiting(plan(view(annotated(parent), versions=[version]), IMAGE))


def test_a_recipe_says_neither_the_store_nor_for_whom() -> None:
    parent, version = made_version()
    raw = json.loads(version["spec"]["recipe"]["stage"])
    raw |= {
        "namespace": "other",
        "store": {"uri": "s3://theirs"},
        "model": "other",
        "champion": {"name": "x", "uri": "y", "digest": "z"},
    }
    raw["data"] |= {"snapshot": None, "copy": True}
    version["spec"]["recipe"]["stage"] = json.dumps(raw)
    _, job = begun(parent, version)
    spec = told(job)
    assert (spec.namespace, spec.store.uri, spec.model, spec.champion) == ("ml", "s3://models/prod", "cars", None)
    assert (spec.data.snapshot, spec.data.copy) == (DATA, False)


def test_an_image_that_published_all_the_same_makes_no_version() -> None:
    parent, version = made_version()
    current, job = begun(parent, version)
    made = ended(current, job, version, o.published())
    assert not made.create
    assert status_of(made)["lastRun"]["cause"] == "ResultInvalid"


def test_a_failure_to_reproduce_is_none_of_the_trainings() -> None:
    parent, version = made_version()
    current, job = begun(parent, version)
    made = ended(current, job, version, StageResult("Failed", "SnapshotMissing", ("the copy is gone",)))
    assert status_of(made).get("consecutiveFailures", 0) == 0
    assert status_of(made)["lastRun"]["cause"] == "SnapshotMissing"


def test_other_reasons_to_run_come_first_and_are_not_answered_by_it() -> None:
    parent, version = made_version()
    both = annotated(parent)
    both["metadata"]["annotations"]["modelmill.dev/run"] = "now"
    (job,) = plan(view(both, versions=[version]), IMAGE).create
    assert told(job).reproduces is None
    current, _ = begun(parent, version)
    assert "handledAnnotation" not in current["status"]


def test_a_job_that_was_made_before_the_status_decides_what_the_run_is() -> None:
    """The operator ended in between, and the annotation went."""
    parent, version = made_version()
    _, job = begun(parent, version)
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    jobs = {job["metadata"]["name"]: o.job(job)}
    made = plan(view(parent, versions=[version], jobs=jobs), IMAGE)
    assert not made.create
    assert status_of(made)["currentRun"]["reason"] == "Reproduce"
    assert "handledAnnotation" not in status_of(made)
    parent["metadata"]["annotations"] = {}
    _, ordinary = started()
    ordinary["metadata"]["name"] = job["metadata"]["name"]
    made = plan(view(annotated(parent), versions=[version], jobs={job["metadata"]["name"]: o.job(ordinary)}), IMAGE)
    assert status_of(made)["currentRun"]["reason"] == "Manual"


def test_versions_of_a_run_that_failed_its_gates_have_recipes_too() -> None:
    parent, manifest = started()
    made = complete(parent, manifest, o.published("GateFailed", reasons=("r2 is low",)))
    assert made.create[0]["spec"]["recipe"]["image"] == IMAGE.name


def test_a_version_of_prepared_data_is_prepared_again_by_the_same_image() -> None:
    own = {"image": "ghcr.io/mill/rows:1", "args": ["--fast"]}
    pinned = "ghcr.io/mill/rows@sha256:" + "3" * 64
    parent, version = made_version(images={"prepare": pinned}, prepare={"container": own})
    assert version["spec"]["recipe"]["prepare"] == {**own, "image": pinned, "command": [], "env": []}
    (job,) = plan(view(annotated(parent), versions=[version]), IMAGE).create
    containers = {one["name"]: one for one in job["spec"]["template"]["spec"]["initContainers"]}
    assert containers["prepare"]["image"] == pinned
    assert containers["prepare"]["args"] == ["--fast"]
    assert "divide" in containers


def test_a_version_of_a_script_is_made_again_by_the_same_script_alone() -> None:
    script = {"configMapRef": {"name": "own", "key": "fit.py"}, "args": ["--fast"]}
    parent, version = made_version(train={"script": script})
    assert version["spec"]["recipe"]["script"] == script
    version["spec"]["lineage"]["scriptDigest"] = DATA
    (job,) = plan(view(annotated(parent), versions=[version]), IMAGE).create
    containers = {one["name"]: one for one in job["spec"]["template"]["spec"]["initContainers"]}
    assert containers["train"]["args"] == ["script", "--argument=--fast"]
    told = next(one["value"] for one in containers["fetch"]["env"] if one["name"] == names.ENV_STAGE)
    assert stage.decode(told).script == stage.Script("own", "fit.py", DATA)


def warm_version() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return a TrainingJob with a warm start, the version that its run began from, and the one that it made."""
    champion = o.model_version("cars-0")
    ridge = {"estimator": "sklearn.linear_model.SGDRegressor"}
    parent, version = made_version(versions=[champion], begun="cars-0", train={"sklearn": ridge, "warmStart": True})
    return parent, champion, version


def test_a_run_with_a_warm_start_tells_its_stages_and_its_recipe_what_it_begins_from() -> None:
    _, champion, version = warm_version()
    recipe = ModelVersionSpec.model_validate(version["spec"]).recipe
    assert recipe is not None
    spec, artifact = stage.decode(recipe.stage), champion["spec"]["artifact"]
    assert spec.warm_start
    assert spec.champion == stage.Champion("cars-0", artifact["uri"], artifact["digest"])


def test_a_version_that_was_trained_on_begins_from_the_same_one_again() -> None:
    parent, champion, version = warm_version()
    raw = json.loads(version["spec"]["recipe"]["stage"])
    raw["champion"]["uri"] = "s3://theirs/"
    version["spec"]["recipe"]["stage"] = json.dumps(raw)
    made = plan(view(annotated(parent), versions=[version, champion]), IMAGE)
    (job,) = made.create
    artifact = champion["spec"]["artifact"]
    assert told(job).champion == stage.Champion("cars-0", artifact["uri"], artifact["digest"])


def test_a_version_that_was_trained_on_is_not_made_again_without_the_one_before() -> None:
    parent, champion, version = warm_version()
    assert "cars-1 was trained on from cars-0, which is gone" in waiting(
        plan(view(annotated(parent), versions=[version]), IMAGE)
    )
    artifact = {"uri": "s3://x/", "digest": "sha256:" + "e" * 64}
    other = {**champion, "spec": {**champion["spec"], "artifact": artifact}}
    assert "which is gone" in waiting(plan(view(annotated(parent), versions=[version, other]), IMAGE))


def test_a_version_that_began_anew_for_all_its_warm_start_needs_no_other() -> None:
    parent, version = made_version(train={"sklearn": {"estimator": "sklearn.linear_model.Ridge"}, "warmStart": True})
    _, job = begun(parent, version)
    assert (told(job).warm_start, told(job).champion) == (True, None)
