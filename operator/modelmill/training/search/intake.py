"""Takes what trials report: `POST /trials/report` with {"step": 3, "value": 0.91} and the token of the trial's pod.

A trial can report for itself only, since its token says which pod it is. A report that is refused or lost only delays pruning.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import Counter

from modelmill.engine.bodies import READ_SECONDS, read_body
from modelmill.training.search.senders import Reviews, SenderError, Senders
from modelmill.tuning.reports import NOT_LEADING, STRANGER, TOO_MANY, Reports

PATH: Final = "/trials/report"
MAX_BODY: Final = 1_024
MAX_STEP: Final = 1_000_000_000
RETRY_SECONDS: Final = 2
FORM: Final = 'the body must be {"step": 3, "value": 0.91}'

REPORTS = Counter("modelmill_trial_reports_total", "Reports of trials, by the code of the answer.", ["code"])

log = structlog.get_logger(__name__)


class ReportIntake:
    """Answers `POST /trials/report`: 204, or 400, 401, 403, 413, 429, 503 with words."""

    def __init__(self, reviews: Reviews, reports: Reports) -> None:
        self._senders = Senders(reviews)
        self._reports = reports

    async def handle(self, request: web.Request) -> web.Response:
        """Keep one report of the pod that sends it."""
        answer = await self._answer(request)
        REPORTS.labels(str(answer.status)).inc()
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            sender = await self._senders.of(request.headers.get("Authorization", ""))
        except SenderError as error:
            if error.broken and not self._reports.problem:
                log.warning("no report is taken", error=str(error))
            self._reports.problem = str(error) if error.broken else self._reports.problem
            return _refuse(error.code, str(error))
        self._reports.problem = ""
        try:
            body = await read_body(request, MAX_BODY)
        except TimeoutError:
            return _refuse(503, f"the body did not arrive within {READ_SECONDS:.0f} s")
        if body is None:
            return _refuse(413, f"the body is larger than {MAX_BODY} bytes: {FORM}")
        told = read_report(body)
        if isinstance(told, str):
            return _refuse(400, told)
        became = self._reports.take(sender.uid, *told)
        if became == NOT_LEADING:
            return _refuse(503, "this replica of the operator follows no searches at this moment: report again")
        if became == STRANGER:
            return _refuse(403, f"pod {sender.pod} is of no running trial of a search with tuning.pruning")
        if became == TOO_MANY:
            return _refuse(429, "the trial reports too often: report less often than twice a second")
        return web.Response(status=204)


def read_report(body: bytes) -> tuple[int, float] | str:
    """Return (step, value), or what is wrong with the body."""
    try:
        raw: Any = json.loads(body)
    except (ValueError, RecursionError):
        return f"the body is not JSON: {FORM}"
    if not isinstance(raw, dict) or not {"step", "value"} <= raw.keys():
        return FORM
    step, value = raw["step"], raw["value"]
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= MAX_STEP:
        return f"step must be a whole number from 0 to {MAX_STEP}"
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    return (step, number) if math.isfinite(number) else "value must be a finite number"


def _refuse(code: int, why: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if code == 401 else {}
    if code in (429, 503):
        headers["Retry-After"] = str(RETRY_SECONDS)
    return web.json_response({"error": why}, status=code, headers=headers)
