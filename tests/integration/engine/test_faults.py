"""The real operator while its API server fails: it converges, nothing is lost, nothing is made twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.bench import load
from hack.bench.operator_process import OperatorProcess
from tests.integration.engine.fault_proxy import FaultProxy, fault_proxy
from tests.support.api_server import Cluster, Start, objects_of_each_kind
from tests.support.operated import all_serve, created_jobs, run_started

pytestmark = pytest.mark.integration

COUNT = 4
StartThrough = Callable[..., OperatorProcess]


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FaultProxy, Path]]:
    with fault_proxy(cluster.kubeconfig, tmp_path, monkeypatch) as pair:
        yield pair


@pytest.fixture
def start_through(proxy: tuple[FaultProxy, Path], start: Start, tmp_path: Path) -> Iterator[StartThrough]:
    """Start an operator whose requests go through the proxy. `start` has cleared the lease."""
    running: list[OperatorProcess] = []

    def one(*, leading: bool = True) -> OperatorProcess:
        operator = OperatorProcess(proxy[1], tmp_path / "through.log", "through")
        running.append(operator)
        if leading:
            operator.wait_leading(60)
        return operator

    yield one
    for operator in running:
        operator.kill()


def one_job_each(cluster: Cluster, namespace: str) -> None:
    assert len(cluster.items("jobs", namespace)) == COUNT
    assert len(created_jobs(cluster)) == COUNT


@pytest.mark.parametrize("status", [409, 422, 429, 500])
def test_every_third_write_refused(
    cluster: Cluster, namespace: str, proxy: tuple[FaultProxy, Path], start_through: StartThrough, status: int
) -> None:
    chance = random.Random(status)
    proxy[0].refuse = lambda method, path: (
        status if method not in ("GET", "DELETE") and "leases" not in path and chance.random() < 1 / 3 else None
    )
    cluster.audit.mark()
    operator = start_through()
    cluster.apply(*objects_of_each_kind(namespace, COUNT))
    cluster.eventually(lambda: all_serve(cluster, namespace, COUNT), "children of every object", 180)
    operator.wait_quiet(120, still=5)
    assert proxy[0].refused > 0
    one_job_each(cluster, namespace)


def test_streams_that_are_cut_again_and_again(
    cluster: Cluster, namespace: str, proxy: tuple[FaultProxy, Path], start_through: StartThrough
) -> None:
    cluster.audit.mark()
    start_through()
    stop, cuts = threading.Event(), []

    def cut() -> None:
        while not stop.wait(0.5):
            cuts.append(proxy[0].cut(expired=len(cuts) % 3 == 2))

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        cluster.apply(*objects_of_each_kind(namespace, COUNT))
        cluster.eventually(lambda: all_serve(cluster, namespace, COUNT), "children of every object", 180)
    finally:
        stop.set()
        thread.join()
    assert sum(cuts) > 0
    one_job_each(cluster, namespace)


def test_a_deletion_that_no_stream_tells_is_noticed_when_the_stream_begins_anew(
    cluster: Cluster, namespace: str, proxy: tuple[FaultProxy, Path], start_through: StartThrough
) -> None:
    operator = start_through()
    cluster.apply(load.training_job(namespace, "cars"))
    job = run_started(cluster, namespace)["job"]
    operator.wait_quiet(60)
    proxy[0].drop = lambda path, event: path.endswith("/jobs")
    cluster.kubectl("delete", "job", job, "-n", namespace)
    cluster.eventually(lambda: proxy[0].dropped > 0, "a swallowed event")
    operator.wait_quiet(60)
    assert run_started(cluster, namespace)["job"] == job  # nobody told it
    proxy[0].drop = lambda _path, _event: False
    proxy[0].cut(expired=True)
    last = cluster.eventually(lambda: cluster.status("trainingjobs", namespace, "cars").get("lastRun"), "the end")
    assert last["cause"] == "JobDeleted"


def test_killed_after_every_write(
    cluster: Cluster, namespace: str, proxy: tuple[FaultProxy, Path], start_through: StartThrough
) -> None:
    """The API server has done the write, the operator dies before it learns of it; again and again until all is done."""
    cluster.audit.mark()
    cluster.apply(load.model_version(namespace, "cars"))
    cluster.apply(load.training_job(namespace, "bikes"), load.inference_service(namespace, "cars"))
    deaths: list[str] = []
    victim: list[OperatorProcess] = []

    def die(method: str, path: str) -> None:
        if method in ("POST", "PUT", "PATCH", "DELETE") and "leases" not in path and victim:
            deaths.append(f"{method} {path}")
            victim.pop().process.kill()

    proxy[0].after = die
    for _ in range(60):
        cluster.kubectl("delete", "lease", "modelmill-operator", "-n", "modelmill-system", "--ignore-not-found")
        victim[:] = [start_through(leading=False)]
        operator = victim[0]
        if quiet_before_it_dies(operator):
            break
    assert operator.alive(), f"never done: {deaths}"
    assert len(deaths) >= 3, deaths  # writes that are under way together are one death
    assert len(created_jobs(cluster)) == len(cluster.items("jobs", namespace)) == 1
    assert all_serve(cluster, namespace, 1)
    assert cluster.status("trainingjobs", namespace, "bikes")["currentRun"]["number"] == 1


def quiet_before_it_dies(operator: OperatorProcess) -> bool:
    """Tell whether it came to rest; False when it died."""
    last, changed = -1.0, time.monotonic()
    while operator.alive():
        current = operator.reconciles()
        if current != last or current == 0:
            last, changed = current, time.monotonic()
        elif time.monotonic() - changed > 3:
            return True
        assert time.monotonic() - operator.started < 60, operator.tail()
        time.sleep(0.2)
    return False
