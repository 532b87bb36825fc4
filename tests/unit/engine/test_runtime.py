from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from modelmill.engine import metrics
from modelmill.engine.cache import Cache
from modelmill.engine.decoding import Reader
from modelmill.engine.errors import (
    ApiError,
    Conflict,
    Forbidden,
    HistorySetBack,
    NotFound,
    ServerFailure,
    TooManyRequests,
    Unreachable,
)
from modelmill.engine.executor import Executor
from modelmill.engine.interface import Event, Plan, Reconciler, Watch, World
from modelmill.engine.listing import ABSENT_SECONDS, read_list
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.engine.runtime import LOOK_AGAIN_SECONDS, WORKERS, ControlLoop
from modelmill.engine.table import Concern, Controller
from modelmill.kube.objects import Key, Manifest
from modelmill.kube.resources import CONFIG_MAPS, JOBS, PODS
from tests.support.fake_api import WIDGETS, FakeApi, Recorder, widget
from tests.support.virtual_time import now, run


async def _nothing(parent: Manifest, world: World, moment: datetime) -> Contribution:
    return UNCHANGED


@dataclass(frozen=True, slots=True)
class Planned(Controller):
    """A controller whose plans are said by the test."""

    plan: Reconciler = field(kw_only=True)

    def reconciler(self) -> Reconciler:
        return self.plan


class Loop:
    """A control loop over the fake API. `decide` is what its reconciler returns; `seen` the names it was called with."""

    def __init__(self, namespaces: tuple[str, ...] = ()) -> None:
        self.api = FakeApi()
        self.cache = Cache()
        self.recorder = Recorder()
        self.seen: list[tuple[float, str]] = []
        self.decide: Callable[[Manifest], Plan] = lambda _: Plan()
        watches = [Watch(one) for one in (WIDGETS, JOBS, PODS, CONFIG_MAPS)]
        kinds = [watch.resource for watch in watches]
        executor = Executor(self.api, self.cache, self.recorder, kinds)  # type: ignore[arg-type]
        mapped = Concern(
            lambda obj, _: [Key("ml", obj["metadata"]["labels"]["widget"])], reads=lambda obj: obj.get("data")
        )
        children = [Child(JOBS, applied=False), Child(PODS, applied=False)]
        controller = Planned(
            "widget",
            WIDGETS,
            [Part("widget", _nothing, children=children)],
            {CONFIG_MAPS: mapped},
            plan=self._reconcile,
        )
        self.control = ControlLoop(self.api, self.cache, executor, [controller], namespaces)  # type: ignore[arg-type]
        self._watches = watches
        self._namespaces = namespaces

    async def _reconcile(self, parent: Manifest, world: World, moment: datetime) -> Plan:
        self.seen.append((now(), parent["metadata"]["name"]))
        return self.decide(parent)

    async def list_all(self) -> None:
        """List every kind once, as the reflectors do at a start; what may not be listed is left out."""
        for watch in self._watches:
            for namespace in self._namespaces or (None,):
                try:
                    await self._list(watch, namespace)
                except NotFound:
                    self.control.on_absent(watch.resource, namespace, 0.0)
                except Forbidden:
                    continue

    async def _list(self, watch: Watch, namespace: str | None) -> None:
        kind = watch.resource
        uids, version = await read_list(
            self.api,
            watch,
            namespace,
            Reader(kind),
            lambda obj: self.control.on_event(kind, None, obj),
            self.control.newest(kind),
        )
        self.control.on_listed(kind, namespace, uids, version)

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.seen]

    @property
    def moments(self) -> list[float]:
        return [moment - 1000 for moment, _ in self.seen]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.list_all()
        task = asyncio.create_task(self.control.run())
        await asyncio.sleep(0.01)
        yield
        task.cancel()
        await asyncio.wait((task,))

    async def told(self, kind: str | None, obj: Manifest, resource: Any = WIDGETS) -> list[str]:
        """Take a watch event; return who was reconciled because of it."""
        self.seen.clear()
        self.control.on_event(resource, kind, obj)
        await asyncio.sleep(0.01)
        return self.names


