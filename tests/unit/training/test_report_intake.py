"""The endpoint for reports over real HTTP on loopback; the API server's reviews are played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from modelmill.engine.errors import ApiError, Forbidden, ServerFailure, Unreachable
from modelmill.kube.objects import Resource
from modelmill.training.search import senders
from modelmill.training.search.intake import MAX_BODY, PATH, ReportIntake
from modelmill.training.search.senders import AT_A_TIME, KEPT_SECONDS, POD_NAME, POD_UID, SenderError, Senders
from modelmill.tuning.reports import BURST, Reports

AUDIENCE = "modelmill-trial-reports"
GOOD = {"step": 3, "value": 0.91}


class Reviewer:
    """An API server that reviews tokens: those of `pods` are bound to the pod of that uid."""

    def __init__(self) -> None:
        self.pods = {"good": "uid-1", "stranger": "uid-2"}
        self.asked: list[str] = []
        self.error: ApiError | None = None
        self.answer: Mapping[str, Any] | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        assert resource.path(None) == "/apis/authentication.k8s.io/v1/tokenreviews"
        assert body["spec"]["audiences"] == [AUDIENCE]
        token = body["spec"]["token"]
        self.asked.append(token)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if self.answer is not None:
            return {"status": self.answer}
        if token not in self.pods:
            return {"status": {"error": "[invalid bearer token, token has expired]"}}
        extra = {POD_NAME: ["cars-1-t0-x"], POD_UID: [self.pods[token]]}
        user = {"username": "system:serviceaccount:ml:default", "extra": extra}
        return {"status": {"authenticated": True, "audiences": [AUDIENCE], "user": user}}


@pytest.fixture
async def reviewer() -> Reviewer:
    return Reviewer()


@pytest.fixture
def reports() -> Reports:
    made = Reports("http://operator" + PATH)
    made.expect("search", ["uid-1"])
    return made


@pytest.fixture
async def http(reviewer: Reviewer, reports: Reports) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application()
    app.router.add_post(PATH, ReportIntake(reviewer, reports).handle)
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(
    http: TestClient[Any, Any], token: str | None = "good", **more: Any
) -> tuple[int, str, Mapping[str, str]]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with http.post(PATH, headers=headers, **(more or {"json": GOOD})) as answer:
        text = (await answer.json())["error"] if answer.status != 204 else ""
        return answer.status, text, dict(answer.headers)


async def test_a_report_is_kept(http: TestClient[Any, Any], reports: Reports) -> None:
    assert (await post(http))[0] == 204
    assert reports.expect("search", ["uid-1"]) == {"uid-1": {3: 0.91}}


async def test_a_good_token_is_reviewed_once_a_minute(http: TestClient[Any, Any], reviewer: Reviewer) -> None:
    for _ in range(5):
        assert (await post(http))[0] == 204
    assert reviewer.asked == ["good"]
    for _ in range(2):
        assert (await post(http, "bad"))[0] == 401
    assert reviewer.asked == ["good", "bad", "bad"]


async def test_an_answer_is_good_for_a_minute(reviewer: Reviewer) -> None:
    now = [0.0]
    known = Senders(reviewer, lambda: now[0])
    for moment in (0.0, KEPT_SECONDS - 1, KEPT_SECONDS + 1):
        now[0] = moment
        assert (await known.of("Bearer good")).uid == "uid-1"
    assert len(reviewer.asked) == 2


async def test_what_is_known_is_bounded(reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "MOST_KEPT", 2)
    reviewer.pods = {f"t{number}": "uid-1" for number in range(3)}
    known = Senders(reviewer)
    for token in ("t0", "t1", "t2", "t2", "t1", "t0"):
        await known.of(f"Bearer {token}")
    assert reviewer.asked == ["t0", "t1", "t2", "t0"]


async def test_not_more_than_a_few_are_reviewed_at_a_time(reviewer: Reviewer) -> None:
    known = Senders(reviewer)
    reviewer.gate.clear()
    waiting = [asyncio.create_task(known.of("Bearer good")) for _ in range(AT_A_TIME)]
    await asyncio.sleep(0)
    with pytest.raises(SenderError) as refused:
        await known.of("Bearer good")
    assert refused.value.code == 429
    reviewer.gate.set()
    assert {one.uid for one in await asyncio.gather(*waiting)} == {"uid-1"}


@pytest.mark.parametrize("token", [None, "", "x" * 5000, "Ä"])
async def test_without_a_token_nobody_is_asked(
    http: TestClient[Any, Any], reviewer: Reviewer, token: str | None
) -> None:
    code, text, headers = await post(http, token)
    assert (code, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "bearer token is needed" in text
    assert reviewer.asked == []


async def test_a_bad_token_is_told_why(http: TestClient[Any, Any]) -> None:
    code, text, _ = await post(http, "expired")
    assert code == 401
    assert "not good for modelmill-trial-reports: [invalid bearer token, token has expired]" in text


@pytest.mark.parametrize("audiences", [None, [], ["https://kubernetes.default.svc"]])
async def test_a_review_that_does_not_name_the_audience_is_about_another_one(
    http: TestClient[Any, Any], reviewer: Reviewer, audiences: list[str] | None
) -> None:
    user = {"extra": {POD_NAME: ["x"], POD_UID: ["uid-1"]}}
    reviewer.answer = {"authenticated": True, "audiences": audiences, "user": user}
    assert (await post(http))[0] == 401


async def test_a_token_without_a_pod_is_refused(http: TestClient[Any, Any], reviewer: Reviewer) -> None:
    reviewer.answer = {"authenticated": True, "audiences": [AUDIENCE], "user": {"username": "x"}}
    code, text, _ = await post(http)
    assert (code, "not bound to a pod" in text) == (403, True)


async def test_a_pod_of_no_trial_is_refused(http: TestClient[Any, Any]) -> None:
    code, text, _ = await post(http, "stranger")
    assert (code, "of no running trial" in text) == (403, True)


async def test_a_replica_that_does_not_lead_says_so(reviewer: Reviewer) -> None:
    app = web.Application()
    app.router.add_post(PATH, ReportIntake(reviewer, Reports("http://x")).handle)
    async with TestClient(TestServer(app)) as client:
        code, text, headers = await post(client)
    assert (code, "follows no searches" in text, headers["Retry-After"]) == (503, True, "2")


@pytest.mark.parametrize(
    "error", [Unreachable(0, "ClientConnectorError", "refused"), ServerFailure(500, "InternalError", "x")]
)
async def test_an_api_server_that_is_away_is_a_reason_to_report_later(
    http: TestClient[Any, Any], reviewer: Reviewer, reports: Reports, error: ApiError
) -> None:
    reviewer.error = error
    code, _, headers = await post(http)
    assert (code, headers["Retry-After"]) == (503, "2")
    assert reports.problem == ""


async def test_that_the_operator_may_not_review_is_told_until_it_may(
    http: TestClient[Any, Any], reviewer: Reviewer, reports: Reports
) -> None:
    reviewer.error = Forbidden(403, "Forbidden", "tokenreviews is forbidden")
    assert (await post(http))[:2] == (503, "the operator may not create tokenreviews")
    assert reports.problem == "the operator may not create tokenreviews"
    reviewer.error = None
    assert (await post(http))[0] == 204
    assert reports.problem == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[" * 1000, "not JSON"),
        (b"[]", "must be"),
        (b'{"step": 1}', "must be"),
        (b'{"step": 1.5, "value": 1}', "step"),
        (b'{"step": true, "value": 1}', "step"),
        (b'{"step": -1, "value": 1}', "step"),
        (b'{"step": 1000000001, "value": 1}', "step"),
        (b'{"step": 1, "value": "1"}', "value"),
        (b'{"step": 1, "value": true}', "value"),
        (b'{"step": 1, "value": NaN}', "value"),
        (b'{"step": 1, "value": 1e999}', "value"),
        (b'{"step": 1, "value": 1' + b"0" * 400 + b"}", "value"),
    ],
)
async def test_a_body_that_is_no_report_is_told_what_is_wrong(
    http: TestClient[Any, Any], reports: Reports, body: bytes, words: str
) -> None:
    code, text, _ = await post(http, data=body)
    assert code == 400
    assert words in text
    assert reports.expect("search", ["uid-1"]) == {"uid-1": {}}


async def test_a_large_body_is_not_read(http: TestClient[Any, Any]) -> None:
    assert (await post(http, data=b"x" * (MAX_BODY + 1)))[0] == 413


async def test_a_trial_that_reports_too_often_is_asked_to_wait(http: TestClient[Any, Any]) -> None:
    codes = [(await post(http))[0] for _ in range(int(BURST) + 20)]
    assert codes[0] == 204
    assert 429 in codes
