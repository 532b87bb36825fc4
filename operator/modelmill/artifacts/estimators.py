"""What estimators of scikit-learn hand to compiled code: arrays whose sides must fit each other and the width of the input.

An estimator refuses rows of another width than its `n_features_in_`, and rows of no width when it lacks the attribute. So
whoever holds an array that is read by the width of the input must say that width. Rules go by the attribute that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from modelmill.artifacts.ensembles import check_booster, check_ensemble, check_predictors, check_tree
from modelmill.artifacts.graphs import outside
from modelmill.artifacts.parts import Fields, Part, Parts, width_of

MAX_THREADS = 1024
MAX_HASHED = (1 << 31) - 1
_HASHERS = ("FeatureHasher", "HashingVectorizer")


def check_estimator(parts: Parts, part: Part) -> None:
    """Raise ArtifactInvalid when an object's arrays do not fit each other."""
    fields = part.attributes()
    for name, rule in _RULES.items():
        if name in fields:
            rule(parts, part, fields)


def _check_threads(parts: Parts, part: Part, fields: Fields) -> None:
    """OpenMP ends the process when it cannot start as many threads as it was told; joblib starts as many processes."""
    for name in ("n_jobs", "_n_threads", "n_threads"):
        count = parts.number(fields.get(name))
        if count is not None and not -MAX_THREADS <= count <= MAX_THREADS:
            raise parts.wrong(part, f"asks for {count} threads in {name}: at most {MAX_THREADS} are started")


def _check_vectors(parts: Parts, part: Part, fields: Fields) -> None:
    """Source: sklearn/svm/_libsvm.pyx and src/libsvm/libsvm_helper.c, set_model: every size is taken from n_support."""
    if "_impl" in fields:
        raise parts.wrong(part, "says with _impl which machine it is")
    needed = (
        "support_",
        "support_vectors_",
        "_n_support",
        "_dual_coef_",
        "_intercept_",
        "_probA",
        "_probB",
        "shape_fit_",
    )
    lacking = next((name for name in needed if name not in fields), "")
    if lacking:
        raise parts.wrong(part, f"lacks {lacking}")
    counts, support, intercept = (parts.array(fields[name]) for name in ("_n_support", "support_", "_intercept_"))
    classes = len(counts) if counts.ndim == 1 else 0
    if classes < 2 or counts.dtype.kind != "i" or (counts < 0).any() or support.ndim != 1:
        raise parts.wrong(part, f"has an _n_support of shape {counts.shape}")
    vectors = len(support)
    classifies = "classes_" in fields
    if int(counts.sum()) != vectors if classifies else classes != 2 or int(counts[0]) != vectors:
        raise parts.wrong(part, f"has {vectors} support vectors where _n_support says others")
    pairs = classes * (classes - 1) // 2
    if intercept.shape != (pairs,) or any(
        parts.array(fields[name]).shape not in ((0,), (pairs,)) for name in ("_probA", "_probB")
    ):
        raise parts.wrong(part, f"has other intercepts or chances than {pairs} pairs of classes")
    fitted = [parts.number(side) for side in fields["shape_fit_"].items.values()]
    if len(fitted) != 2 or fitted[0] is None or outside(support, fitted[0]):
        raise parts.wrong(part, "has a support_ that leads out of the rows of shape_fit_")
    _require_vectors(parts, part, fields, classes, vectors)


def _require_vectors(parts: Parts, part: Part, fields: Fields, classes: int, vectors: int) -> None:
    held, coefficients = fields["support_vectors_"], fields["_dual_coef_"]
    width = width_of(parts, part, fields)
    if held.kind == "SparseMatrixNode" or coefficients.kind == "SparseMatrixNode":
        if held.kind != coefficients.kind or not _true(fields.get("_sparse")):
            raise parts.wrong(part, "has sparse vectors or coefficients, and not both")
        shape, stored = parts.sparse(held).shape, parts.sparse(coefficients).stored
        fitting = shape == (vectors, width) and parts.sparse(held).form == "csr" and stored == (classes - 1) * vectors
    else:
        found = parts.array(held).shape
        computed = fields["kernel"].value not in ("linear", "poly", "rbf", "sigmoid") if "kernel" in fields else True
        fitting = (found == (vectors, width) or (computed and 0 in found)) and not _true(fields.get("_sparse"))
        fitting = fitting and parts.array(coefficients).shape == (classes - 1, vectors)
    if not fitting:
        raise parts.wrong(
            part, f"has vectors or coefficients that are not {vectors} of {width} features and {classes} classes"
        )


def _true(part: Part | None) -> bool:
    return part is not None and part.value is not False


