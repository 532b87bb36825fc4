"""Checks by PromQL: what is asked, what the answer says, and rollouts that are judged by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from modelmill.api.analysis import Analysis
from modelmill.kube.objects import Key
from modelmill.measuring.prometheus import Answer, Answers
from modelmill.measuring.samples import Sample
from modelmill.serving.rollout.analysis import judge
from modelmill.serving.rollout.findings import Samples
from tests.unit.serving.simulated import ANALYSIS, World, condition

QUERY = 'sum(rate(orders_lost{pod=~"$(service)-$(revision)-.*",namespace="$(namespace)"}[$(window)]))'
CHECK = {"prometheus": {"query": QUERY}, "maximum": "0.5", "minimum": "0.1"}


class Told:
    """In the place of Prometheus. late: it is still asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.late = False

    async def answers(self, key: Key, queries: Sequence[str]) -> Answers | None:
        if self.late:
            return None
        self.asked += queries
        return dict.fromkeys(queries, self.answer)

    def forget(self, key: Key) -> None:
        pass


def world_of(answer: Answer, **analysis: Any) -> tuple[World, Told]:
    world, told = World(analysis={**ANALYSIS, "checks": [CHECK], **analysis}), Told(answer)
    world.prometheus = told
    world.start_operator()
    world.serving().add("cars-2")
    return world, told


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (Answer(0.3), "Pass", "0.3 <= 0.5 >= 0.1"),
        (Answer(0.6), "Fail", "0.6 > 0.5"),
        (Answer(float("inf")), "Fail", "inf > 0.5"),
        (Answer(0.05), "Fail", "0.05 < 0.1"),
        (Answer(), "Insufficient", "no value"),
        (Answer(error="Prometheus does not answer"), "Error", "does not answer"),
    ],
)
def test_what_an_answer_says(answer: Answer, verdict: str, words: str) -> None:
    analysis = Analysis.model_validate({"checks": [CHECK]})
    # Pods without figures, e.g. of another server, are no hindrance.
    samples = Samples(Sample(), Sample(), pods=2, silent=2, answers={QUERY: answer})
    found = judge(analysis, samples)
    assert (found.verdict, words in found.message) == (verdict, True)


def test_names_and_the_window_are_filled_in_and_a_good_version_is_promoted() -> None:
    world, told = world_of(Answer(0.2))
    world.rate = 0
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    revision = world.status["stable"]["revision"]
    assert set(told.asked) == {f'sum(rate(orders_lost{{pod=~"cars-{revision}-.*",namespace="ml"}}[5s]))'}


def test_a_version_whose_number_is_beyond_the_bound_is_taken_back() -> None:
    world, _ = world_of(Answer(0.7))
    world.run(60)
    assert world.status["phase"] == "RolledBack"
    assert world.status["failedMessage"].startswith("AnalysisFailed: prometheus sum(rate(orders_lost")


def test_a_server_that_comes_back_within_the_limit_does_no_harm() -> None:
    world, told = world_of(Answer(error="Prometheus does not answer"))
    world.run(15)
    assert world.status["canary"]["consecutiveErrors"] > 0
    told.answer = Answer(0.2)
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


def test_a_server_that_stays_away_takes_the_version_back() -> None:
    world, _ = world_of(Answer(error="Prometheus does not answer"))
    world.run(60)
    assert condition(world, "RolledBack")[2].startswith("AnalysisError: prometheus sum(rate(orders_lost")


def test_without_a_server_an_admin_is_told_what_to_set() -> None:
    world = World(analysis={**ANALYSIS, "checks": [CHECK]}).serving()
    world.add("cars-2")
    world.run(60)
    assert "analysis.prometheus.url" in world.status["failedMessage"]


def test_a_late_answer_is_waited_for_and_the_pods_are_asked_afterwards() -> None:
    world, told = world_of(Answer(0.2))
    told.late = True
    world.run(30)
    assert (world.status["phase"], world.status["canary"].get("analysis")) == ("RollingOut", None)
    told.late = False
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
