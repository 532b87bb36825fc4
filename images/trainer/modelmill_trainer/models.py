"""Models as the evaluation uses them, whatever their format: features in, outputs out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from modelmill.artifacts import ArtifactInvalid, check_model
from modelmill.contracts import names
from modelmill.contracts.artifact import MODEL_FILES, Manifest
from modelmill_trainer.confinement import MAX_FILE
from modelmill_trainer.failure import StageError
from modelmill_trainer.model_document import CLASSIFICATION, MODEL_DOCUMENT, REGRESSION, Said, invalid, read_document
from modelmill_trainer.plain_files import NotPlain, is_left, open_plain

PREDICT, PROBABILITIES = "predict", "predict_proba"
MAX_THREADS = 4  # of a session; left out, one for each core of the node, whatever the container may use
BOOSTERS = ("xgboost", "lightgbm")
NOTHING_SAID = Said()
MISSING_TEXT = ""  # ONNX strings have no missing value

Outputs = dict[str, np.ndarray]
"""`predict`: [rows]; `predict_proba`, for classifiers that have it: [rows, classes]."""


class Model(Protocol):
    """A loaded model. features: columns it takes, in order. classes: labels in the order of the probabilities."""

    task: str
    features: list[str]
    classes: tuple[Any, ...]

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        """Return the outputs for rows of `kinds.model_frame`."""


@dataclass(frozen=True, slots=True)
class Left:
    """What the train stage left. file: the model. form: one of model_document.FORMATS. said: what model.json says.

    modified: when the file was written, in seconds since 1970. note: what is not used, in a sentence; may be empty.
    """

    file: Path
    form: str
    said: Said
    modified: float
    note: str = ""


def find_model(output: Path) -> Left:
    """Return the model that the train stage left. Raises StageError: ModelMissing, ModelInvalid."""
    document = output / MODEL_DOCUMENT
    if is_left(document):
        form, name, said = read_document(document)
        file = output / name
        if file.parent != output or file.name in ("", ".."):
            raise invalid(f"file {file.name!r} must be a plain name")
        if not is_left(file):
            raise StageError(
                "ModelMissing", f"{MODEL_DOCUMENT} names {file.name!r}, which the train stage did not leave"
            )
        return _left(file, form, said)
    for name, form in ((names.SKOPS_FILE, "skops"), (names.ONNX_FILE, "onnx")):
        if is_left(output / name):
            return replace(_left(output / name, form, NOTHING_SAID), note=_unused_note(output, name))
    found = (
        ", ".join(sorted(ascii(path.name)[1:-1] for path in islice(output.iterdir(), 10))) if output.is_dir() else ""
    )
    raise StageError(
        "ModelMissing",
        f"the train stage left no {names.SKOPS_FILE} and no {names.ONNX_FILE} in {names.ENV_OUTPUT} ({output}), which has "
        f"{found or 'nothing'}",
    )


def _unused_note(output: Path, taken: str) -> str:
    if taken == names.ONNX_FILE or not is_left(output / names.ONNX_FILE):
        return ""
    return f"{names.ONNX_FILE} was left beside {taken} and is not used: leave one model, or name it in {MODEL_DOCUMENT}"


def _left(file: Path, form: str, said: Said) -> Left:
    # A link could lead to a file of this container that the train stage may not read.
    try:
        with open_plain(file, MAX_FILE) as stream:
            modified = os.fstat(stream.fileno()).st_mtime
    except NotPlain as error:
        raise StageError("ModelInvalid", str(error)) from None
    return Left(file, form, said, min(max(modified, 0.0), time.time()))


def load_left(left: Left, features: list[str], labels: list[Any]) -> Model:
    """Return the train stage's model. `features` are the data's, `labels` the target's sorted different values."""
    require_sound(left.file, left.form)
    if left.form == "skops":
        from modelmill_trainer import skops_file

        return SklearnModel(skops_file.load(left.file), features, left.said)
    said = left.said
    if left.form in BOOSTERS:
        from modelmill_trainer.boosters import load_left_booster

        return load_left_booster(left.file, left.form, said, features, labels)
    classes = tuple(labels) if said.classes is None else said.classes
    model = OnnxModel(left.file.read_bytes(), list(said.features or features), said.task, classes, said)
    said.require_task(model.task)
    if set(model.input_names) <= set(features):
        said.require_inputs(model.input_names)
    return model


