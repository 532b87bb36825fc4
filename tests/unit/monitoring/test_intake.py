"""The webhook over real HTTP on loopback; the API server is played by a dictionary with resource versions."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from pydantic import TypeAdapter

from modelmill.api.base import Alert
from modelmill.api.objects import status_manifest
from modelmill.engine.errors import Conflict, Invalid, NotFound, Unreachable
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.objects import Resource
from modelmill.monitoring.alertmanager import AHEAD, FIRST_TIME, MAX_ALERTS, Notice, NotificationError, parse
from modelmill.monitoring.intake import MAX_BODY, MAX_NOTICES, AlertIntake, namespace_token
from tests.support.objects import training_job

TOKEN = "s3cret"
SERVICE = ("inferenceservices", "ml", "fuel-economy")
JOB = ("trainingjobs", "ml", "fuel-economy")


class ApiServer:
    """Objects by (plural, namespace, name), and a clock. `disturb` runs before each write, as another writer would."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.reads = 0
        self.writes = 0
        self.down = False
        self.now = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
        self.disturb: Callable[[dict[str, Any]], None] = lambda _: None

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        self.reads += 1
        if self.down:
            raise Unreachable(0, "ClientConnectorError", "refused")
        try:
            return copy.deepcopy(self.objects[resource.plural, namespace, name])
        except KeyError:
            raise NotFound(404, "NotFound", name) from None

    async def replace_status(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        meta = body["metadata"]
        stored = self.objects[resource.plural, meta["namespace"], meta["name"]]
        self.disturb(stored)
        if stored["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        self.writes += 1
        stored["status"] = copy.deepcopy(body["status"])
        bump(stored)
        return copy.deepcopy(stored)

    def alerts(self, key: tuple[str, str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.objects[key].get("status", {}).get("alerts", [])
        return found


def bump(stored: dict[str, Any]) -> None:
    stored["metadata"]["resourceVersion"] = str(int(stored["metadata"]["resourceVersion"]) + 1)


def one(
    status: str = "firing",
    *,
    fingerprint: str = "560231dd6bf78a3a",
    starts: str = "2026-11-20T20:52:25.912753305Z",
    labels: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """One alert in the shape that Alertmanager 0.25 sends; a label of None is left out."""
    merged: dict[str, str | None] = {
        "alertname": "ModelmillFeatureDrift",
        "namespace": "ml",
        "inferenceservice": "fuel-economy",
        "model_version": "fuel-economy-1",
        "feature": "Horsepower",
        "modelmill_kind": "Drift",
        "severity": "warning",
        **(labels or {}),
    }
    return {
        "status": status,
        "labels": {name: value for name, value in merged.items() if value is not None},
        "annotations": {"summary": "Feature Horsepower drifted", "value": "2.310"},
        "startsAt": starts,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint,
    }


def notification(*alerts: Any, **more: Any) -> dict[str, Any]:
    return {
        "receiver": "modelmill",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        **more,
    }


@pytest.fixture
def api(service: Callable[..., dict[str, Any]]) -> ApiServer:
    server = ApiServer()
    server.objects[SERVICE] = service()
    server.objects[JOB] = {
        "metadata": {"name": "fuel-economy", "namespace": "ml", "uid": "u-2", "resourceVersion": "1"},
        "spec": training_job()["spec"],
    }
    return server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.fixture
async def http(api: ApiServer, token_file: Path) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application()
    app.router.add_post("/alerts", AlertIntake(api, token_file, clock=lambda: api.now).handle)
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(http: TestClient[Any, Any], body: Any, token: str | None = TOKEN, **headers: str) -> int:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post("/alerts", data=data, headers=headers) as response:
        await response.read()
        return response.status


def put(path: Path, content: str | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("modelmill_alerts_total", {"outcome": outcome}) or 0.0


async def test_a_firing_alert_is_recorded(http: TestClient[Any, Any], api: ApiServer) -> None:
    assert await post(http, notification(one())) == 200
    (alert,) = api.alerts(SERVICE)
    assert alert == {
        "id": alert["id"],
        "name": "ModelmillFeatureDrift",
        "kind": "Drift",
        "startsAt": "2026-11-20T20:52:25Z",
        "feature": "Horsepower",
        "version": "fuel-economy-1",
        "value": "2.310",
        "message": "Feature Horsepower drifted",
        "fingerprint": alert["fingerprint"],
    }
    adapter = TypeAdapter(Alert)
    assert adapter.dump_python(adapter.validate_python(alert), by_alias=True) == alert
    assert api.objects[SERVICE]["status"]["phase"] == "Stable"


async def test_a_repeated_alert_writes_nothing(http: TestClient[Any, Any], api: ApiServer) -> None:
    for _ in range(3):
        assert await post(http, notification(one(), one())) == 200
    assert api.writes == 1
    assert len(api.alerts(SERVICE)) == 1


async def test_another_episode_of_the_same_alert_is_another_alert(http: TestClient[Any, Any], api: ApiServer) -> None:
    await post(http, notification(one()))
    (first,) = api.alerts(SERVICE)
    await post(http, notification(one("resolved")))
    await post(http, notification(one(starts="2026-11-20T21:00:00Z")))
    (second,) = api.alerts(SERVICE)
    assert second["id"] != first["id"]
    assert second["fingerprint"] == first["fingerprint"]


async def test_the_same_episode_with_the_start_of_a_restart_is_no_other_alert(
    http: TestClient[Any, Any], api: ApiServer
) -> None:
    """After a restart of Prometheus one Alertmanager tells the first start, and one that was restarted too the second."""
    restarted = "2026-11-20T21:00:00Z"
    await post(http, notification(one()))
    (first,) = api.alerts(SERVICE)
    for _ in range(2):
        await post(http, notification(one(starts=restarted)))
        await post(http, notification(one()))
    assert api.alerts(SERVICE) == [first]
    assert api.writes == 1
    await post(http, notification({**one("resolved", starts=restarted), "endsAt": "2026-11-20T21:30:00Z"}))
    assert api.alerts(SERVICE) == []


async def test_a_late_resolution_of_an_earlier_episode_leaves_the_next_one(
    http: TestClient[Any, Any], api: ApiServer
) -> None:
    await post(http, notification(one(starts="2026-11-20T22:00:00Z")))
    await post(http, notification({**one("resolved"), "endsAt": "2026-11-20T21:30:00Z"}))
    assert len(api.alerts(SERVICE)) == 1


async def test_what_an_earlier_release_recorded_is_known_by_its_start(
    http: TestClient[Any, Any], api: ApiServer
) -> None:
    await post(http, notification(one()))
    (alert,) = api.alerts(SERVICE)
    del alert["fingerprint"]
    await post(http, notification(one()))
    assert api.alerts(SERVICE) == [alert]
    await post(http, notification(one("resolved")))
    assert api.alerts(SERVICE) == []


async def test_a_resolved_alert_goes_and_the_others_stay(http: TestClient[Any, Any], api: ApiServer) -> None:
    other = one(fingerprint="aaaaaaaaaaaaaaaa", labels={"feature": "Weight_in_lbs"})
    await post(http, notification(one(), other))
    assert await post(http, notification(one("resolved"), other)) == 200
    assert [alert["feature"] for alert in api.alerts(SERVICE)] == ["Weight_in_lbs"]


async def test_a_resolution_of_nothing_writes_nothing(http: TestClient[Any, Any], api: ApiServer) -> None:
    assert await post(http, notification(one("resolved"))) == 200
    assert api.writes == 0


async def test_a_training_job_can_be_named(http: TestClient[Any, Any], api: ApiServer) -> None:
    named = one(labels={"inferenceservice": None, "trainingjob": "fuel-economy"})
    assert await post(http, notification(named)) == 200
    assert len(api.alerts(JOB)) == 1
    assert api.alerts(SERVICE) == []


@pytest.mark.parametrize(
    ("labels", "outcome"),
    [
        ({"inferenceservice": "unknown"}, "unknown_target"),
        ({"inferenceservice": None}, "no_target"),
        ({"namespace": None}, "no_target"),
        ({"trainingjob": "fuel-economy"}, "no_target"),
        ({"namespace": "../../secrets"}, "no_target"),
        ({"inferenceservice": ".."}, "no_target"),
        ({"inferenceservice": "fuel-economy/status"}, "no_target"),
        ({"modelmill_kind": "Weather"}, "unknown_kind"),
        ({"modelmill_kind": None, "alertname": "KubePodCrashLooping"}, "unknown_kind"),
        ({"model_version": "fuel-economy-0"}, "other_version"),
    ],
)
async def test_what_nobody_can_use_is_answered_200_and_counted(
    http: TestClient[Any, Any], api: ApiServer, labels: Mapping[str, str | None], outcome: str
) -> None:
    before = counted(outcome)
    assert await post(http, notification(one(labels=labels))) == 200
    assert counted(outcome) == before + 1
    assert api.writes == 0


async def test_targets_must_have_opted_in(http: TestClient[Any, Any], api: ApiServer) -> None:
    del api.objects[SERVICE]["spec"]["monitoring"]
    del api.objects[JOB]["spec"]["triggers"]
    before = counted("not_enabled")
    named = one(labels={"inferenceservice": None, "trainingjob": "fuel-economy"})
    assert await post(http, notification(one(), named)) == 200
    assert counted("not_enabled") == before + 2
    assert api.writes == 0


async def test_an_alert_of_the_users_own_needs_only_a_telling_name(http: TestClient[Any, Any], api: ApiServer) -> None:
    own = one(
        labels={"alertname": "FuelEconomyQuality", "modelmill_kind": None, "model_version": None, "feature": None}
    )
    assert await post(http, notification(own)) == 200
    (alert,) = api.alerts(SERVICE)
    assert alert["kind"] == "Quality"
    assert "version" not in alert


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "s3cre", "\udcff"])
async def test_without_the_token_nothing_is_taken(
    http: TestClient[Any, Any], api: ApiServer, token: str | None
) -> None:
    assert await post(http, notification(one()), token) == 401
    assert api.reads == 0


async def test_a_token_in_the_address_is_none(http: TestClient[Any, Any], api: ApiServer) -> None:
    async with http.post(f"/alerts?token={TOKEN}&access_token={TOKEN}", json=notification(one())) as response:
        assert response.status == 401
    assert api.reads == 0


@pytest.mark.parametrize("scheme", ["Basic", "", "Token", "Bearer x"])
async def test_a_token_of_another_scheme_is_none(http: TestClient[Any, Any], api: ApiServer, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    assert await post(http, notification(one()), None, **headers) == 401
    assert api.reads == 0


async def test_the_token_of_a_namespace_is_good_for_that_one(http: TestClient[Any, Any], api: ApiServer) -> None:
    assert await post(http, notification(one()), namespace_token(TOKEN.encode(), "ml")) == 200
    assert len(api.alerts(SERVICE)) == 1


@pytest.mark.parametrize("namespace", ["team-b", None, ""])
async def test_with_the_token_of_a_namespace_no_other_can_be_named(
    http: TestClient[Any, Any], api: ApiServer, namespace: str | None
) -> None:
    other = one(labels={"namespace": namespace})
    assert await post(http, notification(one(), other), namespace_token(TOKEN.encode(), "ml")) == 403
    assert api.reads == 0


@pytest.mark.parametrize(
    "token",
    [
        namespace_token(b"another", "ml"),
        namespace_token(TOKEN.encode(), "team-b").replace("team-b", "ml"),
        namespace_token(TOKEN.encode(), "ml")[:-1],
        namespace_token(TOKEN.encode(), "").replace(".", "ml.", 1),
        "ml.",
        f"ml.{TOKEN}",
        f"ml.{TOKEN}.{TOKEN}",
    ],
)
async def test_a_token_of_a_namespace_cannot_be_made_from_another(
    http: TestClient[Any, Any], api: ApiServer, token: str
) -> None:
    assert await post(http, notification(one()), token) == 401
    assert api.reads == 0


def test_a_person_can_make_the_token_of_a_namespace() -> None:
    """As docs/reference/security.md says it, with openssl."""
    command = ["openssl", "dgst", "-sha256", "-hmac", TOKEN, "-r"]
    told = subprocess.run(command, input=b"ml", capture_output=True, check=True).stdout.decode()
    assert namespace_token(TOKEN.encode(), "ml") == f"ml.{told.split()[0]}"


async def test_more_alerts_than_one_notification_may_have_are_refused(
    http: TestClient[Any, Any], api: ApiServer
) -> None:
    """Each may name another object, and each object is a request to the API server."""
    few = {"status": "firing", "startsAt": "2026-11-20T20:52:25Z"}
    many = [
        {**few, "labels": {"modelmill_kind": "Drift", "namespace": "ml", "trainingjob": f"t{number}"}}
        for number in range(MAX_NOTICES + 1)
    ]
    assert await post(http, notification(*many)) == 413
    assert api.reads == 0
    assert await post(http, notification(*many[1:])) == 200


async def test_the_token_may_be_rotated(http: TestClient[Any, Any], api: ApiServer, token_file: Path) -> None:
    put(token_file, "new")
    assert await post(http, notification(one())) == 401
    assert await post(http, notification(one()), "new") == 200
    assert len(api.alerts(SERVICE)) == 1


@pytest.mark.parametrize("content", [None, "", " \n"])
async def test_an_operator_without_token_takes_nothing(
    http: TestClient[Any, Any], api: ApiServer, token_file: Path, content: str | None
) -> None:
    put(token_file, content)
    assert await post(http, notification(one()), "") == 503
    assert api.reads == 0


async def test_a_large_body_is_refused(http: TestClient[Any, Any], api: ApiServer) -> None:
    largest = json.dumps(notification(one())).encode()
    fits = largest + b" " * (MAX_BODY - len(largest))
    assert await post(http, fits) == 200
    assert await post(http, fits + b" ") == 413


async def test_a_large_body_of_unknown_length_is_refused(http: TestClient[Any, Any], api: ApiServer) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY // 65_536 + 1):
            yield b" " * 65_536

    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with http.post("/alerts", data=chunks(), headers=headers) as response:
        assert response.status == 413
    assert api.reads == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"alerts": {}}', b"\xff", b"[" * 200_000, b"9" * 5000])
async def test_a_body_that_is_none_is_not_sent_again(http: TestClient[Any, Any], api: ApiServer, body: bytes) -> None:
    before = counted("malformed")
    assert await post(http, body) == 200
    assert counted("malformed") == before + 1


async def test_a_bad_alert_does_not_hide_a_good_one(http: TestClient[Any, Any], api: ApiServer) -> None:
    bad: list[Any] = [None, 3, {}, {**one(), "startsAt": "yesterday"}, {**one(), "status": ["firing"]}]
    bare = {"status": "firing", "labels": one()["labels"], "annotations": None, "startsAt": "2026-11-20T20:52:25Z"}
    assert await post(http, {"alerts": [*bad, bare]}) == 200
    (alert,) = api.alerts(SERVICE)
    assert "value" not in alert


async def test_an_api_server_that_is_down_is_503_and_the_repetition_works(
    http: TestClient[Any, Any], api: ApiServer
) -> None:
    api.down = True
    assert await post(http, notification(one())) == 503
    api.down = False
    assert await post(http, notification(one())) == 200
    assert len(api.alerts(SERVICE)) == 1


async def test_a_conflict_is_tried_again_on_what_the_other_wrote(http: TestClient[Any, Any], api: ApiServer) -> None:
    def once(stored: dict[str, Any]) -> None:
        stored["status"]["phase"] = "RollingOut"
        bump(stored)
        api.disturb = lambda _: None

    api.disturb = once
    assert await post(http, notification(one())) == 200
    assert len(api.alerts(SERVICE)) == 1
    assert api.objects[SERVICE]["status"]["phase"] == "RollingOut"


async def test_conflicts_without_end_are_503(http: TestClient[Any, Any], api: ApiServer) -> None:
    api.disturb = bump
    assert await post(http, notification(one())) == 503
    assert api.writes == 0


async def test_one_target_that_fails_does_not_keep_another_from_being_recorded(
    http: TestClient[Any, Any], api: ApiServer
) -> None:
    api.disturb = lambda stored: bump(stored) if "monitoring" in stored["spec"] else None
    named = one(labels={"inferenceservice": None, "trainingjob": "fuel-economy"})
    assert await post(http, notification(one(), named)) == 503
    assert len(api.alerts(JOB)) == 1


async def test_the_status_stays_bounded(http: TestClient[Any, Any], api: ApiServer) -> None:
    many = [one(fingerprint=f"{number:016x}") for number in range(MAX_ALERTS + 5)]
    before = counted("full")
    assert await post(http, notification(*many)) == 200
    assert len(api.alerts(SERVICE)) == MAX_ALERTS
    assert counted("full") == before + 5


async def test_texts_are_cut_to_what_the_schema_allows(http: TestClient[Any, Any], api: ApiServer) -> None:
    long = one(labels={"alertname": "x" * 5000 + "Drift", "feature": "y" * 5000})
    long["annotations"] = {"summary": "z" * 50_000, "value": "9" * 500}
    long["labels"] |= {"modelmill_kind": "Drift"}
    assert await post(http, notification(long)) == 200
    (alert,) = api.alerts(SERVICE)
    TypeAdapter(Alert).validate_python(alert)


async def test_texts_are_on_one_line_and_can_be_sent(http: TestClient[Any, Any], api: ApiServer) -> None:
    torn = one(labels={"alertname": "a\r\nDrift", "feature": "Horse\x00power\u2028\ud800"})
    torn["annotations"] = {"summary": "  first\n\tsecond ", "value": "\x1b[31m2"}
    assert await post(http, notification(torn)) == 200
    (alert,) = api.alerts(SERVICE)
    assert (alert["name"], alert["feature"], alert["message"]) == ("a Drift", "Horse power", "first second")
    assert alert["value"] == "[31m2"
    json.dumps(alert, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("starts", "written"),
    [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("2026-11-20T20:52:25.999999+05:30", "2026-11-20T15:22:25Z"),
        ("2026-11-20T23:05:00Z", "2026-11-20T23:05:00Z"),
    ],
)
async def test_a_start_is_written_as_the_schema_takes_it(
    http: TestClient[Any, Any], api: ApiServer, starts: str, written: str
) -> None:
    assert await post(http, notification(one(starts=starts))) == 200
    assert [alert["startsAt"] for alert in api.alerts(SERVICE)] == [written]


@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59Z", "2026-11-20T23:01:00Z"),
        ("2026-11-20T23:30:00Z", "2026-11-20T23:40:00Z"),
        ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"),
    ],
)
async def test_an_alert_whose_start_cannot_be_begins_when_it_is_heard_and_ends_when_that_is_told(
    http: TestClient[Any, Any], api: ApiServer, starts: str, ends: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whose clock is wrong, Alertmanager's or the operator's, is not known: that it fires is true all the same."""
    ids = set()
    for _ in range(2):
        assert await post(http, notification(one(starts=starts))) == 200
        assert "a start that cannot be" in capfd.readouterr().out
        (alert,) = api.alerts(SERVICE)
        assert alert["startsAt"] == timestamp(api.now)
        api.now += timedelta(minutes=1)
        assert await post(http, notification(one(starts=starts))) == 200
        assert api.alerts(SERVICE) == [alert], "a repetition is no other episode"
        ids.add(alert["id"])
        assert await post(http, notification({**one("resolved", starts=starts), "endsAt": ends})) == 200
        assert api.alerts(SERVICE) == []
    assert len(ids) == 2, "an episode that a run has answered is not the next one"


@pytest.mark.parametrize("ends", ["2026-11-21T02:00:00Z", "9999-12-31T23:59:59Z"])
async def test_an_end_that_is_to_come_is_the_time_at_which_it_is_heard(
    http: TestClient[Any, Any], api: ApiServer, ends: str
) -> None:
    """The clock of Prometheus is hours ahead: by the end its start has come, and is not the one that was recorded."""
    starts = "2026-11-20T23:30:00Z"
    await post(http, notification(one(starts=starts)))
    api.now += timedelta(hours=1)
    await post(http, notification({**one("resolved", starts=starts), "endsAt": ends}))
    assert api.alerts(SERVICE) == []


@pytest.mark.parametrize("ends", ["2026-11-20T20:00:00Z", "0001-01-01T00:00:00Z", "soon", None])
async def test_an_end_before_the_start_ends_the_episode_of_that_start_and_no_other(
    http: TestClient[Any, Any], api: ApiServer, ends: str | None
) -> None:
    await post(http, notification(one(starts="2026-11-20T22:00:00Z")))
    await post(http, notification({**one("resolved"), "endsAt": ends}))
    assert len(api.alerts(SERVICE)) == 1
    await post(http, notification({**one("resolved", starts="2026-11-20T22:00:00Z"), "endsAt": ends}))
    assert api.alerts(SERVICE) == []


async def test_what_the_api_server_finds_invalid_is_not_sent_for_ever(
    http: TestClient[Any, Any], api: ApiServer
) -> None:
    def refuse(_: dict[str, Any]) -> None:
        raise Invalid(422, "Invalid", "status.alerts[0]: Invalid value")

    api.disturb = refuse
    before = counted("refused")
    assert await post(http, notification(one())) == 200
    assert counted("refused") == before + 1


async def test_an_object_that_cannot_be_read_takes_no_alert_and_lets_old_ones_go(
    http: TestClient[Any, Any], api: ApiServer
) -> None:
    assert await post(http, notification(one())) == 200
    api.objects[SERVICE]["spec"]["replicas"] = "of another release"
    before = counted("unreadable")
    assert await post(http, notification(one(fingerprint="other"))) == 200
    assert counted("unreadable") == before + 1
    assert await post(http, notification(one("resolved"))) == 200
    assert api.alerts(SERVICE) == []


async def test_a_status_of_another_release_is_kept(http: TestClient[Any, Any], api: ApiServer) -> None:
    api.objects[SERVICE]["status"]["ofAnotherRelease"] = {"kept": True}
    assert await post(http, notification(one())) == 200
    assert api.objects[SERVICE]["status"]["ofAnotherRelease"] == {"kept": True}


async def test_namespaces_that_are_not_watched_are_not_read(api: ApiServer, token_file: Path) -> None:
    app = web.Application()
    app.router.add_post("/alerts", AlertIntake(api, token_file, ["team-a"]).handle)
    before = counted("unwatched_namespace")
    async with TestClient(TestServer(app)) as client:
        assert await post(client, notification(one())) == 200
    assert counted("unwatched_namespace") == before + 1
    assert api.reads == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
TIMES = ["2026-11-20T20:52:25.9Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
alert_like = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved", "other"]) | json_values,
        "labels": st.dictionaries(st.sampled_from(["alertname", "namespace", "modelmill_kind", "feature"]), st.text()),
        "annotations": json_values,
        "startsAt": st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
        | st.sampled_from(TIMES)
        | json_values,
        "endsAt": st.sampled_from(TIMES) | json_values,
        "fingerprint": json_values,
    },
)


@given(st.lists(alert_like | json_values, max_size=5))
def test_any_alert_is_parsed_or_counted(alerts: list[Any]) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    found = parse(json.dumps({"alerts": alerts}).encode(), now)
    assert len(found.notices) + found.malformed == len(alerts)
    for notice in found.notices:
        if notice.kind is not None:
            recorded = status_manifest(notice.recorded())
            TypeAdapter(Alert).validate_python(recorded)
            assert all(text == "" or text.isprintable() for text in recorded.values())
            assert FIRST_TIME <= parse_timestamp(recorded["startsAt"]) <= now + AHEAD
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", recorded["startsAt"])


@given(st.binary(max_size=200))
def test_any_body_is_parsed_or_refused(body: bytes) -> None:
    try:
        parse(body, datetime(2026, 11, 20, tzinfo=UTC))
    except NotificationError:
        return
    assert "alerts" in json.loads(body)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"alerts": [' + b"1" * 10_000 + b"]}"], ids=["deep", "long number"])
def test_what_cannot_be_read_is_told_in_words_of_ours(body: bytes) -> None:
    with pytest.raises(NotificationError, match="too deep, or a number of too many digits"):
        parse(body, datetime(2026, 11, 20, tzinfo=UTC))


def test_the_feature_of_an_alert_about_the_service_is_in_its_annotations() -> None:
    labels = {"alertname": "ModelmillDrift", "modelmill_kind": "Drift"}
    notice = Notice(True, "a", "2026-11-20T20:52:25Z", labels, {"feature": "Horsepower"})
    assert notice.recorded().feature == "Horsepower"
    assert replace(notice, labels={**labels, "feature": "Year"}).recorded().feature == "Year"
