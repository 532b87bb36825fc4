"""The ModelVersion that a run makes."""

from __future__ import annotations

import re
from typing import Any

from modelmill.api import base
from modelmill.api.training_job_status import CurrentRun
from modelmill.api.versions import APPROVED, PENDING, REJECTED
from modelmill.contracts.result import PUBLISHED, StageResult, WarmStart
from modelmill.kube import labels
from modelmill.kube.texts import fitted
from modelmill.training.builders.job import store_of
from modelmill.training.recipe import recipe_of
from modelmill.training.view import View

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def number_text(value: float) -> str:
    """Return a metric as text: six significant digits, which is more than a hold-out can tell apart."""
    return f"{value:.6g}"


def metric_texts(metrics: dict[str, float]) -> dict[str, str]:
    """Return metrics as the API carries them: decimal texts by name."""
    return {name: number_text(value) for name, value in sorted(metrics.items())}


def build_model_version(view: View, run: CurrentRun, result: StageResult, finished: str) -> dict[str, Any]:
    """Return the ModelVersion of a run that published. It has no owner: versions outlive their TrainingJob.

    A version that failed its gates is kept as Rejected. One that passed is Approved when the TrainingJob says Automatic,
    else it waits for a person.
    """
    artifact, data = result.artifact, result.data
    if artifact is None or data is None:
        raise ValueError(f"a result with outcome {result.outcome} has no artifact to make a version of")
    passed = result.outcome == PUBLISHED
    automatic = view.spec.versions.approval == "Automatic"
    approval = REJECTED if not passed else APPROVED if automatic else PENDING
    spec: dict[str, Any] = {
        "model": view.spec.model,
        "artifact": {"uri": artifact.uri, "digest": artifact.digest},
        "store": store_of(view, run.job).model_dump(by_alias=True, exclude_none=True),
        "format": artifact.format,
        "bytes": artifact.bytes,
        "trained": finished,
        "primary": view.spec.evaluation.primary.model_dump(by_alias=True),
        "metrics": metric_texts(result.metrics),
        "gates": [fitted(gate, 1024) for gate in result.gates],
        "failedGates": []
        if passed
        else [fitted(reason, 1024) for reason in result.reasons] or ["the run does not say which"],
        "lineage": {
            "trainingJob": view.name,
            "run": run.number,
            "runUid": f"{view.uid}-{run.number}",
            "reason": run.reason,
            "dataDigest": data.digest,
            "dataRows": data.rows,
            "holdoutRows": data.holdout_rows,
            **({"dataWindow": fitted(str(data.window), 1024)} if data.window else {}),
            **({"preparedDigest": data.prepared} if DIGEST.fullmatch(str(data.prepared)) else {}),
            **({"scriptDigest": data.script} if DIGEST.fullmatch(str(data.script)) else {}),
            **({"warmStart": _warm_start(result.warm_start)} if result.warm_start is not None else {}),
            "dataSnapshot": "Copy" if data.copied else "Digest",
        },
        "approval": approval,
        "deletionPolicy": view.spec.versions.deletion_policy,
    }
    recipe = recipe_of(view, run.job)
    if recipe is not None:
        spec["recipe"] = recipe
    if result.champion is not None:
        spec["champion"] = {
            "version": result.champion.name,
            "metrics": metric_texts(result.champion.metrics),
        }
        if result.champion.challenger:
            spec["champion"]["challenger"] = metric_texts(result.champion.challenger)
    return {
        "apiVersion": base.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": run.version,
            "namespace": view.namespace,
            "labels": {
                labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
                labels.MODEL_LABEL: view.spec.model,
                labels.TRAINING_JOB_LABEL: view.name,
                labels.OWNER_UID_LABEL: view.uid,
            },
            "ownerReferences": [],
        },
        "spec": spec,
    }


def _warm_start(told: WarmStart) -> dict[str, str]:
    return {"version": fitted(told.version, 63)} if told.version else {"reason": fitted(told.reason, 1024)}
