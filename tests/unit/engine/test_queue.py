from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.engine import metrics
from modelmill.engine.queue import WorkQueue
from tests.support.virtual_time import now, run

_names = itertools.count()


def queue(jitter: float = 0.0) -> WorkQueue[str]:
    return WorkQueue(f"test-{next(_names)}", jitter=lambda: jitter)


async def taken(waiting: WorkQueue[str], within: float = 0.0) -> str | None:
    """Return the next key, None when there is none within these seconds."""
    try:
        async with asyncio.timeout(within + 0.001):
            return await waiting.get()
    except TimeoutError:
        return None


def test_a_key_that_waits_is_one_key() -> None:
    async def body() -> None:
        waiting = queue()
        for key in ("a", "b", "a", "a"):
            waiting.add(key)
        assert len(waiting) == 2
        assert [await taken(waiting), await taken(waiting), await taken(waiting)] == ["a", "b", None]

    run(body())


def test_a_key_in_work_waits_until_it_is_done_then_comes_once_more() -> None:
    async def body() -> None:
        waiting = queue()
        waiting.add("a")
        assert await taken(waiting) == "a"
        waiting.add("a")
        waiting.add("a")
        assert await taken(waiting, 100) is None
        waiting.done("a")
        assert await taken(waiting) == "a"
        waiting.done("a")
        assert await taken(waiting, 100) is None

    run(body())


def test_a_timer_that_fires_while_the_key_is_in_work_is_not_lost() -> None:
    async def body() -> None:
        waiting = queue()
        waiting.add("a")
        waiting.add_after("a", 5)
        assert await taken(waiting) == "a"
        assert await taken(waiting, 10) is None
        waiting.done("a")
        assert await taken(waiting) == "a"

    run(body())


@pytest.mark.parametrize(("first", "second"), [(30.0, 10.0), (10.0, 30.0)])
def test_the_latest_delay_counts(first: float, second: float) -> None:
    async def body() -> None:
        waiting = queue()
        began = now()
        waiting.add_after("a", first)
        waiting.add_after("a", second)
        assert await taken(waiting, 100) == "a"
        assert now() - began == pytest.approx(second)
        waiting.done("a")
        assert await taken(waiting, 100) is None

    run(body())


def test_a_cancelled_delay_does_not_fire() -> None:
    async def body() -> None:
        waiting = queue()
        waiting.add_after("a", 10)
        waiting.cancel_timer("a")
        assert await taken(waiting, 100) is None

    run(body())


def test_backoff_doubles_to_five_minutes_and_begins_anew_after_a_success() -> None:
    async def body() -> None:
        waiting = queue()
        assert [waiting.retry("a") for _ in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
        assert waiting.retry("b") == 1
        waiting.forget("a")
        assert waiting.retry("a") == 1

    run(body())


def test_backoff_is_spread_and_never_shorter_than_the_server_asks() -> None:
    async def body() -> None:
        assert queue(jitter=1.0).retry("a") == 0.5
        assert queue(jitter=1.0).retry("a", at_least=7.0) == 7.0
        bounded = queue()
        assert [bounded.retry("a", at_most=5.0) for _ in range(5)] == [1, 2, 4, 5, 5]

    run(body())


def test_a_failed_key_comes_back_after_its_backoff() -> None:
    async def body() -> None:
        waiting = queue()
        began = now()
        waiting.retry("a")
        waiting.retry("a")
        assert await taken(waiting, 100) == "a"
        assert now() - began == pytest.approx(2.0)

    run(body())


def test_a_paused_key_is_added_at_the_end_of_its_pause() -> None:
    async def body() -> None:
        waiting = queue()
        for _ in range(4):
            waiting.retry("a", pause=3)
        waiting.add("a")
        assert await taken(waiting, 2.9) is None
        waiting.add("a")
        assert await taken(waiting, 0.2) == "a"
        waiting.add("a")
        waiting.done("a")
        assert await taken(waiting) == "a"

    run(body())


def test_a_key_that_got_on_is_paused_no_more() -> None:
    async def body() -> None:
        waiting = queue()
        waiting.retry("a", at_least=60, pause=3)
        waiting.forget("a")
        waiting.add("a")
        assert await taken(waiting) == "a"

    run(body())


def test_the_age_of_work_in_progress_is_measured() -> None:
    async def body() -> None:
        name = f"test-{next(_names)}"
        waiting: WorkQueue[str] = WorkQueue(name)
        for key in ("a", "b"):
            waiting.add(key)
            await waiting.get()
            await asyncio.sleep(10)

        def gauge(metric: object) -> float:
            return float(metric.labels(name).collect()[0].samples[0].value)  # type: ignore[attr-defined]

        assert gauge(metrics.LONGEST_SECONDS) == pytest.approx(20)
        assert gauge(metrics.UNFINISHED_SECONDS) == pytest.approx(30)
        waiting.done("a")
        assert gauge(metrics.LONGEST_SECONDS) == pytest.approx(10)

    run(body())


@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 60))
def test_no_key_is_worked_on_twice_at_once_and_none_is_lost(seed: int, workers: int, additions: int) -> None:
    """Whatever is added whenever: each key is worked on after its last addition, by one worker at a time."""
    chance = random.Random(seed)

    async def body() -> None:
        waiting = queue(jitter=chance.random())
        working: set[str] = set()
        last_added: dict[str, float] = {}
        last_begun: dict[str, float] = {}

        async def worker() -> None:
            while True:
                key = await waiting.get()
                assert key not in working
                working.add(key)
                last_begun[key] = now()
                await asyncio.sleep(chance.choice((0, 0.5, 3)))
                working.discard(key)
                waiting.done(key)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker()) for _ in range(workers)]
            for _ in range(additions):
                key = chance.choice("abcd")
                match chance.randrange(3):
                    case 0:
                        waiting.add(key)
                        last_added[key] = now()
                    case 1:
                        waiting.add_after(key, delay := chance.choice((0.1, 1, 20)))
                        last_added[key] = now() + delay
                    case _:
                        await asyncio.sleep(chance.choice((0, 0.2, 2)))
            await asyncio.sleep(3600)
            assert not working
            for key, moment in last_added.items():
                assert last_begun[key] >= moment - 1e-6
            for task in tasks:
                task.cancel()

    run(body())
