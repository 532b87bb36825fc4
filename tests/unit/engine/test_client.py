"""The client against a small HTTP server that answers what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelmill.engine import errors, login
from modelmill.engine.client import LIST_TRIES, Client
from modelmill.kube.resources import JOBS, PODS

JOB = {"metadata": {"name": "j", "namespace": "ml", "resourceVersion": "7"}, "status": {}}


class Server:
    """Keeps the requests, and answers each with the next of `answers`: (status, body, headers)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, Any, dict[str, str]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else None
        self.requests.append((request.method, request.path, dict(request.query), body))
        self.headers.append(dict(request.headers))
        status, answer, headers = self.answers.pop(0) if self.answers else (200, {"metadata": {}}, {})
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return web.Response(status=status, body=raw, headers=headers)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest_asyncio.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as http:
        one = Client(login.Login(str(http.make_url("")).rstrip("/"), None, token="secret"))
        yield one
        await one.close()


async def test_each_request_is_what_the_api_server_expects(client: Client, server: Server) -> None:
    await client.get(JOBS, "ml", "j")
    await client.create(JOBS, JOB)
    await client.apply(JOBS, JOB)
    await client.replace_status(JOBS, JOB)
    await client.patch(JOBS, "ml", "j", {"metadata": {"finalizers": []}})
    await client.delete(PODS, "ml", "p", "uid-1")
    manager = {"fieldManager": "modelmill"}
    one = "/apis/batch/v1/namespaces/ml/jobs/j"
    assert server.requests == [
        ("GET", one, {}, None),
        ("POST", "/apis/batch/v1/namespaces/ml/jobs", manager, JOB),
        ("PATCH", one, {**manager, "force": "true"}, JOB),
        ("PUT", one + "/status", manager, JOB),
        ("PATCH", one, manager, {"metadata": {"finalizers": []}}),
        (
            "DELETE",
            "/api/v1/namespaces/ml/pods/p",
            {},
            {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": {"uid": "uid-1"},
            },
        ),
    ]
    types = [headers.get("Content-Type") for headers in server.headers]
    assert types == [
        None,
        "application/json",
        "application/apply-patch+yaml",
        "application/json",
        "application/merge-patch+json",
        "application/json",
    ]
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}


async def test_a_list_is_read_in_pages_and_its_items_say_what_they_are(client: Client, server: Server) -> None:
    server.answers = [
        (200, {"metadata": {"resourceVersion": "9", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]}, {}),
        (200, {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "b"}}]}, {}),
    ]
    items, version = await client.list(JOBS, None, "app=x")
    assert [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in items] == [
        ("batch/v1", "Job", "a"),
        ("batch/v1", "Job", "b"),
    ]
    assert version == "9"
    queries = [query for *_, query, _ in server.requests]
    assert queries == [
        {"limit": "500", "labelSelector": "app=x"},
        {"limit": "500", "labelSelector": "app=x", "continue": "more"},
    ]


async def test_a_list_whose_pages_expire_begins_anew_but_not_for_ever(client: Client, server: Server) -> None:
    first = (
        200,
        {"metadata": {"resourceVersion": "9", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]},
        {},
    )
    last = (200, {"metadata": {"resourceVersion": "12"}, "items": [{"metadata": {"name": "b"}}]}, {})
    expired = (410, {"kind": "Status", "reason": "Expired"}, {})
    server.answers = [first, expired, last]
    items, version = await client.list(JOBS)
    assert ([one["metadata"]["name"] for one in items], version) == (["b"], "12")
    server.answers = [first, expired] * LIST_TRIES
    with pytest.raises(errors.Expired):
        await client.list(JOBS)
    assert server.answers == []


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Forbidden),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Expired),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerFailure),
        (503, "ServiceUnavailable", errors.ServerFailure),
    ],
)
async def test_refusals_have_types(
    client: Client, server: Server, status: int, reason: str, kind: type[errors.ApiError]
) -> None:
    server.answers = [(status, {"kind": "Status", "reason": reason, "message": "why"}, {"Retry-After": "3"})]
    with pytest.raises(kind) as caught:
        await client.get(JOBS, "ml", "j")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason, caught.value.message) == (status, reason, "why")
    assert caught.value.retry_after == 3.0


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"a":NaN}', b'{"a":"\xff"}', b"", b'{"a":' * 100_000])
async def test_an_answer_of_another_shape_is_a_failure_of_the_server(
    client: Client, server: Server, body: bytes
) -> None:
    server.answers = [(200, body, {})]
    with pytest.raises(errors.ServerFailure, match="NoJSON"):
        await client.get(JOBS, "ml", "j")


@pytest.mark.parametrize("status", [200, 502])
async def test_an_answer_that_is_no_json_is_a_failure_of_the_server(
    client: Client, server: Server, status: int
) -> None:
    server.answers = [(status, b"<html>bad gateway</html>", {})]
    with pytest.raises(errors.ServerFailure, match="bad gateway"):
        await client.get(JOBS, "ml", "j")


async def test_no_answer_is_unreachable(unused_tcp_port: int) -> None:
    one = Client(login.Login(f"http://127.0.0.1:{unused_tcp_port}", None))
    with pytest.raises(errors.Unreachable):
        await one.get(JOBS, "ml", "j")
    await one.close()


def test_a_mounted_token_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr(login.time, "monotonic", lambda: seconds[0])
    token = tmp_path / "token"
    token.write_text("one\n")
    one = login.Login("https://api", None, token_file=token)
    assert asyncio.run(one.headers()) == {"Authorization": "Bearer one"}
    token.write_text("two\n")
    assert asyncio.run(one.headers()) == {"Authorization": "Bearer one"}
    seconds[0] = login.TOKEN_MAX_AGE + 1
    assert asyncio.run(one.headers()) == {"Authorization": "Bearer two"}


KUBECONFIG = """
current-context: b
contexts: [{name: a, context: {cluster: x, user: x}}, {name: b, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1/"}}]
users: [{name: u, user: %s}]
"""


def test_a_kubeconfig_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(path))
    path.write_text(KUBECONFIG % "{token: t}")
    one = login.login()
    assert (one.server, asyncio.run(one.headers())) == ("http://127.0.0.1:1", {"Authorization": "Bearer t"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (KUBECONFIG % "{exec: {command: x}}", "missing key 'apiVersion'"),
        ("a: [", "no usable current context"),
        ("current-context: z\ncontexts: []", "no usable current context"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    path = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(path))
    path.write_text(text)
    with pytest.raises(errors.LoginError, match=says):
        login.login()
    path.unlink()
    with pytest.raises(errors.LoginError, match="set KUBECONFIG"):
        login.login()
