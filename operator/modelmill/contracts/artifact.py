"""The files of an artifact: manifest.json, profile.json and golden.json.

    STORE/NAMESPACE/MODEL/sha256-<digest of manifest.json>/
        manifest.json  the model's file (MODEL_FILES)  profile.json  golden.json  data.json  rows.bin  report.html

Keys are content-addressed, so writing the same artifact twice is harmless; manifest.json is written last and is the commit
mark.
"""

from __future__ import annotations

import hashlib
import json
import sys
from bisect import bisect_right
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

from modelmill.contracts.documents import read_fields, reading
from modelmill.contracts.names import BIN_MISSING, BIN_OTHER, ONNX_FILE, REPORT_FILE, SKOPS_FILE

MANIFEST_VERSION: Final = 1
# The file of each format; where there are several, the first that the manifest lists is served.
MODEL_FILES: Final[dict[str, tuple[str, ...]]] = {
    "onnx": (ONNX_FILE,),
    "skops": (SKOPS_FILE,),
    "xgboost": ("model.ubj", "model.json"),
    "lightgbm": ("model.txt",),
    "python": ("predictor.py",),
}
FORMATS: Final = tuple(MODEL_FILES)
# What a skops file may hold beside skops' own trusted types: containers of numbers and parts of scikit-learn's estimators,
# without which no imputer, tree, neighbour search, vote, calibration or kernel could be stored. None of these runs code of the
# file, opens a file or a connection, or calls what it holds; modelmill.artifacts checks that no index leads out of them.
SKOPS_TRUSTED: Final = (
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.ExpSineSquared",
    "sklearn.gaussian_process.kernels.Exponentiation",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
MAX_ROWS_BYTES: Final = (
    12 + (1 << 20) + 8 * (1 << 22)
)  # of rows.bin: its frame, the names of the columns, 8 for each row
MAX_ROWS: Final = 1 << 53  # of a profile: a float has every number up to here
NUMERIC: Final = "numeric"
CATEGORICAL: Final = "categorical"
TEXT: Final = "text"
MAGNITUDE_ZERO: Final = 16.0
"""Magnitude of 1: what makes those of common numbers positive, so that their sums are counters."""
MAGNITUDE_MOST: Final = 32.0


@dataclass(frozen=True, slots=True)
class File:
    """One file of the artifact; `sha256` in hex, `size` in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output in Open Inference Protocol terms: datatype FP64, INT64, BYTES, …; shape with -1 for the rows.

    kind: numeric or categorical, for inputs. nullable: the column had gaps in its data, so a request may leave it out; it is
    then missing.
    classes: for `predict_proba`, the label of each column.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    kind: str = NUMERIC
    nullable: bool = False
    classes: tuple[str | int | float | bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs in the order in which the model takes them (one tensor per feature), and outputs.

    task: regression, classification or transformation. The first output is the one that the row-wise protocols answer and that
    is counted: `predict`, beside `predict_proba` for classifiers that have it, or `transform`. Labels are true and false
    (datatype BOOL, classes false and true) when the target's values are.
    ignored: columns of the data that the model does not take, the target among them; a request may have them.
    """

    task: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact is. `format` names the file that is served; `lineage` is a flat map of text.

    created: RFC 3339 UTC time at which training ended.
    """

    format: str
    files: tuple[File, ...]
    signature: Signature
    metrics: dict[str, float]
    lineage: dict[str, str]
    created: str
    model: str
    version: str
    v: int = MANIFEST_VERSION


@dataclass(frozen=True, slots=True)
class FeatureProfile:
    """Reference distribution of one feature, or of the prediction, over the training data.

    kind numeric: `edges` are k ascending interior edges and `ratios` the k+1 shares of (-inf, e0), [e0, e1), …, [ek-1, inf);
        bins are called "0" … "k". Equal quantiles collapse, so k is at most 9.
    kind categorical: `categories` in order of share (at most 20) and `ratios` their shares; a bin is called by its category
        (see `category_bin`), a truth value as `category_text` writes it.
    kind text, of a feature whose texts seldom come again: bins as of numbers, of how many characters (code points) they have.
    Each also has the bins `missing` (share `missing_ratio`) and `other` (share `other_ratio`; categorical only).
    All shares together are 1. importance: permutation importance on the hold-out, for choosing the features that are counted.
    least, greatest: of the finite values; None where there was none, or in the profile of an older artifact.
    magnitude_mean, magnitude_deviation: of log10|x| + MAGNITUDE_ZERO, clamped to [0, MAGNITUDE_MOST], of the values other
        than 0: another unit shifts the mean and leaves the (population) standard deviation. None where there was no such value.
    """

    kind: str
    ratios: tuple[float, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    missing_ratio: float = 0.0
    other_ratio: float = 0.0
    importance: float = 0.0
    least: float | None = None
    greatest: float | None = None
    magnitude_mean: float | None = None
    magnitude_deviation: float | None = None

    def bins(self) -> dict[str, float]:
        """Return the reference share of every bin by name."""
        if self.kind == CATEGORICAL:
            names = tuple(category_bin(category) for category in self.categories)
        else:
            names = tuple(str(i) for i in range(len(self.ratios)))
        shares = dict(zip(names, self.ratios, strict=True))
        shares[BIN_MISSING] = self.missing_ratio
        if self.kind == CATEGORICAL:
            shares[BIN_OTHER] = self.other_ratio
        return shares

    def bin_of(self, value: float | str | bool | None) -> str:
        """Return the name of the bin that `value` falls in. A NaN or None is missing."""
        if value is None or value != value:
            return BIN_MISSING
        if self.kind == CATEGORICAL:
            text = category_text(value)
            return category_bin(text) if text in self.categories else BIN_OTHER
        number = len(category_text(value)) if self.kind == TEXT else float(value)
        return str(bisect_right(self.edges, number))


@dataclass(frozen=True, slots=True)
class Profile:
    """Reference profile: what the training data looked like, for counting drift in the server.

    prediction: None for a model whose output is not one value per row.
    target: the least and the greatest number that a regression was trained on; None where they are not known.
    """

    features: dict[str, FeatureProfile]
    prediction: FeatureProfile | None
    rows: int
    target: tuple[float, float] | None = None
    v: int = MANIFEST_VERSION


@dataclass(frozen=True, slots=True)
class Golden:
    """Rows with the outputs that the original model gave, replayed before a server is ready.

    inputs: column by feature name, None where missing. outputs: column by output name (`predict_proba`: list of rows).
    Numbers agree when |a - b| <= absolute + relative * |b|; labels agree exactly.
    """

    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]
    absolute: float = 1e-4
    relative: float = 1e-4
    v: int = MANIFEST_VERSION


def category_text(value: Any) -> str:
    """Return a value as profile.json and the metrics of the server name its category: truth values as JSON writes them."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def category_bin(category: str) -> str:
    """Return the name of a category's bin, which is none of the reserved ones and no other category's: `other` is `=other`.

    Profiles hold the categories themselves, so that those of older artifacts are read in the same way.
    """
    return f"={category}" if category.lstrip("=") in (BIN_MISSING, BIN_OTHER) else category


def report_uri(artifact_uri: str) -> str:
    """Return the address of the report in an artifact."""
    return f"{artifact_uri.rstrip('/')}/{REPORT_FILE}"


def canonical(document: Any) -> bytes:
    """Return the one JSON form of a dataclass above or of plain data: sorted keys, no spaces, UTF-8, no NaN."""
    raw = asdict(document) if hasattr(document, "__dataclass_fields__") else document
    return json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(content: bytes) -> str:
    """Return `sha256:` + hex of the content."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest. Raises ValueError naming the field when it is not one of this version."""
    raw = _document(content, "manifest.json")
    with reading("manifest.json"):
        signature = raw["signature"]
        return Manifest(
            format=raw["format"],
            files=tuple(read_fields(File, item) for item in raw["files"]),
            signature=Signature(
                task=signature["task"],
                inputs=tuple(_tensor(item) for item in signature["inputs"]),
                outputs=tuple(_tensor(item) for item in signature["outputs"]),
                ignored=tuple(str(name) for name in signature.get("ignored") or ()),
            ),
            metrics=raw["metrics"],
            lineage=raw["lineage"],
            created=raw["created"],
            model=raw["model"],
            version=raw["version"],
        )


def parse_profile(content: bytes) -> Profile:
    """Return the profile. Raises ValueError naming the field when it is not one of this version."""
    raw = _document(content, "profile.json")
    with reading("profile.json"):
        features = {name: _feature(item, f"features[{name[:100]!r}]") for name, item in raw["features"].items()}
        prediction = None if raw["prediction"] is None else _feature(raw["prediction"], "prediction")
        rows = raw["rows"]
        if type(rows) is not int or not 0 <= rows <= MAX_ROWS:
            raise ValueError("profile.json: rows must be a whole number from 0 to 2^53")
        target = _range(raw.get("target"), "profile.json: target")
        return Profile(features=features, prediction=prediction, rows=rows, target=target)


def parse_golden(content: bytes) -> Golden:
    """Return the golden rows. Raises ValueError naming the field when it is not one of this version."""
    raw = _document(content, "golden.json")
    with reading("golden.json"):
        return Golden(raw["inputs"], raw["outputs"], raw["absolute"], raw["relative"])


def _document(content: bytes, name: str) -> dict[str, Any]:
    with reading(name):
        raw = json.loads(content)
    if not isinstance(raw, dict) or raw.get("v") != MANIFEST_VERSION:
        raise ValueError(f"{name} is not version {MANIFEST_VERSION}")
    return raw


def _tensor(raw: dict[str, Any]) -> Tensor:
    return read_fields(Tensor, {**raw, "shape": tuple(raw["shape"]), "classes": tuple(raw.get("classes") or ())})


def _range(raw: Any, place: str) -> tuple[float, float] | None:
    """Return the least and the greatest number. Raises ValueError unless they are two, finite and in order."""
    if raw is None:
        return None
    if not (isinstance(raw, list) and len(raw) == 2 and all(type(value) in (int, float) for value in raw)):
        raise ValueError(f"{place} must be the least and the greatest number")
    low, high = raw
    if not (_finite(low) and _finite(high) and low <= high):
        raise ValueError(f"{place} must be two finite numbers, the least first")
    return float(low), float(high)


def _finite(value: Any) -> bool:
    """Return whether a value is a number that a float can have: JSON has whole numbers of any size."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _feature(raw: dict[str, Any], place: str) -> FeatureProfile:
    """Return the profile of one feature. Raises ValueError when its values could not be counted by it."""
    tuples = {name: tuple(raw.get(name) or ()) for name in ("ratios", "edges", "categories")}
    feature = read_fields(FeatureProfile, {**raw, **tuples})
    place = f"profile.json: {place}"
    if feature.kind not in (NUMERIC, CATEGORICAL, TEXT):
        raise ValueError(f"{place}.kind must be {NUMERIC}, {CATEGORICAL} or {TEXT}")
    shares = (*feature.ratios, feature.missing_ratio, feature.other_ratio)
    for name, values in (("edges", feature.edges), ("ratios", shares), ("importance", (feature.importance,))):
        if not all(map(_finite, values)):
            raise ValueError(f"{place}.{name} must be finite numbers")
    if any(low > high for low, high in pairwise(feature.edges)):
        raise ValueError(f"{place}.edges must ascend")
    if not all(isinstance(category, str) for category in feature.categories):
        raise ValueError(f"{place}.categories must be texts")
    bins = len(feature.categories) if feature.kind == CATEGORICAL else len(feature.edges) + 1
    if len(feature.ratios) != bins:
        raise ValueError(f"{place}.ratios has {len(feature.ratios)} shares: there must be {bins}, one for each bin")
    if len(set(feature.categories)) != len(feature.categories):
        raise ValueError(f"{place}.categories has one of them twice")
    _require_pairs(feature, place)
    return feature


def _require_pairs(feature: FeatureProfile, place: str) -> None:
    """Raise ValueError unless the range and the magnitudes are each wholly there or not at all."""
    if (feature.least, feature.greatest) != (None, None):
        _range([feature.least, feature.greatest], f"{place}.least and greatest")
    mean, deviation = feature.magnitude_mean, feature.magnitude_deviation
    if (mean, deviation) == (None, None):
        return
    if mean is None or deviation is None or not (_finite(mean) and _finite(deviation) and deviation >= 0):
        raise ValueError(f"{place}.magnitude_mean and magnitude_deviation must be two finite numbers")
