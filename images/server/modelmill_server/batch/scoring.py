"""The process of the model: objects on disk become results on disk, one at a time. It has no keys and asks no store.

Run by `process.Scorer`: requests come on one file descriptor and answers leave on another, a JSON document on each line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from modelmill.contracts import names
from modelmill.contracts.artifact import category_text
from modelmill.contracts.batch import FAIL, MAX_TOLD, BatchSpec, decode_spec
from modelmill_server.batch.checking import Refusal, checked, chosen, refusal_of
from modelmill_server.batch.rows import Block, RowFile, Wanted, open_rows
from modelmill_server.core.loading import load_model
from modelmill_server.core.model import Output, ServedModel
from modelmill_server.failure import StartError
from modelmill_server.queries.columns import Column
from modelmill_server.queries.query import Query
from modelmill_server.settings import Settings, from_environment
from modelmill_server.supervisor import die_with_parent
from modelmill_server.telemetry.bins import BinCounter

PREDICTION: Final = "(prediction)"
"""What stands for the prediction among the features whose bins are counted."""


@dataclass(slots=True)
class Scored:
    """An object that was scored. rows: that it has. result: whether there is one, of all but an object without a byte.

    bins: by feature, how many values of the scored rows fell into each bin of the reference.
    """

    rows: int = 0
    scored: int = 0
    rejected: int = 0
    result: bool = True
    refused: list[Refusal] = field(default_factory=list)
    bins: dict[str, dict[str, int]] = field(default_factory=dict)


class Scoring:
    """A model, and how a run wants objects scored by it."""

    def __init__(self, model: ServedModel, spec: BatchSpec) -> None:
        """Raises StartError (ModelLoadFailed) where the model's answers have no columns."""
        self._model, self._spec = model, spec
        golden = model.golden_columns()
        example = model.predict(Query(golden, len(golden[0]), model.outputs))
        self._wanted = Wanted(spec.columns, self._answers(example))

    def score(self, path: Path, result: Path, label: str) -> Scored:
        """Score the object in the file `path`, whose address for people is `label`, into the file `result`.

        Raises StartError: DataUnreadable, ColumnMissing, ColumnTaken, RowRejected.
        """
        told = Scored(result=path.stat().st_size > 0 or self._spec.format != "csv")
        counters = self._counters()
        with closing(open_rows(self._spec.format, path, result, self._wanted, label)) as rows:
            self._require_columns(rows, label)
            told.result = result.exists()
            for block in rows.blocks():
                self._score_block(block, told, counters, label)
        told.bins = {name: dict(zip(counter.bins, counter.counts, strict=True)) for name, _, counter in counters}
        return told

    def _score_block(
        self, block: Block, told: Scored, counters: Sequence[tuple[str, int, BinCounter]], label: str
    ) -> None:
        taken = checked(block, self._model.features)
        places, refused = taken.places, taken.refused
        columns, outputs = taken.columns, None
        if len(places):
            outputs, failed = self._predict(columns, [block.numbers[place] for place in places])
            if failed:
                refused = sorted((*refused, *failed.values()), key=lambda one: one.row)
                kept = [place for place in range(len(places)) if place not in failed]
                columns, places = [chosen(one, kept) for one in columns], [places[place] for place in kept]
        if refused and self._spec.on_bad_row == FAIL:
            raise _row_rejected(label, refused[0])
        told.rows += len(block.numbers) + len(block.unreadable)
        told.rejected += len(refused)
        told.refused += refused[: max(MAX_TOLD - len(told.refused), 0)]
        if outputs is None or not places:
            return
        told.scored += len(places)
        block.write(places, self._answers(outputs))
        first = outputs[0].array
        for _, index, counter in counters:
            counter.add(columns[index] if index >= 0 else first.tolist())

    def _predict(self, columns: list[Column], numbers: Sequence[int]) -> tuple[list[Output] | None, dict[int, Refusal]]:
        """Return the answers of the rows that the model takes, and by place why it does not take the others."""
        try:
            return self._model.predict(Query(columns, len(numbers), self._model.outputs)), {}
        except MemoryError:
            raise
        except Exception as error:  # a model may raise anything
            if len(numbers) == 1:
                return None, {0: refusal_of(error, numbers[0])}
        middle = len(numbers) // 2
        first, failed = self._predict([one[:middle] for one in columns], numbers[:middle])
        if failed and self._spec.on_bad_row == FAIL:
            return None, failed
        rest, failed_too = self._predict([one[middle:] for one in columns], numbers[middle:])
        both = {**failed, **{middle + place: refusal for place, refusal in failed_too.items()}}
        if first is None or rest is None:
            return first or rest, both
        joined = [
            Output(one.name, one.datatype, np.concatenate([one.array, other.array]))
            for one, other in zip(first, rest, strict=True)
        ]
        return joined, both

    def _answers(self, outputs: Sequence[Output]) -> dict[str, Any]:
        """Return the answers as columns: one for each output, and of an output of several values one for each of them."""
        columns: dict[str, Any] = {}
        for output in outputs:
            if output.array.ndim == 1:
                columns[output.name] = output.array
                continue
            matrix = output.array.reshape(len(output.array), -1)
            classes = self._model.classes(output.name) or tuple(range(matrix.shape[1]))
            for place, label in zip(range(matrix.shape[1]), classes, strict=True):
                columns[f"{output.name}_{category_text(label)}"] = matrix[:, place]
        return columns

    def _counters(self) -> list[tuple[str, int, BinCounter]]:
        profile = self._model.artifact.profile
        counters = [
            (feature.name, feature.index, BinCounter(profile.features[feature.name]))
            for feature in self._model.features
            if feature.name in profile.features
        ]
        if profile.prediction is not None:
            counters.append((PREDICTION, -1, BinCounter(profile.prediction)))
        return counters

    def _require_columns(self, rows: RowFile, label: str) -> None:
        """Raise StartError (ColumnMissing) for an object without a feature that may not be missing."""
        if not rows.names:
            return
        needed = [one.name for one in self._model.features if not one.nullable and one.name not in rows.names]
        if needed:
            shown = ", ".join(repr(name[:100]) for name in needed[:20])
            raise StartError("ColumnMissing", f"{label} has no column {shown}, which the model needs")


