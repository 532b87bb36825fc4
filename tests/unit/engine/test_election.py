from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from modelmill.engine.election import ALARM_SECONDS, LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, Election
from modelmill.engine.errors import Unreachable, api_error
from modelmill.kube.resources import LEASES
from tests.support.fake_api import FakeApi
from tests.support.virtual_time import now, run


class Left(BaseException):
    """The process would have ended."""


def leave(code: int) -> NoReturn:
    raise Left(code)


def candidate(api: FakeApi, name: str, clock: Callable[[], float] = now) -> Election:
    return Election(api, "ml", "lease", name, clock=clock, leave=leave)  # type: ignore[arg-type]


def holder(api: FakeApi) -> str:
    return str(api.find(LEASES, "lease")["spec"]["holderIdentity"])


def test_the_first_leads_and_the_second_waits_while_it_renews() -> None:
    async def body() -> None:
        api = FakeApi()
        first, second = candidate(api, "first"), candidate(api, "second")
        await first.acquire()
        keep = asyncio.create_task(first.keep())
        wait = asyncio.create_task(second.acquire())
        await asyncio.sleep(300)
        assert (first.leading, second.leading, second.reached) == (True, False, True)
        assert holder(api) == "first"
        keep.cancel()
        wait.cancel()

    run(body())


def test_a_dead_leader_is_followed_after_its_lease_and_not_before() -> None:
    async def body() -> None:
        api = FakeApi()
        await candidate(api, "first").acquire()
        began = now()
        second = candidate(api, "second")
        await second.acquire()
        assert LEASE_SECONDS <= now() - began <= LEASE_SECONDS + 5
        assert holder(api) == "second"
        assert api.find(LEASES, "lease")["spec"]["leaseTransitions"] == 1

    run(body())


def test_a_clock_that_is_wrong_elsewhere_does_not_matter() -> None:
    async def body() -> None:
        api = FakeApi()
        spec = {"holderIdentity": "first", "leaseDurationSeconds": 15, "renewTime": "2001-01-01T00:00:00.000000Z"}
        api.put(LEASES, {"metadata": {"name": "lease"}, "spec": spec})
        began = now()
        await candidate(api, "second").acquire()
        assert now() - began >= LEASE_SECONDS

    run(body())


def test_a_released_lease_is_taken_at_once_even_when_a_renewal_was_on_its_way() -> None:
    async def body() -> None:
        api = FakeApi()
        first = candidate(api, "first")
        await first.acquire()
        api.put(LEASES, api.find(LEASES, "lease"))  # a renewal whose answer never came
        await first.release()
        assert holder(api) == ""
        began = now()
        await candidate(api, "second").acquire()
        assert now() == began

    run(body())


def test_what_another_holds_is_not_released() -> None:
    async def body() -> None:
        api = FakeApi()
        first = candidate(api, "first")
        await first.acquire()
        api.find(LEASES, "lease")["spec"]["holderIdentity"] = "second"
        await first.release()
        assert holder(api) == "second"

    run(body())


def test_a_leader_that_finds_another_in_its_place_leaves() -> None:
    async def body() -> None:
        api = FakeApi()
        first = candidate(api, "first")
        await first.acquire()
        api.find(LEASES, "lease")["spec"]["holderIdentity"] = "second"
        with pytest.raises(Left):
            await first.keep()

    run(body())


def test_a_leader_survives_an_outage_shorter_than_its_lease() -> None:
    async def body() -> None:
        api = FakeApi()
        first = candidate(api, "first")
        await first.acquire()
        began = now()
        outage = Unreachable(0, "x", "x")
        api.before = lambda _: outage if 20 < now() - began < 20 + RENEW_SECONDS - 3 else None
        keep = asyncio.create_task(first.keep())
        await asyncio.sleep(100)
        assert not keep.done()
        keep.cancel()

    run(body())


