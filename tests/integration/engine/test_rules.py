"""Each CEL rule of the kinds, violated once on a real API server; a rule without a row here fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from modelmill.api.schema import definitions
from tests.support.api_server import Cluster
from tests.support.refused import CREATED

pytestmark = pytest.mark.integration

ELSEWHERE = (
    "a ModelVersion is immutable but for approval",
    "model is immutable: create another TrainingJob",
    "spec.autoscaling decides",
)
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
