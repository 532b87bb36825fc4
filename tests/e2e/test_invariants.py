"""The invariants of rollouts, counted from the requests to a real gateway, under every strategy that measures.

Three services are asked all the time, while people, drawn by a seed, let rollouts go on, pause, promote, abort, retry and go
back, pods are deleted and the operator is killed. What each request was answered by is then held against what the status said
at that time. `tests/unit/serving/invariants.py` says which invariant is looked at where. MODELMILL_INVARIANTS_ROUNDS: how many
stories each service has.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.cluster import Cluster
from tests.support.lines import inference_service, release, table, training_job
from tests.support.open_loop import Running

ALONE = True
MODEL = "told"
SEED = 11
ROUNDS = int(os.environ.get("MODELMILL_INVARIANTS_ROUNDS", "2"))
RATE = 30
SECONDS = 90
"""Longest time that a story may take, s."""
SIGMAS = 4.5
"""A share that is farther from its weight is met by chance once in 150,000 tests."""
LAG = 3.0
"""Seconds that a gateway's proxies may need to do what it has said that it does: nothing tells when they do."""
ANALYSIS: dict[str, Any] = {
    "intervalSeconds": 2,
    "minRequests": 10,
    "checks": [{"metric": "ErrorRatio", "maximum": "0.01"}],
}
COMPARED = [*ANALYSIS["checks"], {"metric": "Disagreement", "maximum": "0.1"}]
ROLLOUTS: dict[str, dict[str, Any]] = {
    "canary": {
        "steps": [{"weight": 20}, {"pauseSeconds": 6}, {"weight": 60}, {"pauseSeconds": 6}],
        "analysis": ANALYSIS,
    },
    "blue-green": {
        "strategy": "BlueGreen",
        "blueGreen": {"prePromotionSeconds": 0, "postPromotionSeconds": 4},
        "scaleDownDelaySeconds": 3,
        "analysis": ANALYSIS,
    },
    "shadow": {
        "strategy": "Shadow",
        "shadow": {"sampleRatio": "1", "seconds": 4},
        "analysis": {**ANALYSIS, "checks": COMPARED},
    },
}
GOES_ON = ("RollingOut", "Paused")
RESTS = ("Stable", "RolledBack")
Status = dict[str, Any]
Until = Callable[[Status], bool]


@dataclass
class Seen:
    """What was seen of one service. states: when asked, when told (s since 1970), generation, status, uids of ready pods.

    taken: uids of pods that the test deleted. stories: what was played.
    """

    states: list[tuple[float, float, int, Status, dict[str, str]]] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    stories: list[str] = field(default_factory=list)


def serves(version: str) -> Until:
    return lambda status: status["phase"] == "Stable" and status["stable"]["version"] == version


def goes_on(version: str, least: int = 0) -> Until:
    """Whether the version is being rolled out, with at least so much of the traffic, percent."""

    def true(status: Status) -> bool:
        canary = status.get("canary") or {}
        return (
            status["phase"] in GOES_ON and canary.get("version") == version and canary.get("actualWeight", 0) >= least
        )

    return true


def taken_back(version: str) -> Until:
    def true(status: Status) -> bool:
        last = status["history"][0]
        return (status["phase"], last["version"], last["outcome"]) == ("RolledBack", version, "RolledBack")

    return true


class Person:
    """Tells stories of one service, each an Iterator of what is waited for; all words are new texts."""

    def __init__(self, cluster: Cluster, name: str, chance: random.Random, versions: Iterator[int]) -> None:
        self._cluster, self._name, self._chance, self._versions = cluster, name, chance, versions
        self._words = 0

    def tell(self, story: str) -> Iterator[Until]:
        """Play a story to its end: the service rests afterwards."""
        version = release(self._cluster, self._name, next(self._versions))
        most = {"canary": 60, "blue-green": 100, "shadow": 0}[self._name]
        yield goes_on(version, self._chance.choice([0, 20, most]) if most == 60 else most)
        match story:
            case "goes on":
                pass
            case "pause":
                self._say("pause")
                yield lambda status: status["phase"] == "Paused"
                since = time.monotonic() + 4
                yield lambda _: time.monotonic() > since
                self._say("resume")
            case "promote full":
                self._say("promote-full")
            case "abort":
                self._say("abort")
                yield taken_back(version)
                since = time.monotonic() + 2 * LAG
                yield lambda _: time.monotonic() > since
                self._say("retry")
            case "superseded":
                version = release(self._cluster, self._name, next(self._versions))
            case "go back":
                yield serves(version)
                self._say("rollback", "previous ")
                yield lambda status: status["phase"] == "Stable" and status["stable"]["version"] != version
                version = release(self._cluster, self._name, next(self._versions))
        yield serves(version)

    def _say(self, word: str, text: str = "") -> None:
        self._words += 1
        self._cluster.kube.annotate(
            "InferenceService", self._name, self._cluster.namespace, **{word: f"{text}{self._words}"}
        )


