"""Each CEL rule of the kinds, violated once on a real API server; a rule without a row here fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from hack.bench import load
from modelmill.api.schema import definitions
from tests.support.api_server import Cluster

pytestmark = pytest.mark.integration

Body = dict[str, Any]
CONTAINER = {"container": {"image": "a/b:1", "env": [{"name": "MODELMILL_INPUT", "value": "x"}]}}
ANALYSIS = {"checks": [{"metric": "ErrorRatio", "maximum": "0.1"}]}


def job(spec: Mapping[str, Any], name: str = "cars") -> Body:
    body = load.training_job("default", "cars")
    return {**body, "metadata": {**body["metadata"], "name": name}, "spec": {**body["spec"], **spec}}


def service(spec: Mapping[str, Any], name: str = "cars") -> Body:
    body = load.inference_service("default", "cars")
    return {**body, "metadata": {**body["metadata"], "name": name}, "spec": {**body["spec"], **spec}}


def held_out(**holdout: Any) -> Body:
    return job({"data": {**job({})["spec"]["data"], "holdout": holdout}})


def gated(gate: Mapping[str, Any]) -> Body:
    return job({"evaluation": {**job({})["spec"]["evaluation"], "gates": [gate]}})


def long_named_version() -> Body:
    body = load.model_version("default", "cars")
    return {**body, "metadata": {**body["metadata"], "name": "c" * 64}}


CREATED: Mapping[str, Callable[[], Body]] = {
    "metadata.name must be at most 44 characters of a-z": lambda: service({}, "9cars"),
    "set exactly one of follow (Approved) and version (pinned)": lambda: service({"model": {"name": "cars"}}),
    "strategy Direct takes neither steps nor analysis": lambda: service(
        {"rollout": {"strategy": "Direct", "steps": [{"weight": 50}]}}
    ),
    "analysis needs a step with a weight below 100": lambda: service(
        {"rollout": {"steps": [{"weight": 100}], "analysis": ANALYSIS}}
    ),
    "the weights of the steps must not become smaller": lambda: service(
        {"rollout": {"steps": [{"weight": 50}, {"pauseSeconds": 5}, {"weight": 20}]}}
    ),
    "a step has either weight or pauseSeconds": lambda: service({"rollout": {"steps": [{}]}}),
    "a check needs maximum or maxRatioToStable": lambda: service(
        {"rollout": {"steps": [{"weight": 50}], "analysis": {"checks": [{"metric": "ErrorRatio"}]}}}
    ),
    "metadata.name may have at most 63 characters": long_named_version,
    "metadata.name may have at most 44 characters": lambda: job({}, "c" * 45),
    "set fraction (a share of data.train) or uri": lambda: held_out(strategy="Random"),
    "fraction and uri exclude each other": lambda: held_out(fraction="0.2", uri="s3://data/holdout/"),
    "strategy Latest needs column": lambda: held_out(fraction="0.2", strategy="Latest"),
    "fraction must be between 0 and 1": lambda: held_out(fraction="0"),
    "set exactly one of sklearn and container": lambda: job({"train": {}}),
    "names that begin with MODELMILL_ are reserved": lambda: job({"train": CONTAINER}),
    "a gate has either metric or versusChampion": lambda: gated({"metric": "r2", "minimum": "0", "versusChampion": {}}),
    "a metric gate needs minimum or maximum": lambda: gated({"metric": "r2"}),
}
"""Beginning of each rule's message, and an object that violates it and no other."""

ELSEWHERE = ("a ModelVersion is immutable but for approval", "model is immutable: create another TrainingJob")
"""Rules of changes, which test_admission.py violates."""


def messages(schema: Any) -> Iterator[str]:
    """Yield the message of every CEL rule in a schema."""
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
        for child in schema.values():
            yield from messages(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from messages(child)


def test_every_rule_has_a_row() -> None:
    told = {message for crd in definitions() for message in messages(crd)}
    known = (*CREATED, *ELSEWHERE)
    assert [message for message in told if sum(message.startswith(row) for row in known) != 1] == []
    assert [row for row in known if not any(message.startswith(row) for message in told)] == []


@pytest.mark.parametrize("message", CREATED)
def test_a_violation_is_told_in_the_rules_words(cluster: Cluster, message: str) -> None:
    told = cluster.refused(CREATED[message]())
    assert message in told
    others = [row for row in CREATED if row != message and row in told]
    assert others == []
