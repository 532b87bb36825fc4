"""The gates over a table, as fetch asks them of a csv."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from hack.data_gates.corruptions import EXCLUDED, TARGET, Corruption, cars
from modelmill.contracts.data import Schema
from modelmill.contracts.stage import Data, Holdout
from modelmill_trainer.data_gates.examine import Examined, Reference, examine
from modelmill_trainer.dataset import make_split
from modelmill_trainer.snapshot import Fetched
from modelmill_trainer.tables import read_objects

VERSION = "cars-1"
DRAWN = 0.8


def examined(frame: pd.DataFrame, reference: Reference, schema: Schema | None = None) -> Examined:
    """Return what the gates say of a table of cars. Raises StageError where the data cannot be divided."""
    exclude = tuple(name for name in EXCLUDED if name in frame.columns)
    data = Data("file:///cars/", "csv", TARGET, exclude, Holdout(0.2), schema=schema)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cars.csv"
        frame.to_csv(path, index=False)
        table = read_objects([Fetched("cars.csv", path.stat().st_size, "0" * 64, path)], "csv")
    return examine(table, data, make_split(table, None, data, 0).copies, reference)


def reference(frame: pd.DataFrame) -> Reference:
    """Return the data of an approved version that was trained on these cars."""
    summary = examined(frame, Reference()).summary
    return Reference(VERSION, frozenset(name for name, column in summary.columns.items() if column.feature), summary)


def corrupted(corruption: Corruption) -> Examined:
    """Return what the gates say of a corruption, after a version that was trained on the whole data set."""
    frame = cars()
    return examined(corruption.make(frame, np.random.default_rng(1)), reference(frame))


def redrawn(seed: int) -> Examined:
    """Return what the gates say of 80 % of the cars, after a version that was trained on another 80 %."""
    random = np.random.default_rng(seed)
    frame = cars()
    before, now = (frame.sample(frac=DRAWN, random_state=random) for _ in range(2))
    return examined(now, reference(before))