def owned(kind: str, name: str, **more: Any) -> dict[str, Any]:
    owner = {"apiVersion": "test.dev/v1", "kind": "Widget", "name": "w", "uid": "u", "controller": True}
    meta = {"name": name, "namespace": "ml", "uid": f"{name}-uid", "resourceVersion": "500", "ownerReferences": [owner]}
    return {"kind": kind, "metadata": meta, **more}


def test_everything_is_looked_at_once_after_the_first_listing_and_not_before() -> None:
    async def body() -> None:
        loop = Loop()
        stored = [loop.api.put(WIDGETS, widget(name)) for name in "abc"]
        loop.control.on_event(WIDGETS, None, stored[0])
        assert loop.control.known.missing()
        async with loop.running():
            assert metrics.MAX_WORKERS.labels("widget")._value.get() == WORKERS
            assert sorted(loop.names) == ["a", "b", "c"]
            assert not loop.control.known.missing()

    run(body())


def test_changes_of_children_and_of_mapped_kinds_wake_the_parent() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        async with loop.running():
            job = owned("Job", "j")
            assert await loop.told("ADDED", job, JOBS) == ["w"]
            assert await loop.told("MODIFIED", job, JOBS) == []  # not newer
            freed = {**job, "metadata": {**job["metadata"], "ownerReferences": [], "resourceVersion": "9000"}}
            assert await loop.told("MODIFIED", freed, JOBS) == ["w"]  # somebody took the owner away
            mapped = {**owned("ConfigMap", "m")}
            mapped["metadata"] = {**mapped["metadata"], "ownerReferences": [], "labels": {"widget": "w"}}
            assert await loop.told("ADDED", mapped, CONFIG_MAPS) == ["w"]
            assert await loop.told("DELETED", job, JOBS) == ["w"]
            assert loop.cache.get(JOBS, "ml", "j") is None

    run(body())


def test_a_change_of_what_nobody_reads_wakes_nobody_and_whom_it_no_longer_concerns_is_told() -> None:
    def config_map(version: str, widget: str, data: str) -> dict[str, Any]:
        meta = {"name": "m", "namespace": "ml", "uid": "m", "resourceVersion": version, "labels": {"widget": widget}}
        return {"kind": "ConfigMap", "metadata": meta, "data": data}

    async def body() -> None:
        loop = Loop()
        for name in ("w", "other"):
            loop.api.put(WIDGETS, widget(name))
        async with loop.running():
            assert await loop.told("ADDED", config_map("500", "w", "1"), CONFIG_MAPS) == ["w"]
            assert await loop.told("MODIFIED", config_map("501", "w", "1"), CONFIG_MAPS) == []
            assert await loop.told("MODIFIED", config_map("502", "w", "2"), CONFIG_MAPS) == ["w"]
            assert await loop.told("MODIFIED", config_map("503", "other", "3"), CONFIG_MAPS) == ["w", "other"]
            assert await loop.told("DELETED", config_map("504", "w", "3"), CONFIG_MAPS) == ["other", "w"]

    run(body())


