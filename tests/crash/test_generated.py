"""What the CRDs take goes through the whole control loop: no exception, rest, statuses and children that the API server takes.

`MODELMILL_CRASH_OBJECTS` is how many worlds are made up, by the seeds from `MODELMILL_CRASH_SEED`;
`tests.crash.odd.problems_of(SEED)` plays one again.
"""

from __future__ import annotations

import os
import time

import pytest

from modelmill.api.base import API_VERSION
from tests.crash.admission import defaulted, follows_rules, schemas
from tests.crash.generated import TABLE, Generator
from tests.crash.odd import problems_of
from tests.crash.validity import refusals
from tests.support import objects as o
from tests.support.results import Result, record

COUNT = int(os.environ.get("MODELMILL_CRASH_OBJECTS", "8"))
SEED = int(os.environ.get("MODELMILL_CRASH_SEED", "1"))
KINDS = tuple(kind for _, kind in schemas())


@pytest.mark.parametrize("seed", range(SEED, SEED + COUNT))
@pytest.mark.parametrize("forged", [False, True], ids=["specs", "statuses"])
def test_whatever_the_schema_takes_is_lived_through(seed: int, forged: bool) -> None:
    began = time.monotonic()
    problems = problems_of(seed, forged=forged)
    plan = f"tests.crash.odd.problems_of({seed}, forged={forged})"
    record(
        Result("0", "", "generated statuses" if forged else "generated specs", plan, time.monotonic() - began, problems)
    )
    assert problems == [], plan


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_makes_the_same_object_again_and_keeps_its_rules(kind: str) -> None:
    schema = schemas()[API_VERSION, kind]["properties"]["spec"]
    for seed in range(20):
        made = Generator(seed).one(kind, "cars")
        assert made == Generator(seed).one(kind, "cars")
        assert follows_rules(defaulted(made["spec"], schema), schema)


@pytest.mark.parametrize("kind", KINDS)
def test_odd_values_come_to_every_pattern(kind: str) -> None:
    texts = str([Generator(seed, bold=0.9).one(kind, "cars") for seed in range(100)])
    assert sum(str(text)[1:-1] in texts for table in TABLE.values() for text in table) > 30


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"nodeSelector": {"a b": "x"}}, "nodeSelector"),
        ({"serviceAccountName": "a..b"}, "serviceAccountName"),
        ({"tolerations": [{"operator": "Exists", "value": "x"}]}, "tolerations[0].operator"),
        ({"containers": [{"name": "main", "image": " "}]}, "containers[0].image"),
        ({"containers": [{"name": "main", "image": "a", "env": [{"name": "A=B"}]}]}, "env[0].name"),
        ({"containers": [{"name": "m", "image": "a", "resources": {"requests": {"gpu": "1"}}}]}, "requests[gpu]"),
        (
            {
                "containers": [
                    {"name": "m", "image": "a", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}
                ]
            },
            "resources.requests",
        ),
    ],
)
def test_what_kubernetes_refuses_of_a_pod(change: dict[str, object], path: str) -> None:
    job = {
        "kind": "Job",
        "metadata": {"name": "cars-1"},
        "spec": {"template": {"metadata": {}, "spec": {"containers": [{"name": "main", "image": "a"}]}}},
    }
    assert list(refusals(job)) == []
    job["spec"]["template"]["spec"] |= change  # type: ignore[index]
    assert path in next(refusals(job))


def test_names_and_labels_are_looked_at() -> None:
    made = o.training_job()
    for kind, name in (("Service", "9cars"), ("Job", "c" * 64), ("Deployment", "a_b"), ("ConfigMap", "")):
        assert [*refusals({**made, "kind": kind, "metadata": {"name": name}, "spec": POD})], kind
    label = {**made, "kind": "Service", "metadata": {"name": "cars", "labels": {"a": "x" * 64}}}
    assert [*refusals(label)] == [f"metadata.labels.a: Invalid value: {'x' * 64!r}"]


POD = {"template": {"metadata": {}, "spec": {"containers": []}}}
