"""What a measurement counts, and from when: the memory of the measurer."""

from __future__ import annotations

from collections import Counter

from modelmill.kube.objects import Key
from modelmill.serving.rollout.findings import Samples
from tests.unit.serving.simulated import ANALYSIS, World, now_of


def due(world: World) -> Samples | None:
    return now_of(world.measurer.measured(world.view(), world.position())).samples


def rolling_out() -> World:
    """Return a world with a canary in its pause whose first measurement is due."""
    world = World(analysis={**ANALYSIS, "minRequests": 10}).serving()
    world.run(100)
    world.add("cars-2")
    world.settle()
    world.time += 5
    return world


def test_both_tracks_are_counted_over_the_same_time() -> None:
    """The stable pods have answered for minutes before; that is not compared with the canary's first seconds."""
    world = rolling_out()
    world._serve()
    samples = due(world)
    assert samples is not None
    assert samples.candidate.requests == 10
    assert samples.stable.requests == 30


def test_after_a_restart_the_canary_counts_from_its_start_and_the_stable_pods_from_now() -> None:
    world = rolling_out()
    world._serve()
    world.restart_operator()
    samples = due(world)
    assert samples is not None
    assert (samples.candidate.requests, samples.stable.requests) == (10, 0)


def test_counts_go_on_until_there_are_enough_and_begin_anew_after_a_verdict() -> None:
    world = rolling_out()
    world.rate = 20
    world._serve()
    few = due(world)
    assert few is not None
    assert few.candidate.requests == 5
    world._serve()
    assert due(world) is None
    world.time += 2
    enough = due(world)
    assert enough is not None
    assert enough.candidate.requests == 10


def test_a_passing_measurement_is_the_next_ones_baseline() -> None:
    world = rolling_out()
    world._serve()
    world.reconcile()
    assert world.status["canary"]["analysis"][0]["requests"] == 10
    world.time += 5
    world._serve()
    samples = due(world)
    assert samples is not None
    assert samples.candidate.requests == 10


def test_a_measurement_that_never_reached_the_status_does_not_count() -> None:
    world = rolling_out()
    world._serve()
    world.refuse_status = True
    world.reconcile()
    world.refuse_status = False
    samples = due(world)
    assert samples is not None
    assert samples.candidate.requests == 10


def test_a_pod_that_does_not_answer_once_keeps_its_baseline() -> None:
    world = rolling_out()
    mute = next(pod["metadata"]["uid"] for pod in world.pods if "model-version': 'cars-1" in str(pod))
    world._serve()
    world.traffic.mute = {mute}
    world.reconcile()
    world.traffic.mute = set()
    world.time += 5
    world._serve()
    samples = due(world)
    assert samples is not None
    assert samples.candidate.requests == 10
    assert samples.stable.requests == 10 + 10 + 20


def test_a_restarted_server_counts_from_zero() -> None:
    world = rolling_out()
    world._serve()
    world.reconcile()
    world.traffic.codes = {uid: Counter({"200": 6}) for uid in world.traffic.codes}
    world.time += 5
    samples = due(world)
    assert samples is not None
    assert samples.candidate.requests == 6


def test_pods_that_take_long_are_asked_again_soon_and_counted_once() -> None:
    world = rolling_out()
    world._serve()
    world.traffic.late = True
    assert due(world) is None
    assert world.measurer.asks(Key("ml", "cars"))
    world.traffic.late = False
    samples = due(world)
    assert samples is not None
    assert samples.candidate.requests == 10
    assert not world.measurer.asks(Key("ml", "cars"))


def test_services_that_were_deleted_half_way_are_forgotten() -> None:
    world = rolling_out()
    due(world)
    (key,) = world.measurer._memory
    gone = world.measurer._memory[key]
    world.measurer._memory = {Key("ml", "gone"): gone, key: gone}
    world.time += 7200
    world.parent["status"]["canary"] |= {"revision": "other"}
    due(world)
    assert set(world.measurer._memory) == {key}


def test_nothing_is_remembered_without_a_rollout() -> None:
    world = rolling_out()
    world._serve()
    world.reconcile()
    assert world.measurer._memory
    world.run(60)
    assert not world.measurer._memory