STORIES = ("goes on", "pause", "promote full", "abort", "superseded", "go back")


@pytest.fixture(scope="module")
def served(cluster: Cluster, gateway: dict[str, str]) -> Cluster:
    """Every service follows a model of its own, so that each has its own story; all are of one artifact."""
    cluster.put("data/part.csv", table())
    cluster.apply(training_job(cluster, MODEL))
    parent = {"name": gateway["name"], "namespace": gateway["namespace"]}
    good = cluster.wait("the first version", lambda: cluster.get("ModelVersion", f"{MODEL}-1"))
    for name, rollout in ROLLOUTS.items():
        spec = {part: value for part, value in good["spec"].items() if part != "lineage"} | {"model": name}
        meta = {"name": f"{name}-1", "labels": {"modelmill.dev/model": name}}
        first = {"apiVersion": good["apiVersion"], "kind": "ModelVersion", "metadata": meta, "spec": spec}
        traffic = {"mode": "GatewayAPI", "parentRefs": [parent], "hostnames": [host(name)]}
        cluster.apply(first, inference_service(name, rollout={**rollout, "traffic": traffic}))
    for name in ROLLOUTS:
        cluster.wait_stable(name, f"{name}-1")
    return cluster


def host(name: str) -> str:
    return f"{name}.example.com"


def look(cluster: Cluster, seen: dict[str, Seen]) -> dict[str, Status]:
    """Look at all services once; return their statuses."""
    asked = time.time()
    services = {one["metadata"]["name"]: one for one in cluster.list("InferenceService")}
    pods = [one for one in cluster.list("Pod") if ready(one)]
    told = time.time()
    for name, record in seen.items():
        one = services[name]
        mine = {
            pod["metadata"]["uid"]: pod["metadata"]["labels"]["modelmill.dev/model-version"]
            for pod in pods
            if pod["metadata"]["labels"].get("modelmill.dev/inference-service") == name
        }
        record.states.append((asked, told, one["metadata"]["generation"], one["status"], mine))
    return {name: services[name]["status"] for name in seen}


def ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or ()
    there = any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)
    return there and "deletionTimestamp" not in pod["metadata"]


def take_pod(cluster: Cluster, seen: Seen, name: str) -> None:
    """Delete a pod of the version that serves."""
    revision = cluster.status("InferenceService", name)["stable"]["revision"]
    pods = cluster.list("Pod", f"modelmill.dev/inference-service={name},modelmill.dev/revision={revision}")
    meta = next(one["metadata"] for one in pods if ready(one))
    seen.taken.add(meta["uid"])
    cluster.delete("Pod", meta["name"])


def play(cluster: Cluster, seen: dict[str, Seen]) -> None:
    """Play the rounds: a story of each service in each, a lost pod and a killed operator besides."""
    chance = random.Random(SEED)
    persons = {name: Person(cluster, name, random.Random(f"{SEED} {name}"), iter(range(2, 1000))) for name in ROLLOUTS}
    # The services have other stories at the same time, and each has all of them in time.
    orders = {name: chance.sample(STORIES, len(STORIES)) for name in ROLLOUTS}
    for number in range(ROUNDS):
        stories = {}
        for name, order in orders.items():
            story = order[number % len(order)]
            seen[name].stories.append(story)
            stories[name] = persons[name].tell(story)
        waits = {name: next(story) for name, story in stories.items()}
        until = time.monotonic() + SECONDS
        strikes = sorted([(3 + 9 * chance.random(), "pod"), (3 + 9 * chance.random(), "operator")])
        began = time.monotonic()
        while waits or strikes:
            statuses = look(cluster, seen)
            while strikes and time.monotonic() - began > strikes[0][0]:
                if strikes.pop(0)[1] == "operator":
                    cluster.kill_operator()
                else:
                    name = chance.choice(list(ROLLOUTS))
                    take_pod(cluster, seen[name], name)
            for name in [one for one, true in waits.items() if true(statuses[one])]:
                following = next(stories[name], None)
                if following is None:
                    del waits[name]
                else:
                    waits[name] = following
            assert time.monotonic() < until, f"{ {one: seen[one].stories[-1] for one in waits} }\n{cluster.explain()}"
            time.sleep(0.3)
    rest = time.monotonic() + 2 * LAG
    while time.monotonic() < rest:
        look(cluster, seen)
        time.sleep(0.3)


