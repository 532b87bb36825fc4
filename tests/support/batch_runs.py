"""Batch runs of the server's program, as a pod or a person on a laptop starts them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from modelmill.contracts.batch import BatchResult, BatchSpec
from modelmill_server.batch.command import Run
from modelmill_server.batch.scoring import Scoring
from modelmill_server.core.loading import load_model
from modelmill_server.settings import Settings
from tests.support.model_server import server_environment

SECONDS = 300


@dataclass(frozen=True)
class Ended:
    """How a run ended. message: its termination message; output: what it printed."""

    code: int
    message: str
    output: str


def batch(
    artifact: Path, *arguments: str, environment: Mapping[str, str] | None = None, message: Path | None = None
) -> Ended:
    """Run `modelmill-server batch` to its end."""
    told = message or artifact.parent / "termination-message"
    told.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "modelmill_server", "batch", str(artifact), *arguments],
        env={**server_environment(), "MODELMILL_TERMINATION_PATH": str(told), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Ended(done.returncode, told.read_text() if told.exists() else "", done.stdout + done.stderr)


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return read


class ScoresHere:
    """The model in this process."""

    def __init__(self, artifact: Path, spec: BatchSpec) -> None:
        self._scoring = Scoring(load_model(Settings(artifact))[0], spec)

    def score(self, path: Path, result: Path, label: str) -> dict[str, Any]:
        return asdict(self._scoring.score(path, result, label))


def run_here(artifact: Path, spec: BatchSpec, index: int, tmp_path: Path) -> BatchResult:
    """Score one partition in this process."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return Run(Settings(artifact), spec, index, scratch, ScoresHere(artifact, spec)).finish()


def write(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        path.write_text("".join(json.dumps(json.loads(row.to_json())) + "\n" for _, row in frame.iterrows()))


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])


def peak_mib(artifact: Path, *arguments: str) -> float:
    """Run `modelmill-server batch` to its end; return the largest resident set of its processes."""
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)\n"
    )
    command = [sys.executable, "-c", measure, sys.executable, "-m", "modelmill_server", "batch", str(artifact)]
    done = subprocess.run(
        [*command, *arguments], env=server_environment(), capture_output=True, text=True, timeout=SECONDS, check=True
    )
    return float(done.stdout)
