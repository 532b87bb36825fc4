"""The route table: what is dispatched is what is documented."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from hack.artifacts import write_artifact
from modelmill_server.core.service import ModelService
from modelmill_server.http.messages import Answer, Request
from modelmill_server.lifecycle import load
from modelmill_server.protocols.application import Application
from modelmill_server.protocols.bodies import decompressed
from modelmill_server.protocols.v2 import Reader
from modelmill_server.queries.query import Query
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


def attached(folder: Path, name: str, **more: Any) -> Application:
    settings = Settings(folder, model_name=name, warmup_requests=1, **more)
    service = ModelService(settings)
    application = Application(service, settings)
    loaded, dialects = load(settings)
    service.attach(loaded)
    application.attach(loaded, dialects)
    service.open()
    return application


def answer(application: Application, method: str, path: str) -> Answer:
    return answered(application, Request(method, path, {}, b"", 0.0))


def answered(application: Application, request: Request) -> Answer:
    async def given() -> Answer:
        made = application.handle(request)
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


BODY = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}]}).encode()


@pytest.mark.parametrize(("spaces", "beside"), [(1, False), (2_000_000, True)])
def test_large_compressed_bodies_are_decompressed_beside_the_event_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spaces: int, beside: bool
) -> None:
    threads: list[threading.Thread] = []

    def noted(*given: Any) -> bytes:
        threads.append(threading.current_thread())
        return decompressed(*given)

    monkeypatch.setattr("modelmill_server.protocols.application.decompressed", noted)
    sizes: list[int] = []
    sent = gzip.compress(BODY + b" " * spaces)
    request = Request("POST", "/v2/models/demo/infer", {"content-encoding": "gzip"}, sent, 0.0, len(sent))
    request.grown = lambda: sizes.append(request.size)
    assert answered(attached(folder, "demo"), request)[0] == 200
    assert [thread is not threading.main_thread() for thread in threads] == [beside]
    assert request.size == len(sent) + len(BODY) + spaces
    assert sizes == ([request.size] if beside else [])


def test_bodies_that_are_no_inference_become_no_large_ones(folder: Path) -> None:
    sent = gzip.compress(bytes(1_000_000))
    request = Request("POST", "/feedback", {"content-encoding": "gzip"}, sent, 0.0)
    status, body, _ = answered(attached(folder, "demo"), request)
    assert (status, json.loads(body)["error"]) == (413, "the decompressed request is larger than 65536 bytes")


@pytest.mark.parametrize(("spaces", "beside"), [(1, False), (2_000_000, True)])
def test_large_bodies_are_read_beside_the_event_loop_where_requests_are_joined(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spaces: int, beside: bool
) -> None:
    threads: list[threading.Thread] = []
    read = Reader.read

    def noted(reader: Reader, *given: Any) -> Query:
        threads.append(threading.current_thread())
        return read(reader, *given)

    application = attached(folder, "demo", batching="on")
    monkeypatch.setattr(Reader, "read", noted)
    request = Request("POST", "/v2/models/demo/infer", {}, BODY + b" " * spaces, 0.0)
    assert answered(application, request)[0] == 200
    assert [thread is not threading.main_thread() for thread in threads] == [beside]