def _check_neighbours(parts: Parts, part: Part, fields: Fields) -> None:
    """Source: sklearn/metrics/_pairwise_distances_reduction/*.pyx.tp: both sides are read by the width of the rows asked."""
    width, held = width_of(parts, part, fields), fields["_fit_X"]
    shape = parts.sparse(held).shape if held.kind == "SparseMatrixNode" else parts.array(held).shape
    if len(shape) != 2 or shape[1] != width:
        raise parts.wrong(part, f"has a _fit_X of shape {shape} and takes {width} features")
    rows = shape[0]
    if "n_samples_fit_" in fields and parts.number(fields["n_samples_fit_"]) != rows:
        raise parts.wrong(part, f"has {rows} rows in _fit_X, and n_samples_fit_ says others")
    if "_y" not in fields or fields["_y"].kind != "NdArrayNode" or not fields["_y"].entry:
        return
    labels = parts.array(fields["_y"])
    if not labels.shape or len(labels) != rows:
        raise parts.wrong(part, f"has labels of shape {labels.shape} for {rows} rows")
    classes = fields.get("classes_")
    if classes is not None and labels.ndim == 1 and classes.kind == "NdArrayNode":
        known = len(parts.array(classes)) if classes.entry else len(classes.items)
        if labels.dtype.kind not in "iu" or outside(labels, known):
            raise parts.wrong(part, f"has a label that is none of its {known} classes")


def _check_centers(parts: Parts, part: Part, fields: Fields) -> None:
    """Source: sklearn/cluster/_k_means_lloyd.pyx, lloyd_iter_chunked_dense."""
    held = fields["cluster_centers_"]
    shape = parts.sparse(held).shape if held.kind == "SparseMatrixNode" else parts.array(held).shape
    if len(shape) != 2 or not shape[0] or shape[1] != width_of(parts, part, fields):
        raise parts.wrong(part, f"has cluster_centers_ of shape {shape}, which is not one row for each centre")


def _check_vocabulary(parts: Parts, part: Part, fields: Fields) -> None:
    """Source: sklearn/feature_extraction/text.py, _count_vocab: the places become column indices that nobody compares."""
    places = [parts.number(place) for place in fields["vocabulary_"].items.values()]
    if any(place is None or not 0 <= place < len(places) for place in places):
        raise parts.wrong(part, f"has a word in vocabulary_ whose place is none of the {len(places)}")


def _check_hashed(parts: Parts, part: Part, fields: Fields) -> None:
    """Source: sklearn/feature_extraction/_hashing_fast.pyx, transform, which divides by it."""
    if part.name in _HASHERS:
        count = parts.number(fields["n_features"])
        if count is None or not 1 <= count <= MAX_HASHED:
            raise parts.wrong(part, f"has the n_features {count}")


def _check_encoder(parts: Parts, part: Part, fields: Fields) -> None:
    """Source: sklearn/preprocessing/_encoders.py, OneHotEncoder.transform: codes become column indices that nobody compares."""
    counts = [parts.number(count) for count in fields["_n_features_outs"].items.values()]
    categories = list(fields["categories_"].items.values()) if "categories_" in fields else []
    if len(counts) != len(categories):
        raise parts.wrong(part, f"has {len(categories)} lists of categories for {len(counts)} features")
    mappings = _by_feature(fields.get("_default_to_infrequent_mappings"), len(counts))
    dropped = _dropped(parts, fields.get("_drop_idx_after_grouping", fields.get("drop_idx_")), len(counts))
    for place, (count, known, mapping, one) in enumerate(zip(counts, categories, mappings, dropped, strict=True)):
        if mapping is None:
            codes = len(parts.array(known)) if known.entry else len(known.items)
        else:
            mapped = parts.array(mapping)
            if mapped.dtype.kind not in "iu" or not mapped.size or mapped.min() < 0:
                raise parts.wrong(part, f"maps categories of feature {place} to no place")
            codes = int(mapped.max()) + 1
        if count is None or count < codes - one:
            raise parts.wrong(
                part, f"has {codes} categories and {count} columns for feature {place} in _n_features_outs"
            )


def _by_feature(part: Part | None, count: int) -> Iterable[Part | None]:
    """Return one part for each feature, None where the file has null."""
    if part is None or part.kind == "JsonNode":
        return [None] * count
    return [None if held.kind == "JsonNode" and held.value is None else held for held in part.items.values()]


def _dropped(parts: Parts, part: Part | None, count: int) -> list[int]:
    """Return for each feature whether one category is left out, 1 or 0."""
    if part is None or part.kind == "JsonNode":
        return [0] * count
    if part.entry:
        return [1] * int(np.prod(parts.array(part).shape))
    return [0 if held.kind == "JsonNode" and held.value is None else 1 for held in part.items.values()]


_RULES: dict[str, Callable[[Parts, Part, Fields], None]] = {
    "tree_": check_tree,
    "estimators_": check_ensemble,
    "init_": check_booster,
    "_predictors": check_predictors,
    "n_jobs": _check_threads,
    "_n_threads": _check_threads,
    "n_threads": _check_threads,
    "support_vectors_": _check_vectors,
    "_dual_coef_": _check_vectors,
    "_fit_X": _check_neighbours,
    "cluster_centers_": _check_centers,
    "vocabulary_": _check_vocabulary,
    "_n_features_outs": _check_encoder,
    "n_features": _check_hashed,
}
