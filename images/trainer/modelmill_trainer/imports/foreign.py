"""A foreign model in any format: opened, with its inputs as far as its file tells them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from modelmill.artifacts.heads import Categories
from modelmill_trainer.failure import StageError
from modelmill_trainer.models import Model, SklearnModel

MAX_FEATURES: Final = 10_000
FLOAT, WHOLE, TRUTH, TEXT = "FP64", "INT64", "BOOL", "BYTES"
NULLABLE_PROBED: Final = 500  # columns that are tried without a value one by one


@dataclass(frozen=True, slots=True)
class Column:
    """One input. datatype: of the Open Inference Protocol. values: the categories that are known. bounds: of its numbers."""

    name: str
    datatype: str = FLOAT
    nullable: bool = False
    values: tuple[Any, ...] = ()
    bounds: tuple[float, float] | None = None


def open_model(path: Path, form: str, said: Sequence[str]) -> tuple[Model, list[Column]]:
    """Return the model and its inputs. said: their names where the file has none.

    Raises StageError (ModelInvalid), or whatever its library raises.
    """
    if form == "onnx":
        from modelmill_trainer.imports.onnx_inputs import open_onnx

        model, columns = open_onnx(path.read_bytes(), said)
    elif form == "skops":
        model, columns = _skops(path)
    else:
        model, columns = _booster(path, form, said)
    names = [column.name for column in columns]
    if not names or len(names) > MAX_FEATURES or len(set(names)) != len(names) or not all(names):
        raise StageError(
            "ModelInvalid",
            f"the model has {len(names)} inputs: it must have 1 to {MAX_FEATURES}, each of a name of its own",
        )
    return model, columns


def _booster(path: Path, form: str, said: Sequence[str]) -> tuple[Model, list[Column]]:
    from modelmill_trainer.boosters import LightGBMModel, XGBoostModel

    kind = XGBoostModel if form == "xgboost" else LightGBMModel
    model = kind(path)
    if not model.named and said:
        model = kind(path, said)
    known = zip(model.features, model.categories, model.ranges, strict=True)
    return model, [Column(name, _datatype(values), True, tuple(values or ()), bounds) for name, values, bounds in known]


def _datatype(categories: Categories) -> str:
    if categories is None:
        return FLOAT
    if all(isinstance(value, str) for value in categories):
        return TEXT
    return WHOLE if all(isinstance(value, int) for value in categories) else FLOAT


def _skops(path: Path) -> tuple[Model, list[Column]]:
    from modelmill_trainer import skops_file

    estimator = skops_file.load(path)
    count = getattr(estimator, "n_features_in_", None)
    if not isinstance(count, int):
        raise StageError(
            "ModelInvalid", f"the {type(estimator).__name__} does not say how many features it takes: fit it"
        )
    named = getattr(estimator, "feature_names_in_", None)
    names = [f"x{place}" for place in range(count)] if named is None else [str(name) for name in named]
    texts = {names[place]: values for place, values in _texts(estimator, names) if place < len(names)}
    model = SklearnModel(estimator, names)
    columns = [Column(name, TEXT, values=texts[name]) if name in texts else Column(name) for name in names]
    return model, _with_gaps(model, columns)


def _texts(estimator: Any, names: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the place of each column of text, as encoders know it, with its categories."""
    first = _first(estimator)
    if hasattr(first, "transformers_"):
        for _, transformer, chosen in first.transformers_:
            yield from _encoded(transformer, _places(chosen, names))
    else:
        yield from _encoded(estimator, list(range(len(names))))


def _first(estimator: Any) -> Any:
    """Return what the rows come to first: of a Pipeline its first step, and so on."""
    for _ in range(8):
        steps = getattr(estimator, "steps", None)
        if not steps:
            break
        estimator = steps[0][1]
    return estimator


def _encoded(transformer: Any, places: Sequence[int]) -> Iterator[tuple[int, tuple[str, ...]]]:
    steps = [step for _, step in getattr(transformer, "steps", ())] or [transformer]
    encoder = next((step for step in steps if hasattr(step, "categories_")), None)
    if encoder is None or len(encoder.categories_) != len(places):
        return
    for place, known in zip(places, encoder.categories_, strict=True):
        texts = tuple(value for value in np.asarray(known, dtype=object).tolist() if isinstance(value, str))
        if texts:
            yield place, texts


def _places(chosen: Any, names: Sequence[str]) -> list[int]:
    by_name = {name: place for place, name in enumerate(names)}
    if isinstance(chosen, slice):
        return list(range(len(names)))[chosen] if not isinstance(chosen.start, str) else []
    listed = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if listed and all(isinstance(one, bool | np.bool_) for one in listed):
        return [place for place, one in enumerate(listed) if one]
    return [
        by_name[one] if isinstance(one, str) else int(one)
        for one in listed
        if not isinstance(one, str) or one in by_name
    ]


def _with_gaps(model: Model, columns: list[Column]) -> list[Column]:
    """Return the columns, nullable where the model answers a row without a value there."""
    if len(columns) > NULLABLE_PROBED:
        return columns
    base = {column.name: column.values[0] if column.values else 0.0 for column in columns}
    made = []
    for column in columns:
        frame = pd.DataFrame({name: [np.nan if name == column.name else value] for name, value in base.items()})
        if column.values:
            frame[column.name] = frame[column.name].astype(object)
        try:
            model.outputs(frame)
        except Exception:  # an estimator may refuse a gap in any way
            made.append(column)
        else:
            made.append(Column(column.name, column.datatype, True, column.values, column.bounds))
    return made
