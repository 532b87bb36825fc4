"""Skops files of fitted estimators, changed."""

from __future__ import annotations

import io
import json
import struct
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)  # fmt: skip
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer
from sklearn.random_projection import SparseRandomProjection
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from tests.support.hostile import SkopsFile, Table, data, literal, say

TABLE = Table("skops")
Change = Callable[[SkopsFile], None]

MODELS: dict[str, Callable[[], Any]] = {
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(3, random_state=0),
    "boosted": lambda: GradientBoostingClassifier(n_estimators=3),
    "isolation": lambda: IsolationForest(n_estimators=3, max_features=3, random_state=0),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=3, random_state=0),
    "kd": lambda: KNeighborsClassifier(algorithm="kd_tree", leaf_size=5),
    "ball": lambda: KNeighborsClassifier(algorithm="ball_tree", metric="manhattan", leaf_size=5),
    "brute": lambda: KNeighborsClassifier(algorithm="brute"),
    "minkowski": lambda: KernelDensity(metric="minkowski", metric_params={"p": 3}),
    "svc": lambda: SVC(random_state=0),
    "centers": lambda: KMeans(3, n_init=1, random_state=0),
    "onehot": lambda: OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    "splines": SplineTransformer,
    "projection": lambda: SparseRandomProjection(3, random_state=np.random.RandomState(0)),
}


@cache
def fitted(name: str) -> Any:
    """Return a fitted estimator."""
    rows, labels = data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "svr":
            return SVR().fit(rows, rows[:, 0])
        if name == "words":
            return make_pipeline(CountVectorizer(), MultinomialNB()).fit(["a b c", "bb cc dd", "ee ff"], [0, 1, 1])
        if name == "hashed":
            return HashingVectorizer(n_features=16, alternate_sign=False).fit(["aa bb"])
        if name == "onehot":
            return MODELS[name]().fit(np.abs(np.round(rows)))
        return MODELS[name]().fit(rows, labels)


def changed(model: str, change: Change) -> Callable[[Path], None]:
    """Return what writes a fitted model's file after a change."""

    def write(path: Path) -> None:
        file = SkopsFile(fitted(model))
        change(file)
        file.write(path)

    return write


def case(name: str, model: str, words: str, change: Change, **more: Any) -> None:
    TABLE.add(name, words, changed(model, change), **more)


def _field(class_name: str, field: str | None, at: Any, value: Any, *names: str | int) -> Change:
    """Return a change of one number in an array of a class's state."""

    def change(file: SkopsFile) -> None:
        state = file.attribute(class_name, *names)
        array = file.array(state)
        (array if field is None else array[field])[at] = value
        file.put(state, array)

    return change


def _replaced(class_name: str, value: Callable[[Any], Any], *names: str | int) -> Change:
    """Return a change of a whole array."""

    def change(file: SkopsFile) -> None:
        state = file.attribute(class_name, *names)
        file.put(state, value(file.array(state)))

    return change


def _set(class_name: str, key: str, value: Any) -> Change:
    """Return a change of an attribute; None takes it away."""

    def change(file: SkopsFile) -> None:
        held = file.node(class_name)["content"]["content"]
        if value is None:
            del held[key]
        else:
            held[key] = value

    return change


def _argument(file: SkopsFile, place: int) -> dict[str, Any]:
    state: dict[str, Any] = file.node("Tree")["__reduce__"]["args"]["content"][place]
    return state


def _random(key: str) -> Change:
    def change(file: SkopsFile) -> None:
        state = file.node("RandomState")["content"]["content"]["state"]["content"]
        if key == "pos":
            state["pos"].update(literal(10**9))
        else:
            file.put(state["key"], file.array(state["key"])[:3])

    return change


def _sparse(key: str, value: Callable[[Any], Any]) -> Change:
    """Return a change of an array within a sparse matrix."""

    def change(file: SkopsFile) -> None:
        entry = file.node("csr_matrix")["file"]
        held = dict(np.load(io.BytesIO(file.entries[entry])))
        held[key] = value(held[key])
        content = io.BytesIO()
        np.savez(content, **held)
        file.entries[entry] = content.getvalue()

    return change


