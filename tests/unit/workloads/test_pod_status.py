"""What pods say about themselves, in one sentence with container, exit code and last line."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts import result
from modelmill.workloads import pod_status as pods
from tests.support.objects import ended as terminated
from tests.support.objects import pod, running, waiting


def crashing(name: str, code: int, message: str, reason: str = "Error") -> dict[str, Any]:
    """Return a container that waits for its next try after it ended."""
    before = terminated(name, code, message, reason)["state"]
    return {**waiting(name, "CrashLoopBackOff", "back-off 5m0s"), "lastState": before, "restartCount": 4}


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (
            pods.Ended("train", 1, "Error", "a\n\nValueError: no\n\n"),
            "container train exited with code 1: ValueError: no",
        ),
        (pods.Ended("train", 137, "OOMKilled", ""), "container train exited with code 137 (OOMKilled)"),
        (
            pods.Ended("train", 139, "Error", "loading C library\n"),
            "container train exited with code 139 (SIGSEGV): loading C library",
        ),
        (pods.Ended("train", 134, "", ""), "container train exited with code 134 (SIGABRT)"),
        (pods.Ended("train", 255, "Error", ""), "container train exited with code 255"),
        (pods.Ended("train", 128, "Error", ""), "container train exited with code 128"),
        (pods.Ended("train", 0, "Completed", "done"), "container train exited with code 0: done"),
        (pods.Ended("train", 1, "", " \n "), "container train exited with code 1"),
    ],
)
def test_describe(end: pods.Ended, sentence: str) -> None:
    assert end.describe() == sentence


def test_a_last_line_is_cut_so_that_a_condition_takes_it() -> None:
    told = pods.Ended("train", 1, "Error", "x" * 100_000).describe()
    assert told.endswith("x" * 500)
    assert len(told) < 600


def test_the_first_container_that_failed_is_the_reason() -> None:
    found = pods.first_failure(
        pod("p", [terminated("fetch", 0), terminated("train", 2, "boom")], [waiting("publish", "PodInitializing")])
    )
    assert found == pods.Ended("train", 2, "Error", "boom")
    assert pods.first_failure(pod("p", [terminated("fetch", 0)], [running("publish")])) is None
    assert pods.first_failure({"metadata": {}}) is None


def test_a_container_that_started_again_still_tells_how_it_ended() -> None:
    again = {**running("server"), "lastState": terminated("server", 3, "bad", "Error")["state"]}
    assert pods.ended(pod("p", [], [again]), "server") == pods.Ended("server", 3, "Error", "bad")
    assert pods.ended(pod("p", [], [running("server")]), "server") is None
    assert pods.ended(pod("p", [], [again]), "other") is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("ErrImagePull", "ImagePullFailed"),
        ("ImagePullBackOff", "ImagePullFailed"),
        ("InvalidImageName", "ImagePullFailed"),
        ("CreateContainerConfigError", "ContainerConfigInvalid"),
        ("CreateContainerError", "ContainerConfigInvalid"),
    ],
)
def test_what_a_person_must_mend_is_blocked(word: str, reason: str) -> None:
    found = pods.blocked(pod("p", [], [waiting("server", word, "no such host", "a/b:1")]))
    assert found is not None
    assert (found.container, found.reason) == ("server", reason)
    assert found.message == f"container server with image a/b:1: {word}: no such host"


@pytest.mark.parametrize("word", ["ContainerCreating", "PodInitializing", ""])
def test_what_goes_on_by_itself_is_not_blocked(word: str) -> None:
    assert pods.blocked(pod("p", [], [waiting("server", word)])) is None


def test_a_crash_loop_tells_the_crash_and_not_the_waiting() -> None:
    found = pods.blocked(pod("p", [], [crashing("server", 1, "KeyError: 'x'")]))
    assert found == pods.Blocked("server", "CrashLoop", "container server exited with code 1: KeyError: 'x'")


def test_unschedulable_tells_the_schedulers_words() -> None:
    waits = pod("p", [], [], "Pending")
    assert pods.unschedulable(waits) is None
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes: no memory",
    }
    waits["status"]["conditions"] = [condition]
    assert pods.unschedulable(waits) == "0/1 nodes: no memory"
    condition["status"] = "True"
    assert pods.unschedulable(waits) is None


def test_ready_is_the_condition_and_not_on_the_way_out() -> None:
    one = pod("p", [], [running("server")])
    assert not pods.is_ready(one)
    one["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert pods.is_ready(one)
    one["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert not pods.is_ready(one)


def test_result_of_a_built_in_stage_is_told_in_its_words() -> None:
    message = result.encode(result.StageResult("Failed", "StoreUnavailable", ("s3://a does not answer.", "Wait.")))
    told = pods.Ended("fetch", 1, "Error", message + "\n").describe()
    assert told == "container fetch exited with code 1: StoreUnavailable: s3://a does not answer. Wait."


def test_result_without_sentences_is_told_by_its_reason() -> None:
    message = result.encode(result.StageResult("Failed", "StoreUnavailable"))
    assert pods.Ended("fetch", 1, "", message).describe() == "container fetch exited with code 1: StoreUnavailable"
