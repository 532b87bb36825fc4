"""The operator installed by its chart, once for all workers, and a namespace for each module."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.demo.kube import Kube, connect
from hack.demo.release import install
from tests.support.cluster import Cluster, namespace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in Path(str(item.fspath)).parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def kube() -> Kube:
    connected = connect()
    install(connected, print)
    return connected


@pytest.fixture(scope="module", autouse=True)
def _turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Modules with `ALONE = True` kill what all share, or take most of its CPU: they run while no other does."""
    alone = bool(getattr(request.module, "ALONE", False))
    with (Path(tempfile.gettempdir()) / "modelmill-e2e-turn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@pytest.fixture(scope="module")
def cluster(_turn: None, kube: Kube, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    short = request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_").replace("_", "-")
    with namespace(kube, short) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(cluster: Cluster) -> dict[str, str]:
    found = cluster.kube.status.get("gateway")
    if found is None:
        pytest.skip("there is no gateway in the cluster: python3 hack/cluster gateway up")
    return dict(found)