@pytest.mark.parametrize(
    ("change", "wakes"),
    [
        ({"phase": "Running"}, True),
        ({"podIP": "10.0.0.1"}, True),
        ({"containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}]}, True),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, True),
        ({"conditions": [{"type": "Ready", "status": "False", "lastProbeTime": "2026-01-01T00:00:00Z"}]}, False),
        ({"startTime": "2026-01-01T00:00:00Z"}, False),
    ],
)
def test_of_pods_only_what_matters_wakes(change: dict[str, Any], wakes: bool) -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        status = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
        async with loop.running():
            pod = owned("Pod", "p", status=status)
            await loop.told("ADDED", pod, PODS)
            later = copy.deepcopy(pod)
            later["metadata"]["resourceVersion"] = "600"
            later["status"] |= change
            assert await loop.told("MODIFIED", later, PODS) == (["w"] if wakes else [])
            going = {**later, "metadata": {**later["metadata"], "resourceVersion": "601", "deletionTimestamp": "now"}}
            assert await loop.told("MODIFIED", going, PODS) == ["w"]

    run(body())


def test_a_pod_that_another_owner_lets_go_or_takes_wakes() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        async with loop.running():
            pod = owned("Pod", "p")
            await loop.told("ADDED", pod, PODS)
            free = {**pod, "metadata": {**pod["metadata"], "resourceVersion": "600", "ownerReferences": []}}
            assert await loop.told("MODIFIED", free, PODS) == ["w"]
            taken = {**pod, "metadata": {**pod["metadata"], "resourceVersion": "601"}}
            assert await loop.told("MODIFIED", taken, PODS) == ["w"]

    run(body())


def test_a_map_that_stumbles_over_an_object_ends_nothing_and_hides_nobody_else() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        # Without the label that the map looks for.
        stray = {"metadata": {"name": "stray", "namespace": "ml", "uid": "s", "resourceVersion": "500"}}
        loop.api.put(CONFIG_MAPS, stray)
        async with loop.running():
            assert loop.names == ["w"]
            job = owned("ConfigMap", "both")
            loop.control._owned = {WIDGETS: frozenset({CONFIG_MAPS})}
            assert await loop.told("ADDED", job, CONFIG_MAPS) == ["w"]

    run(body())


def test_our_own_writes_are_no_news_when_the_streams_tell_of_them() -> None:
    """A parent is looked at once more after its own status was written, for its children not."""

    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "ml"}}
        loop.decide = lambda _: Plan(create=[job], status={"phase": "x"})
        async with loop.running():
            assert loop.names == ["w", "w"]
            assert loop.api.writes == ["POST jobs/j", "PUT widgets/w/status"]
            assert await loop.told("ADDED", loop.api.find(JOBS, "j"), JOBS) == []
            assert await loop.told("MODIFIED", loop.api.find(WIDGETS, "w")) == []

    run(body())


def test_a_stale_plan_is_made_again_at_once_on_the_fresh_object() -> None:
    async def body() -> None:
        loop = Loop()
        stored = loop.api.put(WIDGETS, widget())
        loop.decide = lambda parent: Plan(status={"size": parent["spec"]["size"]})
        await loop.list_all()
        loop.api.put(WIDGETS, {**stored, "spec": {"size": 2}})  # the watch has not told yet
        task = asyncio.create_task(loop.control.run())
        await asyncio.sleep(0.01)
        task.cancel()
        assert loop.api.find(WIDGETS, "w")["status"] == {"size": 2}
        # Refused, made again, and looked at once more after the status was written.
        assert loop.names == ["w", "w", "w"]
        assert loop.api.writes == ["PUT widgets/w/status"] * 2

    run(body())


def test_a_write_that_is_refused_again_and_again_backs_off() -> None:
    """A conflict without a change of the object: trying at once again would be a storm of requests."""

    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        loop.api.before = lambda text: Conflict(409, "Conflict", "x") if text.startswith("PUT") else None
        loop.decide = lambda _: Plan(status={"phase": "x"})
        async with loop.running():
            await asyncio.sleep(20)
            assert 3 <= len(loop.seen) <= 7

    run(body())


def test_an_api_server_that_tells_of_an_older_object_than_before_ends_the_loop() -> None:
    """A backup of etcd was restored: what is cached would outrank every event, and every write would be a conflict."""

    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        await loop.list_all()
        future = copy.deepcopy(loop.api.find(WIDGETS, "w"))
        future["metadata"]["resourceVersion"] = "99999999"
        loop.control.on_event(WIDGETS, "MODIFIED", future)

        def decide(_: Manifest) -> Plan:
            if len(loop.seen) > 50:
                raise SystemExit("it is tried again without end")
            return Plan(status={"phase": "x"})

        loop.decide = decide
        with pytest.raises(ExceptionGroup) as ended:
            await loop.control.run()
        assert ended.group_contains(HistorySetBack)
        with pytest.raises(HistorySetBack):
            await loop.list_all()

    run(body())


