"""List and watch against a small API server on a socket that does what the worst one does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelmill.engine import decoding, errors, metrics, reflector
from modelmill.engine.client import Client
from modelmill.engine.interface import Watch
from modelmill.engine.login import Login
from modelmill.engine.reflector import Reflector, Reflectors
from modelmill.engine.unwatched import Unwatched
from modelmill.kube.objects import Manifest, Resource
from modelmill.kube.resources import JOBS, PODS

SILENT = 0.3


def pod(name: str, version: int, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "ml", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, **more}


def line(kind: str, obj: Any) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return line("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}})


def status(code: int, reason: str = "Why") -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": "so"}


@dataclass
class Answer:
    """code, headers and body of an answer. of a watch: `lines`, then the stream hangs, or ends, or is cut."""

    code: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    lines: Sequence[bytes] = ()
    then: str = "hang"


def listed(*pods: dict[str, Any], version: int = 10, token: str = "") -> Answer:
    meta = {"resourceVersion": str(version)} | ({"continue": token} if token else {})
    return Answer(body={"kind": "PodList", "metadata": meta, "items": list(pods) or None})


def refused(code: int, reason: str = "Why", **headers: str) -> Answer:
    return Answer(code, status(code, reason), {name.replace("_", "-"): text for name, text in headers.items()})


def told(*lines: bytes, then: str = "hang") -> Answer:
    return Answer(lines=lines, then=then)


class Api:
    """Answers each list and each watch with the next of what the test says; the last watch is for ever."""

    def __init__(self) -> None:
        self.lists: list[Answer] = []
        self.watches: list[Answer] = []
        self.requests: list[str] = []
        self.queries: list[dict[str, str]] = []
        self.other: Callable[[web.Request], Awaitable[web.Response]] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        watch = "watch" in request.query
        if not watch and self.other is not None and not request.path.endswith("/pods"):
            return await self.other(request)
        what = f"watch {request.query['resourceVersion']}" if watch else "list"
        self.requests.append(what + (" more" if "continue" in request.query else ""))
        self.queries.append(dict(request.query))
        answers = self.watches if watch else self.lists
        answer = answers.pop(0) if answers else (Answer() if watch else listed())
        if answer.code != 200 or not watch:
            raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            return web.Response(status=answer.code, body=raw, headers=answer.headers)
        response = web.StreamResponse()
        await response.prepare(request)
        for one in answer.lines:
            await response.write(one)
        if answer.then == "cut":
            assert request.transport is not None
            request.transport.abort()
        elif answer.then == "hang":
            await asyncio.sleep(60)
        return response


class Heard:
    """What a reflector tells."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.objects: dict[str, Manifest] = {}
        self.stumbles: set[str] = set()
        self.absent: list[float] = []
        self.since = 0

    def on_event(self, resource: Resource, kind: str | None, obj: Manifest) -> None:
        meta = obj["metadata"]
        self.events.append(f"{kind} {meta['name']} {meta['resourceVersion']}")
        self.objects[meta["name"]] = obj
        if meta["name"] in self.stumbles:
            raise KeyError("an object that nobody has thought of")

    def newest(self, resource: Resource) -> int:
        return self.since

    def on_listed(self, resource: Resource, namespace: str | None, uids: set[str], version: str) -> None:
        self.events.append(f"listed {version} {','.join(sorted(uids))}".strip())

    def on_absent(self, resource: Resource, namespace: str | None, seconds: float) -> None:
        self.events.append("absent")
        self.absent.append(seconds)


class Rig:
    """A reflector of pods on the server."""

    def __init__(self, watch: Watch = Watch(PODS)) -> None:  # noqa: B008 - it is frozen
        self.api, self.heard, self.unwatched = Api(), Heard(), Unwatched()
        self.watch = watch

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Reflector]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.api.handle)
        async with TestServer(app) as http:
            client = Client(Login(str(http.make_url("")).rstrip("/"), None))
            one = Reflector(
                client, self.watch, None, self.heard, self.unwatched, asyncio.Semaphore(1), silent_seconds=SILENT
            )
            task = asyncio.create_task(one.run())
            try:
                yield one
                assert not task.done(), task
            finally:
                task.cancel()
                await asyncio.wait((task,))
                await client.close()

    async def until(self, *events: str) -> None:
        """Wait until exactly these were told, in this order."""
        for _ in range(2000):
            if len(self.heard.events) >= len(events):
                break
            await asyncio.sleep(0.01)
        assert self.heard.events == list(events)

    async def requested(self, *requests: str) -> None:
        for _ in range(2000):
            if len(self.api.requests) >= len(requests):
                break
            await asyncio.sleep(0.01)
        assert self.api.requests[: len(requests)] == list(requests)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "PAUSE_FIRST", 0.01)
    monkeypatch.setattr(reflector, "PAUSE_LAST", 0.05)


