"""A store that takes no connection: its port is closed, or is full and answers no SYN."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from modelmill.contracts import names
from tests.integration.store_faults import programs
from tests.integration.store_faults.cells import Surroundings, Work, clear


@pytest.fixture(params=["closed", "full"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        port = stack.enter_context(socket.socket())
        port.bind(("127.0.0.1", 0))
        if request.param == "full":
            port.listen(0)
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                with suppress(BlockingIOError):
                    waiting.connect(port.getsockname())
        yield f"http://127.0.0.1:{port.getsockname()[1]}"


@pytest.mark.parametrize("program", [programs.FETCH, programs.PUBLISH, programs.SERVER_FETCH])
def test_it_is_told_and_tried_again_later(surroundings: Surroundings, endpoint: str, program: str) -> None:
    work = Work(surroundings, surroundings.folder / "alone", "alone/", endpoint)
    ended = work.program(program).run()
    clear(work)
    assert (ended.code, ended.failure.reason) == (names.EXIT_RETRY, "StoreUnreachable"), ended.err
    words = " ".join(ended.failure.reasons)
    assert endpoint in words
    assert "s3://mill/alone/" in words
    assert "Traceback" not in ended.err


def test_the_payload_log_counts_what_it_loses(surroundings: Surroundings, endpoint: str) -> None:
    work = Work(surroundings, surroundings.folder / "alone", "alone/", endpoint)
    ended = work.program(programs.LOG).run()
    clear(work)
    counts = json.loads(ended.out)
    assert counts["written"] == 0
    assert f"{programs.RECORDS} records were not stored" in ended.err