def test_an_object_that_is_gone_is_forgotten_without_an_error() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        await loop.list_all()
        del loop.api.objects["widgets", "ml", "w"]
        loop.decide = lambda _: Plan(status={"phase": "x"}, requeue_after=1)
        task = asyncio.create_task(loop.control.run())
        await asyncio.sleep(100)
        task.cancel()
        assert loop.cache.get(WIDGETS, "ml", "w") is None
        assert loop.names == ["w"]
        assert loop.recorder.events == []

    run(body())


def test_errors_back_off_and_a_success_ends_the_row() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        outcomes = iter([RuntimeError("x"), RuntimeError("x"), RuntimeError("x"), None, RuntimeError("x"), None])

        def decide(_: Manifest) -> Plan:
            outcome = next(outcomes)
            if outcome is not None:
                raise outcome
            return Plan()

        loop.decide = decide
        async with loop.running():
            await asyncio.sleep(60)
            gaps = [b - a for a, b in itertools.pairwise(loop.moments)]
            assert len(gaps) == 3
            for gap, most in zip(gaps, (1, 2, 4), strict=True):
                assert most / 2 <= gap <= most
            loop.control.on_event(WIDGETS, "MODIFIED", loop.api.put(WIDGETS, loop.api.find(WIDGETS, "w")))
            await asyncio.sleep(60)
            assert 0.5 <= loop.moments[-1] - loop.moments[-2] <= 1

    run(body())


def test_an_error_of_ours_is_a_condition_and_no_silence() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())

        def decide(_: Manifest) -> Plan:
            raise ValueError("out of\nrange")

        loop.decide = decide
        async with loop.running():
            await asyncio.sleep(60)
            conditions = {one["type"]: one for one in loop.api.find(WIDGETS, "w")["status"]["conditions"]}
            assert (conditions["Ready"]["status"], conditions["Stalled"]["status"]) == ("False", "True")
            assert conditions["Ready"]["reason"] == "InternalError"
            assert "ValueError: out of range" in conditions["Ready"]["message"]
            assert [text for text in loop.api.requests if text.startswith("PUT")] == ["PUT widgets/w/status"]

    run(body())


def test_the_server_says_when_to_come_back() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        busy = [TooManyRequests(429, "TooManyRequests", "x", retry_after=30.0)]
        loop.api.before = lambda text: busy.pop() if busy and text.startswith("PUT") else None
        loop.decide = lambda _: Plan(status={"phase": "x"})
        async with loop.running():
            await asyncio.sleep(100)
            assert loop.moments == pytest.approx([0, 30, 30], abs=0.1)

    run(body())


def test_an_api_server_that_was_away_for_an_hour_is_used_soon_after_it_is_back() -> None:
    async def body(error: ApiError) -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        loop.api.before = lambda text: error if text.startswith("PUT") and now() < 1000 + 3600 else None
        loop.decide = lambda _: Plan(status={"phase": "x"})
        async with loop.running():
            await asyncio.sleep(3600 + 31)
            assert loop.api.find(WIDGETS, "w")["status"] == {"phase": "x"}
            assert len(loop.seen) < 3600 / 15 + 10

    for error in (
        Unreachable(0, "Unreachable", "x"),
        ServerFailure(503, "ServiceUnavailable", "x"),
        TooManyRequests(429, "TooManyRequests", "x"),
    ):
        run(body(error))


