"""Lives of generated objects: everything that the CRDs take goes through the whole control loop and comes to rest.

`python -m tests.crash.odd SEED [--forged]` plays one again and prints what is wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.contracts import names
from modelmill.contracts.result import StageResult, encode
from modelmill.kube import labels
from modelmill.kube.objects import Resource
from modelmill.kube.resources import CORE_EVENTS, EVENTS
from tests.crash.generated import NUMBERS, TEXTS, Generator
from tests.crash.logs import recorded_logs
from tests.crash.memory_api import Object
from tests.crash.scenarios import imports_end, publishes
from tests.crash.surroundings import Ending
from tests.crash.witness import Witness, people
from tests.crash.world import World
from tests.support.virtual_time import run

KINDS: tuple[tuple[Resource, str], ...] = (
    (TRAINING_JOBS, "cars"), (TRAINING_JOBS, "c" * 44), (TRAINING_JOBS, "a.b"), (MODEL_VERSIONS, "cars-1"),
    (MODEL_VERSIONS, "c" * 63),
    (INFERENCE_SERVICES, "cars"), (INFERENCE_SERVICES, "s" + "-" * 42 + "0"),
)  # fmt: skip
STAGES = (names.STAGE_FETCH, names.STAGE_TRAIN, names.STAGE_EVALUATE, names.STAGE_PUBLISH)
LOOK_AGAIN = 700
"""Seconds in which everything was looked at again."""


class Odd:
    """A world of generated objects. forged: their statuses are generated, too, and written again and again."""

    def __init__(self, seed: object, *, forged: bool = False) -> None:
        self.generator = Generator(seed)
        self.random: random.Random = self.generator.random
        self.forged = forged

    def ending(self, job: Object, number: int) -> Ending:
        """Return an end of a training pod, the same whenever it is asked for."""
        pick = random.Random(f"{job['metadata']['name']} {number}")
        imports = labels.IMPORTS_LABEL in job["metadata"]["labels"]
        if not imports and labels.RUN_LABEL not in job["metadata"]["labels"]:
            code = pick.choice((0, 0, 1, 3))
            return Ending(None, names.STAGE_LOOK, code, pick.choice(("", *TEXTS)))
        well = imports_end(job, 1) if imports else publishes(job, number)
        if pick.random() < 0.5 or well.result is None:
            return well
        code = pick.choice((0, 0, 1, 3, 4, 137, 255))
        last = names.STAGE_IMPORT if imports else names.STAGE_PUBLISH
        return Ending(None, last if imports or not code else pick.choice(STAGES), code, odd_message(pick, well.result))

    async def life(self, world: World, witness: Witness) -> None:
        """Make objects of each kind, let them live, and delete some."""
        made = [(kind, name) for kind, name in KINDS if self.random.random() < 0.7]
        for kind, name in made:
            people.create(world.api, kind, self.generator.one(kind.kind, name))
            for _ in range(self.random.randrange(3)):
                await world.second()
        for _ in range(3 if self.forged else 0):
            for kind, name in made:
                found = world.api.get(kind, "ml", name)
                status = self.generator.status(kind.kind)
                people.replace_status(world.api, kind, {**found, "status": status})
                for _ in range(self.random.randrange(4)):
                    await world.second()
        await world.settle(3600)
        if self.forged:
            # What an object no longer says that it serves is found when everything is looked at again.
            for _ in range(LOOK_AGAIN):
                await world.second()
            await world.settle(3600)


def odd_message(pick: random.Random, told: StageResult) -> str:
    """Return a termination message: nearly a result, another program's text, or nothing."""
    whole = json.loads(encode(told))
    field = pick.choice(sorted(whole))
    value = pick.choice(
        (*TEXTS[:20], *NUMBERS, None, [], {}, [None], {"a": None}, True, -1, 2**70, 1e308, [["a"]], ["x" * 4000])
    )
    inner = {"": value, "r2": value}
    return pick.choice(
        (
            "",
            *TEXTS,
            json.dumps({**whole, field: value}),
            json.dumps({**whole, field: inner}),
            json.dumps({**whole, field: [inner]}),
            json.dumps(value),
            "[" * 2000,
            '{"v": 1, "outcome": "Published", "metrics": {"r2": NaN}}',
        )
    )


def lived(
    play: Callable[[World, Witness], Awaitable[None]],
    endings: Callable[[Object, int], Ending],
    seed: object,
    *,
    forgery: bool = False,
) -> list[str]:
    """Let a life be lived in a world of its own and return what was wrong with it."""
    problems: list[str] = []
    random.seed(str(seed))  # the jitter of back-offs

    async def whole() -> None:
        world = World(lambda _: None, endings)
        witness = Witness(world, forgery=forgery)
        try:
            await play(world, witness)
            problems.extend(witness.at_rest())
            problems.extend(await at_restart(world))
        except AssertionError as error:
            problems.extend([*witness.problems, str(error)])
        if world.operator.alive:
            world.operator.kill()

    with recorded_logs() as logs:
        run(whole())
    return [*problems, *(f"in the log: {line}" for line in logs)]


async def at_restart(world: World) -> list[str]:
    """Return what an operator that is started at rest changes: it was forgotten before. What is refused is tried again."""
    before = versions(world)
    world.restart()
    await world.settle(3600)
    after = versions(world)
    return [
        f"left undone until a restart: {name}"
        for name in after.keys() | before.keys()
        if after.get(name) != before.get(name)
    ]


def versions(world: World) -> dict[str, str]:
    """Return the resourceVersion of every object but Events."""
    return {
        f"{resource.kind} {obj['metadata']['name']}": obj["metadata"]["resourceVersion"]
        for resource, obj in world.api.every()
        if resource not in (EVENTS, CORE_EVENTS)
    }


def problems_of(seed: Any, *, forged: bool = False) -> list[str]:
    """Return what is wrong with the life of the objects of a seed."""
    odd = Odd(seed, forged=forged)
    problems = lived(odd.life, odd.ending, seed, forgery=forged)
    # Whoever takes the record of an import out of a status has it done again, which publishes the same.
    return [one for one in problems if not (forged and "-import-" in one and "ended well" in one)]


def main(argv: Sequence[str] | None = None) -> int:
    """Play one life and print what is wrong; return 1 when something is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("seed", type=int)
    parser.add_argument("--forged", action="store_true", help="statuses are generated, too")
    options = parser.parse_args(argv)
    problems = problems_of(options.seed, forged=options.forged)
    print("\n".join(problems or ["all is well"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
