"""One operator for some namespaces, and what an operator does while it ends."""

from __future__ import annotations

import pytest

from hack.bench import load
from tests.support.api_server import LEASE, Cluster, Start
from tests.support.operated import run_started

pytestmark = pytest.mark.integration


def test_an_operator_of_two_namespaces_leaves_the_others_alone(
    cluster: Cluster, namespace: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, foreign = (cluster.server.new_namespace(f"{namespace}-{name}") for name in ("second", "foreign"))
    monkeypatch.setenv("MODELMILL_NAMESPACES", f"{namespace}, {second}")
    operator = start()
    cluster.apply(*(load.training_job(where, "cars") for where in (foreign, namespace, second)))
    for where in (namespace, second):
        assert run_started(cluster, where)["number"] == 1
    operator.wait_quiet(60)
    assert cluster.items("jobs", foreign) == []
    assert cluster.status("trainingjobs", foreign, "cars") == {}
    for where in (second, foreign):
        cluster.kubectl("delete", "trainingjobs,jobs", "--all", "-n", where)


def test_an_operator_of_thirty_namespaces_starts_and_works_in_each(
    cluster: Cluster, namespace: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream for each kind in each of them, and a connection for each stream, beside those of the requests."""
    others = [cluster.server.new_namespace(f"{namespace}-{number}") for number in range(29)]
    monkeypatch.setenv("MODELMILL_NAMESPACES", ",".join([namespace, *others]))
    operator = start()
    last = others[-1]
    cluster.apply(*(load.training_job(where, "cars") for where in (namespace, last)))
    for where in (namespace, last):
        assert run_started(cluster, where)["number"] == 1
    operator.wait_quiet(60)
    # A stream of the last one tells: the Job's deletion is seen.
    cluster.kubectl("delete", "jobs", "--all", "-n", last)
    cluster.eventually(lambda: cluster.status("trainingjobs", last, "cars").get("lastRun"), "the end of the run")
    cluster.kubectl("delete", "namespace", *others, "--wait=false")


def test_told_to_stop_in_the_middle_of_work_it_hands_over_and_nothing_is_lost(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    names = [f"cars-{number}" for number in range(60)]
    first = start("first")
    cluster.audit.mark()
    cluster.apply(*(load.training_job(namespace, name) for name in names))
    assert first.terminate() == 0
    lease = cluster.find(*LEASE)
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")
    second = start("second")
    cluster.eventually(lambda: len(cluster.items("jobs", namespace)) == len(names), "a Job for each")
    second.wait_quiet(60)
    runs = [one["status"]["currentRun"]["number"] for one in cluster.items("trainingjobs", namespace)]
    assert runs == [1] * len(names)