def test_a_plan_that_gets_on_does_not_wait_longer_with_every_write() -> None:
    """Each of ten writes is refused three times: without a new beginning the last of them would wait for five minutes."""

    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        refusals = dict.fromkeys((f"POST jobs/j{number}" for number in range(10)), 3)

        def before(text: str) -> ApiError | None:
            if not refusals.get(text):
                return None
            refusals[text] -= 1
            return Forbidden(403, "Forbidden", "x")

        loop.api.before = before
        jobs = [
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"j{number}", "namespace": "ml"}}
            for number in range(10)
        ]
        loop.decide = lambda _: Plan(create=jobs, status={"phase": "x"})
        async with loop.running():
            await asyncio.sleep(10 * (1 + 2 + 4))
            assert loop.api.find(WIDGETS, "w")["status"] == {"phase": "x"}

    run(body())


def test_a_refusal_that_a_person_must_mend_is_told() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        quota = Forbidden(403, "Forbidden", 'jobs.batch "j" is forbidden: exceeded quota')
        loop.api.before = lambda text: quota if text.startswith("POST jobs") else None
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "ml"}}
        loop.decide = lambda _: Plan(create=[job])
        async with loop.running():
            assert loop.recorder.events == [Event("Warning", "Forbidden", str(quota))]

    run(body())


FORBIDDEN = Forbidden(403, "Forbidden", 'jobs.batch "j" is forbidden: exceeded quota')
MY_JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "ml"}}


def conditions_of(stored: Manifest) -> dict[str, tuple[str, str, str]]:
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in stored["status"]["conditions"]}


def test_a_refusal_is_a_condition_until_a_plan_goes_through() -> None:
    """It is written once however often it is tried, and trying does not become more frequent by the write."""

    async def body() -> None:
        loop = Loop()
        others = [{"type": "Running", "status": "True", "reason": "x", "message": "", "lastTransitionTime": "x"}]
        loop.api.put(WIDGETS, widget(runs=3, conditions=others))
        refusals = [True]
        loop.api.before = lambda text: FORBIDDEN if refusals and text.startswith("POST jobs") else None
        loop.decide = lambda _: Plan(create=[MY_JOB], status={"runs": 4, "conditions": []})
        async with loop.running():
            assert loop.names == ["w"]
            await asyncio.sleep(40)
            assert 4 <= len(loop.seen) <= 8
            assert loop.api.writes.count("PUT widgets/w/status") == 1
            stored = loop.api.find(WIDGETS, "w")
            message = 'jobs.batch "j" is forbidden: exceeded quota'
            assert conditions_of(stored) == {
                "Running": ("True", "x", ""),
                "Ready": ("False", "Forbidden", message),
                "Stalled": ("True", "Forbidden", message),
            }
            assert stored["status"]["runs"] == 3
            assert stored["status"]["observedGeneration"] == 1
            # The stream tells of our own write: no news.
            assert await loop.told("MODIFIED", stored) == []
            refusals.clear()
            await asyncio.sleep(60)
            assert loop.api.find(WIDGETS, "w")["status"] == {"runs": 4, "conditions": []}
            assert len(loop.recorder.events) >= 1

    run(body())


def test_a_child_that_is_going_is_told_without_an_alarm_and_its_end_wakes() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        job = loop.api.put(JOBS, owned("Job", "j"))
        loop.decide = lambda _: Plan(create=[MY_JOB])
        async with loop.running():
            told = conditions_of(loop.api.find(WIDGETS, "w"))
            assert told["Ready"][:2] == ("False", "ChildTerminating")
            assert told["Stalled"][0] == "False"
            assert loop.recorder.events == []
            del loop.api.objects["jobs", "ml", "j"]
            assert await loop.told("DELETED", job, JOBS) == ["w"]
            assert loop.api.find(JOBS, "j")["metadata"]["uid"] != job["metadata"]["uid"]

    run(body())


def test_a_refusal_that_cannot_be_told_is_tried_again_all_the_same() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        loop.api.before = lambda text: FORBIDDEN if text.startswith(("POST", "PUT")) else None
        loop.decide = lambda _: Plan(create=[MY_JOB])
        async with loop.running():
            await asyncio.sleep(20)
            assert 3 <= len(loop.seen) <= 7

    run(body())


