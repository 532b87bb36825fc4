"""model.json: what the train stage says about the model that it left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelmill_trainer.failure import StageError
from modelmill_trainer.plain_files import NotPlain, read_plain

MODEL_DOCUMENT: Final = "model.json"
MAX_DOCUMENT: Final = 1 << 20
FORMATS: Final = ("skops", "onnx", "xgboost", "lightgbm")
REGRESSION, CLASSIFICATION = "regression", "classification"
SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Said:
    """What the document says beside where the model is; None where it says nothing.

    features: columns that the model takes, in its order. classes: labels in the order of the probabilities. task: regression or
    classification.
    """

    features: tuple[str, ...] | None = None
    classes: tuple[Any, ...] | None = None
    task: str | None = None

    def require_task(self, task: str) -> None:
        """Raise StageError (ModelInvalid) when what is said is not of a model of this task."""
        if self.task not in (None, task):
            raise invalid(f"task is {self.task!r}, and the model is one of {task}: leave it out or say {task}")
        if self.classes is not None and task != CLASSIFICATION:
            raise invalid(f"classes are named, and the model is one of {task}, which has none: leave them out")

    def require_features(self, fitted: Sequence[str]) -> None:
        """Raise StageError (ModelInvalid) when others are said than those by whose names the model was fitted."""
        if self.features is not None and self.features != tuple(fitted):
            raise invalid(
                f"features are {_shown(self.features)}, and the model was fitted with {_shown(fitted)}: "
                "leave them out or name the same in the same order"
            )

    def require_inputs(self, inputs: Sequence[str]) -> None:
        """Raise StageError (ModelInvalid) when other features are said than the inputs of a graph are called, in any order."""
        if self.features is not None and inputs and set(self.features) != set(inputs):
            raise invalid(f"features are {_shown(self.features)}, and the inputs of the graph are {_shown(inputs)}")

    def require_classes(self, fitted: Sequence[Any]) -> None:
        """Raise StageError (ModelInvalid) when others are said than those of the fitted model."""
        if self.classes is not None and not _same(self.classes, fitted):
            raise invalid(
                f"classes are {_shown(self.classes)}, and those of the model are {_shown(fitted)}: "
                "leave them out or name the same in the same order"
            )


def read_document(path: Path) -> tuple[str, str, Said]:
    """Return the format, the name of the model's file and what else is said. Raises StageError (ModelInvalid)."""
    try:
        raw = json.loads(read_plain(path, MAX_DOCUMENT))
        form, file = str(raw["format"]), str(raw.get("file") or f"model.{raw['format']}")
    except NotPlain as error:
        raise StageError("ModelInvalid", str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise invalid(f"{type(error).__name__}: {error}; it needs a format") from None
    if form not in FORMATS:
        raise invalid(f"format {form!r} is none of {', '.join(FORMATS)}")
    task = raw.get("task")
    if task not in (None, REGRESSION, CLASSIFICATION):
        raise invalid(f"task {task!r} is none of {REGRESSION}, {CLASSIFICATION}")
    features = _different(raw, "features", "different names of columns, in the order of the model", str)
    classes = _different(raw, "classes", "different labels, in the order of the probabilities", str | int | float)
    return form, file, Said(features, classes, task)


def invalid(problem: str) -> StageError:
    """Return the error for a document that says what is not so."""
    return StageError("ModelInvalid", f"{MODEL_DOCUMENT}: {problem}")


def _different(raw: dict[str, Any], field: str, what: str, kind: Any) -> tuple[Any, ...] | None:
    told = raw.get(field)
    if told is None:
        return None
    if not isinstance(told, list) or not told or not all(isinstance(one, kind) for one in told):
        raise invalid(f"{field} must be a list of {what}")
    if len(set(told)) != len(told):
        raise invalid(f"{field} are {_shown(told)}: it must be a list of {what}")
    return tuple(told)


def _same(said: Sequence[Any], fitted: Sequence[Any]) -> bool:
    # True equals 1 in Python and is another label.
    return [(isinstance(one, bool), one) for one in said] == [(isinstance(one, bool), one) for one in fitted]


def _shown(values: Sequence[Any]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(str(value) for value in values[:SHOWN]) + more
