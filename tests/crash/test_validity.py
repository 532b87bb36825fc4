"""What Kubernetes refuses and takes of the objects that the operator makes, asked of the API server in memory."""

from __future__ import annotations

import pytest

from tests.crash.validity import refusals
from tests.support import objects as o
from tests.support.refused_pods import REFUSED, TAKEN, job


@pytest.mark.parametrize("name", REFUSED)
def test_what_kubernetes_refuses_of_a_pod(name: str) -> None:
    change, path = REFUSED[name]
    assert [path in told for told in refusals(job(name, change))] == [True]


@pytest.mark.parametrize("name", TAKEN)
def test_what_kubernetes_takes_of_a_pod(name: str) -> None:
    assert list(refusals(job(name, TAKEN[name]))) == []


def test_names_and_labels_are_looked_at() -> None:
    made = o.training_job()
    for kind, name in (("Service", "9cars"), ("Job", "c" * 64), ("Deployment", "a_b"), ("ConfigMap", "")):
        assert [*refusals({**made, "kind": kind, "metadata": {"name": name}, "spec": POD})], kind
    label = {**made, "kind": "Service", "metadata": {"name": "cars", "labels": {"a": "x" * 64}}}
    assert [*refusals(label)] == [f"metadata.labels.a: Invalid value: {'x' * 64!r}"]


POD = {"template": {"metadata": {}, "spec": {"containers": []}}}
