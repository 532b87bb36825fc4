"""The queries of the chart's dashboards, asked of a real Prometheus that scrapes a real server and an operator's registry."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.linear_model import LinearRegression

from hack.artifacts import signature_of, write_artifact, write_manifest
from hack.dashboards.service import psi
from modelmill.contracts import names
from modelmill.contracts.artifact import canonical
from modelmill.contracts.drift import stability
from modelmill_trainer.reference import make_profile
from tests.support.asked_models import plain
from tests.support.dashboards import asked, resolved
from tests.support.fitted import cars, on_columns
from tests.support.model_server import Launcher, Running, free_port, launch_shared, server_environment
from tests.support.programs import debian_program

__all__ = ["launch_shared"]
pytestmark = pytest.mark.integration

WAIT_SECONDS = 60  # a limit, not an expectation
NOTHING = " or vector(0)"
FEEDBACK_ROWS = 100  # answers of more rows have no id
POD = "cars-0123456789-7c9d8b6f5-abcde"
# The operator's metrics with a sample of each, as if each had happened.
OPERATOR = """
import sys, time
from prometheus_client import REGISTRY, start_http_server
from prometheus_client.metrics import MetricWrapperBase
import modelmill.app
from modelmill.engine.metrics import WATCH_LAST_EVENT
start_http_server(int(sys.argv[1]), "127.0.0.1")
WATCH_LAST_EVENT.labels("NeverWatched")
metrics = [one for one in REGISTRY._collector_to_names if isinstance(one, MetricWrapperBase)]
kinds = {"kind": "TrainingJob", "reason": "RunFailed"}
while True:
    for one in metrics:
        child = one.labels(**{name: kinds.get(name, "some") for name in one._labelnames}) if one._labelnames else one
        child.observe(0.01) if one._type == "histogram" else child.inc()
    time.sleep(0.2)
"""


class Prometheus:
    """A Prometheus of this machine."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the samples of an expression, at a moment or now. Fails with what Prometheus says of it."""
        asked = {"query": expression, **({"time": f"{at:.3f}"} if at is not None else {})}
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{expression}: {error.read().decode()}")
        return found


