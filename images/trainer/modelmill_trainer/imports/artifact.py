"""The documents of an imported model's artifact: signature, golden rows and manifest, made from the model itself."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from modelmill.contracts import names
from modelmill.contracts.artifact import (
    CATEGORICAL,
    NUMERIC,
    Golden,
    Manifest,
    Profile,
    Signature,
    Tensor,
    canonical,
)
from modelmill_trainer.artifact_folder import files_of
from modelmill_trainer.failure import StageError
from modelmill_trainer.golden import TOLERANCE, tolerance
from modelmill_trainer.imports.foreign import FLOAT, TEXT, TRUTH, WHOLE, Column
from modelmill_trainer.model_document import CLASSIFICATION
from modelmill_trainer.models import PREDICT, PROBABILITIES, Model, Outputs

ROWS: Final = 16
GAPS_FROM: Final = 12  # rows before have a value everywhere
SEED: Final = 0
NOTHING_KNOWN: Final = Profile(features={}, prediction=None, rows=0)
"""Of a model whose training data nobody saw: there is nothing that drift could be measured against."""
LIBRARIES: Final = {"onnx": "onnxruntime", "skops": "scikit-learn", "xgboost": "xgboost-cpu", "lightgbm": "lightgbm"}
SHOWN: Final = 900

Rows = dict[str, list[Any]]


def sample_rows(columns: Sequence[Column]) -> Rows:
    """Return rows that a request might bring, the same for the same inputs: within what the model knows of its features."""
    random = np.random.default_rng(SEED)
    rows: Rows = {}
    for place, column in enumerate(columns):
        rows[column.name] = [
            None if column.nullable and row >= GAPS_FROM and (place + row) % 4 == 0 else value
            for row, value in enumerate(_values(column, random))
        ]
    return rows


def _values(column: Column, random: np.random.Generator) -> list[Any]:
    if column.values:
        return [column.values[place] for place in random.integers(0, len(column.values), ROWS)]
    if column.datatype == TEXT:
        return [""] * ROWS
    if column.datatype == TRUTH:
        return [bool(value) for value in random.integers(0, 2, ROWS)]
    if column.datatype == WHOLE:
        return [int(value) for value in random.integers(0, 2, ROWS)]
    if column.bounds is None:
        drawn = random.normal(size=ROWS)
    else:
        low, high = column.bounds
        reach = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
        drawn = random.uniform(low - reach, high + reach, ROWS)
    # As a request would write them: models of single precision read the same.
    return [float(f"{value:.6g}") for value in drawn]


def frame_of(rows: Rows, columns: Sequence[Column]) -> pd.DataFrame:
    """Return rows in the form of `kinds.model_frame`."""
    made = {}
    for column in columns:
        values = [np.nan if value is None else value for value in rows[column.name]]
        made[column.name] = pd.Series(values, dtype=object if column.datatype == TEXT else "float64")
    return pd.DataFrame(made)


def answered(model: Model, columns: Sequence[Column]) -> tuple[Rows, Outputs]:
    """Return sample rows with the model's answers, those with finite ones. Raises StageError (ModelInvalid)."""
    rows = sample_rows(columns)
    try:
        outputs = model.outputs(frame_of(rows, columns))
    except (StageError, MemoryError):
        raise
    except Exception as error:  # a model may raise anything
        text = " ".join(str(error).split())[:400]
        raise StageError(
            "ModelInvalid",
            f"the model does not answer rows that were made up for its inputs: {type(error).__name__}: {text}",
        ) from None
    finite = np.ones(ROWS, dtype=bool)
    for values in outputs.values():
        if len(values) != ROWS:
            raise StageError("ModelInvalid", f"the model answers {ROWS} rows with {len(values)} values")
        if values.dtype.kind == "f":
            finite &= np.isfinite(values.reshape(ROWS, -1)).all(axis=1)
    kept = np.flatnonzero(finite)
    if not kept.size:
        raise StageError("ModelInvalid", f"the model answers none of {ROWS} rows with finite numbers")
    chosen = {name: [values[row] for row in kept] for name, values in rows.items()}
    return chosen, {name: values[kept] for name, values in outputs.items()}


def signature_of(model: Model, columns: Sequence[Column], outputs: Outputs) -> Signature:
    """Return what the model takes and gives."""
    inputs = tuple(
        Tensor(
            one.name, one.datatype, (-1,), CATEGORICAL if one.values or one.datatype == TEXT else NUMERIC, one.nullable
        )
        for one in columns
    )
    if model.task != CLASSIFICATION:
        return Signature(model.task, inputs, (Tensor(PREDICT, FLOAT, (-1,)),))
    made = [Tensor(PREDICT, _label_type(outputs[PREDICT]), (-1,), CATEGORICAL, classes=model.classes)]
    if PROBABILITIES in outputs:
        width = outputs[PROBABILITIES].shape[1]
        made.append(Tensor(PROBABILITIES, FLOAT, (-1, width), classes=model.classes))
    return Signature(model.task, inputs, tuple(made))


def _label_type(predicted: np.ndarray) -> str:
    return {"b": TRUTH, "i": WHOLE, "u": WHOLE, "f": FLOAT}.get(predicted.dtype.kind, TEXT)


def told(signature: Signature) -> str:
    """Return a signature in a line of bounded length."""
    count = len(signature.inputs)
    inputs = ", ".join(f"{one.name} {one.datatype}" for one in signature.inputs[:30])
    more = ", …" if count > 30 else ""
    outputs = ", ".join(f"{one.name} {one.datatype}" for one in signature.outputs)
    text = f"{signature.task}; {outputs}; {count} input{'s' if count != 1 else ''}: {inputs}{more}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def write(
    into: Path,
    form: str,
    model: Model,
    columns: Sequence[Column],
    origin: Mapping[str, str],
    called: tuple[str, str, str],
) -> Signature:
    """Write the documents beside the model's file, and return the signature. called: the manifest's model, version and time."""
    rows, outputs = answered(model, columns)
    signature = signature_of(model, columns, outputs)
    golden = Golden(
        rows,
        {name: values.tolist() for name, values in outputs.items()},
        tolerance(model.task, outputs[PREDICT]),
        TOLERANCE,
    )
    (into / names.PROFILE_FILE).write_bytes(canonical(NOTHING_KNOWN))
    (into / names.GOLDEN_FILE).write_bytes(canonical(golden))
    library = LIBRARIES[form]
    lineage = {**origin, "python": platform.python_version(), library: version(library)}
    name, made, created = called
    manifest = Manifest(form, files_of(into), signature, {}, lineage, created, name, made)
    (into / names.MANIFEST_FILE).write_bytes(canonical(manifest))
    return signature
