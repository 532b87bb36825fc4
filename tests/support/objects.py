"""Objects for tests of pure plans, as the API server would hold them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from modelmill.contracts import result

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def training_job(**spec: Any) -> dict[str, Any]:
    base = {
        "model": "cars",
        "store": {"uri": "s3://models/prod", "endpoint": "http://s3:7070", "secretRef": {"name": "keys"}},
        "data": {
            "train": {"uri": "s3://data/cars/", "format": "csv"},
            "target": "mpg",
            "holdout": {"fraction": "0.2"},
        },
        "train": {"sklearn": {"estimator": "sklearn.linear_model.Ridge", "parameters": {"alpha": "0.5"}}},
        "evaluation": {"primary": {"metric": "r2", "direction": "Maximize"}, "gates": []},
        "triggers": {"alerts": {"enabled": True, "minNewRows": 0}},
        "retrain": {"cooldownSeconds": 600, "maxConsecutiveFailures": 2},
        "versions": {"approval": "Automatic"},
    }
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {
            "name": "cars",
            "namespace": "ml",
            "uid": "tj-uid",
            "generation": 1,
            "resourceVersion": "10",
            "creationTimestamp": "2026-01-02T03:00:00Z",
        },
        "spec": {**base, **spec},
    }


def with_status(obj: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    return {**copy.deepcopy(dict(obj)), "status": copy.deepcopy(dict(status))}


def model_version(name: str, approval: str = "Approved", created: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {
            "name": name,
            "namespace": "ml",
            "uid": f"{name}-uid",
            "generation": 1,
            "resourceVersion": "5",
            "creationTimestamp": created,
            "labels": {"modelmill.dev/model": "cars"},
        },
        "spec": {
            "model": "cars",
            "artifact": {"uri": f"s3://models/prod/ml/cars/{name}/", "digest": DIGEST},
            "store": {"uri": "s3://models/prod", "endpoint": "http://s3:7070", "secretRef": {"name": "keys"}},
            "format": "onnx",
            "bytes": 1000,
            "trained": created,
            "primary": {"metric": "r2", "direction": "Maximize"},
            "metrics": {"r2": "0.9"},
            "approval": approval,
        },
    }


def inference_service(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {
            "name": "cars",
            "namespace": "ml",
            "uid": "is-uid",
            "generation": 1,
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T03:00:00Z",
        },
        "spec": {"model": {"name": "cars", "follow": "Approved"}, **spec},
    }


def alert(identity: str = "a1", kind: str = "Drift", **more: Any) -> dict[str, Any]:
    return {"id": identity, "name": "ModelmillFeatureDrift", "kind": kind, "startsAt": "2026-01-02T03:00:00Z", **more}


def published(outcome: str = result.PUBLISHED, **more: Any) -> result.StageResult:
    return result.StageResult(
        outcome=outcome,
        artifact=result.Artifact("s3://models/prod/ml/cars/sha256-aa/", DIGEST, 1234, "onnx"),
        data=result.DataFacts(DIGEST, 100, 20),
        metrics={"r2": 0.91, "mae": 2.0},
        **more,
    )


def job(manifest: Mapping[str, Any], *conditions: Mapping[str, Any], failed: int = 0) -> dict[str, Any]:
    made = copy.deepcopy(dict(manifest))
    made["metadata"]["uid"] = f"{made['metadata']['name']}-uid"
    made["metadata"]["ownerReferences"] = [{"uid": "tj-uid", "controller": True, "kind": "TrainingJob"}]
    made["status"] = {"failed": failed, "conditions": list(conditions)}
    return made


def condition(kind: str, reason: str = "", moment: datetime = NOW) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "lastTransitionTime": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def ended(container: str, code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"name": container, "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}


def running(container: str) -> dict[str, Any]:
    return {"name": container, "state": {"running": {}}}


def waiting(container: str, reason: str, message: str = "", image: str = "img") -> dict[str, Any]:
    return {"name": container, "image": image, "state": {"waiting": {"reason": reason, "message": message}}}


def pod(
    name: str, init: list[dict[str, Any]], main: list[dict[str, Any]], phase: str = "Running", created: str = "1"
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "ml", "uid": f"{name}-uid", "creationTimestamp": created},
        "status": {"phase": phase, "initContainerStatuses": init, "containerStatuses": main},
    }


def tuning(**more: Any) -> dict[str, Any]:
    return {
        "parameters": [{"name": "alpha", "float": {"low": "0.01", "high": "10", "log": True}}],
        "algorithm": {"name": "Random"},
        "maxTrials": 3,
        **more,
    }