def load_artifact(folder: Path, manifest: Manifest) -> Model:
    """Return the model of a published artifact in its served format. Raises StageError (ModelInvalid)."""
    features = [tensor.name for tensor in manifest.signature.inputs]
    file = next((folder / name for name in MODEL_FILES[manifest.format] if is_left(folder / name)), folder)
    require_sound(file, manifest.format)
    if manifest.format == "skops":
        from modelmill_trainer import skops_file

        return SklearnModel(skops_file.load(file), features)
    classes = next((tensor.classes for tensor in manifest.signature.outputs if tensor.classes), ())
    if manifest.format in BOOSTERS:
        from modelmill_trainer.boosters import load_booster

        return load_booster(file, manifest.format, features, classes)
    return OnnxModel(file.read_bytes(), features, manifest.signature.task, classes)


def require_sound(file: Path, form: str) -> None:
    """Raise StageError (ModelInvalid) for a model file that may hurt what loads it."""
    try:
        check_model(file, form)
    except ArtifactInvalid as error:
        raise StageError("ModelInvalid", str(error)) from None


class SklearnModel:
    """A fitted scikit-learn estimator."""

    def __init__(self, estimator: Any, features: list[str], said: Said = NOTHING_SAID) -> None:
        """Take the features that the estimator names; without names those that are said, or else all `features`."""
        from sklearn.base import is_classifier, is_regressor
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        self.estimator = estimator
        if not hasattr(estimator, "predict") or not (is_classifier(estimator) or is_regressor(estimator)):
            raise StageError(
                "ModelInvalid", f"the model is a {type(estimator).__name__}: no classifier and no regressor"
            )
        try:
            check_is_fitted(estimator)
        except NotFittedError:
            raise StageError(
                "ModelInvalid", f"the {type(estimator).__name__} is not fitted: call fit before it is stored"
            ) from None
        self.task = CLASSIFICATION if is_classifier(estimator) else REGRESSION
        said.require_task(self.task)
        named = getattr(estimator, "feature_names_in_", None)
        self._named = named is not None
        if named is not None:
            self.features = [str(name) for name in named]
            said.require_features(self.features)
        else:
            self.features = list(said.features or features)
            _require_count(getattr(estimator, "n_features_in_", len(self.features)), said, features)
        self.classes = tuple(np.asarray(estimator.classes_).tolist()) if self.task == CLASSIFICATION else ()
        said.require_classes(self.classes)

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        """Return `predict`, and `predict_proba` for classifiers that have it."""
        rows: Any = frame[self.features] if self._named else frame[self.features].to_numpy()
        found = {PREDICT: _flat(self.estimator.predict(rows))}
        if self.task == CLASSIFICATION and hasattr(self.estimator, PROBABILITIES):
            found[PROBABILITIES] = np.asarray(self.estimator.predict_proba(rows))
        return found


def _require_count(count: int, said: Said, features: list[str]) -> None:
    takes = f"the model takes {count} features without names"
    if said.features is not None and count != len(said.features):
        raise StageError("ModelInvalid", f"{takes}, features of {MODEL_DOCUMENT} names {len(said.features)}")
    if said.features is None and count != len(features):
        raise StageError(
            "ModelInvalid",
            f"{takes}, the data has {len(features)}: name those that it takes in features of {MODEL_DOCUMENT}, in its order",
        )


