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
