"""Servers and client processes, each started once for all modules here, when the first test wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hack.artifacts import write_artifact
from tests.integration.server.clients.process import ClientProcess
from tests.integration.server.clients.served import VERSIONS, Served, fitted
from tests.support.model_server import Launcher, free_port


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    """The server of a model by its name."""
    launcher = Launcher(tmp_path_factory.mktemp("clients"))
    made: dict[str, Served] = {}

    def get(name: str) -> Served:
        if name not in made:
            estimator, frame = fitted(name)
            folder = tmp_path_factory.mktemp("artifact") / name
            write_artifact(folder, estimator, frame)
            port = free_port()
            running = launcher(folder, MODEL_NAME=name, MODEL_VERSION=VERSIONS[name], GRPC_PORT=str(port))
            made[name] = Served(name, VERSIONS[name], running, port, estimator, frame)
        return made[name]

    yield get
    launcher.close()


@pytest.fixture(scope="session")
def triton() -> Iterator[ClientProcess]:
    """tritonclient."""
    process = ClientProcess("kserve", "triton_calls")
    yield process
    process.close()


@pytest.fixture(scope="session")
def kserve() -> Iterator[ClientProcess]:
    """kserve's clients."""
    process = ClientProcess("kserve", "kserve_calls")
    yield process
    process.close()
