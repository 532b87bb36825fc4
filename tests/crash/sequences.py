"""Sequences of what people, tenants, faults and time do to a world, made up by a seed: `python -m tests.crash.sequences SEED`.

Twenty steps, each one of `STEPS` by chance; then the faults stop, time passes, and what `Witness` asks must hold. A seed plays
the same sequence again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from modelmill.api.base import API_VERSION
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.engine.errors import ApiError, NotFound
from modelmill.kube import labels
from modelmill.kube.objects import Resource
from modelmill.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    LEASES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
)
from tests.crash.admission import schemas
from tests.crash.faults import ONCE, Write
from tests.crash.generated import Generator
from tests.crash.memory_api import Object
from tests.crash.odd import Odd, lived
from tests.crash.scenarios import alert, inference_service, publishes, training_job
from tests.crash.surroundings import Ending
from tests.crash.watching import Delivery
from tests.crash.witness import Witness, people
from tests.crash.world import World
from tests.support import objects as o

LENGTH = 20
RUN = re.compile(r"-(\d+)-[0-9a-f]{6}(?:-|$)")
"""The number of a run in the name of any of its Jobs."""
AFTERWARDS = 70
"""Seconds before rest is waited for: the look at everything, which finds what was forgotten, comes later."""
OURS = (TRAINING_JOBS, INFERENCE_SERVICES, MODEL_VERSIONS)
CHILDREN = (JOBS, DEPLOYMENTS, SERVICES, POD_DISRUPTION_BUDGETS, CONFIG_MAPS, PODS, REPLICA_SETS)
LABELS = (
    labels.TRAINING_JOB_LABEL, labels.RUN_LABEL, labels.MODEL_LABEL, labels.VERSION_LABEL, labels.SERVICE_LABEL,
    labels.REVISION_LABEL, labels.MANAGED_BY_LABEL,
)  # fmt: skip


class Sequence20:
    """One sequence. steps: what was done so far, a sentence each. odd: how likely a value of an edit is odd."""

    def __init__(self, seed: object) -> None:
        self.seed = seed
        self.random = random.Random(f"sequence {seed}")
        self.values = Generator(seed, bold=0.2)
        self.odd = Odd(seed) if self.random.random() < 0.3 else None
        self.steps: list[str] = []
        self.rate = 0.0

    def ending(self, job: Object, number: int) -> Ending:
        """Return how a training pod ends."""
        meta = job["metadata"]
        run = RUN.search(meta["name"])
        # The label may be gone.
        labelled = {**job, "metadata": {**meta, "labels": {**meta["labels"], labels.RUN_LABEL: run[1] if run else "1"}}}
        return self.odd.ending(labelled, number) if self.odd is not None else publishes(labelled, number)

    def strike(self, _write: Write) -> str | None:
        """Return the fault that strikes this write, if one does."""
        return self.random.choice(ONCE) if self.random.random() < self.rate else None

    async def play(self, world: World, witness: Witness) -> None:
        """Do the steps, and let the world come to rest."""
        world.strike = world.operator.client._strike = self.strike
        people.create(world.api, TRAINING_JOBS, training_job())
        people.create(world.api, INFERENCE_SERVICES, inference_service())
        for _ in range(LENGTH):
            step = self.random.choice(STEPS)
            told = f"{world.clock():%H:%M:%S} {step.__name__.replace('_', ' ')}: "
            try:
                self.steps.append(told + await step(self, world, witness))
            except ApiError as error:
                self.steps.append(f"{told}{error.message[:120]}")
        self.rate, world.delivery = 0.0, Delivery()
        world.restart()
        for _ in range(AFTERWARDS):
            await world.second()
        await world.settle()

    def one_of(self, world: World, kinds: Sequence[Resource]) -> tuple[Resource, Object]:
        """Return an object of the kinds. Raises NotFound when there is none."""
        found = [(kind, obj) for kind in kinds for obj in world.api.of(kind)]
        if not found:
            raise NotFound(404, "NotFound", "there is none")
        return self.random.choice(found)


async def time_passes(play: Sequence20, world: World, _witness: Witness) -> str:
    seconds = play.random.choice((1, 2, 3, 5, 8, 13, 21, 34, 60, 300))
    for _ in range(seconds):
        await world.second()
    return f"{seconds} s"


async def a_moment_passes(play: Sequence20, _world: World, _witness: Witness) -> str:
    seconds = play.random.uniform(0.0, 0.05)
    await asyncio.sleep(seconds)
    return f"{seconds:.3f} s"


async def edit(play: Sequence20, world: World, _witness: Witness) -> str:
    kind, obj = play.one_of(world, OURS)
    fields = schemas()[API_VERSION, kind.kind]["properties"]["spec"]["properties"]
    name = play.random.choice(sorted(fields))
    value = None if play.random.random() < 0.2 else play.values.value(fields[name], name)
    people.patch(world.api, kind, "ml", obj["metadata"]["name"], {"spec": {name: value}})
    return f"{kind.kind} {obj['metadata']['name']} spec.{name} = {str(value)[:200]}"


async def edit_back(play: Sequence20, world: World, _witness: Witness) -> str:
    kind, make = play.random.choice(((TRAINING_JOBS, training_job), (INFERENCE_SERVICES, inference_service)))
    people.patch(world.api, kind, "ml", "cars", {"spec": make()["spec"]})
    return f"{kind.kind} cars"


async def approve(play: Sequence20, world: World, _witness: Witness) -> str:
    kind, obj = play.one_of(world, (MODEL_VERSIONS,))
    word = play.random.choice(("Approved", "Rejected", "Pending"))
    people.patch(world.api, kind, "ml", obj["metadata"]["name"], {"spec": {"approval": word}})
    return f"{obj['metadata']['name']} {word}"


async def ask(play: Sequence20, world: World, _witness: Witness) -> str:
    kind, obj = play.one_of(world, (TRAINING_JOBS, INFERENCE_SERVICES))
    name = labels.RUN_ANNOTATION if kind == TRAINING_JOBS else labels.RETRY_ANNOTATION
    text = play.random.choice((f"again {len(play.steps)}", "x" * 300, "", "é\n"))
    people.patch(world.api, kind, "ml", obj["metadata"]["name"], {"metadata": {"annotations": {name: text}}})
    return f"{kind.kind} {obj['metadata']['name']} {text[:20]!r}"


async def create(play: Sequence20, world: World, _witness: Witness) -> str:
    version = o.model_version(play.random.choice(("cars-1", "cars-2", "hand-1", "cars-7")))
    version["metadata"] = {
        "name": version["metadata"]["name"],
        "namespace": "ml",
        "labels": version["metadata"]["labels"],
    }
    name = play.random.choice(("cars", "cars", "other"))
    kind, body = play.random.choice(
        (
            (TRAINING_JOBS, training_job(name)),
            (INFERENCE_SERVICES, inference_service(name)),
            (MODEL_VERSIONS, version),
        )
    )
    people.create(world.api, kind, body)
    return f"{kind.kind} {body['metadata']['name']}"


async def delete(play: Sequence20, world: World, _witness: Witness) -> str:
    kind, obj = play.one_of(world, OURS)
    people.delete(world.api, kind, "ml", obj["metadata"]["name"])
    return f"{kind.kind} {obj['metadata']['name']}"


async def delete_child(play: Sequence20, world: World, witness: Witness) -> str:
    kind, obj = play.one_of(world, CHILDREN)
    name = obj["metadata"]["name"]
    if kind == PODS and labels.TRAINING_JOB_LABEL in obj["metadata"]["labels"]:
        # The Job controller in memory names a Job's pods by their number, and makes another for each that has ended.
        return "nothing"
    people.delete(world.api, kind, "ml", name)
    if kind == JOBS:
        witness.deleted(obj)
    return f"{kind.kind} {name}"


async def relabel(play: Sequence20, world: World, _witness: Witness) -> str:
    # A pod that lost a label of its selector is let go by its ReplicaSet, which the surroundings do not do.
    kind, obj = play.one_of(world, [one for one in CHILDREN if one not in (PODS, REPLICA_SETS)])
    name = play.random.choice([one for one in LABELS if one in (obj["metadata"].get("labels") or {})] or list(LABELS))
    value = play.random.choice((None, "other", "", "9" * 63))
    people.patch(world.api, kind, "ml", obj["metadata"]["name"], {"metadata": {"labels": {name: value}}})
    return f"{kind.kind} {obj['metadata']['name']} {name} = {value}"


async def annotate(play: Sequence20, world: World, _witness: Witness) -> str:
    kind, obj = play.one_of(world, CHILDREN)
    names = [*(obj["metadata"].get("annotations") or ()), "note"]
    name, value = play.random.choice(names), play.random.choice((None, "", "{", "é"))
    people.patch(world.api, kind, "ml", obj["metadata"]["name"], {"metadata": {"annotations": {name: value}}})
    return f"{kind.kind} {obj['metadata']['name']} {name} = {value}"


async def disown(play: Sequence20, world: World, witness: Witness) -> str:
    """The reference to the owner is taken away, or says another."""
    kind, obj = play.one_of(world, (JOBS, DEPLOYMENTS, SERVICES, POD_DISRUPTION_BUDGETS))
    owners = play.random.choice((None, [stranger(world)]))
    witness.spoiled.add(obj["metadata"]["uid"])
    if owners is not None:
        # Until a person mends it, the owner tells of the taken name and nothing else.
        witness.spoiled |= {one["uid"] for one in obj["metadata"].get("ownerReferences") or ()}
    people.patch(world.api, kind, "ml", obj["metadata"]["name"], {"metadata": {"ownerReferences": owners}})
    return f"{kind.kind} {obj['metadata']['name']} {'of nobody' if owners is None else 'of a stranger'}"


def stranger(world: World) -> Object:
    """Return a reference to an object that is none of ours, which is there."""
    body = {"metadata": {"name": "stranger", "namespace": "ml"}}
    found = world.api.find(LEASES, "stranger") or people.create(world.api, LEASES, body)
    kind = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
    return {**kind, "name": "stranger", "uid": found["metadata"]["uid"], "controller": True}


async def rescale_child(play: Sequence20, world: World, _witness: Witness) -> str:
    kind, obj = play.one_of(world, (DEPLOYMENTS,))
    replicas = play.random.randrange(4)
    people.patch(world.api, kind, "ml", obj["metadata"]["name"], {"spec": {"replicas": replicas}})
    return f"{obj['metadata']['name']} to {replicas}"


async def tell_alert(play: Sequence20, world: World, _witness: Witness) -> str:
    if world.api.find(INFERENCE_SERVICES, "cars") is None:
        return "of nothing"
    try:
        alert(world, play.random.choice(("a1", "a2", "a3")))
    except AssertionError:
        return "not taken"
    return "told"


async def resolve_alerts(_play: Sequence20, world: World, _witness: Witness) -> str:
    found = world.api.get(INFERENCE_SERVICES, "ml", "cars")
    status = {name: value for name, value in (found.get("status") or {}).items() if name != "alerts"}
    people.replace_status(world.api, INFERENCE_SERVICES, {**found, "status": status})
    return "all"


async def crash(_play: Sequence20, world: World, _witness: Witness) -> str:
    world.restart()
    return "and start"


async def faults(play: Sequence20, world: World, _witness: Witness) -> str:
    play.rate = play.random.choice((0.0, 0.1, 0.3))
    return f"{play.rate} of the writes"


async def jump(play: Sequence20, world: World, _witness: Witness) -> str:
    skew = world.skew = play.random.choice((0.0, 45.0, -45.0, 3600.0, -3600.0))
    world.operator._control._clock = lambda: world.clock() + timedelta(seconds=skew)
    return f"the clock is {skew} s ahead"


async def be_late(play: Sequence20, world: World, _witness: Witness) -> str:
    kind = play.random.choice((*CHILDREN, *OURS))
    late, copies = play.random.choice((0.0, 0.5, 20.0, 60.0)), play.random.choice((1, 1, 3))
    world.delivery = Delivery(late={kind: late}, copies=copies)
    world.restart()
    return f"{kind.kind} by {late} s, {copies} times, to an operator that starts"


async def go_wrong(play: Sequence20, world: World, _witness: Witness) -> str:
    which = play.random.choice((world.surroundings.errors, world.surroundings.broken))
    version = play.random.choice(("cars-1", "cars-2", "cars-3"))
    (which.discard if version in which else which.add)(version)
    return f"{version} of {'errors' if which is world.surroundings.errors else 'broken'}"


Step = Callable[[Sequence20, World, Witness], Awaitable[str]]
STEPS: tuple[Step, ...] = (
    time_passes, time_passes, time_passes, time_passes, a_moment_passes, edit, edit, edit_back, approve, ask, create, create,
    delete, delete_child, delete_child, relabel, annotate, disown, rescale_child, tell_alert, tell_alert, resolve_alerts, crash,
    crash, faults, faults, jump, be_late, go_wrong,
)  # fmt: skip


def problems_of(seed: Any) -> list[str]:
    """Return what is wrong after the sequence of a seed."""
    sequence = Sequence20(seed)
    return lived(sequence.play, sequence.ending, seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Play one sequence and print what was done and what is wrong; return 1 when something is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("seed", type=int)
    sequence = Sequence20(parser.parse_args(argv).seed)
    problems = lived(sequence.play, sequence.ending, sequence.seed)
    print("\n".join([*sequence.steps, "", *problems]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
