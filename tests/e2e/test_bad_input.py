"""Every bad input ends in a condition with the field, the container, the exit code, the last line; nothing is published."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cluster import Cluster, secret
from tests.support.lines import table, training_job


def store(cluster: Cluster, **changes: Any) -> dict[str, Any]:
    endpoint = cluster.kube.status["s3"]["endpoint_in_cluster"]
    return {"uri": f"s3://{cluster.bucket}/models", "endpoint": endpoint, "secretRef": {"name": "keys"}, **changes}


def data(cluster: Cluster, **changes: Any) -> dict[str, Any]:
    base = {
        "train": {"uri": f"s3://{cluster.bucket}/data/", "format": "csv"},
        "target": "y",
        "holdout": {"fraction": "0.2"},
    }
    return {**base, **changes}


def program(cluster: Cluster, code: str) -> dict[str, Any]:
    image = cluster.kube.status["images"]["trainer"]
    return {"container": {"image": image, "command": ["python3", "-c", code]}}


def cases(cluster: Cluster) -> dict[str, tuple[dict[str, Any], str, list[str]]]:
    """Return by name: changes of the spec, the reason expected, and words of the message."""
    where = f"s3://{cluster.bucket}"
    sklearn = {"estimator": "sklearn.linear_model.Rigde"}
    eat = "b=[]\nwhile True: b.append(bytearray(10_000_000))"
    return {
        "target-missing": ({"data": data(cluster, target="price")}, "TargetMissing", ["price"]),
        "prefix-empty": (
            {"data": data(cluster, train={"uri": f"{where}/nothing/", "format": "csv"})},
            "DataEmpty",
            ["nothing"],
        ),
        "bucket-missing": (
            {"data": data(cluster, train={"uri": "s3://there-is-no-such-bucket/x/", "format": "csv"})},
            "BucketNotFound",
            ["there-is-no-such-bucket"],
        ),
        "wrong-type": (
            {"data": data(cluster, train={"uri": f"{where}/text/", "format": "parquet"})},
            "DataUnreadable",
            ["text"],
        ),
        "unknown-column": (
            {"data": data(cluster, holdout={"fraction": "0.2", "strategy": "Latest", "column": "when"})},
            "ColumnMissing",
            ["when"],
        ),
        "wrong-keys": ({"store": store(cluster, secretRef={"name": "wrong"})}, "StoreAuthFailed", []),
        "secret-missing": (
            {"store": store(cluster, secretRef={"name": "nobody"})},
            "ContainerConfigInvalid",
            ["nobody"],
        ),
        "estimator-unknown": ({"train": {"sklearn": sklearn}}, "EstimatorUnknown", ["Rigde"]),
        "parameter-unknown": (
            {"train": {"sklearn": {"estimator": "sklearn.linear_model.Ridge", "parameters": {"alpah": 1}}}},
            "ParameterInvalid",
            ["alpah"],
        ),
        "image-missing": (
            {"train": {"container": {"image": "localhost/there-is-none:1"}}},
            "ImagePullFailed",
            ["localhost/there-is-none:1"],
        ),
        "exits-one": (
            {
                "train": program(
                    cluster, "import time; print('loading', flush=True); time.sleep(1); raise SystemExit('no GPU here')"
                )
            },
            "TrainingFailed",
            ["container train", "code 1", "no GPU here"],
        ),
        "leaves-nothing": ({"train": program(cluster, "print('done')")}, "ModelMissing", []),
        "out-of-memory": (
            {
                "train": program(cluster, eat),
                "podTemplate": {"resources": {"limits": {"memory": "300Mi"}, "requests": {"memory": "100Mi"}}},
            },
            "OutOfMemory",
            ["container train", "memory"],
        ),
    }


NAMES = (
    "target-missing", "prefix-empty", "bucket-missing", "wrong-type", "unknown-column", "wrong-keys", "secret-missing",
    "estimator-unknown", "parameter-unknown", "image-missing", "exits-one", "leaves-nothing", "out-of-memory",
)  # fmt: skip


@pytest.fixture(scope="module")
def failing(cluster: Cluster) -> Cluster:
    """All bad TrainingJobs at once, so that they fail side by side."""
    cluster.put("data/part.csv", table())
    cluster.put("text/part.parquet", "this is not parquet")
    cluster.apply(secret("wrong", "modelmill", "not-the-key"))
    table_of_cases = cases(cluster)
    assert set(table_of_cases) == set(NAMES)
    cluster.apply(*(training_job(cluster, name, **spec) for name, (spec, _, _) in table_of_cases.items()))
    return cluster


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_named(failing: Cluster, name: str) -> None:
    _, reason, words = cases(failing)[name]

    def stalled() -> dict[str, Any] | None:
        found = failing.condition("TrainingJob", name, "Stalled")
        return found if found.get("status") == "True" else None

    condition = failing.wait(f"{name} to be stalled", stalled, 240)
    assert condition["reason"] == reason, condition
    for word in words:
        assert word in condition["message"]
    assert "Traceback" not in condition["message"]
    ready = failing.condition("TrainingJob", name, "Ready")
    assert ready["status"] == "False"


def test_nothing_is_half_published(failing: Cluster) -> None:
    assert failing.list("ModelVersion") == []
    listed = failing.s3.list_objects_v2(Bucket=failing.bucket, Prefix="models/")
    assert listed.get("KeyCount", 0) == 0
