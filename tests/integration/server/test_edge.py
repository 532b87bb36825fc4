"""The corpus of hostile byte streams against the real server: every row gets its answer, and nobody else notices."""

from __future__ import annotations

import pytest

from tests.edge.corpus import FAMILIES
from tests.integration.server.attacked import LOG_LINES, Attacked
from tests.support.model_server import Launcher


@pytest.fixture(scope="module")
def attacked(launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    return Attacked.start(launch_shared, tmp_path_factory.mktemp("edge"))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_stream_gets_its_answer(attacked: Attacked, name: str) -> None:
    wrong = []
    with attacked.watched(FAMILIES[name]):
        for stream, seen in attacked.play(attacked.running.port, FAMILIES[name]):
            if seen.trouble or not any(right.fits(seen.statuses, seen.after) for right in stream.outcomes):
                wrong.append(
                    f"{stream.name}: {seen.statuses[-5:]} {seen.after} {seen.trouble}, not {stream.right[:60]}"
                )
    assert not wrong, f"{len(wrong)} of {len(FAMILIES[name].streams)}:\n" + "\n".join(wrong)


def test_log_of_the_whole_corpus_is_short(attacked: Attacked) -> None:
    log = attacked.running.log.read_text(errors="replace")
    assert "Traceback" not in log, log[-3000:]
    assert len(log.splitlines()) < LOG_LINES, log[-3000:]
