"""A search from the plan's Jobs to a version, each container run as a process of the trainer on a store of files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_digits

from modelmill.contracts import names, result
from modelmill.training.builders.job import WORK
from tests.support import objects as o
from tests.support.programs import ROOT
from tests.unit.training.searching import Search

pytestmark = pytest.mark.integration

SVC, NEIGHBORS = "sklearn.svm.SVC", "sklearn.neighbors.KNeighborsClassifier"
WITH_SVC = {"parameter": "estimator", "equals": SVC}
PARAMETERS = [
    {"name": "estimator", "categorical": {"choices": [SVC, NEIGHBORS]}},
    {"name": "SVC__C", "float": {"low": "0.1", "high": "10", "log": True}, "when": WITH_SVC},
]  # fmt: skip


def carried_out(search: Search, name: str, folder: Path) -> None:
    """Run the containers of a Job one after the other, and let it end as they do."""
    pod = search.jobs[name]["spec"]["template"]["spec"]
    ends: list[dict[str, Any]] = []
    for container in [*(pod.get("initContainers") or ()), *pod["containers"]]:
        told = folder / name / f"{container['name']}.message"
        told.parent.mkdir(parents=True, exist_ok=True)
        env = {
            one["name"]: one["value"].replace(WORK, str(folder / name))
            if one["name"] != names.ENV_STAGE
            else one["value"]
            for one in container["env"]
            if "value" in one
        }
        for mount in container["volumeMounts"]:
            if mount["mountPath"].startswith(WORK):
                Path(mount["mountPath"].replace(WORK, str(folder / name))).mkdir(parents=True, exist_ok=True)
        paths = os.pathsep.join(str(ROOT / part) for part in ("operator", "images/trainer"))
        env |= {"PYTHONPATH": paths, "PATH": os.environ["PATH"], names.ENV_TERMINATION_PATH: str(told)}
        argv = [sys.executable, "-m", "modelmill_trainer", *container["args"]]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=False)
        message = told.read_text() if told.exists() else done.stderr
        assert done.returncode == 0, (container["name"], message, done.stderr[-2000:])
        ends.append(o.ended(container["name"], 0, message, "Completed"))
    search.complete(name, ends[-1:], tuple(ends[:-1]))


def digits(folder: Path, parameters: list[dict[str, Any]], **tuning: Any) -> Search:
    """Return a search on a part of the digits, before anything has run."""
    data = folder / "data"
    data.mkdir()
    (folder / "store").mkdir()
    frame = load_digits(as_frame=True).frame.rename(columns={"target": "digit"})
    frame.iloc[:400].to_csv(data / "digits.csv", index=False)
    return Search(
        o.training_job(
            store={"uri": f"file://{folder}/store"},
            data={
                "train": {"uri": f"file://{data}", "format": "csv"},
                "target": "digit",
                "holdout": {"fraction": "0.2"},
            },
            train={"sklearn": {"estimator": "sklearn.svm.SVC"}},
            evaluation={"primary": {"metric": "accuracy", "direction": "Maximize"}},
            tuning={"parameters": parameters, **tuning},
        )
    )  # fmt: skip


def to_the_end(search: Search, folder: Path) -> dict[str, Any]:
    """Carry out every Job of the run and return how it ended."""
    search.rest()
    while "currentRun" in search.status:
        waiting = [name for name, job in search.jobs.items() if not job["status"]["conditions"]]
        assert waiting, search.status
        if waiting[0].endswith("-t0"):
            # The source is not read again.
            (folder / "data" / "digits.csv").unlink(missing_ok=True)
        carried_out(search, waiting[0], folder / "pods")
        search.rest()
    return dict(search.status["lastRun"])


def test_a_search_makes_a_version_by_the_trainers_own_stages(tmp_path: Path) -> None:
    seeds = [{"estimator": SVC, "SVC__C": 1}, {"estimator": NEIGHBORS}]
    search = digits(tmp_path, PARAMETERS, maxTrials=2, validation={"folds": 2}, seedTrials=seeds)
    last = to_the_end(search, tmp_path)
    assert last["outcome"] == result.PUBLISHED, last
    assert last["trials"]["succeeded"] == 2
    assert all(0.5 < one["value"] <= 1 for one in search.entries())
    assert float(last["metrics"]["accuracy"]) > 0.8
    assert last["best"]["value"] == max(f"{one['value']:.6g}" for one in search.entries())


def test_trials_of_one_pod_by_the_trainers_own_stages(tmp_path: Path) -> None:
    kernels = [{"name": "kernel", "categorical": {"choices": ["linear", "nothing", "poly"]}}]
    seeds = [{"kernel": name} for name in ("linear", "nothing", "poly")]
    pods = {"maxTrials": 3, "parallelTrials": 3, "trialsPerPod": 3}
    search = digits(tmp_path, kernels, **pods, validation={"folds": 2}, seedTrials=seeds)
    last = to_the_end(search, tmp_path)
    assert last["outcome"] == result.PUBLISHED, last
    assert [name.removeprefix(last["job"]) for name in search.made] == ["-data", "-t0", ""]
    first, second, third = search.entries()
    assert all(0.5 < one["value"] <= 1 for one in (first, third))
    assert (second["state"], second["reason"]) == ("Failed", "ParameterInvalid")
    assert "kernel" in second["message"]
    assert {"accuracy", "f1_macro"} <= first["metrics"].keys()


FOREST, BAGGING = "sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble.BaggingClassifier"
TREES = [
    {"name": "estimator", "categorical": {"choices": [FOREST, BAGGING]}},
    {"name": "n_estimators", "int": {"low": 1, "high": 9}},
]


def test_the_best_trials_model_fitted_by_prefixes_is_published_byte_for_byte(tmp_path: Path) -> None:
    seeds = [{"estimator": FOREST, "n_estimators": 1}, {"estimator": BAGGING, "n_estimators": 9}]
    publish = {"publish": "BestTrial", "validation": {"fraction": "0.25"}, "pruning": {"name": "Median"}}
    search = digits(tmp_path, TREES, maxTrials=2, seedTrials=seeds, **publish)
    last = to_the_end(search, tmp_path)
    assert last["outcome"] == result.PUBLISHED, last
    best = search.entries()[1]
    assert last["best"]["index"] == best["index"]
    (manifest,) = (tmp_path / "store").rglob("manifest.json")
    assert sha256((manifest.parent / names.SKOPS_FILE).read_bytes()).hexdigest() == best["model"]
    assert any(note.startswith("the model has the bytes of trial 1") for note in last["notes"]), last["notes"]
    lineage = json.loads(manifest.read_bytes())["lineage"]
    assert lineage["published"].startswith("the model has the bytes of trial 1")
    assert lineage["left_out"] == "Random 0.25 of the rows to train on"
    assert "The model has the bytes of trial 1" in (manifest.parent / names.REPORT_FILE).read_text()
    pods = tmp_path / "pods"
    trial, run = pods / f"{last['job']}-t1", pods / last["job"]
    assert (run / "input/train/train.csv").read_bytes() == (trial / "input/train/train.csv").read_bytes()
    validated, held = ((one / "holdout/holdout.csv").read_text().splitlines()[1:] for one in (trial, run))
    assert validated
    assert held
    assert not set(validated) & set(held)
