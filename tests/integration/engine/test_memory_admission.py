"""The API server in memory gives the verdicts of the real one on generated statuses, times of all kinds, and pods of Jobs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from hack.bench import load
from modelmill.engine.errors import Invalid
from tests.crash.admission import admitted
from tests.crash.generated import TIMES, Generator
from tests.support.api_server import Cluster
from tests.support.refused_pods import REFUSED, TAKEN, job

pytestmark = pytest.mark.integration

Body = dict[str, Any]
NUMBER = "modelmill.dev/number-of-test"


def taken(cluster: Cluster, bodies: Sequence[Body], *more: str, verb: str = "create") -> dict[int, str]:
    """Return the positions of those that the API server takes, in a dry run of all of them; and -1 with what it says."""
    documents = []
    places = {(body["kind"], body["metadata"]["name"]): number for number, body in enumerate(bodies)}
    for number, body in enumerate(bodies):
        annotations = {**(body["metadata"].get("annotations") or {}), NUMBER: str(number)}
        documents.append({**body, "metadata": {**body["metadata"], "annotations": annotations}})
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    try:
        told, said = cluster.kubectl(verb, "--dry-run=server", "-o", "json", *more, "-f", "-", text=text), ""
    except subprocess.CalledProcessError as error:
        told, said = error.stdout, str(error.stderr)
    found: dict[int, str] = {-1: said}
    for one in decoded(told):
        # The answer to a status has the metadata that is stored.
        marked = (one["metadata"].get("annotations") or {}).get(NUMBER)
        found[places[one["kind"], one["metadata"]["name"]] if marked is None else int(marked)] = ""
    return found


def decoded(text: str) -> Iterator[Body]:
    """Yield the objects in what kubectl prints: one after the other, or a list."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        found, at = decoder.raw_decode(text, at + len(text[at:]) - len(text[at:].lstrip()))
        yield from found["items"] if found["kind"] == "List" else [found]


def is_admitted(body: Body, before: Body | None = None) -> bool:
    try:
        admitted(body, before)
    except Invalid:
        return False
    return True


def differing(bodies: Sequence[Body], real: dict[int, str], memory: Sequence[bool]) -> list[str]:
    wrong = [number for number, ours in enumerate(memory) if ours != (number in real)]
    told = [
        f"{'taken' if one in real else 'refused'} by the real one: {json.dumps(bodies[one].get('spec'))[:700]}"
        for one in wrong
    ]
    return [*told, real[-1][:4000]] if wrong else []


def test_generated_statuses(cluster: Cluster, namespace: str) -> None:
    makes = (load.training_job, load.model_version, load.inference_service)
    stored = [make(namespace, f"cars-{number}") for make in makes for number in range(20)]
    cluster.apply(*stored)
    bodies = []
    for number, body in enumerate(stored):
        status = Generator(f"status {number}").status(body["kind"])
        moment = (*TIMES, "today", "2026-02-30T03:04:05Z", "2026-01-02T24:00:00Z", "2026-01-02")[
            number % (len(TIMES) + 4)
        ]
        told = {"type": "T", "status": "True", "reason": "R", "message": "", "lastTransitionTime": moment}
        bodies.append({**body, "status": {**status, "conditions": [told] * (1 + (number % 7 == 0))}})
    memory = [is_admitted(body, {**body, "status": {}}) for body in bodies]
    real = taken(cluster, bodies, "--subresource=status", verb="replace")
    told = [{"spec": body["status"]["conditions"]} for body in bodies]
    assert differing(told, real, memory) == []
    assert {True, False} == set(memory)


def test_pods_of_jobs(cluster: Cluster, namespace: str) -> None:
    refused = {f"refused-{name}": change for name, (change, _) in REFUSED.items()}
    bodies = [
        job(name, change, namespace)
        for name, change in {**refused, **{f"taken-{name}": change for name, change in TAKEN.items()}}.items()
    ]
    assert differing(bodies, taken(cluster, bodies), [is_admitted(body) for body in bodies]) == []
