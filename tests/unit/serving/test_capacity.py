"""Pods of a weight: as near as the pods allow, as few as are needed, and what Argo Rollouts does."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.serving.capacity import candidate_pods, divided, share, stable_pods
from tests.unit.serving.simulated import World, condition, set_ready


@pytest.mark.parametrize(
    ("replicas", "weight", "surge", "pods"),
    [
        (2, 10, 0, (1, 1)),
        (2, 10, 1, (1, 2)),
        (2, 10, 8, (1, 9)),
        (2, 10, 100, (1, 9)),
        (1, 50, 9, (1, 1)),
        (4, 95, 0, (4, 1)),
        (3, 33, 5, (1, 2)),
        (10, 33, 0, (3, 7)),
    ],
)
def test_examples(replicas: int, weight: int, surge: int, pods: tuple[int, int]) -> None:
    assert divided(replicas, weight, surge) == pods


@given(st.integers(1, 40), st.integers(1, 99), st.integers(0, 12))
def test_nothing_within_the_surge_comes_nearer_and_nothing_smaller_as_near(
    replicas: int, weight: int, surge: int
) -> None:
    candidate, stable = divided(replicas, weight, surge)
    assert candidate >= 1
    assert stable >= 1
    total = candidate + stable
    assert replicas <= total <= max(replicas + surge, replicas + 1)
    off = abs(share(candidate, stable) - weight)
    for more in range(replicas, replicas + surge + 1):
        nearest = min((abs(share(one, more - one) - weight) for one in range(1, more)), default=off + 1)
        assert off <= nearest
        assert more >= total or nearest > off
    if surge:
        assert off <= abs(share(*divided(replicas, weight, surge - 1)) - weight)


def argo(replicas: int, weight: int) -> tuple[int, int]:
    """The rule of Argo Rollouts 1.9 with a surge (utils/replicaset/canary.go, what its comments and its document say).

    Of floor and ceil of the weighted replicas, each of as many pods and of one more, the nearest; ties: the first of them.
    """
    up, down = -(-replicas * weight // 100), replicas * weight // 100
    pairs = [(up, replicas)] * (up < replicas) + [(down, replicas)] * (
        down > 0 and 2 * (replicas * weight % 100) != 100
    )
    more = replicas + 1
    pairs += [(up, more)] + [(down, more)] * (down > 0 and 2 * (more * weight % 100) != 100)
    best = min(pairs, key=lambda pair: abs(100 * pair[0] / pair[1] - weight))
    return best[0], best[1] - best[0]


def test_with_a_surge_of_one_the_shares_are_those_of_argo_rollouts() -> None:
    other = {
        (replicas, weight): (divided(replicas, weight, 1), argo(replicas, weight))
        for replicas, weight in product(range(1, 21), range(1, 100))
        if divided(replicas, weight, 1) != argo(replicas, weight)
    }
    assert other == {}


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 12), st.integers(0, 60))
def test_the_stable_track_gives_up_no_more_pods_than_are_ready_in_its_place(
    replicas: int, weight: int, surge: int, ready: int
) -> None:
    candidate = candidate_pods(replicas, weight, surge)
    stable = stable_pods(replicas, weight, surge, candidate_ready=min(ready, candidate), has=replicas)
    assert stable + min(ready, candidate) >= replicas
    assert stable >= 1


class Crowded(World):
    """Pods that come later of the first version are not ready while it is crowded."""

    crowded = True

    def _start(self, pod: dict[str, Any]) -> None:
        super()._start(pod)
        first = pod["metadata"]["labels"]["modelmill.dev/model-version"] == "cars-1"
        if self.crowded and first and int(pod["metadata"]["name"].rpartition("-")[2]) > 4:
            set_ready(pod, False, self.time)


def test_a_surge_is_there_before_the_candidate_gets_a_request_and_goes_with_the_rollout() -> None:
    traffic = {"minimumSurge": 8}
    world = Crowded(replicas=2, steps=[{"weight": 10}, {"pauseSeconds": 5}], analysis=None, traffic=traffic)
    world.serving()
    world.add("cars-2")
    world.run(30)
    canary = world.status["canary"]
    assert (canary["weight"], canary["actualWeight"], canary["replicas"]) == (10, 0, 1)
    assert world.status["stable"]["replicas"] == 9
    assert {pod["metadata"]["labels"]["modelmill.dev/model-version"] for pod in world.selected()} == {"cars-1"}
    assert "the stable version has the pods" in condition(world, "Reconciling")[2]
    world.crowded = False
    world._wake = world.time
    world.run(3)
    assert world.status["canary"]["actualWeight"] == 10
    assert len(world.selected()) == 10
    world.run(30)
    assert world.status["stable"]["version"] == "cars-2"
    assert len(world.pods) == 2
    assert world.lost == 0


def test_a_step_says_before_it_begins_what_its_weight_becomes() -> None:
    world = World(replicas=2, steps=[{"weight": 10}, {"pauseSeconds": 5}, {"weight": 50}], analysis=None).serving()
    world.add("cars-2")
    world.reconcile()
    assert world.messages[-1].endswith("first weight 10 (by pods 50 %)")
    assert "weight 10 (by pods 50 %)" in condition(world, "Reconciling")[2]
    world.run(10)
    assert any(one.endswith("weight 50, step 3 of 4") for one in world.messages)
