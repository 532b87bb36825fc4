"""A container leaves a model that crashes whatever runs it: the run ends with words, once, and no key is in any output."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.lines import table, training_job

# A tree whose root sends every row to a node far outside of its memory.
WILD_TREE = """
import json, os
import numpy as np, pandas as pd, skops.io
from sklearn.tree import DecisionTreeRegressor

source = os.environ["MODELMILL_INPUT"]
params = json.load(open(f"{source}/params.json"))
rows = pd.read_csv(f"{source}/{params['train']}").fillna(0)
model = DecisionTreeRegressor(max_depth=3).fit(rows[["x", "z"]], rows["y"])
state = model.tree_.__getstate__()
state["nodes"]["left_child"][0] = state["nodes"]["right_child"][0] = 1_000_000_000
model.tree_.__setstate__(state)
skops.io.dump(model, os.environ["MODELMILL_OUTPUT"] + "/model.skops")
"""


@pytest.fixture(scope="module")
def failed(cluster: Cluster) -> dict[str, Any]:
    """Return the condition of a TrainingJob whose train stage left the tree."""
    cluster.put("data/part.csv", table())
    image = cluster.kube.status["images"]["trainer"]
    program = {"container": {"image": image, "command": ["python3", "-c", WILD_TREE]}}
    cluster.apply(training_job(cluster, "wild", train=program, runPolicy={"backoffLimit": 3}))

    def stalled() -> dict[str, Any] | None:
        found = cluster.condition("TrainingJob", "wild", "Stalled")
        return found if found.get("status") == "True" else None

    return dict(cluster.wait("the run to fail", stalled, 240))


def test_a_model_that_crashes_is_the_outcome_of_its_run(cluster: Cluster, failed: dict[str, Any]) -> None:
    print(failed)
    assert failed["reason"] == "ModelInvalid"
    assert "container evaluate exited with code 3: " in failed["message"]
    assert cluster.status("TrainingJob", "wild")["lastRun"]["attempts"] == 1
    assert len(cluster.list("Pod", "modelmill.dev/training-job=wild")) == 1
    assert cluster.list("ModelVersion") == []
    assert cluster.s3.list_objects_v2(Bucket=cluster.bucket, Prefix="models/").get("KeyCount", 0) == 0


def test_the_key_of_the_store_is_in_no_output(cluster: Cluster, failed: dict[str, Any]) -> None:
    del failed
    key = cluster.kube.status["s3"]["secret_key"]
    (pod,) = cluster.list("Pod", "modelmill.dev/training-job=wild")
    names = [one["name"] for one in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])]
    assert names == ["fetch", "train", "evaluate", "publish"]
    run = cluster.kube.run
    logs = [
        run("kubectl", "logs", "-n", cluster.namespace, pod["metadata"]["name"], "-c", name) for name in names[:-1]
    ]  # publish never began
    objects = [cluster.list(kind) for kind in ("TrainingJob", "Job", "Pod", "Event")]
    for text in (*logs, json.dumps(objects)):
        assert key not in text
