"""A search survives an operator that dies again and again: nothing is tried twice, nothing lost, and the same is best."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from modelmill.api.resources import TRAINING_JOBS
from modelmill.kube.resources import CONFIG_MAPS
from tests.crash.faults import KILLED_AFTER, KILLED_BEFORE, Write
from tests.crash.oracles import Outcome, masked, play
from tests.crash.scenarios import Scenario, scored, training_job
from tests.crash.world import World
from tests.support import objects as o

TRIALS = 40
KILLS = 20


async def search(tuning: Mapping[str, Any], world: World) -> None:
    world.api.create(TRAINING_JOBS, training_job(tuning=o.tuning(maxTrials=TRIALS, **tuning)))
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the search ends")


def entries(outcome: Outcome) -> list[dict[str, Any]]:
    shards = [one for name, one in sorted(outcome.end.items()) if name.startswith(f"{CONFIG_MAPS.kind} ")]
    texts = {key: text for one in shards for key, text in one["data"].items() if key != "search"}
    return [masked(json.loads(texts[key])) for key in sorted(texts)]


@pytest.mark.parametrize(
    "tuning",
    [
        {"algorithm": {"name": "TPE", "seed": 7}},
        {"algorithm": {"name": "Random"}, "parallelTrials": 4},
        {"algorithm": {"name": "TPE", "seed": 7}, "parallelTrials": 4, "trialsPerPod": 4},
    ],
    ids=["TPE, one at a time", "Random, four at a time", "TPE, four in a pod"],
)
def test_operator_killed_at_random_20_times_during_one_search(tuning: dict[str, Any]) -> None:
    """40 entries, each index once, no trial run twice to completion, the same best as with this order undisturbed."""
    scenario = Scenario("search of 40", partial(search, tuning), scored, within=400)
    clean = play(scenario)
    draw = random.Random(5)
    moments = {(one.verb, one.kind, one.name, one.time) for one in draw.sample(clean.writes[4:-4], KILLS)}
    killed: list[Write] = []

    def strike(_world: World, write: Write) -> str | None:
        if (write.verb, write.kind, write.name, write.time) not in moments or write in killed:
            return None
        killed.append(write)
        return draw.choice((KILLED_BEFORE, KILLED_AFTER))

    # `play` judges that no Job was made twice, and none of a trial ended well twice.
    outcome = play(scenario, strike)
    assert clean.problems == outcome.problems == []
    assert len(killed) >= KILLS * 3 // 4, "a write that is merged with another one comes no more"
    made = entries(outcome)
    assert [one["index"] for one in made] == list(range(TRIALS))
    assert made == entries(clean)
    runs = [one.end["TrainingJob ml/cars"]["status"]["lastRun"] for one in (clean, outcome)]
    assert runs[0]["best"] == runs[1]["best"]


def named(namespace: str, low: str) -> dict[str, Any]:
    parameters = [{"name": "alpha", "float": {"low": low, "high": "10"}}]
    made = training_job(tuning=o.tuning(parameters=parameters, parallelTrials=2))
    return {**made, "metadata": {"name": "cars", "namespace": namespace}}


async def equal_names_in_two_namespaces(world: World) -> None:
    world.api.create(TRAINING_JOBS, named("ml", "1"))
    world.api.create(TRAINING_JOBS, named("other", "5"))
    await world.until(
        lambda: all(one.get("status", {}).get("lastRun") for one in world.api.of(TRAINING_JOBS)), "both searches end"
    )


def test_equal_names_in_two_namespaces_never_mix() -> None:
    """Each has a ledger of its own trials, from its own space, and publishes with its own best ones."""
    outcome = play(Scenario("equal names", equal_names_in_two_namespaces, scored, within=400))
    assert outcome.problems == []
    for namespace, low in (("ml", 1.0), ("other", 5.0)):
        ledgers = [one for name, one in outcome.end.items() if name.startswith(f"ConfigMap {namespace}/")]
        tried = [json.loads(text) for one in ledgers for key, text in one["data"].items() if key != "search"]
        assert len(tried) == 3
        assert all(float(one["parameters"]["alpha"]) >= low for one in tried)
        last = outcome.end[f"TrainingJob {namespace}/cars"]["status"]["lastRun"]
        assert last["best"]["parameters"] in {f"alpha={one['parameters']['alpha']}" for one in tried}
        assert last["outcome"] == "Published"
    assert float(outcome.end["TrainingJob other/cars"]["status"]["lastRun"]["best"]["parameters"][6:]) >= 5.0


async def recreated_while_it_searched(world: World) -> None:
    world.api.create(TRAINING_JOBS, named("ml", "1"))
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("currentRun", {}).get("best"), "a best trial")
    world.api.delete(TRAINING_JOBS, "ml", "cars")
    world.api.create(TRAINING_JOBS, named("ml", "5"))
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the second search ends")


def test_a_recreated_one_inherits_nothing() -> None:
    outcome = play(Scenario("recreated", recreated_while_it_searched, scored, within=400))
    assert outcome.problems == []
    tried = entries(outcome)
    assert [one["index"] for one in tried] == [0, 1, 2]
    assert all(float(one["parameters"]["alpha"]) >= 5.0 for one in tried)
    last = outcome.end["TrainingJob ml/cars"]["status"]["lastRun"]
    assert (last["number"], last["trials"]["succeeded"]) == (1, 3)
