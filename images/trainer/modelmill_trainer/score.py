"""The score stage, the last of a trial: its model measured on validation rows, or what the folds gave. It stores nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from modelmill.contracts import result
from modelmill.contracts.names import STAGE_SCORE
from modelmill.contracts.stage import StageSpec
from modelmill_trainer.evaluate import Evaluator, evaluate
from modelmill_trainer.facts import read_facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.folders import Folders
from modelmill_trainer.metrics import own_metrics
from modelmill_trainer.trial_pods import score_each


def score(spec: StageSpec, folders: Folders, evaluator: Evaluator | None = None) -> result.StageResult:
    """Return the trial's metrics, and its data as fetch found it; of trials that share a pod each one's. Raises StageError."""
    if spec.trial is None:
        raise StageError("SpecInvalid", f"{STAGE_SCORE} is a stage of a trial: set trial, or run publish")
    if spec.trial.pod:
        return score_each(spec, folders, lambda one, where: score(one, where, evaluator))
    facts = read_facts(folders.snapshot)
    notes: tuple[str, ...] = ()
    model = ""
    if spec.trial.folds:
        if spec.estimator is None:
            raise StageError("SpecInvalid", "tuning.validation.folds is for train.sklearn only: use fraction")
        metrics = own_metrics(folders.metrics)
        if not metrics:
            raise StageError("MetricInvalid", f"the train stage left no {folders.metrics.name} of its folds")
    else:
        with tempfile.TemporaryDirectory(prefix="modelmill-") as name:
            ending = evaluate(spec, folders, Path(name), evaluator)
        metrics, notes, model = ending.metrics, ending.notes, ending.model
    shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    print(f"score: trial {spec.trial.index}, {facts.holdout}: {shown}", flush=True)
    return result.StageResult(result.SCORED, data=facts.told(), metrics=metrics, notes=notes, model=model)