class OnnxModel:
    """An ONNX graph on the CPU: one input for each feature, of shape [rows, 1], or one of [rows, features]."""

    def __init__(
        self,
        content: bytes,
        features: list[str],
        task: str | None,
        classes: tuple[Any, ...],
        said: Said = NOTHING_SAID,
    ) -> None:
        """Load the graph. Without `task` two outputs, or labels, mean classification. said: what the graph must agree with."""
        import onnxruntime

        from modelmill_trainer.onnx_file import require_whole

        require_whole(content)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # an error is raised as well
        options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no public base
            raise StageError("ModelInvalid", f"the ONNX model cannot be loaded: {error}") from None
        self.features = list(features)
        self._said = said
        self._inputs = self._session.get_inputs()
        self._named = {item.name for item in self._inputs} == set(features)
        self._matrix = len(self._inputs) == 1 and len(features) > 1
        if not self._matrix and len(self._inputs) != len(features):
            raise StageError(
                "ModelInvalid",
                f"the ONNX model has {len(self._inputs)} inputs, the data {len(features)} features: name them in model.json",
            )
        found = self._session.get_outputs()
        labels = len(found) > 1 or "string" in found[0].type or "int" in found[0].type or "bool" in found[0].type
        self.task = task or (CLASSIFICATION if labels else REGRESSION)
        self.classes = tuple(classes) if self.task == CLASSIFICATION else ()
        # The label comes first and its probabilities second, as the converters have it.
        wanted = 1 if self.task == REGRESSION else 2
        self._outputs = [item.name for item in found][:wanted]

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        """Return `predict`, and `predict_proba` for classifiers with a second output."""
        found = self._session.run(self._outputs, self._feed(frame))
        made = {PREDICT: self._labels(_flat(found[0]))}
        if len(found) > 1:
            made[PROBABILITIES] = self._probabilities(found[1])
        self._require_labels(made[PREDICT])
        return made

    @property
    def input_names(self) -> list[str]:
        """The names of the graph's inputs, one for each feature; empty when one input takes them all."""
        return [] if self._matrix else [item.name for item in self._inputs]

    def _feed(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        if self._matrix:
            kind = _numpy_type(self._inputs[0])
            return {self._inputs[0].name: np.ascontiguousarray(frame[self.features].to_numpy(), kind)}
        feed = {}
        for place, item in enumerate(self._inputs):
            column = frame[item.name if self._named else self.features[place]]
            kind = _numpy_type(item)
            if kind is np.object_:
                column = column.where(column.notna(), MISSING_TEXT).astype(str)
            feed[item.name] = column.to_numpy().astype(kind).reshape(-1, 1)
        return feed

    def _labels(self, predicted: np.ndarray) -> np.ndarray:
        # Graphs of classifiers have labels of text or whole numbers only.
        truths = bool(self.classes) and all(isinstance(label, bool) for label in self.classes)
        return predicted.astype(np.bool_) if truths and predicted.dtype.kind in "biu" else predicted

    def _require_labels(self, predicted: np.ndarray) -> None:
        strange = sorted(set(predicted.tolist()) - set(self.classes), key=str) if self.classes else []
        if strange:
            raise StageError(
                "ModelInvalid",
                f"the ONNX model predicts {strange[0]!r}, which is none of the classes {list(self.classes)[:10]}: "
                f"name its classes in {MODEL_DOCUMENT}, or say the task {REGRESSION} there",
            )

    def _probabilities(self, raw: Any) -> np.ndarray:
        if isinstance(raw, list):  # ZipMap: one dictionary per row
            self._said.require_classes(tuple(raw[0]))
            self.classes = tuple(raw[0])
            return np.array([[row[label] for label in self.classes] for row in raw])
        made = np.asarray(raw)
        if made.ndim != 2 or made.shape[1] != len(self.classes):
            raise StageError(
                "ModelInvalid",
                f"the ONNX model gives probabilities of shape {made.shape} for the {len(self.classes)} classes "
                f"{list(self.classes)[:10]}: name its classes in {MODEL_DOCUMENT}",
            )
        return made


def _numpy_type(item: Any) -> Any:
    types = {
        "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
        "tensor(bool)": np.bool_, "tensor(string)": np.object_,
    }  # fmt: skip
    if item.type not in types:
        raise StageError(
            "ModelInvalid", f"the ONNX model's input {item.name!r} has the type {item.type}: use float, int64 or string"
        )
    return types[item.type]


def _flat(raw: Any) -> np.ndarray:
    made = np.asarray(raw)
    if made.ndim == 2 and made.shape[1] == 1:
        made = made.reshape(-1)
    if made.ndim != 1:
        raise StageError(
            "ModelInvalid", f"the model predicts an array of shape {made.shape}: one value for each row is supported"
        )
    return made