def test_invariants_counted_from_the_requests(served: Cluster, gateway: dict[str, str]) -> None:
    address = urlsplit(gateway["url"]).hostname or ""
    seen = {name: Seen() for name in ROLLOUTS}
    with ExitStack() as stack:
        loads = {
            name: stack.enter_context(Running(address, name, RATE, 10**6, host(name), each=True)) for name in ROLLOUTS
        }
        play(served, seen)
    for name, record in seen.items():
        account = loads[name].account
        print(name, record.stories, account["sent"], account["versions"])
        assert account["failures"] == [], name
        assert {generation for _, _, generation, _, _ in record.states} == {1}, "the spec was written"
        check_states(record)
        check_answers(name, [(one[0], one[1], one[2]) for one in account["answers"]], record)


def check_states(record: Seen) -> None:
    """What the statuses and pods say from one look to the next."""
    for (_, _, _, before, pods), (_, _, _, after, later) in pairwise(record.states):
        assert after["stable"]["replicas"] == 2, "the stable version gave up pods"
        was, now = before["stable"]["version"], after["stable"]["version"]
        candidate, following = before.get("canary") or {}, after.get("canary") or {}
        if was != now and candidate.get("version") == now:
            kept = {uid for uid, version in pods.items() if version == now} - record.taken
            assert kept <= set(later), "a promotion made other pods"
        if candidate.get("revision") == following.get("revision") and {before["phase"], after["phase"]} <= set(GOES_ON):
            assert following.get("weight", 0) >= candidate.get("weight", 0), "a weight fell back"


def check_answers(name: str, answers: list[tuple[float, float, str]], record: Seen) -> None:
    """What the requests were answered by, in each time in which the status stayed as it was."""
    by_weight: dict[int, Counter[bool]] = {}
    for begins, ends, status in spans(record):
        stable, canary = status["stable"]["version"], status.get("canary")
        inside = [version for asked, came, version in answers if begins + LAG <= asked and came <= ends]
        got = Counter(inside)
        if canary is None or status["phase"] not in GOES_ON or canary["weight"] == 0:
            assert set(got) <= {stable}, f"{name}: {got} while {stable} alone serves, {status['phase']}"
            continue
        assert set(got) <= {stable, canary["version"]}, f"{name}: {got}"
        if canary.get("actualWeight") == canary["weight"]:
            counts = by_weight.setdefault(canary["weight"], Counter())
            counts.update(version == canary["version"] for version in inside)
    for weight, counts in by_weight.items():
        share, wanted = counts[True] / max(1, counts.total()), weight / 100
        spread = SIGMAS * sqrt(wanted * (1 - wanted) / max(1, counts.total()))
        print(name, f"weight {weight}: {share:.3f} of {counts.total()}, {wanted} +- {spread:.3f} by chance")
        assert abs(share - wanted) <= spread or not counts, f"{name}: {share} of {counts.total()} at weight {weight}"
    if name == "canary":
        assert {20, 60} <= set(by_weight), "too little was seen"


def spans(record: Seen) -> Iterator[tuple[float, float, Status]]:
    """Yield the times in which what decides about answers stayed the same, s since 1970, with the status."""

    def decides(status: Status) -> tuple[Any, ...]:
        canary = status.get("canary") or {}
        parts = ("version", "weight", "actualWeight")
        return (status["phase"] in GOES_ON, status["stable"]["version"], *(canary.get(part) for part in parts))

    begins, first = record.states[0][1], record.states[0][3]
    last = begins
    for asked, told, _, status, _ in record.states[1:]:
        if decides(status) != decides(first):
            yield begins, last, first
            begins, first = told, status
        last = asked
    yield begins, last, first
