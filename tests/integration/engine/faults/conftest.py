"""An API server with Kubernetes' controllers, and worlds on it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hack.bench.light import LightServer
from modelmill.engine.login import Login, login
from tests.crash.scenarios import Scenario, publishes
from tests.crash.surroundings import Ending
from tests.integration.engine.faults.kubelet import free_port
from tests.integration.engine.faults.live_api import Object
from tests.integration.engine.faults.live_world import LiveWorld, Server
from tests.integration.engine.faults.plan import Clean, LivePlan, Played, play
from tests.support.results import Result, record

FAULTS = {
    "test_a_missing_kind_stops_its_own_objects_only": "F16",
    "test_permissions_taken_and_given_back": "F17",
    "test_a_namespace_goes_with_all_that_is_in_it": "F20",
    "test_a_component_that_dies_and_comes_back": "F14",
    "test_releases_take_over_from_each_other": "F32",
}
"""Where docs/reliability.md has what a test does."""
CONTROLLERS = "--controller-manager"
AT_ONCE = 6
NewWorld = Callable[..., LiveWorld]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record what a test that is a plan of its own has found."""
    report = yield
    name = getattr(item, "originalname", "")
    if report.when == "call" and not report.skipped and name in FAULTS:
        problems = [report.longreprtext[-1000:]] if report.failed else []
        record(
            Result(
                "1", FAULTS[name], name.removeprefix("test_").replace("_", " "), item.nodeid, report.duration, problems
            )
        )
    return report


@pytest.fixture(scope="session")
def light_server() -> Iterator[LightServer]:
    server = LightServer.up(f"test-faults-{os.getpid()}", CONTROLLERS)
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


@contextmanager
def without(light_server: LightServer, component: str) -> Iterator[None]:
    """Kill a component of the API server's cluster, and start it again with its data."""
    known: Mapping[str, Any] = json.loads((light_server.admin.parent / "processes.json").read_text())
    os.kill(known[component]["pid"], signal.SIGKILL)
    try:
        yield
    finally:
        LightServer.up(light_server.name, CONTROLLERS)


class Stages:
    """Plays scenarios, each in a namespace of its own; some at once."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._numbers = itertools.count(int(time.time()))
        self._clean: dict[Scenario, Clean] = {}

    def clean(self, scenarios: Iterable[Scenario]) -> Mapping[Scenario, Clean]:
        """Return the undisturbed runs of scenarios; each is played once in a session."""
        wanted = list(scenarios)
        missing = [one for one in wanted if one not in self._clean]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            runs = list(pool.map(lambda one: play(self._server, one, *self._place()), [*missing, *missing]))
        for place, one in enumerate(missing):
            self._clean[one] = Clean.of(runs[place], runs[place + len(missing)])
        return {one: self._clean[one] for one in wanted}

    def play(self, plans: Iterable[LivePlan]) -> list[Played]:
        """Play plans whose clean runs were played."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(
                pool.map(lambda plan: plan.play(self._server, *self._place(), self._clean[plan.scenario]), plans)
            )

    def world(
        self, endings: Callable[[Object, int], Ending] = publishes, settings: Mapping[str, str] | None = None
    ) -> LiveWorld:
        """Return a world that a test plays in; the test stops it."""
        namespace, folder = self._place()
        folder.mkdir()
        return LiveWorld(self._server, namespace, folder, endings, settings=settings)

    def _place(self) -> tuple[str, Path]:
        name = f"faults-{next(self._numbers)}"
        return name, self._folder / name


@pytest.fixture(scope="session")
def stages(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return Stages(server, tmp_path_factory.mktemp("stages"))


@pytest.fixture
def new_world(stages: Stages) -> Iterator[NewWorld]:
    """Make worlds; they end with the test, and no exception may be in their operators' logs."""
    made: list[LiveWorld] = []

    def one(*arguments: Any, **more: Any) -> LiveWorld:
        made.append(stages.world(*arguments, **more))
        return made[-1]

    yield one
    for world in made:
        world.stop()
        world.api.drop_namespace()
    for world in made:
        assert "Traceback" not in world.logged(), world.logged()[-5000:]
