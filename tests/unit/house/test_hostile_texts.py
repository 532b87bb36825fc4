"""What a pod, a file, an alert or another program says, followed to every place where a person or a program reads it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelmill.contracts import result
from modelmill.engine.events import EventRecorder
from modelmill.engine.interface import Event
from modelmill.engine.process import fit_texts
from modelmill.kube.conditions import Condition, merge
from modelmill.monitoring.alertmanager import parse
from modelmill.workloads.jobs import observe
from tests.support import objects as o
from tests.support.fake_api import FakeApi, widget
from tests.unit.training.planning import IMAGE, failed, started, view
from tests.unit.training.planning import plan as made

PLANTED = (
    "\x1b[2J\x1b]0;title\x07red",
    "ends\r\nlevel=error msg=forged",
    "user\u202egpj.exe\u2066\u2069",
    "\ufeffzero\u200bwidth\u00ad",
    "\u2028line\u2029paragraph\x85\x0b\x0c",
    "lone\ud800surrogate",
    '<script>alert(1)</script> {{7*7}} ${{secrets.X}} $(VAR) %s {0.__class__} "} or vector(1) #',
    "\x00" * 300,
    "x" * 50_000,
)
TEXTS = st.text(st.characters(), max_size=200) | st.sampled_from(PLANTED)
untimed = settings(deadline=None, max_examples=50)
MESSAGE_BYTES = 4096
"""The kubelet cuts a termination message here."""


def texts(value: Any) -> Iterator[str]:
    """Yield every text in plain data, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield name
            yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)


def check(value: Any, limit: int) -> None:
    for text in texts(value):
        assert text.isprintable(), repr(text)
        assert len(text) <= limit
        text.encode()


@untimed
@given(TEXTS)
def test_in_an_event(text: str) -> None:
    body = EventRecorder(FakeApi(), "pod-1")._body(  # type: ignore[arg-type]
        {**widget(), "apiVersion": "test.dev/v1", "kind": "Widget", "metadata": {**widget()["metadata"], "uid": "u"}},
        Event("Warning", "Refused", text),
    )
    check(body["note"], 1024)


@untimed
@given(TEXTS)
def test_in_a_condition(text: str) -> None:
    check(merge((), [Condition("Ready", "False", "Failed", text)], 1, o.NOW), 4096)


@untimed
@given(TEXTS)
def test_in_a_record_of_the_log(text: str) -> None:
    stream = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(stream), processors=[fit_texts, structlog.processors.JSONRenderer()]
    )
    log.info(text, about=text)
    assert stream.getvalue().count("\n") == 1
    check(json.loads(stream.getvalue()), 2000)


def told(kind: str, text: str) -> str:
    """Return a termination message whose every free text is this one; JSON can carry what UTF-8 cannot."""
    base = o.published(kind) if kind in (result.PUBLISHED, result.GATE_FAILED) else result.StageResult(kind)
    free = {"reason": text, "reasons": [text], "gates": [text], "notes": [text]}
    return json.dumps({name: value for name, value in asdict(base).items() if value is not None} | free)


@pytest.mark.parametrize("kind", [result.PUBLISHED, result.GATE_FAILED, result.FAILED, result.DATA_REJECTED])
@untimed
@given(TEXTS)
@example("\x1b[31m\n")
def test_of_a_stage_in_status_version_and_events(kind: str, text: str) -> None:
    parent, manifest = started()
    name = manifest["metadata"]["name"]
    pods = {name: [o.pod("p", [], [o.ended("publish", 0, told(kind, text), "Completed")], "Succeeded")]}
    plan = made(view(parent, jobs={name: o.job(manifest, o.condition("Complete"))}, pods=pods), IMAGE)
    check(plan.status, 4096)
    check([{**one, "metadata": {}} for one in plan.create], 4096)
    reasons = [one["reason"] for one in (plan.status or {})["conditions"]]
    assert all(reason.isascii() and reason.isidentifier() for reason in reasons), reasons


@untimed
@given(TEXTS)
def test_of_a_container_that_is_no_stage_of_ours(text: str) -> None:
    parent, manifest = started()
    pod = o.pod("p", [o.ended("train", 1, text[:MESSAGE_BYTES], "Error")], [], "Failed")
    check(failed(parent, manifest, pod).status, 4096)


@untimed
@given(TEXTS)
def test_of_an_image_that_plays_a_stage(text: str) -> None:
    parent, manifest = started()
    facts = {"metrics": {text: 1.0}, "data": {"digest": text, "rows": text}, "champion": {"name": text}}
    message = json.dumps({"v": result.RESULT_VERSION, "outcome": "Failed", "reason": text, "reasons": [text], **facts})
    pod = o.pod("p", [o.ended("train", 1, message, "Error")], [], "Failed")
    check(failed(parent, manifest, pod).status, 4096)


@untimed
@given(TEXTS)
def test_of_the_words_of_an_admission_webhook(text: str) -> None:
    manifest = started()[1]
    seen = observe(o.job(manifest), (), o.NOW, refusal=text)
    check(merge((), [Condition("Ready", "False", "PodsRefused", getattr(seen, "message", ""))], 1, o.NOW), 4096)


@untimed
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_of_an_alert(name: str, feature: str, value: str, summary: str) -> None:
    labels = {"alertname": name, "modelmill_kind": "Drift", "feature": feature, "model_version": feature}
    alert = {"status": "firing", "labels": labels, "startsAt": "2026-01-02T03:04:05Z"}
    body = {"alerts": [{**alert, "annotations": {"summary": summary, "value": value}}]}
    (notice,) = parse(json.dumps(body).encode(), o.NOW).notices
    recorded = notice.recorded()
    check([recorded.name, recorded.feature or "", recorded.version or "", recorded.value or ""], 128)
    check(recorded.message or "", 1024)
