"""The route table: what is dispatched is what is documented."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from hack.artifacts import write_artifact
from modelmill_server.core.service import ModelService
from modelmill_server.http.messages import Answer, Request
from modelmill_server.lifecycle import load
from modelmill_server.protocols.application import Application
from modelmill_server.settings import Settings

NOT_THERE = (404, 405)
# Beside what is documented, each of these is tried with both methods; none may be answered.
OTHERS = ("/nothing", "/v2/models/demo/more", "/v1/models/demo:other", "/v2/models/demo/versions/demo-1/other")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    frame = pd.DataFrame({"x": np.arange(20.0)})
    write_artifact(folder, LinearRegression().fit(frame, frame["x"]), frame)
    return folder


def attached(folder: Path, name: str) -> Application:
    settings = Settings(folder, model_name=name, warmup_requests=1)
    service = ModelService(settings)
    application = Application(service, settings)
    loaded, dialects = load(settings)
    service.attach(loaded)
    application.attach(loaded, dialects)
    service.open()
    return application


def answer(application: Application, method: str, path: str) -> Answer:
    async def given() -> Answer:
        made = application.handle(Request(method, path, {}, b"", 0.0))
        return made if isinstance(made, tuple) else await made

    return asyncio.run(given())


@pytest.mark.parametrize("name", ["demo", "stats"])
def test_every_path_of_the_document_is_answered_and_no_other(folder: Path, name: str) -> None:
    application = attached(folder, name)
    document = json.loads(answer(application, "GET", "/openapi.json")[1])
    methods = {path: {method.upper() for method in item} for path, item in document["paths"].items()}
    for path in (*methods, *OTHERS):
        for method in ("GET", "POST"):
            there = answer(application, method, path)[0] not in NOT_THERE
            assert there == (method in methods.get(path, ())), (method, path)


def test_every_row_of_the_table_is_in_the_document(folder: Path) -> None:
    application = attached(folder, "demo")
    document = json.loads(answer(application, "GET", "/openapi.json")[1])
    rows = {(route.path, route.endpoint.method.lower()) for route in application.routes}
    assert rows == {(path, method) for path, item in document["paths"].items() for method in item}
    names = {operation["operationId"] for item in document["paths"].values() for operation in item.values()}
    assert len(names) == len(rows)


def test_before_a_model_is_loaded_only_the_server_answers(folder: Path) -> None:
    settings = Settings(folder)
    application = Application(ModelService(settings), settings)
    statuses = {route.path: answer(application, "GET", route.path)[0] for route in application.routes}
    waiting = {"/v2/health/ready", "/ping", "/health"}
    assert {path for path, status in statuses.items() if status == 503} == waiting
    assert {status for path, status in statuses.items() if path not in waiting} == {200}
    assert answer(application, "POST", "/invocations")[0] == 503
    assert answer(application, "GET", "/openapi.json")[0] == 503
