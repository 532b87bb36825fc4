"""The API server in memory refuses what the real one refuses: the tables of tests/integration/engine, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hack.bench import load
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.engine.errors import Invalid
from tests.crash.admission import is_date_time
from tests.crash.memory_api import MemoryApi
from tests.support.refused import CREATED, FROZEN, SERVING, TRAINING, VERSION, changed

TABLES = ((load.training_job, TRAINING), (load.inference_service, SERVING), (load.model_version, VERSION))
KINDS = {one.kind: one for one in (TRAINING_JOBS, MODEL_VERSIONS, INFERENCE_SERVICES)}


def api() -> MemoryApi:
    return MemoryApi(lambda: datetime(2026, 1, 2, tzinfo=UTC))


def stored(body: dict[str, Any], server: MemoryApi | None = None) -> dict[str, Any]:
    return (server or api()).create(KINDS[body["kind"]], body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(changed(make("default", "cars"), change), id=name)
        for make, table in TABLES
        for name, (change, _) in table.items()
    ],
)
def test_what_the_schema_refuses(body: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        stored(body)


@pytest.mark.parametrize("message", CREATED)
def test_what_a_rule_refuses_is_told_in_its_words(message: str) -> None:
    with pytest.raises(Invalid) as told:
        stored(CREATED[message]())
    assert [row for row in CREATED if row in told.value.message] == [message]


def test_what_is_not_refused_is_stored_with_its_defaults() -> None:
    for make, _ in TABLES:
        assert stored(make("default", "cars"))
    assert stored(load.training_job("default", "cars"))["spec"]["data"]["holdout"]["strategy"] == "Random"


def test_a_model_version_is_immutable_but_for_approval() -> None:
    server = api()
    before = stored(load.model_version("default", "cars"), server)
    for change in FROZEN.values():
        with pytest.raises(Invalid, match="immutable"):
            server.patch(MODEL_VERSIONS, "default", "cars-1", {"spec": changed(before, change)["spec"]})
    for approval in ("Rejected", "Pending", "Approved"):
        server.patch(MODEL_VERSIONS, "default", "cars-1", {"spec": {"approval": approval}})


def test_the_model_of_a_training_job_is_immutable() -> None:
    server = api()
    stored(load.training_job("default", "cars"), server)
    with pytest.raises(Invalid, match="immutable"):
        server.patch(TRAINING_JOBS, "default", "cars", {"spec": {"model": "trucks"}})


def test_a_status_has_no_field_that_nobody_knows_and_nothing_twice() -> None:
    server = api()
    made = stored(load.inference_service("default", "cars"), server)
    alert = {"id": "a", "name": "n", "kind": "Drift", "startsAt": "2026-01-02T03:04:05Z"}
    for status in ({"colour": "red"}, {"alerts": [alert, alert]}, {"alerts": [{**alert, "startsAt": "today"}]}):
        with pytest.raises(Invalid):
            server.replace_status(INFERENCE_SERVICES, {**made, "status": status})
    written = server.replace_status(INFERENCE_SERVICES, {**made, "status": {"alerts": [alert]}})
    assert written["status"] == {"alerts": [alert], "phase": "Pending", "replicas": 0}


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("2026-01-02T03:04:05Z", True),
        ("2026-01-02t03:04:05,123z", True),
        ("0000-02-29T03:04:05+99:99", True),
        ("2026-01-02T03:04:05Zt", True),
        ("2026-02-29T03:04:05Z", False),
        ("2026-01-02T24:04:05Z", False),
        ("2026-01-02", False),
    ],
)
def test_times_are_read_as_loosely_as_the_api_server_does(text: str, taken: bool) -> None:
    assert is_date_time(text) is taken
