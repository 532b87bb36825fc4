"""From scikit-learn to ONNX, taken only when both give the same answers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import pandas as pd

from modelmill_trainer.failure import StageError
from modelmill_trainer.golden import differences
from modelmill_trainer.kinds import TEXT
from modelmill_trainer.models import PROBABILITIES, OnnxModel, Outputs, SklearnModel

OPSET = 17  # old enough for every onnxruntime that the server may have


@dataclass(frozen=True, slots=True)
class Conversion:
    """content: the ONNX file, or None. reason: why it is served, or why not."""

    content: bytes | None
    reason: str


def convert(
    model: SklearnModel, kinds: dict[str, str], frame: pd.DataFrame, expected: Outputs, absolute: float
) -> Conversion:
    """Convert the model and compare both on `frame`, for which the original gives `expected`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            content = _converted(model, kinds, PROBABILITIES in expected)
            found = OnnxModel(content, model.features, model.task, model.classes).outputs(frame)
        except StageError as error:
            return Conversion(None, f"the ONNX conversion does not run: {_short(error)}")
        except Exception as error:  # converters and runtime have no common base of errors
            return Conversion(None, f"there is no ONNX conversion: {type(error).__name__}: {_short(error)}")
    problem, largest = differences(expected, found, absolute)
    if problem:
        return Conversion(None, f"the ONNX conversion disagrees on {len(frame)} rows: {problem}")
    return Conversion(content, f"the ONNX conversion agrees on {len(frame)} rows, largest difference {largest:.2g}")


def _converted(model: SklearnModel, kinds: dict[str, str], probabilities: bool) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    types = [
        (name, StringTensorType([None, 1]) if kinds[name] == TEXT else FloatTensorType([None, 1]))
        for name in model.features
    ]
    options: dict[int, Any] | None = {id(model.estimator): {"zipmap": False}} if probabilities else None
    content: bytes = to_onnx(
        model.estimator, initial_types=types, options=options, target_opset=OPSET, name="model"
    ).SerializeToString()
    return content


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
