"""The evaluation without a process of its own, which costs seconds: for tests of what is evaluated, not of where."""

from __future__ import annotations

from pathlib import Path

from modelmill.contracts import result
from modelmill.contracts.stage import StageSpec
from modelmill_trainer.evaluation import evaluate_model
from modelmill_trainer.folders import Folders
from modelmill_trainer.phases import RESULT_FILE


def evaluate_here(spec: StageSpec, folders: Folders, into: Path) -> result.StageResult:
    """Do what `modelmill_trainer.evaluate.evaluate` does, in this process."""
    ending = evaluate_model(spec, folders, into, {})
    (into / RESULT_FILE).write_text(result.encode(ending), encoding="utf-8")
    return ending
