"""versions.historyLimit: the oldest go, and never what somebody uses, approved or named."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.api.resources import MODEL_VERSIONS
from modelmill.workloads.containers import Image
from tests.support import objects as o
from tests.unit.training.planning import plan, view

TRAINER = Image("trainer:1")
Object = dict[str, Any]


def version(number: int, approval: str = "Rejected", uid: str = "tj-uid", **spec: Any) -> Object:
    made = o.model_version(f"cars-{number}", approval, created=f"2026-01-01T00:{number:02}:00Z")
    made["metadata"]["resourceVersion"] = str(100 + number)
    lineage = {
        "trainingJob": "cars", "run": number, "runUid": f"{uid}-{number}", "reason": "Spec", "dataDigest": o.DIGEST,
        "dataRows": 100, "holdoutRows": 20,
    }  # fmt: skip
    made["spec"] |= {"lineage": lineage, **spec}
    return made


def deleted(*versions: Object, limit: int | None = 1, services: tuple[Object, ...] = ()) -> list[str]:
    job = o.training_job(versions={"approval": "Manual"} | ({"historyLimit": limit} if limit else {}))
    made = plan(view(job, versions=list(versions), services=list(services)), TRAINER)
    gone = [one for one in made.delete if one.resource == MODEL_VERSIONS]
    assert all(one.version == f"{100 + int(one.name[5:])}" for one in gone), "only as it was when that was decided"
    told = [event.message for event in made.events if event.reason == "VersionsDeleted"]
    assert all(one.name in told[0] for one in gone)
    return [one.name for one in gone]


def test_the_newest_stay_and_without_a_limit_all() -> None:
    versions = [version(number) for number in (1, 2, 10, 9)]
    assert sorted(deleted(*versions, limit=2)) == ["cars-1", "cars-2"]
    assert deleted(*versions, limit=4) == []
    assert deleted(*versions, limit=None) == []


@pytest.mark.parametrize(
    "kept",
    [
        version(1, "Approved"),
        version(1, aliases=["champion"]),
        version(1, uid="another-uid"),
        o.model_version("cars-1"),
    ],
    ids=["approved", "aliased", "of a namesake", "made by hand"],
)
def test_what_is_kept_does_not_count(kept: Object) -> None:
    assert deleted(kept, version(2), version(3)) == ["cars-2"]


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({"name": "cars", "follow": "Approved"}, {"stable": {"version": "cars-1"}}),
        ({"name": "trucks", "follow": "Approved"}, {"canary": {"version": "cars-1"}}),
        ({"name": "cars", "version": "cars-1"}, {}),
    ],
    ids=["served", "a candidate of a service of another model", "pinned"],
)
def test_what_a_service_has_or_pins_is_kept(spec: Object, status: Object) -> None:
    service = {**o.inference_service(model=spec), "status": status}
    assert deleted(version(1), version(2), services=(service,)) == []


def test_what_a_service_gave_up_is_not_kept_for_that() -> None:
    history = [{"version": "cars-1", "revision": "a", "startTime": o.DIGEST, "outcome": "RolledBack"}]
    service = {**o.inference_service(), "status": {"history": history}}
    assert deleted(version(1), version(2), services=(service,)) == ["cars-1"]


def test_what_is_going_is_not_deleted_again() -> None:
    going = version(1)
    going["metadata"] |= {"deletionTimestamp": "2026-01-02T00:00:00Z", "finalizers": ["x/y"]}
    assert deleted(going, version(2)) == []


def test_a_thousand_versions_go_a_few_at_a_time_the_oldest_first() -> None:
    versions = [version(number) for number in range(1, 60)]
    assert sorted(deleted(*versions), key=lambda name: int(name[5:])) == [f"cars-{number}" for number in range(1, 11)]
