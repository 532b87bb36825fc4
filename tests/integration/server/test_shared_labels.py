"""Three servers that share the labels: whichever is asked, and however often, a label is counted once."""

from __future__ import annotations

import pytest

from tests.support.model_server import Launcher, Running, free_port
from tests.support.predictors import write_predictor

HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")  # 127.0.0.1 is the way to all of them, so each would take it for itself
LABELS = 30


@pytest.fixture
def servers(launch: Launcher, tmp_path_factory: pytest.TempPathFactory) -> list[Running]:
    folder = write_predictor(tmp_path_factory.mktemp("artifact") / "demo")
    port = free_port()
    told = {
        "ALLOW_PYTHON": "1",
        "MODEL_NAME": "demo",
        "FEEDBACK_KEY": "0123456789abcdef",
        "FEEDBACK_PEERS": ",".join(HOSTS),
    }
    return [launch(folder, host=host, port=port, **told) for host in HOSTS]


def test_a_label_is_counted_once_whoever_is_told(servers: list[Running]) -> None:
    ids = []
    for number in range(LABELS):
        answer = servers[number % 3].post("/invocations", {"instances": [{"x": float(number)}]})
        ids.append(answer.headers["modelmill-feedback-id"])
    for begin in range(3):
        for number, token in enumerate(ids):
            status = servers[(begin + number) % 3].post("/feedback", {"id": token, "label": 1.0}).status
            assert status == (409 if begin else 200)
    counted = [server.metric("modelmill_feedback_total") for server in servers]
    assert sum(counted) == LABELS
    assert all(counted), "each has a share"
    assert sum(server.metric("modelmill_feedback_passed_on_total", result="counted") for server in servers) > 0


def test_a_label_whose_owner_is_gone_is_counted(servers: list[Running]) -> None:
    servers[2].terminate()
    for number in range(LABELS):
        answer = servers[0].post("/invocations", {"instances": [{"x": float(number)}]})
        body = {"id": answer.headers["modelmill-feedback-id"], "label": 1.0}
        assert servers[0].post("/feedback", body).json() == {"accepted": 1}
    assert sum(server.metric("modelmill_feedback_total") for server in servers[:2]) == LABELS
    assert servers[0].metric("modelmill_feedback_passed_on_total", result="returned") > 0