@pytest.fixture(scope="module")
def server(launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Running:
    frame, target = cars("unknown")
    folder: Path = tmp_path_factory.mktemp("artifact")
    model = on_columns(LinearRegression(), frame).fit(frame, target)
    write_artifact(folder, model, frame)
    # The trainer's own profile, which has ranges and magnitudes.
    profile = make_profile(frame, target, model.predict(frame), {"power": 0.5, "origin": 0.1})
    (folder / "profile.json").write_bytes(canonical(profile))
    write_manifest(folder, "onnx", signature_of(model, frame))
    return launch_shared(folder, MODEL_NAME="cars", MODEL_VERSION="cars-1", FEEDBACK_KEY="k" * 32)


@pytest.fixture(scope="module")
def prometheus(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    program, folder = debian_program("prometheus", "prometheus"), tmp_path_factory.mktemp("prometheus")
    port, operator = free_port(), free_port()
    targets = {"servers": (server.port, {"namespace": "ml", "pod": POD}), "operator": (operator, {})}
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{at}"], "labels": labels}]}
        for name, (at, labels) in targets.items()
    ]
    timed = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"global": timed, "scrape_configs": jobs}))
    commands = [
        [sys.executable, "-c", OPERATOR, str(operator)],
        [
            program,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
    ]
    running = [subprocess.Popen(command, env=server_environment()) for command in commands]
    try:
        yield waited_for(Prometheus(port), server)
    finally:
        for process in running:
            process.kill()
            process.wait()


def waited_for(prometheus: Prometheus, server: Running) -> Prometheus:
    """Ask the server until what it counted has grown between two scrapes, and the operator was scraped twice too."""
    deadline = time.monotonic() + WAIT_SECONDS
    grown = ("increase(modelmill_feedback_total[1m])", "increase(modelmill_alerts_total[1m])")
    while not all(_grown(prometheus, one) for one in grown):
        assert time.monotonic() < deadline, [_grown(prometheus, one) for one in grown]
        predict(server)
        time.sleep(0.5)
    return prometheus


def _grown(prometheus: Prometheus, expression: str) -> bool:
    try:
        return any(float(one["value"][1]) > 0 for one in prometheus.query(expression))
    except OSError:
        return False


def predict(server: Running) -> None:
    """Ask for predictions of other rows than the training data's, bring their labels, and send one value that is refused."""
    frame, target = cars("unknown")
    frame = frame.head(FEEDBACK_ROWS)
    inputs = [
        {
            "name": one["name"],
            "datatype": one["datatype"],
            "shape": [len(frame)],
            "data": [plain(value) for value in frame[one["name"]].astype(object)],
        }
        for one in server.get("/v2/models/cars").json()["inputs"]
    ]
    power = next(one["data"] for one in inputs if one["name"] == "power")
    power[:] = [value and 1.2 * value for value in power]
    answer = server.post("/v2/models/cars/infer", {"inputs": inputs})
    assert answer.status == 200, answer.body
    told = {"id": answer.headers["modelmill-feedback-id"], "labels": list(target[:FEEDBACK_ROWS])}
    assert server.post("/feedback", told).status == 200
    power[0] = "no number"
    assert server.post("/v2/models/cars/infer", {"inputs": inputs}).status == 400


def test_each_query_of_the_operators_dashboard_has_an_answer(prometheus: Prometheus) -> None:
    for query in asked("modelmill-operator"):
        assert prometheus.query(resolved(query).removesuffix(NOTHING)), query


def test_without_an_operator_there_are_no_leaders(prometheus: Prometheus) -> None:
    (query,) = (one for one in asked("modelmill-operator") if one.endswith(NOTHING))
    (answer,) = prometheus.query(query.replace("$job", "another"))
    assert answer["value"][1] == "0"


def test_a_kind_that_was_never_watched_is_not_called_silent(prometheus: Prometheus) -> None:
    name = "modelmill_watch_last_event_timestamp_seconds"
    (query,) = (one for one in asked("modelmill-operator") if name in one)
    assert {one["metric"]["kind"] for one in prometheus.query(name)} == {"NeverWatched", "TrainingJob"}
    assert [one["metric"]["kind"] for one in prometheus.query(resolved(query))] == ["TrainingJob"]


SUBJECTS = [
    (names.METRIC_FEATURE_BIN, names.METRIC_FEATURE_REFERENCE, ["feature"]),
    (names.METRIC_PREDICTION_BIN, names.METRIC_PREDICTION_REFERENCE, []),
]
# Of classifiers, and of Prometheus' own alerts, of which it has none.
EMPTY = ('result="wrong"', "ALERTS", "offset")


def test_each_query_of_the_services_dashboard_has_an_answer(prometheus: Prometheus) -> None:
    for query in asked("modelmill-service"):
        answer = prometheus.query(resolved(query))
        assert answer or any(words in query for words in EMPTY), query
        assert not [one for one in answer if one["value"][1] == "NaN" and "quantile" not in query], query


@pytest.mark.parametrize(("counter", "reference", "by"), SUBJECTS)
def test_the_psi_is_that_of_the_contracts(prometheus: Prometheus, counter: str, reference: str, by: list[str]) -> None:
    """The dashboard's own formula against the one that the operator goes by, on the same counters at the same moment."""
    at = time.time()
    time.sleep(1.5)  # a scrape that began before is stored by then
    counted, shares = bins(prometheus, f"increase({counter}[1m])", at), bins(prometheus, reference, at)
    rows = float(prometheus.query(names.METRIC_REFERENCE_ROWS, at)[0]["value"][1])
    found = prometheus.query(resolved(psi(counter, reference, *by)), at)
    assert len(found) == len(counted) > 0
    for one in found:
        feature = one["metric"].get("feature", "")
        expected = stability(shares[feature], rows, counted[feature])
        assert expected is not None
        assert float(one["value"][1]) == pytest.approx(max(expected.index, 0), rel=1e-6, abs=1e-9)


def bins(prometheus: Prometheus, expression: str, at: float) -> dict[str, dict[str, float]]:
    """Return the values of an expression by feature and bin."""
    found: dict[str, dict[str, float]] = {}
    for one in prometheus.query(expression, at):
        found.setdefault(one["metric"].get("feature", ""), {})[one["metric"]["bin"]] = float(one["value"][1])
    return found