def test_what_concerns_others_is_told_them_when_a_refusal_is_written() -> None:
    async def body() -> None:
        loop = Loop()
        for name in ("w", "other"):
            loop.api.put(WIDGETS, widget(name))
        loop.control._controllers[WIDGETS].concerns[WIDGETS] = Concern(lambda obj, _: [Key("ml", "other")])  # type: ignore[index]
        loop.api.before = lambda text: FORBIDDEN if text.startswith("POST") else None
        loop.decide = lambda parent: Plan(create=[MY_JOB] if parent["metadata"]["name"] == "w" else [])
        async with loop.running():
            assert sorted(loop.names) == ["other", "other", "w"]

    run(body())


def test_requeue_after_is_kept_replaced_and_ended() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        delays = iter([5.0, 7.0, None])
        loop.decide = lambda _: Plan(requeue_after=next(delays))
        async with loop.running():
            await asyncio.sleep(100)
            assert loop.moments == pytest.approx([0, 5, 12], abs=0.1)

    run(body())


def test_reconciliations_that_write_nothing_let_others_run() -> None:
    """They never wait for anything; the renewal of the lease must have its turn in between all the same."""

    async def body() -> None:
        loop = Loop()
        for number in range(500):
            loop.api.put(WIDGETS, widget(f"w{number}"))
        turns: list[int] = []

        async def other() -> None:
            while len(loop.seen) < 500:
                turns.append(len(loop.seen))
                await asyncio.sleep(0)

        await loop.list_all()
        task = asyncio.create_task(loop.control.run())
        await other()
        task.cancel()
        assert max(b - a for a, b in itertools.pairwise(turns)) <= 16

    run(body())


def test_without_any_sign_everything_is_looked_at_about_every_ten_minutes() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        async with loop.running():
            await asyncio.sleep(LOOK_AGAIN_SECONDS * 5)
            assert 5 <= len(loop.seen) <= 6
            assert loop.api.writes == []

    run(body())


def test_an_object_younger_than_the_list_stays() -> None:
    """Created while the list was on its way, and told by the stream before the list came."""

    async def body() -> None:
        loop = Loop()
        async with loop.running():
            loop.api.listed_at = loop.api.version
            young = loop.api.put(WIDGETS, widget("young"))
            del loop.api.objects["widgets", "ml", "young"]  # not in the list that is on its way
            loop.api.before = lambda text: (
                loop.control.on_event(WIDGETS, "ADDED", young) if text == "LIST widgets" else None
            )
            await loop.list_all()
            assert loop.cache.get(WIDGETS, "ml", "young") == young

    run(body())


@pytest.mark.parametrize("refused", [JOBS, CONFIG_MAPS], ids=["child", "of concern"])
def test_a_kind_that_may_not_be_listed_stops_whose_plans_look_at_it_until_it_may(refused: Any) -> None:
    async def body() -> None:
        loop = Loop()
        stored = loop.api.put(WIDGETS, widget())
        forbidden = [True]
        loop.api.before = lambda text: (
            Forbidden(403, "x", "x") if forbidden[0] and text == f"LIST {refused.plural}" else None
        )
        await loop.list_all()
        task = asyncio.create_task(loop.control.run())
        assert loop.control.known.missing() == {(refused, None)}
        assert (
            await loop.told("MODIFIED", {**stored, "metadata": {**stored["metadata"], "resourceVersion": "900"}}) == []
        )
        forbidden[0] = False
        loop.api.version = 900
        await loop.list_all()
        await asyncio.sleep(0.01)
        assert loop.names == ["w"]
        assert loop.control.known.missing() == set()
        task.cancel()

    run(body())


@pytest.mark.parametrize("absent", [JOBS, CONFIG_MAPS], ids=["child", "of concern"])
def test_a_kind_that_is_not_installed_has_no_objects(absent: Any) -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        loop.api.before = lambda text: NotFound(404, "x", "x") if text == f"LIST {absent.plural}" else None
        async with loop.running():
            assert loop.names == ["w"]

    run(body())


