"""Where the CPU time of one request goes, in process and without a socket: what is saved when a stage is left out.

A stage that is timed by itself finds everything in the caches and costs half of what it costs between the others, so each is
replaced by its ready result instead, and the whole is timed with and without it, in turns; the least of each is compared.
Parts that are left out make room for those that stay, so the column sums up to a little more than the whole.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from hack.bench.serving import dialects, models
from modelmill_server import lifecycle
from modelmill_server.core.execution import Dialect
from modelmill_server.core.service import ModelService
from modelmill_server.http.connections import ConnectionBounds, Connections
from modelmill_server.protocols.application import Application
from modelmill_server.protocols.dialects import Dialects
from modelmill_server.queries.query import Query
from modelmill_server.settings import Settings

ROUNDS, BATCHES, CALLS = 8, 60, 50

Stage = tuple[str, Any, str, Any]
"""Its name in the table; the object and the attribute that are replaced, and by what."""


def stages(service: ModelService, readers: Dialects, connection: Any, body: bytes) -> list[Stage]:
    """Return the stages of a V2 request, from the inside to the outside."""
    loaded = service.loaded
    assert loaded is not None
    execution, model, v2 = loaded.execution, loaded.model, readers.v2
    query = v2.read((body, None))
    raw, outputs = model.engine.run(query.columns, query.wanted), model.predict(query)
    feedback_id = execution.tokens.make(outputs[0].array.tolist(), "classification")
    answer = v2.write(query, outputs, feedback_id)

    def known(_: Any) -> Query:
        return Query(query.columns, query.rows, query.wanted)

    return [
        ("onnxruntime, with its wrapper", model.engine, "_session", mock.NonCallableMock(run=lambda *_: raw)),
        ("the model: columns to a matrix, onnxruntime, outputs", model, "predict", lambda _: outputs),
        ("reading and checking the request", readers, "v2", Dialect("v2", known, v2.write)),
        ("writing the answer", readers, "v2", Dialect("v2", v2.read, lambda *_: answer)),
        ("the feedback id", execution.tokens, "make", lambda *_: feedback_id),
        ("counting values and predictions for drift", loaded.monitor, "count_answer", lambda *_: None),
        ("all of these: from body to answer", service, "perform", lambda *_: answer),
        ("the same with admission and dispatch", connection._handler, "handle", lambda _: answer),
    ]


def seconds(call: Callable[[], None], batches: int = BATCHES, calls: int = CALLS) -> float:
    """Return the least CPU time of a call over short batches."""
    best = float("inf")
    for _ in range(batches):
        begin = time.process_time_ns()
        for _ in range(calls):
            call()
        best = min(best, time.process_time_ns() - begin)
    return best / calls / 1e9


class Sink:
    """A transport that takes everything."""

    def write(self, _: bytes) -> None:
        """Drop what is written."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def __getattr__(self, _: str) -> Callable[..., int]:
        return lambda *_, **__: 0


def started(artifact: Path, drift_features: int = 10) -> tuple[ModelService, Dialects, Any]:
    """Return a server without sockets, and one connection of it."""
    settings = Settings(artifact, model_name=models.NAME, drift_features=drift_features)
    service = ModelService(settings)
    application = Application(service, settings)
    loaded, readers = lifecycle.load(settings)
    service.attach(loaded)
    application.attach(loaded, readers)
    service.open()
    bounds = ConnectionBounds(settings.max_request_bytes, settings.body_seconds, settings.idle_seconds)
    connection: Any = Connections(application, bounds).make()
    connection.connection_made(Sink())
    return service, readers, connection


def table(model: models.Model) -> str:
    """Return the stages of a one-row request as a Markdown table."""
    service, readers, connection = started(model.artifact)
    request = dialects.V2.make(models.NAME, model.features, model.rows[:1])
    fields = {"Host": "127.0.0.1", "Content-Length": len(request.body), **request.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    data = f"POST {request.path} HTTP/1.1\r\n{head}\r\n".encode() + request.body
    found, whole = stages(service, readers, connection, request.body), float("inf")
    without = [float("inf")] * len(found)
    for _ in range(ROUNDS):
        whole = min(whole, seconds(lambda: connection.data_received(data)))
        for place, (_, owner, name, result) in enumerate(found):
            with mock.patch.object(owner, name, result):
                without[place] = min(without[place], seconds(lambda: connection.data_received(data)))
    lines = ["| without | saved | of the whole |", "|---|---:|---:|"]
    for (name, *_), left in zip(found, without, strict=True):
        lines.append(f"| {name} | {1e6 * (whole - left):.1f} µs | {1 - left / whole:.0%} |")
    rest = without[-1]
    lines.append(
        f"| what is left then: parsing the request, the connection, writing to it | {1e6 * rest:.1f} µs | {rest / whole:.0%} |"
    )
    return "\n".join([*lines, f"| the whole | {1e6 * whole:.1f} µs | |"])


async def main() -> None:
    """Fit the model, measure, print."""
    logging.disable(logging.INFO)
    gc.disable()
    with tempfile.TemporaryDirectory() as name:
        model = models.make("linear", Path(name))
        print(table(model))


if __name__ == "__main__":
    asyncio.run(main())
