from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelmill.engine import election as module
from modelmill.engine.election import LEASE_SECONDS, RENEW_SECONDS, Election
from modelmill.engine.errors import Unreachable
from modelmill.kube.resources import LEASES
from tests.support.fake_api import FakeApi
from tests.support.virtual_time import now, run


class Left(BaseException):
    """The process would have ended."""


@pytest.fixture(autouse=True)
def _exit(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise Left(code)

    monkeypatch.setattr(module.os, "_exit", leave)


def candidate(api: FakeApi, name: str) -> Election:
    return Election(api, "ml", "lease", name, clock=now)  # type: ignore[arg-type]


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
def test_a_leader_leaves_before_its_lease_runs_out(silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
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
