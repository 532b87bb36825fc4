"""The corpus behind nginx and behind Envoy: a request means the same to both ends.

Both sides write down what they saw. Everything that the server handled is a request that the proxy passed on, so nothing
in a body became a request; everything that was answered was handled; and behind every stream a client that shares the
proxy's connections gets its own answer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.edge.corpus import FAMILIES
from tests.edge.streams import Stream
from tests.integration.server.attacked import Attacked
from tests.integration.server.proxies import PROXIES, Asked, Proxy
from tests.support.model_server import Launcher

HEALTH = ("GET", "/v2/health/ready")  # asked beside the proxy


@dataclass
class Behind:
    attacked: Attacked
    proxy: Proxy
    is_nginx: bool


@pytest.fixture(scope="module", params=PROXIES)
def behind(
    request: pytest.FixtureRequest, launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Behind]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    attacked = Attacked.start(launch_shared, folder)
    with PROXIES[request.param](folder, attacked.running.port) as proxy:
        yield Behind(attacked, proxy, request.param == "nginx")


@pytest.mark.parametrize("name", FAMILIES)
def test_request_means_the_same_to_both_ends(behind: Behind, name: str) -> None:
    attacked, proxy = behind.attacked, behind.proxy
    wrong = []
    with attacked.watched(FAMILIES[name]):
        for stream, seen in attacked.play(proxy.port, FAMILIES[name]):
            if seen.trouble and not (behind.is_nginx and is_of_the_first_version(stream)):
                wrong.append(f"{stream.name}: {seen.statuses[-5:]} {seen.after} {seen.trouble}")
            wrong += [f"{stream.name}: {status}" for status in seen.statuses if status in (101, 500)]
    handled, passed, answered = settled(behind)
    assert not wrong, f"{len(wrong)} of {len(FAMILIES[name].streams)}:\n" + "\n".join(wrong)
    assert handled - passed == Counter(), "the server handled what the proxy had not passed on"
    assert answered - handled == Counter(), "the proxy passed on answers to what the server had not handled"


def is_of_the_first_version(stream: Stream) -> bool:
    """Return whether nginx answers without a head, as HTTP/0.9 has it."""
    return b"HTTP/" not in stream.data().lstrip().partition(b"\n")[0]


def settled(behind: Behind) -> tuple[Asked, Asked, Asked]:
    """Return what the server handled, what the proxy passed on, and what of it was answered, when both are quiet."""
    handled: Asked = Counter()
    passed: Asked = Counter()
    answered: Asked = Counter()
    deadline, quiet = time.monotonic() + 20, 0
    while quiet < 5 and time.monotonic() < deadline:
        of_server = behind.attacked.newly_handled()
        of_proxy, of_both = behind.proxy.seen()
        quiet = quiet + 1 if not of_proxy and not of_server else 0
        handled, passed, answered = handled + of_server, passed + of_proxy, answered + of_both
        time.sleep(0.1)
    del handled[HEALTH]
    return handled, passed, answered