TREE = "DecisionTreeClassifier"
case(
    "tree-child-far",
    "tree",
    "child that is no later node",
    _field("Tree", "left_child", 0, 10**9, "nodes"),
    crashes=True,
)
case(
    "tree-child-negative",
    "tree",
    "child that is no later node",
    _field("Tree", "right_child", 0, -(10**9), "nodes"),
    crashes=True,
)
case(
    "tree-cycle",
    "tree",
    "child that is no later node",
    _field("Tree", ["left_child", "right_child"], 2, (0, 0), "nodes"),
    crashes=True,
)
case("tree-child-of-two", "tree", "child of two", _field("Tree", "right_child", 0, 1, "nodes"))
case("tree-feature-far", "tree", "feature beyond its 4", _field("Tree", "feature", 0, 10**9, "nodes"), crashes=True)
case("tree-node-count", "tree", "another node_count", _set("Tree", "node_count", literal(10**9)))
case("tree-depth", "tree", "deeper than its max_depth", _set("Tree", "max_depth", literal(0)))
case("tree-empty", "tree", "has values of shape", _replaced("Tree", lambda nodes: nodes[:0], "nodes"))
case("tree-outputs", "tree", "numbers of classes", lambda file: say(_argument(file, 2), 3))
case("tree-no-state", "tree", "lacks a part of a tree", lambda file: file.node("Tree")["content"].update(content={}))
case("tree-wider", "tree", "has a tree of 4 features and takes 3", _set(TREE, "n_features_in_", literal(3)))
case("tree-no-width", "tree", "no n_features_in_", _set(TREE, "n_features_in_", None))
case("tree-not-a-width", "tree", "no n_features_in_", _set(TREE, "n_features_in_", literal("4")))
case("forest-narrower", "forest", "features than the 3", _set("RandomForestClassifier", "n_features_in_", literal(3)))
case(
    "boosted-outputs",
    "boosted",
    "stages of other than",
    _set("GradientBoostingClassifier", "n_trees_per_iteration_", literal(1)),
)
case("boosted-init", "boosted", "cannot be told", _replaced("DummyClassifier", lambda prior: prior[:2], "class_prior_"))
case(
    "isolation",
    "isolation",
    "takes other features",
    _replaced("IsolationForest", lambda chosen: chosen[:2], "estimators_features_", 0),
)

HISTOGRAM = "HistGradientBoostingClassifier"
case(
    "histogram-child",
    "histogram",
    "child that is no later node",
    _field("TreePredictor", "left", 0, 10**9, "nodes"),
    crashes=True,
)
case(
    "histogram-cycle",
    "histogram",
    "child that is no later node",
    _field("TreePredictor", ["left", "right"], 0, (0, 0), "nodes"),
    crashes=True,
)
case(
    "histogram-feature",
    "histogram",
    "feature beyond the 4",
    _field("TreePredictor", "feature_idx", 0, 10**9, "nodes"),
    crashes=True,
)
case(
    "histogram-category",
    "histogram",
    "splits a feature by categories",
    _field("TreePredictor", ["is_categorical", "bitset_idx"], 0, (1, 10**8), "nodes"),
    crashes=True,
)
case("histogram-fitting", "histogram", "in the middle of fitting", _set(HISTOGRAM, "_in_fit", literal(True)))

case("kd-rows", "kd", "idx_array that leads out", _field("KDTree", None, slice(None), 10**9, 1), crashes=True)
case("kd-node-rows", "kd", "node of rows beyond", _field("KDTree", "idx_end", slice(None), 10**9, 2), crashes=True)
case("kd-children", "kd", "child that is none", _field("KDTree", "is_leaf", -1, 0, 2))
case("kd-bounds", "kd", "node_bounds of shape", _replaced("KDTree", lambda bounds: bounds[:, :1], 3))
case("kd-no-data", "kd", "of shape (120, 0)", _replaced("KDTree", lambda rows: rows[:, :0], 0))
case("ball-rows", "ball", "idx_array that leads out", _field("BallTree", None, slice(None), -(10**9), 1), crashes=True)
case("ball-leaf-size", "ball", "leaf_size 0", lambda file: say(file.attribute("BallTree", 4), 0))
case("minkowski", "minkowski", "weights of shape", _replaced("MinkowskiDistance64", lambda _: np.ones(1), 1))
KNN = "KNeighborsClassifier"
case("brute-narrower", "brute", "_fit_X of shape (120, 1)", _replaced(KNN, lambda rows: rows[:, :1], "_fit_X"))
case("brute-rows", "brute", "n_samples_fit_ says others", _replaced(KNN, lambda rows: rows[:9], "_fit_X"))
case("brute-label", "brute", "label that is none", _field(KNN, None, slice(None), 10**9, "_y"))
case("brute-labels", "brute", "labels of shape", _replaced(KNN, lambda labels: labels[:2], "_y"))

