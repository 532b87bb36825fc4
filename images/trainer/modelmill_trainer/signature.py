"""What a model takes and gives, in Open Inference Protocol terms."""

from __future__ import annotations

from typing import Any

import pandas as pd

from modelmill.contracts.artifact import CATEGORICAL, NUMERIC, Signature, Tensor
from modelmill_trainer.facts import Facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.kinds import BOOLEAN, NUMBER, TEXT
from modelmill_trainer.model_document import CLASSIFICATION
from modelmill_trainer.models import PREDICT, PROBABILITIES, Model, Outputs
from modelmill_trainer.preprocessing import unusable

# Numbers are always FP64: a column that happens to be whole in the training data may not be tomorrow.
DATATYPES = {NUMBER: "FP64", BOOLEAN: "BOOL", TEXT: "BYTES"}


def require_features(model: Model, facts: Facts) -> None:
    """Raise StageError (ModelInvalid) when the model takes what the data does not have."""
    unknown = [name for name in model.features if name not in facts.features]
    if unknown:
        raise StageError(
            "ModelInvalid",
            f"the model takes {', '.join(unknown[:10])}: the features of the data are {', '.join(facts.features[:20])}",
        )
    unusable = [f"{name} ({facts.kinds[name]})" for name in model.features if facts.kinds[name] not in DATATYPES]
    if unusable:
        raise StageError(
            "ModelInvalid", f"the model takes {', '.join(unusable)}: a request has numbers, truth values and text only"
        )


def make_signature(model: Model, facts: Facts, outputs: Outputs) -> Signature:
    """Return the signature. An input may be missing in a request when it was missing in the data."""
    inputs = tuple(
        Tensor(
            name,
            DATATYPES[facts.kinds[name]],
            (-1,),
            CATEGORICAL if facts.kinds[name] == TEXT else NUMERIC,
            nullable=bool(facts.missing.get(name, 0)),
        )
        for name in model.features
    )
    ignored = tuple(name for name in facts.kinds if name not in model.features)
    if model.task != CLASSIFICATION:
        return Signature(model.task, inputs, (Tensor(PREDICT, "FP64", (-1,)),), ignored)
    classes = model.classes
    made = [Tensor(PREDICT, _label_type(classes), (-1,), CATEGORICAL, classes=classes)]
    if PROBABILITIES in outputs:
        made.append(Tensor(PROBABILITIES, "FP64", (-1, len(classes)), classes=classes))
    return Signature(model.task, inputs, tuple(made), ignored)


def left_out(model: Model, facts: Facts, train: pd.DataFrame) -> dict[str, str]:
    """Return the features of the data that the model does not take, with `preprocessing.unusable` of their values."""
    return {name: unusable(train[name], facts.kinds[name]) for name in facts.features if name not in model.features}


def left_out_note(why: dict[str, str]) -> str:
    """Return what was `left_out` in one sentence, or an empty text."""
    if not why:
        return ""
    return f"columns left out: {', '.join(f'{name} ({reason})' if reason else name for name, reason in why.items())}"


def _label_type(classes: tuple[Any, ...]) -> str:
    if all(isinstance(label, bool) for label in classes):
        return "BOOL"
    if all(isinstance(label, int) for label in classes):
        return "INT64"
    return "FP64" if all(isinstance(label, int | float) for label in classes) else "BYTES"