@pytest.mark.parametrize("silent", [False, True], ids=["errors", "no answer"])
def test_a_leader_leaves_before_its_lease_runs_out(silent: bool) -> None:
    async def body() -> None:
        api = FakeApi()
        first = candidate(api, "first")
        await first.acquire()
        began = now()

        async def never(*_: Any) -> dict[str, Any]:
            if silent:
                await asyncio.sleep(3600)
            raise Unreachable(0, "x", "x")

        api.get = never  # type: ignore[method-assign]
        with pytest.raises(Left):
            await first.keep()
        assert now() - began < LEASE_SECONDS - 1

    run(body())


def test_two_that_begin_at_once_are_not_both_leaders() -> None:
    async def body() -> None:
        class Slow(FakeApi):
            async def get(self, *arguments: Any) -> dict[str, Any]:
                await asyncio.sleep(0.1)
                return await super().get(*arguments)

        api = Slow()
        candidates = [candidate(api, name) for name in "abc"]
        tasks = [asyncio.create_task(one.acquire()) for one in candidates]
        await asyncio.sleep(LEASE_SECONDS - 3)
        assert [one.leading for one in candidates].count(True) == 1
        for task in tasks:
            task.cancel()

    run(body())


def test_a_process_takes_the_lease_of_its_own_name_at_once() -> None:
    async def body() -> None:
        api = FakeApi()
        await candidate(api, "first").acquire()
        began = now()
        again = candidate(api, "first")
        await again.acquire()
        assert now() == began
        assert again.leading

    run(body())


def test_of_two_living_processes_of_one_name_the_older_leaves() -> None:
    async def body() -> None:
        api = FakeApi()
        older, younger = candidate(api, "same"), candidate(api, "same")
        await older.acquire()
        older_keeps = asyncio.create_task(older.keep())
        await asyncio.sleep(30)
        await younger.acquire()
        younger_keeps = asyncio.create_task(younger.keep())
        with pytest.raises(Left):
            await asyncio.wait_for(older_keeps, RETRY_SECONDS + 1)
        await asyncio.sleep(100)
        assert not younger_keeps.done()
        younger_keeps.cancel()

    run(body())


def test_a_renewal_whose_answer_was_lost_is_known_as_our_own() -> None:
    async def body() -> None:
        api = FakeApi()
        first = candidate(api, "first")
        await first.acquire()
        await api.delete(LEASES, "ml", "lease", api.find(LEASES, "lease")["metadata"]["uid"])
        create = api.create

        async def unheard(*arguments: Any) -> Any:
            await create(*arguments)
            raise Unreachable(0, "x", "x")

        api.create = unheard  # type: ignore[method-assign]
        keep = asyncio.create_task(first.keep())
        await asyncio.sleep(100)
        assert not keep.done()
        assert holder(api) == "first"
        keep.cancel()

    run(body())


@pytest.mark.parametrize(
    "spec",
    [
        {"renewTime": "2999-01-01T00:00:00.000000Z"},
        *({"leaseDurationSeconds": value} for value in (0, -5, 1, None, "15s")),
        *({"leaseTransitions": value} for value in (-1, None, 2**31 - 1, "many")),
    ],
    ids=str,
)
def test_an_odd_record_of_another_is_respected_for_a_lease_and_then_taken(spec: dict[str, Any]) -> None:
    async def body() -> None:
        api = FakeApi()
        api.put(LEASES, {"metadata": {"name": "lease"}, "spec": {"holderIdentity": "first", **spec}})
        began = now()
        await candidate(api, "second").acquire()
        assert LEASE_SECONDS <= now() - began <= LEASE_SECONDS + 5
        assert 0 <= api.find(LEASES, "lease")["spec"]["leaseTransitions"] < 2**31

    run(body())


@pytest.mark.parametrize(("written", "respected"), [(40, 40), (600, 60), (2**31 - 1, 60)])
def test_a_longer_lease_of_another_is_respected_within_reason(written: int, respected: int) -> None:
    async def body() -> None:
        api = FakeApi()
        spec = {"holderIdentity": "first", "leaseDurationSeconds": written}
        api.put(LEASES, {"metadata": {"name": "lease"}, "spec": spec})
        began = now()
        await candidate(api, "second").acquire()
        assert respected <= now() - began <= respected + 5

    run(body())


