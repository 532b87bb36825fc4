"""The champion on this run's hold-out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modelmill.contracts.artifact import Manifest
from modelmill.contracts.result import ChampionFacts
from modelmill.contracts.stage import Champion
from modelmill_trainer.artifact_folder import verified_manifest
from modelmill_trainer.failure import StageError
from modelmill_trainer.kinds import TEXT, model_frame
from modelmill_trainer.metrics import evaluate
from modelmill_trainer.models import load_artifact


def score(
    champion: Champion | None, folder: Path, holdout: pd.DataFrame, kinds: dict[str, str], target: np.ndarray, task: str
) -> ChampionFacts | None:
    """Return the champion's metrics, or why it has none: it may need columns or labels that this data lacks.

    Raises StageError: ChampionMissing, ChampionCorrupt.
    """
    if champion is None:
        return None
    try:
        manifest = verified_manifest(champion, folder)
    except FileNotFoundError:
        raise StageError("ChampionMissing", f"{folder} has no artifact of the champion {champion.name}") from None
    problem = _unfit(manifest, holdout, kinds, task)
    if problem:
        return ChampionFacts(champion.name, message=problem)
    try:
        model = load_artifact(folder, manifest)
        outputs = model.outputs(model_frame(holdout, model.features, kinds))
        return ChampionFacts(champion.name, metrics=evaluate(task, target, outputs, model.classes))
    except StageError as error:
        return ChampionFacts(champion.name, message=" ".join(error.messages)[:300])
    except Exception as error:  # another model on other data may fail in any way
        return ChampionFacts(champion.name, message=f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])


def _unfit(manifest: Manifest, holdout: pd.DataFrame, kinds: dict[str, Any], task: str) -> str:
    if manifest.signature.task != task:
        return f"it is a model for {manifest.signature.task}, this one for {task}"
    lacking = [tensor.name for tensor in manifest.signature.inputs if tensor.name not in holdout.columns]
    if lacking:
        return f"it needs {', '.join(lacking)}, which the data of this run lacks"
    changed = [t.name for t in manifest.signature.inputs if (t.datatype == "BYTES") != (kinds[t.name] == TEXT)]
    if changed:
        return f"{', '.join(changed)} had another type in its data"
    return ""
