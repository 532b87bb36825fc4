"""Artifacts for tests: a fitted scikit-learn estimator as a folder in the published form."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.base import is_classifier
from skops.io import dump

from modelmill.contracts.artifact import (
    CATEGORICAL,
    MAGNITUDE_ZERO,
    NUMERIC,
    FeatureProfile,
    File,
    Golden,
    Manifest,
    Profile,
    Signature,
    Tensor,
    canonical,
    digest,
)


def write_artifact(
    folder: Path, estimator: Any, frame: pd.DataFrame, form: str = "onnx", *, matrix: bool = False, golden_rows: int = 8
) -> str:
    """Write the artifact of `estimator`, fitted on `frame`, and return its digest.

    matrix: the ONNX graph has one input for all features instead of one for each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signature = signature_of(estimator, frame)
    if form == "onnx":
        options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
        if matrix:
            types = [("features", FloatTensorType([None, frame.shape[1]]))]
        else:
            types = [(str(name), onnx_type(frame[name])) for name in frame]
        content = to_onnx(estimator, initial_types=types, options=options, target_opset=17).SerializeToString()
        (folder / "model.onnx").write_bytes(content)
    else:
        dump(estimator, folder / "model.skops")
    golden = golden_of(estimator, frame.head(golden_rows), signature)
    (folder / "profile.json").write_bytes(canonical(profile_of(estimator, frame)))
    (folder / "golden.json").write_bytes(canonical(golden))
    return write_manifest(folder, form, signature)


def write_manifest(folder: Path, form: str, signature: Signature) -> str:
    """Write manifest.json for the files that are there and return its digest."""
    files = tuple(
        File(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
        if path.name != "manifest.json"
    )
    manifest = Manifest(
        format=form,
        files=files,
        signature=signature,
        metrics={"r2": 0.9},
        lineage={"run": "1"},
        created="2026-01-02T03:04:05Z",
        model="demo",
        version="demo-1",
    )
    content = canonical(manifest)
    (folder / "manifest.json").write_bytes(content)
    return digest(content)


def signature_of(estimator: Any, frame: pd.DataFrame) -> Signature:
    """Return the signature of an estimator that was fitted on `frame`."""
    inputs = tuple(
        Tensor(str(name), datatype_of(frame[name]), (-1,), kind_of(frame[name]), bool(frame[name].isna().any()))
        for name in frame
    )
    if not is_classifier(estimator):
        return Signature("regression", inputs, (Tensor("predict", "FP64", (-1,)),))
    classes = tuple(estimator.classes_.tolist())
    datatype = {str: "BYTES", bool: "BOOL"}.get(type(classes[0]), "INT64")
    outputs = [Tensor("predict", datatype, (-1,), classes=classes)]
    if hasattr(estimator, "predict_proba"):
        outputs.append(Tensor("predict_proba", "FP64", (-1, len(classes)), classes=classes))
    return Signature("classification", inputs, tuple(outputs))


def golden_of(estimator: Any, frame: pd.DataFrame, signature: Signature) -> Golden:
    """Return golden rows with the estimator's own outputs."""
    outputs = {tensor.name: getattr(estimator, tensor.name)(frame).tolist() for tensor in signature.outputs}
    return Golden({str(name): column_of(frame[name]) for name in frame}, outputs, absolute=1e-3, relative=1e-3)


def profile_of(estimator: Any, frame: pd.DataFrame) -> Profile:
    """Return the reference profile of the training data; the first column is the most important one."""
    features = {str(name): profile_column(frame[name], 1.0 / (place + 1)) for place, name in enumerate(frame.columns)}
    return Profile(features, profile_column(pd.Series(estimator.predict(frame)), 0.0), len(frame))


def profile_column(column: pd.Series, importance: float) -> FeatureProfile:
    """Return the profile of one column: deciles, or shares of values."""
    present = column.dropna()
    missing = 1.0 - len(present) / len(column)
    if kind_of(column) == CATEGORICAL:
        shares = present.astype(str).value_counts(normalize=True) * (1.0 - missing)
        return FeatureProfile(
            CATEGORICAL,
            tuple(shares.tolist()),
            categories=tuple(shares.index),
            missing_ratio=missing,
            importance=importance,
        )
    edges = np.unique(np.quantile(present, np.linspace(0.1, 0.9, 9)))
    counts = np.bincount(np.searchsorted(edges, present, side="right"), minlength=len(edges) + 1)
    sizes = np.log10(np.abs(present[present != 0])) + MAGNITUDE_ZERO
    return FeatureProfile(
        NUMERIC,
        tuple((counts / len(column)).tolist()),
        edges=tuple(edges.tolist()),
        missing_ratio=missing,
        importance=importance,
        least=float(present.min()),
        greatest=float(present.max()),
        magnitude_mean=float(sizes.mean()) if len(sizes) else None,
        magnitude_deviation=float(sizes.std(ddof=0)) if len(sizes) else None,
    )


def column_of(column: pd.Series) -> list[Any]:
    """Return the values as plain Python ones, None where missing."""
    return [None if pd.isna(value) else value for value in column.tolist()]


def kind_of(column: pd.Series) -> str:
    return CATEGORICAL if column.dtype.kind in "Ob" else NUMERIC


def datatype_of(column: pd.Series) -> str:
    if column.dtype == object:
        return "BYTES"
    return "INT64" if column.dtype.kind == "i" else "FP64"


def onnx_type(column: pd.Series) -> Any:
    if column.dtype == object:
        return StringTensorType([None, 1])
    return Int64TensorType([None, 1]) if column.dtype.kind == "i" else FloatTensorType([None, 1])
