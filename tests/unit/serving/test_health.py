"""When a revision's pods can never become ready, and what is said about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelmill.contracts.result import RESULT_VERSION, StageResult, encode
from modelmill.serving.health import Trouble, trouble
from tests.support import objects as o
from tests.support.every_setting import EVERY_SETTING
from tests.unit.serving.simulated import World

STORE_DOWN = encode(StageResult("Failed", "StoreUnreachable", ("connection refused",)))
CORRUPT = encode(StageResult("Failed", "ArtifactCorrupt", ("model.onnx has another digest",)))


def seen(
    *,
    init: list[dict[str, Any]] | None = None,
    main: list[dict[str, Any]] | None = None,
    spec: dict[str, Any] | None = None,
) -> Trouble | None:
    world = World()
    world.model_code = ("*",)
    world.restart_operator()
    world.parent["spec"] |= spec or {}
    world.settle()
    pod = world.pods[0]
    pod["status"] |= {"initContainerStatuses": init or [], "containerStatuses": main or []}
    pod["status"]["conditions"][0]["status"] = "False"
    return trouble(world.view(), world.status["stable"]["revision"])


def ended(container: str, code: int, message: str = "", restarts: int = 0, reason: str = "Error") -> dict[str, Any]:
    return {**o.ended(container, code, message, reason), "restartCount": restarts}


@pytest.mark.parametrize(
    ("init", "main", "reason", "hopeless"),
    [
        (ended("fetch", 3, CORRUPT), None, "ArtifactCorrupt", True),
        (ended("fetch", 1, STORE_DOWN, restarts=1), None, "StoreUnreachable", False),
        (ended("fetch", 1, STORE_DOWN, restarts=9), None, "StoreUnreachable", False),
        (ended("fetch", 0), ended("server", 1, "Traceback\nKeyError: 'x'", restarts=1), "CrashLoop", False),
        (ended("fetch", 0), ended("server", 1, "Traceback\nKeyError: 'x'", restarts=3), "CrashLoop", True),
        (ended("fetch", 0), ended("server", 137, restarts=3, reason="OOMKilled"), "OutOfMemory", True),
        (o.waiting("fetch", "ImagePullBackOff", "no such image"), None, "ImagePullFailed", False),
    ],
)
def test_reason_and_hope(init: dict[str, Any], main: dict[str, Any] | None, reason: str, hopeless: bool) -> None:
    found = seen(init=[init], main=[main] if main else [])
    assert found is not None
    assert (found.reason, found.hopeless) == (reason, hopeless)


def test_message_names_container_code_and_last_line() -> None:
    found = seen(main=[ended("server", 1, "Traceback\nKeyError: 'x'", restarts=3)])
    assert found is not None
    assert found.message == "container server exited with code 1: KeyError: 'x'"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ('secret "feedback-key" not found', "spec.feedback.keySecretRef"),
        ("couldn't find key key in Secret ml/feedback-key", "spec.feedback.keySecretRef"),
        ('secret "log-keys" not found', "spec.payloadLog.secretRef"),
    ],
)
def test_a_secret_that_is_missing_is_told_with_the_field_that_names_it(message: str, field: str) -> None:
    waiting = o.waiting("server", "CreateContainerConfigError", message)
    found = seen(main=[waiting], spec=EVERY_SETTING)
    assert found is not None
    assert (found.reason, found.hopeless) == ("ContainerConfigInvalid", False)
    assert f"{message}; {field} names this Secret: create it" in found.message


def test_pods_that_are_ready_or_going_are_no_trouble() -> None:
    world = World()
    world.settle()
    assert trouble(world.view(), world.status["stable"]["revision"]) is None
    pod = world.pods[0]
    pod["status"]["conditions"][0]["status"] = "False"
    pod["status"]["containerStatuses"] = [ended("server", 3, CORRUPT)]
    pod["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert trouble(world.view(), world.status["stable"]["revision"]) is None


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "a\nforged line", "user\u202egpj.exe", "\ud800", "x" * 100_000])
def test_texts_of_a_pod_are_one_bounded_line(text: str) -> None:
    told = json.dumps({"v": RESULT_VERSION, "outcome": "Failed", "reason": text, "reasons": [text]})
    for end in (ended("server", 3, text), ended("server", 3, told), ended("server", 3, text, reason=text)):
        found = seen(main=[end])
        assert found is not None
        assert found.message.isprintable()
        assert len(found.message) <= 4000
        assert found.reason == "CrashLoop"
