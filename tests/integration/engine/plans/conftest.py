"""An API server with Kubernetes' controllers, for plans of faults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.bench.light import LightServer
from modelmill.engine.login import Login, login
from tests.integration.engine.plans.kubelet import free_port
from tests.integration.engine.plans.live_world import Server


@pytest.fixture(scope="session")
def light_server() -> Iterator[LightServer]:
    server = LightServer.up(f"test-plans-{os.getpid()}", "--controller-manager")
    yield server
    server.down()


@pytest.fixture(scope="session")
def server(light_server: LightServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    kubeconfig = light_server.install(tmp_path_factory.mktemp("operator"))
    return Server(_login(light_server.admin), kubeconfig, _login(kubeconfig), free_port())


def _login(kubeconfig: Path) -> Login:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        return login()