def restarts(cause: str) -> float:
    return metrics.WATCH_RESTARTS.labels("Pod", cause)._value.get()


ADDED = line("ADDED", pod("b", 11))
LATER = line("MODIFIED", pod("b", 12))
GONE = line("ERROR", status(410, "Expired"))
LISTED = "listed 10"


@dataclass
class Hostile:
    """A first stream, how it ends for the metric, from where the next one goes on (None: after a new list), what is told."""

    name: str
    first: Answer
    cause: str
    resumed: int | None
    events: Sequence[str] = ()


HOSTILE = [
    Hostile("the server ends it", told(ADDED, then="end"), "ended", 11, ["ADDED b 11"]),
    Hostile("ends before a word", told(then="end"), "ended", 10),
    Hostile("a bookmark moves the place", told(bookmark(40), then="end"), "ended", 40),
    Hostile("cut between lines", told(ADDED, then="cut"), "unreachable", 11, ["ADDED b 11"]),
    Hostile("cut in a line", told(ADDED, LATER[:40], then="cut"), "unreachable", 11, ["ADDED b 11"]),
    Hostile("ends in a line", told(ADDED, LATER[:40], then="end"), "broken", 11, ["ADDED b 11"]),
    Hostile("the last line has no end", told(ADDED, LATER[:-1], then="end"), "broken", 11, ["ADDED b 11"]),
    Hostile("410 as an event", told(ADDED, GONE), "expired", None, ["ADDED b 11"]),
    Hostile("410 as the answer", refused(410, "Expired"), "expired", None),
    Hostile("400 as the answer", refused(400, "BadRequest"), "failed", None),
    Hostile("429 as an event", told(line("ERROR", status(429, "TooManyRequests"))), "throttled", 10),
    Hostile("500 as an event", told(ADDED, line("ERROR", status(500, "InternalError"))), "failed", 11, ["ADDED b 11"]),
    Hostile("an error without a code", told(line("ERROR", {})), "failed", 10),
    Hostile("an error that is no object", told(line("ERROR", [1])), "broken", 10),
    Hostile("503 as the answer", refused(503, "ServiceUnavailable"), "failed", 10),
    Hostile("429 as the answer", refused(429, "TooManyRequests", Retry_After="0"), "throttled", 10),
    Hostile("401 as the answer", refused(401, "Unauthorized"), "failed", 10),
    Hostile("403 as the answer", refused(403, "Forbidden"), "refused", None),
    Hostile("silence", told(ADDED), "silent", 11, ["ADDED b 11"]),
    Hostile("no JSON", told(ADDED, b"<html>bad gateway</html>\n"), "broken", 11, ["ADDED b 11"]),
    Hostile("an empty line", told(ADDED, b"\n"), "broken", 11, ["ADDED b 11"]),
    Hostile("NaN", told(b'{"type":"ADDED","object":{"metadata":NaN}}\n'), "broken", 10),
    Hostile("bytes that are no text", told(b'{"type":"\xff","object":{}}\n'), "broken", 10),
    Hostile(
        "too deep", told(b'{"type":"ADDED","object":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001 + b"\n"), "broken", 10
    ),
    Hostile("a list instead of an event", told(b"[]\n"), "broken", 10),
    Hostile("an event without an object", told(b'{"type":"ADDED"}\n'), "broken", 10),
    Hostile("an object without metadata", told(line("ADDED", {"kind": "Pod"})), "broken", 10),
    Hostile(
        "an object without a uid", told(line("ADDED", {"metadata": {"name": "a", "namespace": "b"}})), "broken", 10
    ),
    Hostile("a name that is a number", told(line("ADDED", pod("x", 11) | {"metadata": {"name": 1}})), "broken", 10),
    Hostile("a bookmark without a version", told(line("BOOKMARK", {"metadata": {}})), "broken", 10),
    Hostile("a line of 20 MB", told(ADDED, b'{"type":"' + b"a" * 20_000_000), "broken", 11, ["ADDED b 11"]),
    Hostile("an unknown type", told(line("RENAMED", pod("b", 99)), ADDED, then="end"), "ended", 11, ["ADDED b 11"]),
    Hostile("twice the same", told(ADDED, ADDED, then="end"), "ended", 11, ["ADDED b 11", "ADDED b 11"]),
]


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
async def test_a_stream_goes_on_where_it_was_whatever_ends_it(case: Hostile) -> None:
    rig = Rig()
    rig.api.watches = [case.first, told(line("DELETED", pod("b", 50)))]
    before = restarts(case.cause)
    async with rig.running() as one:
        again = [] if case.resumed is not None else [LISTED]
        await rig.until(LISTED, *case.events, *again, "DELETED b 50")
        place = f"watch {case.resumed if case.resumed is not None else 10}"
        assert rig.api.requests[:2] == ["list", "watch 10"]
        assert rig.api.requests[2:4] == ([place] if case.resumed is not None else ["list", place])
        assert restarts(case.cause) == before + 1
        assert one.closed_since is None
        assert one.heard > 0


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_lines_are_read_however_they_are_cut(size: int) -> None:
    stream = b"".join(line("ADDED", pod(f"p{number}", 20 + number, note="x" * number * 9)) for number in range(60))
    lines = decoding.Lines()
    read = [one for start in range(0, len(stream), size) for one in lines.feed(stream[start : start + size])]
    lines.end()
    assert b"\n".join(read) + b"\n" == stream


async def test_the_watch_asks_for_bookmarks_an_end_and_the_selected() -> None:
    rig = Rig(Watch(PODS, "a=b", field_selector="spec.nodeName=x"))
    async with rig.running():
        await rig.requested("list", "watch 10")
        selected = {"labelSelector": "a=b", "fieldSelector": "spec.nodeName=x"}
        assert rig.api.queries[0] == {"limit": "500", **selected}
        seconds = int(rig.api.queries[1].pop("timeoutSeconds"))
        assert rig.api.queries[1] == {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "10",
            **selected,
        }
        assert 300 <= seconds < 600


async def test_a_list_in_pages_is_told_as_one() -> None:
    rig = Rig()
    rig.api.lists = [listed(pod("a", 3), token="t"), listed(pod("b", 4), version=10)]
    async with rig.running():
        await rig.until("None a 3", "None b 4", "listed 10 uid-a,uid-b")
        assert rig.api.requests[:2] == ["list", "list more"]


async def test_a_list_whose_next_page_has_expired_begins_anew_and_says_nothing_of_deletions_before() -> None:
    rig = Rig()
    rig.api.lists = [listed(pod("a", 3), token="t"), refused(410, "Expired"), listed(pod("b", 4), version=12)]
    async with rig.running():
        await rig.until("None a 3", "None b 4", "listed 12 uid-b")
        await rig.requested("list", "list more", "list", "watch 12")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>"),
        Answer(body=[]),
        Answer(body={"items": []}),
        Answer(body={"metadata": {}, "items": []}),
        Answer(body={"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {}}]}),
        Answer(body={"metadata": {"resourceVersion": "9"}, "items": {}}),
        refused(500),
        refused(429, Retry_After="0"),
    ],
    ids=["no JSON", "an array", "no metadata", "no version", "no name", "no items", "500", "429"],
)
async def test_a_list_that_is_none_is_asked_for_again(answer: Answer) -> None:
    rig = Rig()
    rig.api.lists = [answer, answer]
    async with rig.running():
        await rig.requested("list", "list", "list", "watch 10")
        await rig.until(LISTED)


@pytest.mark.parametrize(("code", "word"), [(403, "may not"), (404, "not installed")])
@pytest.mark.parametrize("at", ["list", "watch"])
async def test_a_kind_that_is_refused_heals_by_itself(code: int, word: str, at: str) -> None:
    rig = Rig()
    refusals = [refused(code) for _ in range(8)]
    if at == "list":
        rig.api.lists = refusals
    else:
        rig.api.watches = [told(ADDED, then="end"), *refusals]
    gauge = metrics.WATCH_REFUSED.labels("Pod")
    async with rig.running() as one:
        await rig.requested(*["list"] * 3) if at == "list" else await rig.requested("list", "watch 10", "watch 11")
        for _ in range(100):
            await asyncio.sleep(0.005)
            if rig.unwatched.places:
                break
        assert gauge._value.get() == 1
        assert word in rig.unwatched.words()[0]
        assert (PODS, None) in rig.unwatched.places
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if not rig.unwatched.places:
                break
        assert rig.unwatched.words() == []
        assert gauge._value.get() == 0
        assert one.closed_since is None
        # Only 404 says that there are none; what came and went meanwhile is told by new lists.
        assert ("absent" in rig.heard.events) == (code == 404)
        assert (rig.heard.events.count(LISTED) > 1) == (at == "watch")


@pytest.mark.parametrize(("code", "quiet"), [(403, False), (404, True)])
async def test_an_optional_kind_that_is_refused_is_absent_and_only_a_missing_permission_is_told(
    code: int, quiet: bool
) -> None:
    rig = Rig(Watch(PODS, optional=True))
    rig.api.lists = [refused(code), refused(code), listed()]
    async with rig.running():
        await rig.requested("list", "list")
        assert rig.heard.events[:1] == ["absent"]
        assert (rig.unwatched.words() == []) == quiet
        assert (PODS, None) in rig.unwatched.places
        await rig.requested("list", "list", "list", "watch 10")
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if not rig.unwatched.places:
                break
        assert rig.unwatched.words() == []


async def test_a_kind_that_may_be_listed_and_not_watched_is_polled_by_lists() -> None:
    rig = Rig()
    rig.api.lists = [listed(pod("a", 3)), listed(pod("a", 3), pod("b", 11), version=12), listed(version=13)]
    rig.api.watches = [refused(403, "Forbidden") for _ in range(1000)]
    async with rig.running():
        told = ["None a 3", "listed 10 uid-a", "None a 3", "None b 11", "listed 12 uid-a,uid-b", "listed 13"]
        for _ in range(2000):
            if len(rig.heard.events) >= len(told):
                break
            await asyncio.sleep(0.01)
        assert rig.heard.events[: len(told)] == told
        assert (PODS, None) in rig.unwatched.places


async def test_an_object_that_somebody_stumbles_over_does_not_hide_the_next() -> None:
    rig = Rig()
    rig.heard.stumbles = {"a"}
    rig.api.lists = [listed(pod("a", 3), pod("b", 4))]
    rig.api.watches = [told(line("MODIFIED", pod("a", 11)), line("MODIFIED", pod("b", 12)))]
    async with rig.running():
        await rig.until("None a 3", "None b 4", "listed 10 uid-a,uid-b", "MODIFIED a 11", "MODIFIED b 12")
        assert rig.api.requests == ["list", "watch 10"]


async def test_no_server_is_waited_for(unused_tcp_port: int) -> None:
    rig = Rig()
    client = Client(Login(f"http://127.0.0.1:{unused_tcp_port}", None))
    one = Reflector(client, Watch(PODS), None, rig.heard, rig.unwatched, asyncio.Semaphore(1))
    task = asyncio.create_task(one.run())
    await asyncio.sleep(0.1)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", rig.api.handle)
    async with TestServer(app, port=unused_tcp_port):
        await rig.until(LISTED)
        task.cancel()
        await asyncio.wait((task,))
        await client.close()


def test_for_how_long_a_kind_has_been_absent_is_reckoned_from_the_first_404_of_a_row() -> None:
    seconds = [0.0]
    one = _one(clock=lambda: seconds[0])
    heard = one._listener
    assert isinstance(heard, Heard)
    gone = reflector.NotFound(404, "x", "x")
    for now, error in (
        (5, gone),
        (6, gone),
        (40, gone),
        (41, reflector.Unreachable(0, "x", "x")),
        (90, gone),
        (99, gone),
    ):
        seconds[0] = now
        one._after(error)
    assert heard.absent == [0, 1, 35, 0, 9]


def _one(jitter: float = 0.5, **more: Any) -> Reflector:
    unwatched = Unwatched()
    return Reflector(
        None,  # type: ignore[arg-type]
        Watch(PODS),
        None,
        Heard(),
        unwatched,
        asyncio.Semaphore(1),
        jitter=lambda: jitter,
        **more,
    )


def test_pauses_double_up_to_a_limit_and_begin_anew_after_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "PAUSE_FIRST", 0.2)
    monkeypatch.setattr(reflector, "PAUSE_LAST", 30.0)
    seconds = [0.0]
    one = _one(clock=lambda: seconds[0])
    gone = reflector.Unreachable(0, "x", "x")
    pauses = [one._after(gone) for _ in range(10)]
    assert pauses == [0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30]
    one._told = True
    assert one._after(gone) == 0.2
    one._told, one._opened = False, 0.0
    seconds[0] = 0.1
    assert one._after(None) == 0.4  # open for less than the pause before
    seconds[0] = 0.5
    assert one._after(None) == 0.2


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (decoding.Misshapen("x"), reflector.LIST_AFTER),
        (reflector.ApiError(504, "Timeout", "too large resource version"), reflector.LIST_AFTER),
        (KeyError("x"), reflector.LIST_AFTER),
        (None, reflector.LIST_AFTER),
        (reflector.Expired(410, "x", "x"), 1),
        (reflector.NotFound(404, "x", "x"), 1),
        (reflector.Unreachable(0, "x", "x"), None),
        (reflector.TooManyRequests(429, "x", "x"), None),
        (reflector.Forbidden(403, "x", "x"), 1),
        (reflector.Forbidden(401, "x", "x"), None),
    ],
    ids=repr,
)
def test_a_place_that_always_fails_is_left_behind_by_a_new_list(error: Exception | None, after: int | None) -> None:
    one = _one(clock=lambda: 0.0)
    one._version = "10"
    failures = 0
    while one._version and failures < 100:
        one._after(error)
        failures += 1
    assert failures == (after or 100)


