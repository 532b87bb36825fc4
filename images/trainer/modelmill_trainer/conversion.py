"""From scikit-learn to ONNX, taken only when both give the same answers."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from modelmill_trainer.golden import differences
from modelmill_trainer.kinds import TEXT
from modelmill_trainer.model_document import CLASSIFICATION
from modelmill_trainer.models import PROBABILITIES, OnnxModel, Outputs, SklearnModel
from modelmill_trainer.probes import probes

OPSET = 17  # old enough for every onnxruntime that the server may have
MATRIX = "features"
MOST = 1e30


@dataclass(frozen=True, slots=True)
class Conversion:
    """content: the ONNX file, or None. reason: why it is served, or why not."""

    content: bytes | None
    reason: str


def convert(
    model: SklearnModel, kinds: dict[str, str], frame: pd.DataFrame, expected: Outputs, absolute: float
) -> Conversion:
    """Convert the model and compare both on `frame`, for which the original gives `expected`, and on probes made from it."""
    tried = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for matrix in _forms(model, kinds):
            found = _convert(model, kinds, matrix, frame, expected, absolute)
            if found.content is not None:
                return found
            tried.append(found)
    return tried[0]


def _forms(model: SklearnModel, kinds: dict[str, str]) -> tuple[bool, ...]:
    """Return whether to try one input for all features (True) or one for each (False), the likelier first.

    Most converters take one input only, and one tensor is cheaper to serve than many; columns are selected by name from many.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    if len(model.features) == 1 or any(kinds[name] == TEXT for name in model.features):
        return (False,)
    first = model.estimator
    while isinstance(first, Pipeline):
        first = first.steps[0][1]
    return (False, True) if isinstance(first, ColumnTransformer) else (True, False)


def _convert(
    model: SklearnModel, kinds: dict[str, str], matrix: bool, frame: pd.DataFrame, expected: Outputs, absolute: float
) -> Conversion:
    try:
        content = _converted(model, kinds, matrix)
    except Exception as error:  # converters have no common base of errors
        return Conversion(None, f"there is no ONNX conversion{_why(error)}")
    try:
        converted = OnnxModel(content, model.features, model.task, model.classes)
        found = converted.outputs(frame)
    except Exception as error:  # neither has the runtime
        return Conversion(None, f"the ONNX conversion does not run: {_short(error)}")
    problem, largest = differences(expected, found, absolute)
    if problem:
        return Conversion(None, f"the ONNX conversion disagrees on {len(frame)} rows: {problem}")
    for what, rows in probes(frame, kinds):
        problem = _probed(model, converted, rows, absolute)
        if problem:
            return Conversion(None, f"the ONNX conversion disagrees on {len(rows)} rows {what}: {problem}")
    return Conversion(content, f"the ONNX conversion agrees on {len(frame)} rows, largest difference {largest:.2g}")


def _probed(model: SklearnModel, converted: OnnxModel, rows: pd.DataFrame, absolute: float) -> str:
    """Return in what the two differ, or an empty text. To refuse the rows is an answer as well."""
    expected, found = _answers(model, rows), _answers(converted, rows)
    if expected is None:
        return "" if found is None else "the original refuses them"
    if any((~(np.abs(values) < MOST)).any() for values in expected.values() if values.dtype.kind == "f"):
        return ""  # single precision has no form for such answers
    if found is None:
        return "it refuses them"
    return differences(expected, found, absolute)[0]


def _answers(model: SklearnModel | OnnxModel, rows: pd.DataFrame) -> Outputs | None:
    try:
        return model.outputs(rows)
    except Exception:  # a model may raise anything
        return None


def _converted(model: SklearnModel, kinds: dict[str, str], matrix: bool) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    from modelmill_trainer.onnx_converters import amended, averages_votes, settle_ties

    if matrix:
        types = [(MATRIX, FloatTensorType([None, len(model.features)]))]
    else:
        types = [
            (name, StringTensorType([None, 1]) if kinds[name] == TEXT else FloatTensorType([None, 1]))
            for name in model.features
        ]
    last = _last_step(model.estimator)
    made = convert_sklearn(
        model.estimator,
        name="model",
        initial_types=types,
        options=_options(last) if model.task == CLASSIFICATION else None,
        target_opset=OPSET,
        custom_conversion_functions=amended(),
    )
    if model.task == CLASSIFICATION:
        if not hasattr(model.estimator, PROBABILITIES):
            del made.graph.output[1:]  # scores, which no client asks for
        elif averages_votes(last):
            settle_ties(made.graph, model.classes)
    # They come out of a set: in another order in each process.
    operators = sorted(made.opset_import, key=lambda one: one.domain)
    del made.opset_import[:]
    made.opset_import.extend(operators)
    content: bytes = made.SerializeToString()
    return content


def _last_step(estimator: Any) -> Any:
    from sklearn.pipeline import Pipeline

    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def _options(classifier: Any) -> dict[int, Any]:
    """Return the options that give probabilities as one tensor."""
    from sklearn.svm import LinearSVC

    # In a pipeline skl2onnx would give every classifier the option, and LinearSVC does not know it.
    return {id(classifier): {} if isinstance(classifier, LinearSVC) else {"zipmap": False}}


def _why(error: Exception) -> str:
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    found = re.search(r"<class '[\w.]*\.(\w+)'>", str(error))
    if found and isinstance(error, MissingConverter | MissingShapeCalculator):
        return f" of {found[1]}"
    return f": {type(error).__name__}: {_short(error)}"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.rpartition(" Status Message: ")[2][:300]  # before it, the runtime names its own parts
