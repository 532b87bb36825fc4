"""The corpus behind nginx and behind Envoy: a request means the same to both ends.

Both sides write down what they saw. Everything that the server handled is a request that the proxy passed on, so nothing
in a body became a request; everything that was answered was handled; what is good is not refused by the server; and
behind every stream a client that shares the proxy's connections gets its own answer. MODELMILL_EDGE_SHARE=1 sends every
row; otherwise one of so many is sent.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.corpus import ALL
from tests.edge.offers import WEBSOCKET
from tests.edge.streams import CHUNKED, Family, Stream
from tests.integration.server.attacked import Attacked
from tests.integration.server.proxies import PROXIES, Asked, Proxy
from tests.support.model_server import Launcher

HEALTH = ("GET", "/v2/health/ready")  # asked beside the proxy
SHARE = int(os.environ.get("MODELMILL_EDGE_SHARE", "8"))
SENT = Family("all", ALL[::SHARE], 64 * 1024)
NEVER_PASSED_ON = (101, 500)


@pytest.fixture
def attacked(launch: Launcher, tmp_path: Path) -> Attacked:
    return Attacked.start(launch, tmp_path)


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest, attacked: Attacked, tmp_path: Path) -> Iterator[Proxy]:
    with PROXIES[request.param](tmp_path, attacked.running.port) as proxy:
        yield proxy


def test_request_means_the_same_to_both_ends(attacked: Attacked, proxy: Proxy) -> None:
    wrong = []
    with attacked.watched(SENT):
        for stream, seen in attacked.play(proxy.port, SENT):
            if seen.trouble and not (proxy.speaks_the_first_version and is_of_the_first_version(stream)):
                wrong.append(f"{stream.name}: {seen.statuses[-5:]} {seen.after} {seen.trouble}")
            wrong += [f"{stream.name}: {status}" for status in seen.statuses if status in NEVER_PASSED_ON]
            if is_good(stream):
                refused = [answer.body for answer in seen.answers if answer.body.startswith(b'{"error"')]
                wrong += [f"{stream.name}: {words.decode()}" for words in refused[:1]]
    handled, passed, answered = settled(attacked, proxy)
    assert not wrong, f"{len(wrong)} of {len(SENT.streams)}:\n" + "\n".join(wrong)
    assert handled - passed == Counter(), "the server handled what the proxy had not passed on"
    assert answered - handled == Counter(), "the proxy passed on answers to what the server had not handled"
    assert answered.total() > len(SENT.streams), "too little was passed on to prove anything"
    assert "Traceback" not in attacked.running.log.read_text(errors="replace")


def is_good(stream: Stream) -> bool:
    """Return whether nothing but 200 is right: then no refusal is the server's own, which are told from a proxy's by words.

    Envoy keeps what comes in chunks behind an offer of websockets for the other protocol.
    """
    kept = WEBSOCKET[1] in (data := stream.data()) and CHUNKED in data
    return not kept and all(answer == {200} for outcome in stream.outcomes for answer in outcome.answers)


def is_of_the_first_version(stream: Stream) -> bool:
    """Return whether the answer is one without a head, as HTTP/0.9 has it."""
    return b"HTTP/" not in stream.data().lstrip().partition(b"\n")[0]


def settled(attacked: Attacked, proxy: Proxy) -> tuple[Asked, Asked, Asked]:
    """Return what the server handled, what the proxy passed on, and what of it was answered, when both are quiet."""
    handled: Asked = Counter()
    passed: Asked = Counter()
    answered: Asked = Counter()
    deadline, quiet = time.monotonic() + 20, 0
    while quiet < 5 and time.monotonic() < deadline:
        of_server = attacked.newly_handled()
        of_proxy, of_both = proxy.seen()
        quiet = quiet + 1 if not of_proxy and not of_server else 0
        handled, passed, answered = handled + of_server, passed + of_proxy, answered + of_both
        time.sleep(0.1)
    del handled[HEALTH]
    return handled, passed, answered
