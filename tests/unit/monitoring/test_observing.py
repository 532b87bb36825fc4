"""What is kept of pods that come, go, restart and do not answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from modelmill.api.monitoring import Monitoring
from modelmill.contracts.counts import LABEL, decode, encode
from modelmill.monitoring.observing import FORGOTTEN_AFTER, MOST_PODS
from tests.support import objects as o
from tests.unit.monitoring.counted import CARS, Pages, Watch, pod, rows

DRIFT = Monitoring.model_validate({"drift": {"windowSeconds": 600}})


def watch(*pods: str) -> Watch:
    return Watch(Pages(), DRIFT, [pod(uid) for uid in pods])


async def test_replicas_are_added_and_only_what_came_since() -> None:
    one = watch("a", "b")
    one.pages.tell("a", rows(10, 0))
    one.pages.tell("b", rows(0, 5))
    assert one.total(await one.look()) == rows(10, 5)
    one.pages.tell("a", rows(12, 1))
    assert one.total(await one.look(50)) == rows(12, 6)
    assert one.total(await one.look(599)) == {}, "the window has gone on"


async def test_pods_are_asked_at_their_time_and_not_more_often() -> None:
    one = watch("a")
    first = await one.look()
    assert first.again == 50
    await one.look(49)
    assert one.pages.asked == 1
    await one.look(1)
    assert one.pages.asked == 2
    assert (await one.look(-3600)).moment == one.now, "a clock that was set back does not stop the readings"


async def test_an_answer_that_is_late_is_waited_for() -> None:
    one = watch("a")
    one.pages.tell("a", rows(3, 3))
    one.pages.late = 1
    seen = await one.look()
    assert (seen.moment, seen.again) == (None, 1.0)
    assert one.total(await one.look(1)) == rows(3, 3)


async def test_a_restarted_process_counts_from_zero() -> None:
    one = watch("a")
    one.pages.tell("a", rows(100, 100))
    await one.look()
    one.pages.tell("a", rows(4, 0))
    assert one.total(await one.look(60)) == rows(104, 100)


async def test_a_pod_that_does_not_answer_is_counted_when_it_does() -> None:
    one = watch("a", "b")
    one.pages.tell("a", rows(1, 1))
    one.pages.tell("b", rows(1, 1))
    await one.look()
    del one.pages.told["b"]
    seen = await one.look(60)
    assert seen.heard == 1
    one.pages.tell("b", rows(5, 1))
    assert one.total(await one.look(60)) == rows(6, 2)


async def test_old_counts_of_a_pod_that_is_first_seen_are_not_of_this_window() -> None:
    one = watch()
    one.pods = [pod("old", o.NOW - timedelta(days=3)), pod("unknown", None)]
    for uid in ("old", "unknown"):
        one.pages.tell(uid, rows(1e6, 0))
    assert one.total(await one.look()) == {}
    one.pages.tell("old", rows(1e6 + 2, 0))
    assert one.total(await one.look(60)) == {("bin", "hp", "0"): 2.0}


async def test_it_goes_on_after_a_restart_of_the_operator() -> None:
    one = watch("a")
    one.pages.tell("a", rows(10, 10))
    seen = await one.look()
    again = watch("a")
    again.kept = decode(encode(seen.history))
    again.pages.tell("a", rows(11, 10))
    assert again.total(await again.look(60)) == rows(10, 10), "what is kept already is not counted twice"
    again.pages.tell("a", rows(15, 10))
    assert again.total(await again.look(60)) == rows(14, 10)


@pytest.mark.parametrize("track", [("r2", "cars-1"), ("r1", "cars-2")])
async def test_another_revision_begins_anew(track: tuple[str, str]) -> None:
    one = watch("a")
    one.pages.tell("a", rows(10, 10))
    one.kept = (await one.look()).history
    one.pods = [pod("b")]
    one.pages.tell("b", rows(1, 0))
    seen = await one.look(1, track)
    assert one.total(seen) == {("bin", "hp", "0"): 1.0}
    assert (seen.history.revision, seen.history.version) == track


async def test_another_window_begins_anew_and_what_was_remembered_stays() -> None:
    one = watch("a")
    one.pages.tell("a", rows(10, 10))
    await one.look()
    one.observer.remember(CARS, {"fine": True})
    one.monitoring = Monitoring.model_validate({"drift": {"windowSeconds": 1200}})
    seen = await one.look(1)
    assert seen.history.rings["drift"].seconds == 100
    assert seen.history.memory == {"fine": True}


async def test_labels_are_those_of_the_version_that_serves() -> None:
    one = watch("a")
    one.pages.tell("a", {}, {"cars-1": {(LABEL, "wrong"): 3.0}, "cars-0": {(LABEL, "wrong"): 50.0}})
    assert one.total(await one.look(), "quality") == {(LABEL, "wrong"): 3.0}


async def test_pods_of_other_revisions_may_have_been_told_labels() -> None:
    one = watch("a")
    one.others = [pod("canary")]
    one.pages.tell("a", rows(5, 5))
    one.pages.tell("canary", rows(900, 0), {"cars-1": {(LABEL, "wrong"): 3.0}, "cars-2": {(LABEL, "wrong"): 50.0}})
    seen = await one.look()
    assert one.total(seen) == rows(5, 5)
    assert one.total(seen, "quality") == {(LABEL, "wrong"): 3.0}
    assert seen.heard == 1


async def test_what_is_remembered_is_bounded() -> None:
    one = watch(*(f"p{number}" for number in range(MOST_PODS + 9)))
    for known in one.pods:
        one.pages.tell(known["metadata"]["uid"], rows(1, 0))
    assert (await one.look()).heard == MOST_PODS
    await one.observer.observed(
        CARS, DRIFT, ("r9", "cars-9"), [], None, one.now + FORGOTTEN_AFTER + timedelta(seconds=1)
    )
    one.observer.forget(CARS)
    assert one.pages.forgotten
    assert not one.observer._memory
