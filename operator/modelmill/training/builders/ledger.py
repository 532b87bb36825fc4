"""The ConfigMaps of a search's ledger: 100 trials each, named after the run's Job."""

from __future__ import annotations

from typing import Any, Final

from modelmill.engine.children import NEVER
from modelmill.kube import labels
from modelmill.training.builders.job import job_labels
from modelmill.training.view import View
from modelmill.tuning.ledger import Ledger, encode

LEDGER: Final = "ledger"
"""What the label of steps says on the ConfigMaps."""


def ledger_name(run_job: str, shard: int) -> str:
    """Return the name of a ConfigMap; run_job: the name of its run's Job, which no other TrainingJob's run has."""
    return f"{run_job}-trials-{shard}"


def build_ledger(view: View, number: int, run_job: str, before: Ledger | None, after: Ledger) -> list[dict[str, Any]]:
    """Return the ConfigMaps of a ledger. before: as it was decoded, None when there was none.

    They take the place of those that the view was made from, and of no others: what was recorded is never taken back.
    """
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": ledger_name(run_job, place),
                "namespace": view.namespace,
                "resourceVersion": view.ledger_versions.get(ledger_name(run_job, place), NEVER),
                "labels": {**job_labels(view, number), labels.STEP_LABEL: LEDGER},
            },
            "data": dict(data),
        }
        for place, data in enumerate(encode(after, before))
    ]