@pytest.mark.parametrize(("asked", "least"), [(7.0, 7.0), (86_400.0, errors.RETRY_AFTER_LAST), (None, 0.0)])
def test_an_api_server_that_asks_for_time_gets_it_within_reason(asked: float | None, least: float) -> None:
    wait = _one()._after(reflector.TooManyRequests(429, "x", "x", asked))
    assert least <= wait <= least + 1


def test_a_stream_without_bookmarks_may_be_silent_until_its_end() -> None:
    one, other = (Reflector(None, Watch(PODS, bookmarks=one), None, None, Unwatched(), None) for one in (True, False))  # type: ignore[arg-type]
    assert one._silent_seconds == reflector.SILENT_SECONDS
    assert other._silent_seconds > 2 * reflector.STREAM_SECONDS


def test_jitter_spreads_the_pauses() -> None:
    assert _one(0.0)._after(None) < _one(0.99)._after(None)


async def test_what_nobody_reads_is_not_there() -> None:
    rig = Rig(Watch(PODS, unread=["spec", "metadata.managedFields", "status.images"]))
    whole = pod("a", 11, spec={"x": 1}, status={"phase": "Running", "images": ["i"]}, data={"kept": "1"})
    whole["metadata"]["managedFields"] = [{"manager": "x"}]
    rig.api.lists = [listed({name: part for name, part in whole.items() if name not in ("kind", "apiVersion")})]
    rig.api.watches = [told(line("MODIFIED", pod("b", 12, spec={"x": 1})))]
    async with rig.running():
        await rig.until("None a 11", "listed 10 uid-a", "MODIFIED b 12")
        assert rig.heard.objects["a"] == pod("a", 11, status={"phase": "Running"}, data={"kept": "1"})
        assert rig.heard.objects["b"] == pod("b", 12)


