"""Whose turn it is to take the image of a release: from the statuses of all services alone."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.kube.objects import Manifest
from modelmill.serving.upgrade import HOLDS_SECONDS, Upgrades
from modelmill.serving.view import Turn
from tests.support import objects as o


def service(name: str, image: str = "server:1", **status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "Stable"}
    stable = {"version": "cars-1", "inputs": "i", "serverImage": image}
    said = {"phase": "Stable", "stable": stable, "conditions": [ready], **status}
    return {"metadata": {"name": name, "namespace": "ml"}, "status": said}


def changing(name: str, seconds: int, inputs: str = "i") -> dict[str, Any]:
    began = o.later(-seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
    return service(name, phase="RollingOut", canary={"inputs": inputs, "startTime": began})


class Services:
    """The cache."""

    def __init__(self, *services: Manifest) -> None:
        self.services = services

    def list(self, *_: object) -> tuple[Manifest, ...]:
        return self.services


def turns(most: int, *services: Manifest) -> list[Turn]:
    upgrades = Upgrades("server:2", most)
    return [upgrades.turn(one, Services(*services), o.later(0)) for one in services]  # type: ignore[arg-type]


def test_the_first_ones_in_the_line_have_their_turn() -> None:
    line = [service(name) for name in "abc"]
    assert [turn.has for turn in turns(1, *line)] == [True, False, False]
    assert [turn.has for turn in turns(2, *line)] == [True, True, False]
    assert [turn.has for turn in turns(0, *line)] == [False, False, False]


def test_who_has_begun_holds_a_place_for_an_hour() -> None:
    line = [service("a"), changing("b", 100), service("c")]
    assert turns(1, *line) == [Turn(again=HOLDS_SECONDS - 100), Turn(), Turn()]
    assert [turn.has for turn in turns(2, *line)] == [True, False, False]
    late = [service("a"), changing("b", HOLDS_SECONDS), service("c")]
    assert [turn.has for turn in turns(1, *late)] == [True, False, False]


def test_the_rollout_of_another_version_holds_nobody() -> None:
    assert turns(1, service("a"), changing("b", 10, inputs="other"))[0].has


@pytest.mark.parametrize(
    "other",
    [
        service("a", image="server:2"),
        service("a", image=""),
        service("a", phase="RolledBack"),
        service("a", phase="Suspended"),
        service("a", conditions=[{"type": "Ready", "status": "False", "reason": "PodsNotReady"}]),
        service("a", conditions=[{"type": "Ready", "status": "True", "reason": "VersionNotFound"}]),
        service("a", conditions=None),
        {"metadata": {"name": "a", "namespace": "ml"}},
        {"metadata": {"name": "a", "namespace": "ml"}, "status": {"stable": "cars-1"}},
        {**service("a"), "metadata": {"name": "a", "namespace": "ml", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_who_cannot_take_it_is_not_in_the_line(other: dict[str, Any]) -> None:
    assert [turn.has for turn in turns(1, other, service("b"))] == [False, True]
