"""Models of XGBoost and LightGBM, changed."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost

from tests.support.hostile import Table, data

XGBOOST = Table("xgboost")
LIGHTGBM = Table("lightgbm")
Document = dict[str, Any]
FAR = 10**9


def _rows() -> tuple[Any, Any]:
    """Return rows whose third feature is a category that decides, and numbers to predict."""
    rows = data()[0].copy()
    rows[:, 2] = np.arange(len(rows)) % 6
    return rows, rows[:, 0] + 3.0 * np.isin(rows[:, 2], (1, 4))


@cache
def booster(kind: str) -> xgboost.Booster:
    """Return a fitted booster."""
    rows, target = _rows()
    types = ["float", "float", "c" if kind == "categories" else "float", "float"]
    labels = np.column_stack([target, 2 * target]) if kind == "vector" else target
    parameters: Document = {"max_depth": 3, "nthread": 1, "max_cat_to_onehot": 1}
    if kind == "dart":
        parameters["booster"] = "dart"
    if kind == "linear":
        parameters = {"booster": "gblinear", "nthread": 1}
    if kind == "vector":
        parameters["multi_strategy"] = "multi_output_tree"
    matrix = xgboost.DMatrix(rows, labels, feature_types=types, enable_categorical=True)
    return xgboost.train(parameters, matrix, 3)


def model_of(document: Document) -> Any:
    """Return the part of a document that has the trees."""
    found = document["learner"]["gradient_booster"]
    return (found.get("gbtree") or found)["model"]


def _json(kind: str, change: Callable[[Document], Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        document = json.loads(bytes(booster(kind).save_raw("json")))
        change(document)
        path.write_text(json.dumps(document))

    return write


def _ubj(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(change(bytes(booster("trees").save_raw("ubj")))) and None


def _tree(key: str, at: Any, value: Any) -> Callable[[Document], None]:
    """Return a change of the first tree that has such a list."""

    def change(document: Document) -> None:
        tree = next(tree for tree in model_of(document)["trees"] if tree[key])
        if at is None:
            tree[key] = value
        else:
            tree[key][at] = value

    return change


def _put(*path: Any) -> Callable[[Document], None]:
    """Return a change of what lies at a path, from the part with the trees."""

    def change(document: Document) -> None:
        held = document["learner"] if path[0] == "learner_model_param" else model_of(document)
        for key in path[:-2]:
            held = held[key]
        held[path[-2]] = path[-1]

    return change


def _xgboost(name: str, words: str, kind: str, change: Callable[[Document], Any], **more: Any) -> None:
    XGBOOST.add(name, words, _json(kind, change), **more)


_xgboost("child-far", "children out of its nodes", "trees", _tree("left_children", 0, FAR), crashes=True)
_xgboost("child-negative", "children out of its nodes", "trees", _tree("left_children", 0, -5), crashes=True)
_xgboost("cycle", "child of two", "trees", _tree("right_children", 1, 0), crashes=True)
_xgboost("child-of-two", "child of two", "trees", _tree("right_children", 0, 1))
_xgboost("feature-far", "feature beyond the 4", "trees", _tree("split_indices", 0, FAR), crashes=True)
_xgboost("parent-far", "parents that do not fit", "trees", _tree("parents", 3, FAR), crashes=True)
_xgboost("lists-short", "of everything that num_nodes says", "trees", _tree("split_conditions", None, []))
_xgboost("fractions", "no whole numbers", "trees", _tree("left_children", 0, 1.5))
_xgboost("weights-short", "base_weights", "trees", _tree("base_weights", None, []))
_xgboost("output-far", "tree_info", "trees", _put("tree_info", 0, FAR), crashes=True)
_xgboost("layers", "iteration_indptr", "trees", _put("iteration_indptr", [0, 9, 2, 3]))
_xgboost("trees-said", "other than 3 trees", "trees", _put("gbtree_model_param", "num_trees", "100000000"))
_xgboost("forest-of-none", "other than 3 trees", "trees", _put("gbtree_model_param", "num_parallel_tree", "0"))
_xgboost("classes", "outputs of 3 trees", "trees", _put("learner_model_param", "num_class", "1000000000"))
_xgboost("features", "num_feature", "trees", _put("learner_model_param", "num_feature", "4000000000"))
_xgboost("features-text", "no whole number", "trees", _put("learner_model_param", "num_feature", "4e9"))
_xgboost("ids", "has the id", "trees", _put("trees", 1, "id", 0), crashes=True)
_xgboost(
    "leaf-size", "size_leaf_vector", "trees", _put("trees", 0, "tree_param", "size_leaf_vector", "1000"), crashes=True
)
_xgboost("vector-leaf", "leaf_weights", "vector", _tree("right_children", -1, 10**8), crashes=True)
_xgboost("vector-weights", "leaf_weights", "vector", _tree("leaf_weights", None, [1.0]), crashes=True)
_xgboost("segments-far", "categories_segments", "categories", _tree("categories_segments", 0, FAR), crashes=True)
_xgboost("sizes-far", "categories_segments", "categories", _tree("categories_sizes", 0, FAR), crashes=True)
_xgboost("sizes-lacking", "without categories", "categories", _tree("categories_sizes", None, []), crashes=True)
_xgboost("category-negative", "categories_segments", "categories", _tree("categories", 0, -7), crashes=True)
_xgboost("category-huge", "categories_segments", "categories", _tree("categories", 0, (1 << 31) - 1))
_xgboost("category-nodes", "without categories", "categories", _tree("categories_nodes", 0, FAR), crashes=True)
_xgboost(
    "dropped", "weight_drop", "dart", lambda document: document["learner"]["gradient_booster"].update(weight_drop=[])
)
_xgboost("linear", "linear booster", "linear", lambda document: None)
_xgboost("no-learner", "lacks or has a wrong field", "trees", lambda document: document.pop("learner"))
_xgboost("nested", "nested deeper", "trees", lambda document: document.update(a=json.loads("[" * 300 + "]" * 300)))
XGBOOST.add("truncated", "not valid JSON", lambda path: path.write_text('{"learner": {"gradient') and None)
XGBOOST.add(
    "length",
    "has the length",
    _ubj(lambda content: content.replace(b"L" + struct.pack(">q", 7), b"L" + struct.pack(">q", 1 << 40), 1)),
    file="model.ubj",
)
XGBOOST.add("length-negative", "has the length", _ubj(lambda content: b"{L" + struct.pack(">q", -1)), file="model.ubj")
XGBOOST.add(
    "array",
    "elements",
    _ubj(lambda content: b"{L" + struct.pack(">q", 1) + b"a[$l#L" + struct.pack(">q", 20) + b"1234" * 6),
    file="model.ubj",
)
XGBOOST.add(
    "ubj-nested",
    "nested deeper",
    _ubj(lambda content: b"{L" + struct.pack(">q", 1) + b"a" + b"[" * 9000),
    file="model.ubj",
)
XGBOOST.add("ubj-truncated", "has the length", _ubj(lambda content: content[:-100]), file="model.ubj")
XGBOOST.add(
    "ubj-twice",
    "twice",
    _ubj(lambda content: b"{" + (b"L" + struct.pack(">q", 1) + b"aZ") * 2 + b"}"),
    file="model.ubj",
)
XGBOOST.add("ubj-mark", "unknown mark", _ubj(lambda content: b"{L" + struct.pack(">q", 1) + b"aH"), file="model.ubj")


@cache
def text(kind: str) -> str:
    """Return a fitted booster as LightGBM writes it."""
    rows, target = _rows()
    parameters = {
        "verbose": -1,
        "num_leaves": 6,
        "min_data_in_leaf": 5,
        "num_threads": 1,
        "min_data_per_group": 5,
        "cat_smooth": 1,
    }
    if kind == "linear":
        parameters["linear_tree"] = True
    categories = [2] if kind == "categories" else []
    matrix = lightgbm.Dataset(rows, target, categorical_feature=categories)
    return str(lightgbm.train(parameters, matrix, 3).model_to_string())


def measured(content: str) -> str:
    """Return a model whose header says how long its trees are."""
    body = content.partition("\n\n")[2].split("end of trees")[0]
    sizes = " ".join(str(len("Tree=" + tree)) for tree in body.split("Tree=")[1:])
    return re.sub(r"(?m)^tree_sizes=.*$", f"tree_sizes={sizes}", content, count=1)


def _lightgbm(
    name: str, words: str, key: str, value: str | Callable[[str], str], kind: str = "trees", **more: Any
) -> None:
    """Add a model with another value in the first line of that key that has one."""

    def write(path: Path) -> None:
        content = text(kind)
        found = next(match for match in re.finditer(rf"(?m)^{key}=(.*)$", content) if match[1].strip(" 0"))
        said = value(found[1]) if callable(value) else value
        changed = content[: found.start(1)] + said + content[found.end(1) :]
        path.write_text(changed if key == "tree_sizes" else measured(changed))

    LIGHTGBM.add(name, words, write, **more)


def _at(place: int, value: object) -> Callable[[str], str]:
    def change(line: str) -> str:
        words = line.split(" ")
        words[place] = str(value)
        return " ".join(words)

    return change


_lightgbm("child-far", "children that are none", "left_child", _at(0, 10**8), crashes=True)
_lightgbm("leaf-far", "children that are none", "left_child", _at(0, -(10**8)), crashes=True)
_lightgbm("cycle", "child of two", "left_child", _at(1, 0), crashes=True)
_lightgbm("feature-far", "feature beyond the 4", "split_feature", _at(0, 10**8), crashes=True)
_lightgbm("leaves-many", "leaf_value where", "num_leaves", "1000000000", crashes=True)
_lightgbm("leaves-negative", "has num_leaves -1", "num_leaves", "-1", crashes=True)
_lightgbm("leaves-twice", "twice", "num_leaves", "6\nnum_leaves=100000", crashes=True)
_lightgbm("children-short", "left_child where", "left_child", "1 2")
_lightgbm("splits-short", "threshold where", "threshold", "1 2", crashes=True)
_lightgbm("leaves-short", "leaf_value where", "leaf_value", "1 2", crashes=True)
_lightgbm("no-numbers", "threshold that is not of numbers", "threshold", "x y z a b", crashes=True)
_lightgbm("no-whole-numbers", "not of whole numbers", "left_child", "1 2 x -1 -2")
_lightgbm("long-number", "not of numbers", "leaf_value", "0." + "1" * 10_000)
_lightgbm("underscore", "not of numbers", "leaf_value", "1_0 1 1 1 1 1", crashes=True)
_lightgbm("kind", "decision_type", "decision_type", _at(0, 900))
_lightgbm("sizes-far", "sizes beyond the file", "tree_sizes", "99999999 5 5", crashes=True)
_lightgbm("sizes-negative", "sizes beyond the file", "tree_sizes", "-5 5 5", crashes=True)
_lightgbm("sizes-few", "tree 0 is not where", "tree_sizes", "100")
_lightgbm("sizes-shifted", "is not where", "tree_sizes", lambda line: _at(0, int(line.split()[0]) - 1)(line))
_lightgbm("classes", "is not num_tree_per_iteration", "num_class", "64")
_lightgbm("outputs-none", "is not num_tree_per_iteration", "num_tree_per_iteration", "0", crashes=True)
_lightgbm("outputs-negative", "is not num_tree_per_iteration", "num_tree_per_iteration", "-1", crashes=True)
_lightgbm("features-many", "as max_feature_idx says", "max_feature_idx", "100000000")
_lightgbm("objective", "classes and num_class is 1", "objective", "multiclass num_class:1000000", crashes=True)
_lightgbm("key", "unknown line", "shrinkage", "1\nanything=1")
_lightgbm("linear", "is_linear that is neither", "is_linear", "7", kind="linear")
_lightgbm(
    "linear-feature",
    "leaf with a feature beyond",
    "leaf_features",
    lambda line: re.sub(r"\d+", "99999999", line, count=1),
    kind="linear",
    crashes=True,
)
_lightgbm("linear-count", "leaf_features where", "num_features", _at(0, 1_000_000), kind="linear", crashes=True)
_lightgbm("categories-far", "cat_boundaries", "cat_boundaries", _at(1, 10**8), kind="categories", crashes=True)
_lightgbm("categories-short", "cat_boundaries", "cat_threshold", "", kind="categories", crashes=True)
_lightgbm("categories-many", "cat_boundaries where", "num_cat", "100000000", kind="categories", crashes=True)
_lightgbm("categories-set", "set of categories", "threshold", _at(0, 77), kind="categories")
LIGHTGBM.add(
    "truncated", "sizes beyond the file", lambda path: path.write_text(text("trees")[:900]) and None, crashes=True
)
LIGHTGBM.add(
    "header", "lacks tree_sizes", lambda path: path.write_text(re.sub(r"tree_sizes=.*\n", "", text("trees"))) and None
)
LIGHTGBM.add("text", "no LightGBM model", lambda path: path.write_text("tree") and None)
LIGHTGBM.add(
    "nested",
    "nested deeper",
    lambda path: (
        path.write_text(text("trees").replace("pandas_categorical:null", "pandas_categorical:" + "[" * 9000)) and None
    ),
)
LIGHTGBM.add(
    "parameters",
    "which is none of the form",
    lambda path: path.write_text(text("trees").replace("[num_class: 1]", "[num_]")) and None,
    crashes=True,
)
