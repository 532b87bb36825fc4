"""Where the stages of one run find each other's files."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from modelmill.contracts import names
from modelmill_trainer.failure import StageError


@dataclass(frozen=True, slots=True)
class Folders:
    """input: `train/train.<format>`, `champion/`, `params.json`. holdout: `holdout.<format>`, `data.json`.

    output: the model. metrics: file that the train stage may leave. evaluated: what the evaluate stage leaves for publish; None
    where publish evaluates by itself. trials: the ledger of the search that chose the parameters; None without one.
    """

    input: Path
    holdout: Path
    output: Path
    metrics: Path
    evaluated: Path | None = None
    trials: Path | None = None

    def of_trial(self, index: int) -> Folders:
        """Return the folders of one of the trials that share a pod, each of which has an output of its own."""
        output = self.output / str(index)
        return replace(self, output=output, metrics=output / self.metrics.name)

    @property
    def champion(self) -> Path:
        """The folder of the champion's artifact; it exists when there is one."""
        return self.input / "champion"

    @property
    def params(self) -> Path:
        """What the train stage is told about its data."""
        return self.input / "params.json"

    @property
    def snapshot(self) -> Path:
        """What is known about the data; beside the hold-out, where the train stage cannot change it."""
        return self.holdout / names.DATA_FILE

    @property
    def schema(self) -> Path:
        """What each column of the data looks like; beside the hold-out as well. Absent where it would be too large."""
        return self.holdout / names.SCHEMA_FILE

    def train(self, form: str) -> Path:
        """The rows to train on."""
        return self.input / "train" / f"train.{form}"

    def held_out(self, form: str) -> Path:
        """The rows to measure on."""
        return self.holdout / f"holdout.{form}"


def folders(work: Path | None) -> Folders:
    """Return the folders under `work`, or those that the environment names. Raises StageError (SpecInvalid)."""
    if work is not None:
        output = work / "output"
        return Folders(work / "input", work / "holdout", output, output / "metrics.json", trials=work / "trials")
    found = {name: os.environ.get(name, "") for name in (names.ENV_INPUT, names.ENV_OUTPUT, names.ENV_HOLDOUT)}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise StageError("SpecInvalid", f"{' and '.join(missing)} not set: set them, or give --work FOLDER")
    output = Path(found[names.ENV_OUTPUT])
    metrics = Path(os.environ.get(names.ENV_METRICS) or output / "metrics.json")
    evaluated = os.environ.get(names.ENV_EVALUATED)
    trials = os.environ.get(names.ENV_TRIALS)
    return Folders(
        Path(found[names.ENV_INPUT]),
        Path(found[names.ENV_HOLDOUT]),
        output,
        metrics,
        Path(evaluated) if evaluated else None,
        Path(trials) if trials else None,
    )
