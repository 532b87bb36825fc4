"""A search on scikit-learn's digits; then each question about versions by the line of kubectl that the docs give."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.datasets import load_digits

from hack.demo.kube import ROOT
from tests.support.cluster import Cluster

VERSIONS = ROOT / "docs" / "how-to" / "find-and-fetch-versions.md"
REPRODUCE = ROOT / "docs" / "how-to" / "bring-data-back.md"
SEARCH = ROOT / "docs" / "how-to" / "search.md"


def training_job(cluster: Cluster) -> dict[str, Any]:
    """Return the example with what a beginner writes of a search, on this cluster's store."""
    body: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "search" / "training-job.yaml").read_text())
    spec = body["spec"]
    spec["store"] = {
        "uri": f"s3://{cluster.bucket}/models",
        "endpoint": cluster.kube.status["s3"]["endpoint_in_cluster"],
        "secretRef": {"name": "keys"},
    }
    spec["data"]["train"]["uri"] = f"s3://{cluster.bucket}/digits/"
    spec["train"] = {"sklearn": {"estimator": "Auto"}}
    spec["tuning"] = {"space": "Auto", "maxTrials": 3, "parallelTrials": 2, "validation": {"fraction": "0.2"}}
    return body


def told(cluster: Cluster, page: Path, part: str, changes: Mapping[str, str] | None = None) -> bytes:
    """Type the one line of a page that has this part; changes: texts of the page, and what stands for them here."""
    lines = [line.strip() for line in page.read_text().splitlines() if line.startswith("    kubectl") and part in line]
    assert len(lines) == 1, (part, lines)
    line = re.sub(r"-n ml\b", f"-n {cluster.namespace}", lines[0]).replace("fuel-economy", "digits")
    line = line.replace("spec.metrics.r2", "spec.metrics.accuracy")
    for text, here in (changes or {}).items():
        line = line.replace(text, here)
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, check=False, timeout=60, env=cluster.kube.environment
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def searched(cluster: Cluster) -> Cluster:
    """Return the cluster with two versions: of a search, and of the same one made longer."""
    frame = load_digits(as_frame=True).frame.rename(columns={"target": "digit"})
    cluster.put("digits/digits.csv", frame.to_csv(index=False))
    cluster.apply(training_job(cluster))
    cluster.wait("the first version", lambda: cluster.get("ModelVersion", "digits-1"), 400)
    cluster.patch("TrainingJob", "digits", {"spec": {"tuning": {"maxTrials": 4}}})
    cluster.wait("the second version", lambda: cluster.get("ModelVersion", "digits-2"), 400)
    cluster.wait("its record", lambda: cluster.status("TrainingJob", "digits").get("currentRun") is None, 60)
    return cluster


def test_a_search_is_told_by_kubectl(searched: Cluster) -> None:
    last = searched.status("TrainingJob", "digits")["lastRun"]
    assert last["trials"] == {
        "maximum": 4,
        "succeeded": 4,
        "failed": 0,
        "pruned": 0,
        "running": 0,
        "end": "MaxTrialsReached",
    }
    best, value = told(searched, SEARCH, "lastRun.best.parameters").decode().split("\n")[:2]
    assert "estimator=sklearn." in best
    ledger = yaml.safe_load(told(searched, SEARCH, "modelmill.dev/step=ledger", {"run-number=1": "run-number=2"}))
    entries = [json.loads(text) for one in ledger["items"] for key, text in one["data"].items() if key.isdigit()]
    assert [one["state"] for one in entries] == ["Succeeded"] * 4
    assert float(value) > 0.9


@pytest.fixture(scope="module")
def versions(searched: Cluster) -> Cluster:
    """Return the cluster with a third version, of an estimator by name."""
    cluster = searched
    named = {"sklearn": {"estimator": "sklearn.naive_bayes.GaussianNB"}}
    cluster.patch("TrainingJob", "digits", {"spec": {"tuning": None, "train": named, "evaluation": {"gates": None}}})
    cluster.wait("the third version", lambda: cluster.get("ModelVersion", "digits-3"), 200)
    cluster.wait("its record", lambda: cluster.status("TrainingJob", "digits").get("currentRun") is None, 60)
    return cluster


def test_each_question_about_versions_is_one_line(versions: Cluster) -> None:
    measured = {
        name: float(versions.get("ModelVersion", name)["spec"]["metrics"]["accuracy"])
        for name in ("digits-1", "digits-2", "digits-3")
    }
    best = told(versions, VERSIONS, "{.items[-1:]").decode()
    assert measured[best] == max(measured.values())
    third = told(versions, VERSIONS, ".items[-3:-2]").decode()
    assert measured[third] == min(measured.values())
    uri, digest = told(versions, VERSIONS, "{.spec.artifact.uri}", {"digits-3": third}).decode().split()
    prefix = uri.removeprefix(f"s3://{versions.bucket}/")
    manifest = versions.s3.get_object(Bucket=versions.bucket, Key=f"{prefix}/manifest.json")["Body"].read()
    assert f"sha256:{hashlib.sha256(manifest).hexdigest()}" == digest
    served(versions, best)
    told(versions, VERSIONS, '"aliases":["champion"]', {"digits-3": third})
    versions.wait_stable("digits", third)
    packed = told(versions, VERSIONS, "tarfile", {" > model.tar": ""})
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        files = {file["name"]: file["sha256"] for file in json.loads(manifest)["files"]}
        for member in (
            one for one in archive.getmembers() if one.isfile() and one.name.removeprefix("model/") in files
        ):
            stream = archive.extractfile(member)
            assert stream is not None
            assert hashlib.sha256(stream.read()).hexdigest() == files[member.name.removeprefix("model/")]
        assert "model/manifest.json" in archive.getnames()


def served(cluster: Cluster, version: str) -> None:
    """Serve the alias champion, which this version has."""
    cluster.patch("ModelVersion", version, {"spec": {"aliases": ["champion"]}})
    spec = {"model": {"name": "digits", "alias": "champion"}, "rollout": {"strategy": "Direct"}}
    cluster.apply(
        {
            "apiVersion": "modelmill.dev/v1alpha1",
            "kind": "InferenceService",
            "metadata": {"name": "digits"},
            "spec": spec,
        }
    )
    cluster.wait_stable("digits", version)


def test_last_months_version_is_made_again_after_its_data_were_deleted(versions: Cluster) -> None:
    versions.s3.delete_object(Bucket=versions.bucket, Key="digits/digits.csv")
    told(versions, REPRODUCE, "annotate", {"digits-3": "digits-1"})
    said = versions.wait("what was made again", lambda: told(versions, REPRODUCE, "lastRun.reproduced").decode(), 200)
    found = json.loads(said)
    assert (found["version"], found["bytes"]) == ("digits-1", "Same"), found
    assert len(versions.list("ModelVersion")) == 3