case("svc-counts", "svc", "_n_support says others", _field("SVC", None, 0, 10**8, "_n_support"))
case(
    "svc-vectors",
    "svc",
    "not",
    _replaced("SVC", lambda vectors: np.ascontiguousarray(vectors[:, :1]), "support_vectors_"),
)
case(
    "svc-coefficients",
    "svc",
    "vectors or coefficients",
    _replaced("SVC", lambda found: np.ascontiguousarray(found[:, :1]), "_dual_coef_"),
)
case("svc-intercept", "svc", "other intercepts", _replaced("SVC", lambda found: found[:1], "_intercept_"))
case("svc-chances", "svc", "other intercepts or chances", _replaced("SVC", lambda _: np.ones(1), "_probA"))
case("svc-machine", "svc", "which machine it is", _set("SVC", "_impl", literal("epsilon_svr")))
case("svc-sparse", "svc", "vectors or coefficients", _set("SVC", "_sparse", literal(True)))
case("svr-rows", "svr", "leads out of the rows", _field("SVR", None, 0, 10**9, "support_"))

case(
    "centers-narrower",
    "centers",
    "cluster_centers_ of shape",
    _replaced("KMeans", lambda found: found[:, :1], "cluster_centers_"),
)
case("centers-threads", "centers", "asks for 1000000 threads", _set("KMeans", "_n_threads", literal(10**6)))
case(
    "onehot-columns",
    "onehot",
    "_n_features_outs",
    lambda file: say(file.attribute("OneHotEncoder", "_n_features_outs", 0), -1000000),
)
case(
    "splines-knots", "splines", "knots that do not ascend", _replaced("BSpline", lambda knots: knots[::-1].copy(), "_t")
)
case("splines-coefficients", "splines", "coefficients for", _replaced("BSpline", lambda found: found[:1], "_c"))
case(
    "splines-degree",
    "splines",
    "knots that do not ascend, or fewer",
    lambda file: say(file.attribute("BSpline", "k"), 90),
)
case(
    "words-place",
    "words",
    "word in vocabulary_",
    lambda file: say(file.attribute("CountVectorizer", "vocabulary_", "bb"), 1000000000),
)
case(
    "hashed-none",
    "hashed",
    "n_features 0",
    lambda file: say(file.attribute("HashingVectorizer", "n_features"), 0),
    crashes=True,
)
case("random-position", "projection", "has the position", _random("pos"))
case("random-key", "projection", "has the position", _random("key"))
case(
    "random-name",
    "histogram",
    "no generator",
    lambda file: file.node("Generator")["content"]["bit_generator"]["content"]["bit_generator"].update(
        content='"seed"'
    ),
)
case("sparse-index", "projection", "indices out of the range", _sparse("indices", lambda found: found + 10**6))
case("sparse-pointer", "projection", "indptr that does not ascend", _sparse("indptr", lambda found: found[::-1].copy()))
case("sparse-shape", "projection", "indptr of shape", _sparse("shape", lambda found: found * 1000))

# --- what skops would build


def _called(file: SkopsFile) -> None:
    state = file.node("Tree")
    state.update(__loader__="ConstructorFromReduceNode", content=state.pop("__reduce__")["args"])


def _loss(file: SkopsFile) -> None:
    file.node("Tree")["__loader__"] = "LossNode"


def _bare(file: SkopsFile) -> None:
    file.schema.update({**file.node("Tree"), "protocol": 2})


def _taken(file: SkopsFile) -> None:
    """Let an array be met under its id before, with another content."""
    nodes = file.attribute("Tree", "nodes")
    file.attribute(TREE, "classes_").update(__id__=nodes["__id__"])


def _own_parent(file: SkopsFile) -> None:
    file.attribute(TREE, "classes_").update(__id__=file.schema["__id__"])


def _shared(file: SkopsFile) -> None:
    file.attribute("Tree", "nodes")["file"] = file.attribute("Tree", "values")["file"]


def _nested(path: Path) -> None:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b'{"content":' * 100_000)


case("called", "tree", "calls sklearn.tree._tree.Tree", _called)
case("loss", "tree", "where a loss belongs", _loss)
case(
    "bare-tree",
    "tree",
    "no estimator holds",
    lambda file: file.attribute(TREE, "classes_").update(
        __loader__="ListNode", __class__="list", __module__="builtins", content=[file.node("Tree")]
    ),
)
case("root-tree", "tree", "no estimator", _bare)
case("same-id", "tree", "", _taken)
case("own-parent", "tree", "holds itself", _own_parent)
case("shared-array", "tree", "as", _shared)
case(
    "list-of-a-class",
    "tree",
    "where a list belongs",
    lambda file: file.attribute(TREE, "classes_").update(
        __loader__="ListNode", __class__="KDTree", __module__="sklearn.neighbors._kd_tree", content=[]
    ),
)
case("literal", "tree", "is a JSON document", lambda file: file.attribute(TREE, "criterion").update(content="[[1]]"))
case(
    "loader", "tree", "which is unknown", lambda file: file.attribute(TREE, "criterion").update(__loader__="CachedNode")
)
case("protocol", "tree", "has the protocol 99", lambda file: file.schema.update(protocol=99))
case(
    "scalar",
    "tree",
    "where one float64 belongs",
    lambda file: file.attribute("Tree", "nodes").update(__class__="float64"),
)
TABLE.add("deep", "is nested deeper", _nested)

