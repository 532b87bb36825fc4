"""No write of a former leader."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import pytest

from modelmill.engine.election import LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, Election
from modelmill.engine.errors import Unreachable
from modelmill.engine.fence import Fenced
from modelmill.kube.resources import LEASES
from tests.support.fake_api import WIDGETS, FakeApi, widget
from tests.support.virtual_time import now, run


class Left(BaseException):
    """The process would have ended."""


def leave(code: int) -> NoReturn:
    raise Left(code)


class Clock:
    """The time of the loop, and what passed while the process was stopped, of which the loop knows nothing."""

    def __init__(self) -> None:
        self.stopped = 0.0

    def __call__(self) -> float:
        return now() + self.stopped


async def leader(api: FakeApi) -> tuple[Election, Fenced, Clock]:
    clock = Clock()
    election = Election(api, "ml", "lease", "first", clock=clock, leave=leave)  # type: ignore[arg-type]
    await election.acquire()
    fenced = Fenced(api, election.fence)  # type: ignore[arg-type]
    election.on_renewed = fenced.extend
    return election, fenced, clock


WRITES: dict[str, Callable[[Fenced, Any], Awaitable[Any]]] = {
    "create": lambda to, _: to.create(WIDGETS, widget("new")),
    "apply": lambda to, _: to.apply(WIDGETS, {"metadata": {"name": "new", "namespace": "ml"}}),
    "replace_status": lambda to, stored: to.replace_status(WIDGETS, stored),
    "patch": lambda to, stored: to.patch(
        WIDGETS,
        "ml",
        "w",
        {"metadata": {"finalizers": [], "resourceVersion": stored["metadata"]["resourceVersion"]}},
    ),
    "delete": lambda to, stored: to.delete(WIDGETS, "ml", "w", stored["metadata"]["uid"]),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_of_a_leader_that_was_stopped_is_not_sent(write: str) -> None:
    async def body() -> None:
        api = FakeApi()
        stored = api.put(WIDGETS, widget())
        _, fenced, clock = await leader(api)
        clock.stopped = RENEW_SECONDS
        before = len(api.writes)
        with pytest.raises(Left):
            await WRITES[write](fenced, stored)
        assert len(api.writes) == before
        assert await fenced.get(WIDGETS, "ml", "w") == stored

    run(body())


@pytest.mark.parametrize("write", WRITES)
def test_a_leader_writes_as_long_as_it_renews(write: str) -> None:
    async def body() -> None:
        api = FakeApi()
        stored = api.put(WIDGETS, widget())
        election, fenced, _ = await leader(api)
        keep = asyncio.create_task(election.keep())
        await asyncio.sleep(100)
        before = len(api.writes)
        await WRITES[write](fenced, stored)
        assert len(api.writes) == before + 1
        keep.cancel()

    run(body())


def test_a_write_may_take_longer_than_a_lease_that_is_renewed_meanwhile() -> None:
    async def body() -> None:
        api = FakeApi()
        election, fenced, _ = await leader(api)
        keep = asyncio.create_task(election.keep())
        await asyncio.sleep(RETRY_SECONDS - 0.5)
        create = api.create

        async def slow(*arguments: Any) -> Any:
            await asyncio.sleep(2 * LEASE_SECONDS)
            return await create(*arguments)

        api.create = slow  # type: ignore[method-assign]
        await fenced.create(WIDGETS, widget())
        assert api.find(WIDGETS, "w")
        keep.cancel()

    run(body())


def test_a_write_without_an_answer_is_given_up_before_another_may_lead() -> None:
    async def body() -> None:
        api = FakeApi()
        _, fenced, _ = await leader(api)
        began = now()
        await asyncio.sleep(RENEW_SECONDS - 1)

        async def never(*_: Any) -> Any:
            await asyncio.sleep(3600)

        api.create = never  # type: ignore[method-assign]
        with pytest.raises(Unreachable):
            await fenced.create(WIDGETS, widget())
        assert now() - began == LEASE_SECONDS

    run(body())


def test_nothing_is_written_after_the_release_and_nothing_by_a_candidate() -> None:
    async def body() -> None:
        api = FakeApi()
        election, fenced, _ = await leader(api)
        await election.release()
        with pytest.raises(Left):
            await fenced.create(WIDGETS, widget())
        candidate = Election(api, "ml", "lease", "second", clock=now, leave=leave)  # type: ignore[arg-type]
        with pytest.raises(Left):
            await Fenced(api, candidate.fence).create(WIDGETS, widget())  # type: ignore[arg-type]

    run(body())


def test_the_time_of_the_lease_begins_when_its_renewal_is_sent() -> None:
    async def body() -> None:
        api = FakeApi()
        election, fenced, _ = await leader(api)
        replace = api.replace

        async def slow(*arguments: Any) -> Any:
            written = await replace(*arguments)
            await asyncio.sleep(5)
            return written

        api.replace = slow  # type: ignore[method-assign]
        began = now()
        keep = asyncio.create_task(election.keep())
        await asyncio.sleep(RETRY_SECONDS + 5 + 1)
        assert election.fence() == LEASE_SECONDS - (now() - began - RETRY_SECONDS)
        await fenced.create(WIDGETS, widget())
        keep.cancel()
        assert LEASES.plural in str(api.writes)

    run(body())


def alarmed(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", f"import time; from modelmill.engine.fence import set_alarm; {code}"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.mark.parametrize("busy", ["[0 for _ in iter(int, 1)]", "time.sleep(60)"])
def test_the_alarm_ends_a_process_that_is_busy_or_blocked(busy: str) -> None:
    done = alarmed(f"set_alarm(0.05); {busy}")
    assert done.returncode == 1
    assert "leadership lost" in done.stderr


def test_the_alarm_is_taken_back() -> None:
    assert alarmed("set_alarm(0.2); set_alarm(0); time.sleep(0.6)").returncode == 0