def _row_rejected(label: str, refusal: Refusal) -> StartError:
    words = f"{label}, data row {refusal.row}: {refusal.message}"
    return StartError("RowRejected", f"{words}; mend the row, or leave such rows out by onBadRow: Skip")


def serve(settings: Settings, spec: BatchSpec, requests: Any, answers: Any) -> int:
    """Load the model, then answer each request until there is none. A failure is an answer."""

    def tell(document: dict[str, Any]) -> None:
        answers.write(msgspec.json.encode(document) + b"\n")
        answers.flush()

    try:
        model, _ = load_model(settings)
        scoring = Scoring(model, spec)
        tell({"model": model.name, "engine": model.engine.name})
        for line in requests:
            asked = msgspec.json.decode(line)
            tell(asdict(scoring.score(Path(asked["path"]), Path(asked["result"]), asked["label"])))
    except StartError as failure:
        tell({"reason": failure.reason, "message": failure.message, "final": failure.final})
    except MemoryError:
        words = "a block of rows does not fit into memory: raise resources.limits.memory"
        tell({"reason": "OutOfMemory", "message": words, "final": False})
    return 0


def main() -> int:
    """Run as `python -m modelmill_server.batch.scoring REQUESTS ANSWERS`, two file descriptors."""
    die_with_parent()
    requests, answers = (int(text) for text in sys.argv[1:3])
    settings = from_environment(os.environ, None, "", 0)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(settings.threads))
    with os.fdopen(requests, "rb") as asked, os.fdopen(answers, "wb") as told:
        return serve(settings, decode_spec(os.environ[names.ENV_BATCH]), asked, told)


if __name__ == "__main__":
    sys.exit(main())