async def test_streams_take_no_connection_of_the_requests() -> None:
    """A hundred streams are open, and more requests at a time than the pool has connections are answered."""
    api, heard = Api(), Heard()

    async def other(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {}})

    api.other = other
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    async with TestServer(app) as http:
        client = Client(Login(str(http.make_url("")).rstrip("/"), None))
        namespaces = [f"team-{number}" for number in range(100)]
        unwatched = Unwatched()
        group = Reflectors(client, [Watch(PODS)], namespaces, heard, unwatched)
        task = asyncio.create_task(group.run())
        assert len(group) == 100
        for _ in range(2000):
            if sum(one.startswith("watch") for one in api.requests) == 100:
                break
            await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            await asyncio.gather(*(client.get(JOBS, "ml", f"j{number}") for number in range(100)))
        assert group.closed_seconds() == 0
        task.cancel()
        await asyncio.wait((task,))
        await client.close()
        assert len(heard.events) == 100


def test_for_how_long_a_stream_has_been_closed() -> None:
    seconds = [0.0]
    unwatched = Unwatched()
    group = Reflectors(None, [Watch(PODS), Watch(JOBS)], (), Heard(), unwatched, lambda: seconds[0])  # type: ignore[arg-type]
    pods, jobs = group._all
    seconds[0] = 100
    assert group.closed_seconds() == 0  # never open: that is no failure yet
    pods.closed_since, jobs.closed_since = 40, 70
    assert group.closed_seconds() == 60
    unwatched.refuse(pods.place, 404)
    assert group.closed_seconds() == 30
    unwatched.allow(pods.place)
    pods.closed_since = jobs.closed_since = None
    assert group.closed_seconds() == 0


async def test_a_list_of_the_past_ends_the_process() -> None:
    rig = Rig()
    rig.heard.since = 11
    with pytest.raises(AssertionError, match="HistorySetBack"):
        async with rig.running():
            await asyncio.sleep(1)
    assert rig.api.requests == ["list"]
