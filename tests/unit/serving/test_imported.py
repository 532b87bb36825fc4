"""A service for a model that another program made: its version has a source, which is imported before it serves."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.serving.part import VERSIONS
from tests.support import objects as o
from tests.unit.serving.simulated import World, condition

FAILED = {
    "type": "Verified",
    "status": "False",
    "reason": "StoreAuthFailed",
    "message": "s3://elsewhere/cars.ubj was not imported: the store refused the keys; delete Job cars-1-import-abc",
    "lastTransitionTime": "2026-01-02T03:04:05Z",
}
IMPORTED = {"uri": "s3://models/imported/", "digest": o.DIGEST, "format": "xgboost", "bytes": 7, "signature": "x0"}


def foreign(name: str = "cars-1", **status: Any) -> dict[str, Any]:
    made = o.model_version(name)
    kept = {field: made["spec"][field] for field in ("model", "store", "approval")}
    source = {"uri": "s3://elsewhere/cars.ubj", "format": "xgboost"}
    return {**made, "spec": {**kept, "source": source}, "status": status}


def world(made_elsewhere: dict[str, Any], **model: str) -> World:
    made = World(versions=(), strategy="Direct", steps=None, analysis=None)
    made.versions.append(made_elsewhere)
    if model:
        made.parent["spec"]["model"] = {"name": "cars", **model}
    return made


@pytest.mark.parametrize("model", [{}, {"version": "cars-1"}], ids=["followed", "pinned"])
def test_an_imported_version_is_served_from_where_it_was_published(model: dict[str, str]) -> None:
    made = world(foreign(imported=IMPORTED), **model)
    made.run(5)
    assert condition(made, "Ready")[:2] == ("True", "Stable")
    (deployment,) = made.deployments.values()
    (fetch,) = deployment["spec"]["template"]["spec"]["initContainers"]
    env = {one["name"]: one.get("value") for one in fetch["env"]}
    assert (env["MODELMILL_ARTIFACT_URI"], env["MODELMILL_ARTIFACT_DIGEST"]) == (IMPORTED["uri"], IMPORTED["digest"])


@pytest.mark.parametrize(
    ("model", "reason"), [({}, "NoApprovedVersion"), ({"version": "cars-1"}, "VersionNotImported")]
)
def test_what_became_of_the_import_is_told(model: dict[str, str], reason: str) -> None:
    made = world(foreign(), **model)
    made.reconcile()
    assert condition(made, "Ready")[1] == reason
    assert "cars-1" in condition(made, "Ready")[2]
    assert "its source is not imported yet" in condition(made, "Ready")[2]
    made = world(foreign(conditions=[FAILED]), **model)
    made.reconcile()
    assert f"its source is not imported: StoreAuthFailed: {FAILED['message']}" in condition(made, "Ready")[2]


def test_the_newest_approved_one_is_told_and_no_other() -> None:
    made = world(foreign())
    pending = foreign("cars-2")
    pending["spec"]["approval"] = "Pending"
    made.versions.append(pending)
    made.reconcile()
    assert "cars-1 is the newest approved version of cars" in condition(made, "Ready")[2]
    made.versions[0]["spec"]["approval"] = "Rejected"
    made.reconcile()
    assert "no ModelVersion labelled" in condition(made, "Ready")[2]


def test_services_hear_of_the_import_and_of_no_other_status() -> None:
    told = [VERSIONS.reads(one) for one in (foreign(), foreign(conditions=[FAILED]), foreign(imported=IMPORTED))]
    assert len({str(one) for one in told}) == 3
    served = {**FAILED, "type": "Ready"}
    assert VERSIONS.reads(foreign(conditions=[served])) == told[0]
    assert VERSIONS.reads(foreign(imported=IMPORTED, conditions=[FAILED])) == told[2]
    for odd in ({"conditions": 7}, {"conditions": ["x"]}):
        assert VERSIONS.reads(foreign(**odd))
