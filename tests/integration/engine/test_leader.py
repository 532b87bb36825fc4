"""Two replicas: one works, the other stands by and takes over; nothing is made twice."""

from __future__ import annotations

import json

import pytest

from hack.bench import load
from tests.support.api_server import LEASE, Cluster, Start
from tests.support.operated import created_jobs, run_started

pytestmark = pytest.mark.integration


def holder(cluster: Cluster) -> str:
    lease = cluster.find(*LEASE) or {"spec": {}}
    return str(lease["spec"].get("holderIdentity") or "")


def test_the_standby_takes_over_from_a_killed_leader(cluster: Cluster, namespace: str, start: Start) -> None:
    leader = start("first")
    standby = start("second", leading=False)
    standby.wait(lambda: bool(standby.metrics()), 60, "up")
    assert holder(cluster) == "first"
    cluster.audit.mark()
    cluster.apply(load.training_job(namespace, "before"))
    first = run_started(cluster, namespace, "before")
    assert not standby.leads()
    leader.kill()
    cluster.apply(load.training_job(namespace, "between"))
    standby.wait_leading(60)
    assert holder(cluster) == "second"
    run_started(cluster, namespace, "between")
    standby.wait_quiet(60)
    assert run_started(cluster, namespace, "before") == first
    assert len(cluster.items("jobs", namespace)) == len(created_jobs(cluster)) == 2


def test_a_leader_told_to_stop_hands_over(cluster: Cluster, namespace: str, start: Start) -> None:
    leader = start("first")
    standby = start("second", leading=False)
    standby.wait(lambda: bool(standby.metrics()), 60, "up")
    assert leader.terminate() == 0
    # Released, not left to expire: whoever looks next may take it.
    lease = cluster.find(*LEASE)
    assert lease is not None
    assert lease["spec"].get("holderIdentity") in (None, "", "second")
    standby.wait_leading(60)
    cluster.apply(load.training_job(namespace, "cars"))
    assert run_started(cluster, namespace)["number"] == 1


def test_a_leader_whose_lease_is_taken_writes_no_more(cluster: Cluster, namespace: str, start: Start) -> None:
    leader = start("first")
    stolen = {
        "spec": {"holderIdentity": "thief", "leaseDurationSeconds": 3600, "renewTime": "2030-01-01T00:00:00.000000Z"}
    }
    cluster.kubectl("patch", *LEASE, "--type=merge", "-p", json.dumps(stolen))
    cluster.eventually(lambda: not leader.alive(), "the end of the old leader")
    assert leader.process.returncode == 1
    assert holder(cluster) == "thief"
