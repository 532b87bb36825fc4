"""The example of a training script that knows nothing of us: with the arguments of its manifest it makes a version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from modelmill.contracts import names, result
from modelmill.contracts.artifact import digest, parse_manifest
from tests.support.programs import ROOT

EXAMPLE = ROOT / "examples" / "script"


def stage(name: str, work: Path, *arguments: str) -> None:
    """Run a stage as its container would, with the built-in stages' own Python."""
    env = {one: value for one, value in os.environ.items() if not one.startswith("MODELMILL_")}
    env |= {"PYTHONPATH": f"{ROOT}/operator:{ROOT}/images/trainer", names.ENV_TERMINATION_PATH: str(work / "ending")}
    at = ["--stage-file", str(work / "spec.json"), "--work", str(work)]
    done = subprocess.run(
        [sys.executable, "-m", "modelmill_trainer", name, *at, *(f"--argument={one}" for one in arguments)],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_script_as_it_was_found_makes_a_version(tmp_path: Path) -> None:
    (job,) = yaml.safe_load_all((EXAMPLE / "training-job.yaml").read_text())
    spec, ref = job["spec"], job["spec"]["train"]["script"]["configMapRef"]
    (tmp_path / "script").mkdir()
    text = (EXAMPLE / "train.py").read_bytes()
    assert b"MODELMILL" not in text
    (tmp_path / "script" / ref["key"]).write_bytes(text)
    told = {
        "model": spec["model"],
        "store": {"uri": f"file://{tmp_path}/models"},
        "data": {
            "uri": f"file://{ROOT}/examples/quickstart/data/",
            "format": spec["data"]["train"]["format"],
            "target": spec["data"]["target"],
            "exclude": spec["data"]["features"]["exclude"],
            "holdout": {"fraction": float(spec["data"]["holdout"]["fraction"])},
        },
        "primary_metric": "r2",
        "gates": [{"metric": "r2", "minimum": float(spec["evaluation"]["gates"][0]["minimum"])}],
        "script": {"config_map": ref["name"], "key": ref["key"]},
    }
    (tmp_path / "spec.json").write_text(json.dumps(told))
    places = {"$(MODELMILL_INPUT)": f"{tmp_path}/input", "$(MODELMILL_OUTPUT)": f"{tmp_path}/output"}
    arguments = spec["train"]["script"]["args"]
    for place, path in places.items():
        arguments = [one.replace(place, path) for one in arguments]
    stage("fetch", tmp_path)
    stage("script", tmp_path, *arguments)
    stage("publish", tmp_path)
    ending = result.decode((tmp_path / "ending").read_text())
    assert ending.outcome == result.PUBLISHED, ending
    assert ending.data is not None
    assert ending.data.script == digest(text)
    assert ending.artifact is not None
    manifest = parse_manifest((Path(ending.artifact.uri.removeprefix("file://")) / names.MANIFEST_FILE).read_bytes())
    assert manifest.lineage["script_digest"] == digest(text)
