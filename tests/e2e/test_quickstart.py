"""What the README and the quick start say, typed as it stands, to a prediction; only the store's address and keys differ."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.demo.kube import ROOT
from tests.support.cluster import Cluster

QUICKSTART = ROOT / "examples" / "quickstart"
ADDRESS = "http://s3.store:7070"
CAR = {
    "Year": 1982, "Origin": "Japan", "Cylinders": 4, "Displacement": 91, "Horsepower": 67, "Weight_in_lbs": 1965,
    "Acceleration": 15.7,
}  # fmt: skip


def adapted(cluster: Cluster, text: str) -> str:
    """Return manifests with the address and the keys of this cluster's store."""
    store = cluster.kube.status["s3"]
    text = text.replace(ADDRESS, store["endpoint_in_cluster"])
    text = text.replace("AWS_ACCESS_KEY_ID: change-me", f"AWS_ACCESS_KEY_ID: {store['access_key']}")
    return text.replace("AWS_SECRET_ACCESS_KEY: change-me", f"AWS_SECRET_ACCESS_KEY: {store['secret_key']}")


def apply(cluster: Cluster, text: str) -> None:
    cluster.kube.run("kubectl", "apply", "-n", cluster.namespace, "-f", "-", text=adapted(cluster, text))


def ask(cluster: Cluster, model: str, row: dict[str, Any]) -> Any:
    code, answer = cluster.ask(model, f"/v1/models/{model}:predict", {"instances": [row]})
    assert code == 200, answer
    return answer["predictions"][0]


def test_the_quick_start_ends_in_a_prediction(cluster: Cluster) -> None:
    store = cluster.kube.status["s3"]
    keys = {"AWS_ACCESS_KEY_ID": store["access_key"], "AWS_SECRET_ACCESS_KEY": store["secret_key"]}
    subprocess.run(
        [sys.executable, "examples/quickstart/upload.py", "--endpoint", store["endpoint"]],
        cwd=ROOT,
        env={**os.environ, **keys},
        check=True,
    )
    for path in sorted(QUICKSTART.glob("*.yaml")):
        apply(cluster, path.read_text())
    cluster.wait_stable("fuel-economy", "fuel-economy-1")
    assert ask(cluster, "fuel-economy", CAR) == pytest.approx(34, abs=4)
    ready = cluster.condition("TrainingJob", "fuel-economy", "Ready")
    assert (ready["status"], ready["reason"]) == ("True", "Published"), ready


def test_the_two_objects_of_the_readme_roll_out_with_care(cluster: Cluster) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (text,) = (block for block in blocks if "kind: TrainingJob" in block and "kind: InferenceService" in block)
    job, service = yaml.safe_load_all(text)
    name, target = job["metadata"]["name"], job["spec"]["data"]["target"]
    prefix = job["spec"]["data"]["train"]["uri"].removeprefix("s3://data/")
    cluster.s3.put_object(Bucket="data", Key=f"{prefix}part.csv", Body=customers(target).encode())
    apply(cluster, text)
    cluster.wait("the version", lambda: cluster.get("ModelVersion", f"{name}-1"), 180)
    cluster.patch("ModelVersion", f"{name}-1", {"spec": {"approval": "Approved"}})
    cluster.wait_stable(name, f"{name}-1")
    leaving, staying = ({"months": months, "calls": calls} for months, calls in ((2, 9), (60, 0)))
    assert [ask(cluster, name, row) for row in (leaving, staying)] == [True, False]
    cluster.kube.annotate("TrainingJob", name, cluster.namespace, run="again")
    cluster.wait("the second version", lambda: cluster.get("ModelVersion", f"{name}-2"), 180)
    cluster.patch("ModelVersion", f"{name}-2", {"spec": {"approval": "Approved"}})
    cluster.wait("its rollout", lambda: cluster.status("InferenceService", name).get("phase") == "RollingOut", 60)
    status = cluster.status("InferenceService", name)
    assert status["stable"]["version"] == f"{name}-1"
    assert status["effective"]["steps"], "what `rollout` left out means is not told"
    assert service["spec"].get("rollout") is None


def customers(target: str, rows: int = 400) -> str:
    """Return a CSV of customers: who has called often and come lately leaves."""
    lines = [f"months,calls,{target}"]
    for i in range(rows):
        months, calls = 1 + i * 37 % 72, i * 11 % 10
        lines.append(f"{months},{calls},{'true' if calls * 6 > months else 'false'}")
    return "\n".join(lines) + "\n"


def test_the_data_are_those_that_the_readme_names() -> None:
    with (QUICKSTART / "data" / "cars.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 406
    assert Path(QUICKSTART / "README.md").read_text().count("406 cars") == 1