# --- arrays and archives


def _header(shape: str, kind: str = "<f8") -> Change:
    def change(file: SkopsFile) -> None:
        text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        file.entries[file.attribute("Tree", "values")["file"]] = (
            b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
        )

    return change


def _archive(
    change: Callable[[bytearray], None], entries: dict[str, bytes] | None = None, method: int = ZIP_DEFLATED
) -> Callable[[Path], None]:
    """Return what writes an archive and changes its bytes."""

    def write(path: Path) -> None:
        with ZipFile(path, "w", method) as archive:
            for name, content in (entries or {"schema.json": json.dumps({"a": "b" * 1000}).encode()}).items():
                archive.writestr(name, content)
        content_ = bytearray(path.read_bytes())
        change(content_)
        path.write_bytes(content_)

    return write


def _central(content: bytearray, offset: int, code: str, value: int) -> None:
    """Write a number into the first entry of the central directory."""
    struct.pack_into(code, content, content.index(b"PK\x01\x02") + offset, value)


def _twice(path: Path) -> None:
    with warnings.catch_warnings(), ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("schema.json", b"{}")
        archive.writestr("schema.json", b'{"other": 1}')


def _overlapping(content: bytearray) -> None:
    """Let the second entry begin where the first does."""
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    struct.pack_into("<I", content, second + 42, 0)


def _linked(path: Path) -> None:
    path.symlink_to("/etc/hostname")


case("array-huge", "tree", "says shape", _header("(1000000000000,)"))
case("array-negative", "tree", "says shape", _header("(-8,)"))
case("array-of-nothing", "tree", "values without size", _header("(1000000000000,)", "|V0"))
case("array-of-objects", "tree", "no plain form", _header("(1,)", "|O"))
case("array-of-code", "tree", "is no array", _header("__import__('os').abort()"))
case(
    "array-missing",
    "tree",
    "which the archive lacks",
    lambda file: file.entries.pop(file.attribute("Tree", "values")["file"]),
)
case(
    "array-outside",
    "tree",
    "which the archive lacks",
    lambda file: file.attribute("Tree", "values").update(file="/etc/passwd"),
)
TABLE.add("bomb", "at most 67108864 are read", _archive(lambda content: None, {"schema.json": b" " * (80 << 20)}))
TABLE.add("size-said", "does not end", _archive(lambda content: _central(content, 24, "<I", 3)))
TABLE.add("size-huge", "at most", _archive(lambda content: _central(content, 24, "<I", 0xFFFFFFF0)))
TABLE.add("checksum", "size and checksum", _archive(lambda content: _central(content, 16, "<I", 5)))
TABLE.add("encrypted", "neither stored nor deflated", _archive(lambda content: _central(content, 8, "<H", 1)))
TABLE.add("compression", "neither stored nor deflated", _archive(lambda content: None, method=ZIP_BZIP2))
TABLE.add("offset", "header", _archive(lambda content: _central(content, 42, "<I", 7)))
TABLE.add("overlap", "overlaps", _archive(_overlapping, {"schema.json": b"{}", "a.npy": b"123456"}))
TABLE.add("upwards", "not a plain name", _archive(lambda content: None, {"schema.json": b"{}", "../a.npy": b""}))
TABLE.add("folder", "not a plain name", _archive(lambda content: None, {"schema.json": b"{}", "/etc/a.npy": b""}))
TABLE.add("twice", "there twice", _twice)
TABLE.add("no-schema", "has no schema.json", _archive(lambda content: None, {"a.npy": b""}))
TABLE.add(
    "key-twice", "there twice", _archive(lambda content: None, {"schema.json": b'{"protocol": 2, "protocol": 2}'})
)
TABLE.add("no-object", "no object", _archive(lambda content: None, {"schema.json": b"[2]"}))
TABLE.add("empty", "no zip archive", lambda path: path.write_bytes(b"") and None)
TABLE.add("link", "no regular file", _linked)
