"""Two replicas: one works, the other stands by and takes over; nothing is made twice."""

from __future__ import annotations

import json
import signal
import threading
from datetime import datetime
from pathlib import Path

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


def test_a_leader_that_was_stopped_while_it_worked_writes_nothing_when_it_wakes(
    cluster: Cluster, namespace: str, start: Start, tmp_path: Path
) -> None:
    """By the API server's audit log: each operator has a token of its own."""
    names = [f"cars-{number}" for number in range(40)]
    leader = start("first", kubeconfig=cluster.server.login_as("modelmill-operator", tmp_path / "first.kubeconfig"))
    standby = start("second", leading=False)
    standby.wait(lambda: bool(standby.metrics()), 60, "up")
    cluster.audit.mark()
    load_goes_on = threading.Thread(target=cluster.apply, args=[load.training_job(namespace, name) for name in names])
    load_goes_on.start()
    cluster.eventually(lambda: created_jobs(cluster), "the first Job")
    leader.process.send_signal(signal.SIGSTOP)
    load_goes_on.join()
    (first,) = cluster.audit.write_times()
    # Of this one, too, there are events in the sockets of the operator that is stopped.
    cluster.apply(load.training_job(namespace, "last"))
    standby.wait_leading(60)
    cluster.eventually(lambda: len(cluster.items("jobs", namespace)) == len(names) + 1, "a Job for each")
    lease = cluster.find(*LEASE)
    assert lease is not None
    taken = datetime.fromisoformat(lease["spec"]["acquireTime"])
    leader.process.send_signal(signal.SIGCONT)
    assert leader.process.wait(60) == 1
    assert "leadership lost" in leader.log.read_text()
    standby.wait_quiet(60)
    times = cluster.audit.write_times()
    assert len(times) == 2
    assert max(datetime.fromisoformat(time) for time in times[first]) < taken
    assert len(created_jobs(cluster)) == len(names) + 1