def test_what_the_cache_has_of_a_kind_is_gone_when_the_kind_is_not_installed_for_a_while() -> None:
    async def body() -> None:
        loop = Loop(namespaces=("ml", "other"))
        loop.api.put(WIDGETS, widget())
        loop.api.put(JOBS, owned("Job", "j"))
        elsewhere = {"metadata": {"name": "j", "namespace": "other"}}
        async with loop.running():
            loop.control.on_event(JOBS, None, loop.api.put(JOBS, elsewhere))
            loop.seen.clear()
            loop.control.on_absent(JOBS, "ml", ABSENT_SECONDS - 1)
            await asyncio.sleep(0.01)
            assert loop.cache.get(JOBS, "ml", "j") is not None
            assert loop.names == []
            loop.control.on_absent(JOBS, "ml", ABSENT_SECONDS)
            await asyncio.sleep(0.01)
            assert loop.cache.get(JOBS, "ml", "j") is None
            assert loop.cache.get(JOBS, "other", "j") is not None
            assert loop.names == ["w"]
            # It was there all the time, and the API server did not know.
            await loop.list_all()
            assert loop.cache.get(JOBS, "ml", "j") is not None

    run(body())


def test_all_are_looked_at_when_a_kind_of_their_children_is_installed_and_when_it_is_removed() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        async with loop.running():
            assert loop.cache.watched(JOBS, "ml")
            for seconds, looked_at in ((ABSENT_SECONDS - 1, []), (ABSENT_SECONDS, ["w"]), (ABSENT_SECONDS + 9, [])):
                loop.seen.clear()
                loop.control.on_absent(JOBS, None, seconds)
                await asyncio.sleep(0.01)
                assert loop.names == looked_at
            assert not loop.cache.watched(JOBS, "ml")
            for looked_at in (["w"], []):
                loop.seen.clear()
                loop.control.on_listed(JOBS, None, set(), "1000")
                await asyncio.sleep(0.01)
                assert loop.names == looked_at
            assert loop.cache.watched(JOBS, "ml")

    run(body())


def test_a_namespace_where_a_kind_may_not_be_listed_stops_itself_only() -> None:
    async def body() -> None:
        loop = Loop(namespaces=("ml", "other"))
        loop.api.put(WIDGETS, widget("here"))
        elsewhere = widget("there")
        elsewhere["metadata"]["namespace"] = "other"
        loop.api.put(WIDGETS, elsewhere)
        for resource in (WIDGETS, JOBS, PODS, CONFIG_MAPS):
            objects, version = await loop.api.list(resource, None)
            for obj in objects:
                loop.control.on_event(resource, None, obj)
            loop.control.on_listed(resource, "ml", {obj["metadata"]["uid"] for obj in objects}, version)
            if resource != PODS:
                loop.control.on_listed(resource, "other", {obj["metadata"]["uid"] for obj in objects}, version)
        task = asyncio.create_task(loop.control.run())
        await asyncio.sleep(0.01)
        assert loop.names == ["here"]
        loop.control.on_absent(PODS, "other", 0.0)
        await asyncio.sleep(0.01)
        assert loop.names == ["here", "there"]
        task.cancel()

    run(body())


def test_what_a_list_lacks_is_gone_and_wakes_its_parent() -> None:
    async def body() -> None:
        loop = Loop()
        loop.api.put(WIDGETS, widget())
        job = loop.api.put(JOBS, owned("Job", "j"))
        async with loop.running():
            loop.seen.clear()
            loop.control.on_listed(JOBS, None, set(), str(int(job["metadata"]["resourceVersion"]) - 1))
            await asyncio.sleep(0.01)
            assert loop.names == []  # younger than the list
            loop.control.on_listed(JOBS, None, set(), "900")
            await asyncio.sleep(0.01)
            assert loop.names == ["w"]
            assert loop.cache.get(JOBS, "ml", "j") is None

    run(body())
