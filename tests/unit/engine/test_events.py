from __future__ import annotations

import asyncio
from typing import Any

from modelmill.engine import metrics
from modelmill.engine.errors import Forbidden
from modelmill.engine.events import (
    BUDGET,
    BUDGET_SECONDS,
    LOOK_SECONDS,
    REPEAT_SECONDS,
    WAITING,
    YIELD_SECONDS,
    EventRecorder,
)
from modelmill.engine.interface import Event
from tests.support.fake_api import WIDGETS, FakeApi, widget
from tests.support.virtual_time import now, run

STARTED = Event("Normal", "Started", "run 1")


def recorder(api: FakeApi) -> EventRecorder:
    return EventRecorder(api, "pod-1", clock=now)  # type: ignore[arg-type]


async def posted(api: FakeApi, recording: EventRecorder) -> list[dict[str, Any]]:
    """Let the recorder post what waits; return all Events there are."""
    task = asyncio.create_task(recording.run())
    await asyncio.sleep(1)
    task.cancel()
    return [one for (plural, *_), one in api.objects.items() if plural == "events"]


def test_an_event_says_who_what_and_about_which_object() -> None:
    async def body() -> None:
        api = FakeApi()
        parent = api.put(WIDGETS, widget("w" * 253))
        recording = recorder(api)
        recording.record(parent, Event("Warning", "Refused", "m" * 2000))
        (event,) = await posted(api, recording)
        meta = parent["metadata"]
        assert event["regarding"] == {
            "apiVersion": "test.dev/v1",
            "kind": "Widget",
            "name": meta["name"],
            "namespace": "ml",
            "uid": meta["uid"],
        }
        assert (event["type"], event["reason"], event["note"]) == ("Warning", "Refused", "m" * 1023 + "…")
        assert (event["reportingController"], event["reportingInstance"]) == ("modelmill.dev/operator", "pod-1")
        assert event["action"]
        assert event["eventTime"].endswith("Z")
        assert len(event["metadata"]["name"]) == 253

    run(body())


def test_events_are_counted_once_each_by_kind_and_reason() -> None:
    async def body() -> None:
        api = FakeApi()
        parent = api.put(WIDGETS, widget())
        recording = recorder(api)
        counted = metrics.EVENTS.labels("Widget", "Counted")._value
        for number in (1, 1, 2):
            recording.record(parent, Event("Normal", "Counted", f"run {number}"))
        assert counted.get() == 2

    run(body())


def test_the_same_event_is_sent_once_and_again_after_a_while() -> None:
    async def body() -> None:
        api = FakeApi()
        parent = api.put(WIDGETS, widget())
        recording = recorder(api)
        for _ in range(5):
            recording.record(parent, STARTED)
        recording.record(parent, Event("Normal", "Started", "run 2"))
        assert len(await posted(api, recording)) == len(api.writes) == 2
        await asyncio.sleep(REPEAT_SECONDS)
        recording.record(parent, STARTED)
        await posted(api, recording)
        assert len(api.writes) == 3

    run(body())


def test_after_a_restart_the_same_event_is_the_same_object() -> None:
    async def body() -> None:
        api = FakeApi()
        parent = api.put(WIDGETS, widget())
        for _ in range(2):
            recording = recorder(api)
            recording.record(parent, STARTED)
            assert len(await posted(api, recording)) == 1
        assert len(api.writes) == 2

    run(body())


def test_one_object_cannot_flood_the_cluster() -> None:
    async def body() -> None:
        api = FakeApi()
        noisy, quiet = api.put(WIDGETS, widget("noisy")), api.put(WIDGETS, widget("quiet"))
        recording = recorder(api)
        before = metrics.EVENTS_DROPPED._value.get()
        for number in range(BUDGET + 7):
            recording.record(noisy, Event("Normal", "Loop", str(number)))
        recording.record(quiet, STARTED)
        assert len(await posted(api, recording)) == BUDGET + 1
        assert metrics.EVENTS_DROPPED._value.get() - before == 7
        await asyncio.sleep(BUDGET_SECONDS)
        recording.record(noisy, Event("Normal", "Loop", "later"))
        assert len(await posted(api, recording)) == BUDGET + 2

    run(body())


def test_budgets_that_are_over_are_forgotten_and_the_others_are_not() -> None:
    async def body() -> None:
        api = FakeApi()
        recording = recorder(api)
        old = [api.put(WIDGETS, widget(f"w{number}")) for number in range(50)]
        for parent in old:
            recording.record(parent, STARTED)
        await asyncio.sleep(BUDGET_SECONDS / 2)
        recording.record(old[0], Event("Normal", "Started", "run 2"))
        young = api.put(WIDGETS, widget("young"))
        for number in range(BUDGET):
            recording.record(young, Event("Normal", "Loop", str(number)))
        await asyncio.sleep(BUDGET_SECONDS / 2 + 1)
        before = metrics.EVENTS_DROPPED._value.get()
        recording.record(young, STARTED)
        assert metrics.EVENTS_DROPPED._value.get() - before == 1
        assert len(recording._budgets) == 1

    run(body())


def test_a_full_queue_drops_and_a_refusal_does_not_stop_the_recorder() -> None:
    async def body() -> None:
        api = FakeApi()
        recording = recorder(api)
        parents = [api.put(WIDGETS, widget(f"w{number}")) for number in range(WAITING + 3)]
        before = metrics.EVENTS_DROPPED._value.get()
        for parent in parents:
            recording.record(parent, STARTED)
        assert metrics.EVENTS_DROPPED._value.get() - before == 3
        refusals = [Forbidden(403, "Forbidden", "namespace is being terminated")]
        api.before = lambda _: refusals.pop() if refusals else None
        assert len(await posted(api, recording)) == WAITING - 1
        assert metrics.EVENTS_DROPPED._value.get() - before == 4

    run(body())


def test_an_event_waits_while_objects_wait_but_not_for_long() -> None:
    async def body() -> None:
        api = FakeApi()
        recording = recorder(api)
        others = [True]
        recording.others_wait = lambda: bool(others)
        recording.record(api.put(WIDGETS, widget()), STARTED)
        task = asyncio.create_task(recording.run())
        await asyncio.sleep(YIELD_SECONDS / 2)
        assert api.writes == []
        others.clear()
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert len(api.writes) == 1
        others.append(True)
        recording.record(api.put(WIDGETS, widget("busy")), STARTED)
        await asyncio.sleep(YIELD_SECONDS + LOOK_SECONDS)
        assert len(api.writes) == 2
        for number in range(WAITING - 1):
            recording.record(api.put(WIDGETS, widget(f"w{number}")), STARTED)
        await asyncio.sleep(LOOK_SECONDS)
        assert len(api.writes) > WAITING // 3
        task.cancel()

    run(body())
