"""Defects that crash plans have found, each with a plan that fails without its mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """plan: the name of a plan. what: what went wrong in it."""

    plan: str
    what: str


FINDINGS: Sequence[Finding] = (
    Finding(
        "two jobs of one model: at rest: networkpolicies lose their owner",
        "A child whose owner reference somebody took away was not looked at before everything was.",
    ),
    Finding(
        "search: create ModelVersion cars-1 #1: killed after, and the next operator sees what was 20 s before",
        "A ledger of before was written over the newer one, and trials whose end it had were made again.",
    ),
    Finding(
        "search: before status TrainingJob cars #5: pods stay as they are while they are not watched for 10 s",
        "The pod of a failed trial, which seemed to run, was taken for lost, and the trial was made again.",
    ),
    Finding(
        "autoscaled: before status ModelVersion cars-2 #3: horizontalpodautoscalers lose their owner",
        "A child that lost its owner reference just when nothing wanted it any more was found by nobody, and stayed.",
    ),
    Finding(
        "traffic by routes: status InferenceService cars #11: 409 for 600 s",
        "While its status was refused, a route was given the next step's weight and the one of before by turns.",
    ),
    Finding(
        "shadowed: apply Service cars-preview #4: 422 for 600 s",
        "A measurement that ended a rollout was lost with its plan, so that the version was not taken back for 30 s.",
    ),
    Finding(
        "back before a run: apply Service cars #3: 429 for 10 times",
        "Pods were read while their promotion could not be written, and the alert counted as older than that, for good.",
    ),
)
