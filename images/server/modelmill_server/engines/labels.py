"""From a booster's raw output to the outputs that scikit-learn's estimators have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelmill.contracts.artifact import Tensor
from modelmill_server.engines.engine import unloadable

PREDICT, PROBABILITIES = "predict", "predict_proba"


class Labels:
    """Outputs `predict` and `predict_proba`, made of scores.

    A signature with classes, or with probabilities, is a classifier's. Its `predict` is the label of the likeliest class; of
    two, the second when its probability is above one half. Without classes, labels are the numbers of the classes.
    """

    def __init__(self, file: str, outputs: Sequence[Tensor], classes: int) -> None:
        """Take the number of classes that the model tells apart, 0 for a regressor. Raises StartError (ModelLoadFailed)."""
        unknown = [tensor.name for tensor in outputs if tensor.name not in (PREDICT, PROBABILITIES)]
        if unknown:
            raise unloadable(f"{file} has the outputs {PREDICT} and {PROBABILITIES}: the signature has {unknown[0]!r}")
        named = next((tensor.classes for tensor in outputs if tensor.classes), ())
        self.classifies = bool(named) or any(tensor.name == PROBABILITIES for tensor in outputs)
        if self.classifies and not classes:
            raise unloadable(f"{file} was trained for regression: the signature has classes or {PROBABILITIES}")
        if named and len(named) != classes:
            raise unloadable(f"{file} tells {classes} classes apart: the signature names {len(named)}")
        self._labels = np.array(list(named)) if named else np.arange(classes)

    def outputs(self, scores: Any, wanted: tuple[str, ...]) -> list[Any]:
        """Return one array per wanted output.

        scores: [rows] of the prediction, or of the second class's probability; [rows, classes] of each class's.
        """
        return [self._predicted(scores) if name == PREDICT else _by_class(scores) for name in wanted]

    def _predicted(self, scores: Any) -> Any:
        if not self.classifies:
            return scores
        if scores.ndim == 1:
            return self._labels[(scores > 0.5).astype(np.intp)]
        return self._labels[scores.argmax(axis=1)]


def _by_class(scores: Any) -> Any:
    return scores if scores.ndim == 2 else np.stack([1.0 - scores, scores], axis=1)
