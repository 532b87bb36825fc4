"""Golden rows through the whole path, uncounted, before the first request; what that takes tells where requests may run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelmill_server.core.model import ServedModel
from modelmill_server.failure import StartError
from modelmill_server.queries.columns import Column
from modelmill_server.queries.query import Query
from modelmill_server.settings import BATCHING_AUTO, BATCHING_ON, Settings

INLINE_SECONDS = 0.001  # a request that takes longer would keep health checks waiting
INLINE_BYTES = 64 * 1024
TRIAL_SECONDS = 2.0  # a slow model is not asked again and again
BATCH_ROWS = 16  # the trial that tells whether a model gains by batches
BATCH_SECONDS = 0.0001  # a model faster than that has nothing to gain worth the turn of the event loop
BATCH_GAIN = 2.0


@dataclass(frozen=True, slots=True)
class Pace:
    """inline_bytes: requests up to this size run on the event loop. batches: whether requests that wait are joined."""

    inline_bytes: int
    batches: bool


def warm_up(
    model: ServedModel,
    settings: Settings,
    request_of: Callable[[Sequence[Column]], bytes],
    answer: Callable[[bytes], object],
) -> Pace:
    """Return the pace of a model.

    request_of: writes the body of a request for columns of all features. answer: reads such a body, predicts and writes.
    Raises StartError (ModelLoadFailed) when the model cannot answer its own golden rows.
    """
    columns = model.golden_columns()
    row, rows = (request_of([column[:count] for column in columns]) for count in (1, len(columns[0])))
    seconds_row = _fastest(lambda: _seconds(answer, row), settings.warmup_requests or 1)
    batches = _gains(model, settings, columns)
    if seconds_row >= INLINE_SECONDS:
        return Pace(0, batches)
    seconds_rows = _fastest(lambda: _seconds(answer, rows), 2)
    per_byte = max(seconds_rows - seconds_row, 1e-9) / max(len(rows) - len(row), 1)
    return Pace(int(min(INLINE_BYTES, len(row) + (INLINE_SECONDS - seconds_row) / per_byte)), batches)


def _fastest(trial: Callable[[], float], times: int) -> float:
    """Return the shortest of trials that return their seconds, one at least."""
    best, spent = float("inf"), 0.0
    for _ in range(times):
        seconds = trial()
        best, spent = min(best, seconds), spent + seconds
        if spent > TRIAL_SECONDS:
            break
    return best


def _seconds(answer: Callable[[bytes], object], body: bytes) -> float:
    begin = time.perf_counter()
    try:
        answer(body)
    except Exception as error:
        raise StartError("ModelLoadFailed", f"the model fails on its golden rows: {error}") from error
    return time.perf_counter() - begin


def _gains(model: ServedModel, settings: Settings, columns: Sequence[Column]) -> bool:
    """Tell whether answering rows together costs the model much less than one by one."""
    if settings.batching != BATCHING_AUTO:
        return settings.batching == BATCHING_ON
    row, rows = ([list(column[:1]) * count for column in columns] for count in (1, BATCH_ROWS))
    seconds_row = _predict_seconds(model, row, 1)
    if seconds_row < BATCH_SECONDS:
        return False
    return BATCH_ROWS * seconds_row > BATCH_GAIN * _predict_seconds(model, rows, BATCH_ROWS)


def _predict_seconds(model: ServedModel, columns: list[Column], count: int) -> float:
    query = Query(columns, count, model.outputs)

    def trial() -> float:
        begin = time.perf_counter()
        model.predict(query)
        return time.perf_counter() - begin

    return _fastest(trial, 5)
