"""Every example as it stands: its manifest, on the data its README names, through the real stages to a prediction by value."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import skops.io
import yaml

from modelmill.api.training_job import TrainingJobSpec
from modelmill.contracts import names, result, stage
from modelmill.contracts.artifact import SKOPS_TRUSTED
from modelmill.training.builders.stage_spec import stage_spec
from modelmill_trainer.cli import main
from tests.support.evaluated import evaluate_here
from tests.support.model_server import Launcher

EXAMPLES = Path(__file__).parents[3] / "examples"
SEEDS = range(5)
MARGINS = {"r2": 0.1, "mae": 0.5}
"""How far within its bound a metric must stay, whichever rows are held out: at least this."""

Walk = Callable[..., "Ended"]


@dataclass(frozen=True)
class Ended:
    """A run that ended. folder: of its artifact; told: its result."""

    folder: Path
    told: result.StageResult


def manifest(example: str) -> dict[str, Any]:
    (path,) = (EXAMPLES / example).glob("*training-job.yaml")
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def spec_of(example: str, store: Path) -> stage.StageSpec:
    """Return what the operator tells the stages, with folders of `store` in place of buckets, filled as the README says."""
    raw = manifest(example)
    spec = TrainingJobSpec.model_validate(raw["spec"])
    view: Any = SimpleNamespace(spec=spec, namespace="ml", name=raw["metadata"]["name"], uid="uid")
    told = stage_spec(view, 1, f"{spec.model}-1", None, None)
    data = store / told.data.uri.removeprefix("s3://")
    shutil.copytree(EXAMPLES / "quickstart" / "data", data, dirs_exist_ok=True)
    models = stage.Store(f"file://{store}/{told.store.uri.removeprefix('s3://')}")
    return replace(told, data=replace(told.data, uri=f"file://{data}/"), store=models)


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Walk:
    """Return a function that runs an example once, as the containers of its pod do."""
    count = iter(range(100))
    monkeypatch.setattr("modelmill_trainer.publish.evaluate", evaluate_here)

    def run(example: str, seed: int = 0, champion: stage.Champion | None = None) -> Ended:
        work = tmp_path / f"run-{next(count)}"
        (work / "output").mkdir(parents=True)
        spec = replace(spec_of(example, tmp_path / "store"), seed=seed, champion=champion)
        (work / "stage.json").write_text(stage.encode(spec))
        monkeypatch.setenv(names.ENV_TERMINATION_PATH, str(work / "ending"))
        for name in (names.STAGE_FETCH, names.STAGE_TRAIN, names.STAGE_PUBLISH):
            container = manifest(example)["spec"]["train"].get("container")
            if name == names.STAGE_TRAIN and container is not None:
                run_container(EXAMPLES / example, container, work)
                continue
            code = main([name, "--stage-file", str(work / "stage.json"), "--work", str(work)])
            assert code == 0, (work / "ending").read_text()
        told = result.decode((work / "ending").read_text())
        assert told.artifact is not None
        return Ended(Path(told.artifact.uri.removeprefix("file://")), told)

    return run


def run_container(folder: Path, container: dict[str, Any], work: Path) -> None:
    """Run a container's command as its image has it: from the example's folder, with this Python."""
    environment = os.environ | {
        names.ENV_INPUT: str(work / "input"),
        names.ENV_OUTPUT: str(work / "output"),
        names.ENV_METRICS: str(work / "output" / "metrics.json"),
    }
    environment |= {one["name"]: one["value"] for one in container.get("env", ())}
    python, *command = container["command"]
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *command, *container.get("args", ())],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


def asked_and_told(example: str) -> tuple[str, dict[str, Any], float, float]:
    """Return the path, the body, the answer and the r2 that the example's README names."""
    text = (EXAMPLES / example / "README.md").read_text()
    call = re.search(r"curl http://[a-z-]+\.ml(/\S+).*?-d '(.*?)'", text, re.DOTALL)
    answer, quality = re.search(r"N about (\d+)", text), re.search(r"r2 of about (0\.\d+)", text)
    assert call is not None
    assert answer is not None
    assert quality is not None
    return call[1], json.loads(call[2]), float(answer[1]), float(quality[1])


def predicted_by_the_original(folder: Path, rows: list[dict[str, Any]]) -> float:
    model = skops.io.load(folder / names.SKOPS_FILE, trusted=list(SKOPS_TRUSTED))
    frame = pd.DataFrame(rows)
    return float(model.predict(frame[list(model.feature_names_in_)])[0])


@pytest.mark.parametrize("example", ["quickstart", "container-image"])
def test_the_example_leads_to_a_prediction(example: str, walk: Walk, launch: Launcher) -> None:
    path, body, about, quality = asked_and_told(example)
    ended = walk(example)
    assert ended.told.outcome == result.PUBLISHED, ended.told.reasons
    assert ended.told.metrics["r2"] == pytest.approx(quality, abs=0.01)
    answer = launch(ended.folder, MODEL_NAME=manifest(example)["spec"]["model"]).post(path, body)
    assert answer.status == 200, answer.body
    (value,) = answer.json()["predictions"]
    assert value == pytest.approx(predicted_by_the_original(ended.folder, body["instances"]), rel=1e-4)
    assert value == pytest.approx(about, abs=1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("example", ["quickstart", "container-image"])
def test_gates_are_passed_with_margin_whichever_rows_are_held_out(example: str, seed: int, walk: Walk) -> None:
    ended = walk(example, seed)
    assert ended.told.outcome == result.PUBLISHED, ended.told.reasons
    bounds = [gate for gate in manifest(example)["spec"]["evaluation"]["gates"] if "metric" in gate]
    assert bounds
    for gate in bounds:
        value, margin = ended.told.metrics[gate["metric"]], MARGINS[gate["metric"]]
        assert value >= float(gate.get("minimum", "-inf")) + margin
        assert value <= float(gate.get("maximum", "inf")) - margin


def test_a_second_run_of_the_quick_start_on_the_same_data_passes_too(walk: Walk) -> None:
    first = walk("quickstart").told.artifact
    assert first is not None
    champion = stage.Champion("fuel-economy-1", first.uri, first.digest)
    second = walk("quickstart", champion=champion).told
    assert second.outcome == result.PUBLISHED, second.reasons
    assert second.champion is not None


def test_the_image_has_the_libraries_of_the_stage_that_reads_its_model() -> None:
    pins = re.findall(r"\b([a-z-]+==[0-9.]+)", (EXAMPLES / "container-image" / "Dockerfile").read_text())
    locked = (EXAMPLES.parent / "requirements" / "trainer.txt").read_text()
    assert len(pins) == 3
    for pin in pins:
        assert f"\n{pin} " in f"\n{locked}", pin
