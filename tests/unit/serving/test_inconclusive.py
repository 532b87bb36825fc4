"""A canary that chance may explain: the rollout waits for a person, and its measurements go on."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.kube import labels
from tests.unit.serving.simulated import ANALYSIS, World, condition

HALF = {"metric": "ErrorRatio", "maximum": "0.5"}


class Doubtful(World):
    """cars-2 answers a share of its requests by 500."""

    share = 0.52

    def _serve(self) -> None:
        super()._serve()
        for pod in self.pods:
            if pod["metadata"]["labels"]["modelmill.dev/model-version"] == "cars-2":
                codes = self.traffic.codes.get(pod["metadata"]["uid"])
                if codes:
                    total = codes.total()
                    codes["500"] = round(self.share * total)
                    codes["200"] = total - codes["500"]


def doubtful(**analysis: Any) -> Doubtful:
    """Return a world with a rollout whose measurements are inconclusive."""
    world = Doubtful(analysis={**ANALYSIS, "checks": [HALF], "inconclusiveLimit": 2, **analysis})
    world.serving().add("cars-2")
    return world


def say(world: World, annotation: str, text: str) -> None:
    world.parent["metadata"].setdefault("annotations", {})[annotation] = text
    world._wake = 0


def test_it_is_measured_on_and_then_waits_for_a_person() -> None:
    world = doubtful()
    world.run(12)
    assert (world.status["phase"], world.status["canary"]["inconclusive"]) == ("RollingOut", 2)
    assert "which may be chance" in world.status["canary"]["analysis"][0]["message"]
    world.run(30)
    assert (world.status["phase"], world.status["canary"]["paused"]) == ("Paused", "Inconclusive")
    assert world.status["stable"]["version"] == "cars-1"
    assert world.events.count("Paused") == 1
    assert "its measurements stay inconclusive: ErrorRatio 0.52" in world.messages[-1]
    assert labels.RESUME_ANNOTATION in condition(world, "Reconciling")[2]


def test_while_it_waits_nothing_more_is_written() -> None:
    world = doubtful()
    world.run(60)
    writes = world.writes["status"]
    world.run(100)
    assert world.writes["status"] == writes


def test_thresholds_stay_armed_while_it_waits() -> None:
    world = doubtful()
    world.run(40)
    assert world.status["phase"] == "Paused"
    world.share = 0.9
    world.run(60)
    assert world.status["phase"] == "RolledBack"
    assert world.status["failedMessage"].startswith("AnalysisFailed: ErrorRatio 0.9 > 0.5")


@pytest.mark.parametrize(
    ("annotation", "phase"), [(labels.RESUME_ANNOTATION, "RollingOut"), (labels.ABORT_ANNOTATION, "RolledBack")]
)
def test_a_person_decides(annotation: str, phase: str) -> None:
    world = doubtful()
    world.run(40)
    say(world, annotation, "now")
    world.run(3)
    assert world.status["phase"] == phase


def test_resumed_it_is_measured_anew_and_promoted_when_it_passes() -> None:
    world = doubtful()
    world.run(40)
    world.share = 0.2
    say(world, labels.RESUME_ANNOTATION, "now")
    world.run(80)
    assert world.status["stable"]["version"] == "cars-2"


def test_a_step_that_a_person_ends_begins_the_next_one_without_the_doubts_of_the_last() -> None:
    world = doubtful()
    world.run(40)
    say(world, labels.PROMOTE_ANNOTATION, "now")
    world.run(1)
    assert (world.status["phase"], world.status["canary"]["step"]) == ("RollingOut", 3)


def test_without_more_requests_waiting_alone_decides_nothing() -> None:
    world = doubtful(minRequests=100)
    world.run(14)
    assert world.status["canary"]["inconclusive"] == 1
    world.rate = 0
    world.run(300)
    assert (world.status["phase"], world.status["canary"]["inconclusive"]) == ("RollingOut", 1)