@pytest.mark.parametrize("lease", [{}, {"spec": None}, {"spec": {}}, {"spec": {"holderIdentity": ""}}], ids=str)
def test_a_lease_that_nobody_holds_is_taken_at_once(lease: dict[str, Any]) -> None:
    async def body() -> None:
        api = FakeApi()
        api.put(LEASES, {"metadata": {"name": "lease"}, **lease})
        began = now()
        await candidate(api, "first").acquire()
        assert now() == began
        assert holder(api) == "first"

    run(body())


def test_edits_beside_the_record_do_not_keep_the_lease_alive() -> None:
    async def body() -> None:
        api = FakeApi()
        await candidate(api, "first").acquire()
        began = now()
        taken = asyncio.create_task(candidate(api, "second").acquire())
        while not taken.done():
            await asyncio.sleep(1)
            lease = api.find(LEASES, "lease")
            api.put(LEASES, {**lease, "metadata": {**lease["metadata"], "annotations": {"seen": str(now())}}})
            assert now() - began < 60
        assert holder(api) == "second"

    run(body())


def test_a_lease_deleted_under_a_living_leader_is_made_again_and_nobody_else_leads() -> None:
    async def body() -> None:
        api = FakeApi()
        first, second = candidate(api, "first"), candidate(api, "second")
        await first.acquire()
        keep = asyncio.create_task(first.keep())
        wait = asyncio.create_task(second.acquire())
        for _ in range(20):
            await asyncio.sleep(2.7)
            await api.delete(LEASES, "ml", "lease", api.find(LEASES, "lease")["metadata"]["uid"])
            await asyncio.sleep(2.7)
            assert not second.leading
            assert holder(api) == "first"
        keep.cancel()
        wait.cancel()

    run(body())


@pytest.mark.parametrize("status", [409, 422, 403, 500])
def test_a_lease_that_cannot_be_written_is_no_lease(status: int) -> None:
    async def body() -> None:
        api = FakeApi()
        api.before = lambda request: None if request.startswith("GET") else api_error(status, "x", "x")
        first = candidate(api, "first")
        waiting = asyncio.create_task(first.acquire())
        await asyncio.sleep(60)
        assert not waiting.done()
        api.before = lambda _: None
        await asyncio.wait_for(waiting, 5)
        assert first.fence() > RENEW_SECONDS
        api.before = lambda request: None if request.startswith("GET") else api_error(status, "x", "x")
        began = now()
        with pytest.raises(Left):
            await first.keep()
        assert now() - began < LEASE_SECONDS - 1

    run(body())


@pytest.mark.parametrize("late", [RENEW_SECONDS + 1, ALARM_SECONDS + 1])
def test_an_answer_that_came_too_late_is_no_lease_to_begin_with_and_no_alarm(late: float) -> None:
    async def body() -> None:
        api = FakeApi()
        create = api.create

        async def slow(*arguments: Any) -> Any:
            made = await create(*arguments)
            await asyncio.sleep(late)
            return made

        api.create = slow  # type: ignore[method-assign]
        alarms: list[tuple[float, float]] = []
        first = Election(
            api, "ml", "lease", "first", clock=now, leave=leave, alarm=lambda seconds: alarms.append((now(), seconds))
        )  # type: ignore[arg-type]
        await first.acquire()
        assert first.fence() == LEASE_SECONDS
        assert alarms == [(now(), ALARM_SECONDS)]

    run(body())


def test_the_alarm_is_set_anew_by_each_renewal_and_taken_back_at_the_end() -> None:
    async def body() -> None:
        api = FakeApi()
        alarms: list[float] = []
        first = Election(api, "ml", "lease", "first", clock=now, leave=leave, alarm=alarms.append)  # type: ignore[arg-type]
        await first.acquire()
        keep = asyncio.create_task(first.keep())
        await asyncio.sleep(9 * RETRY_SECONDS + 1)
        keep.cancel()
        assert alarms == [ALARM_SECONDS] * 10
        await first.release()
        assert alarms[-1] == 0

    run(body())
