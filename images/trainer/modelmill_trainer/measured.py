"""A model with everything that the evaluation has found out about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from modelmill.contracts.result import ChampionFacts, WarmStart
from modelmill.contracts.stage import StageSpec
from modelmill_trainer.facts import Facts
from modelmill_trainer.gates import Verdict
from modelmill_trainer.models import Left, Model, Outputs
from modelmill_trainer.trials import Trials


@dataclass(slots=True)
class Measured:
    """A model with its rows.

    frame, target: the hold-out as the model takes it; outputs: its answers for it. train, train_target: the rows it was trained
    on, as it takes them; rows_file: what is kept about them (`rows.TrainedRows.pack`). left_out: features that it does not
    take, with the reason where their values say it. notes: what a person should know about the run. trials: of the search that
    chose the parameters, where they were brought. published: which model of that search it is, for people; empty without one.
    warm_start: what the training began from, where it was to go on.
    """

    spec: StageSpec
    facts: Facts
    left: Left
    model: Model
    train: pd.DataFrame
    train_target: np.ndarray
    rows_file: bytes | None
    frame: pd.DataFrame
    target: np.ndarray
    outputs: Outputs
    metrics: dict[str, float]
    champion: ChampionFacts | None
    primary: str
    direction: str
    verdicts: list[Verdict]
    left_out: dict[str, str]
    notes: tuple[str, ...]
    trials: Trials | None = None
    warm_start: WarmStart | None = None
    published: str = ""

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(verdict.passed for verdict in self.verdicts)
