"""XGBoost models, model.json and model.ubj: trees whose nodes point to nodes, features and categories that are there.

Source: XGBoost 3, doc/model.schema, src/gbm/gbtree_model.cc, src/tree/tree_model.cc and multi_target_tree_model.cc (LoadModel).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from modelmill.artifacts.documents import parse_document
from modelmill.artifacts.graphs import forms_trees, outside
from modelmill.artifacts.limits import LIMITS, ArtifactInvalid, Limits, require_size
from modelmill.artifacts.ubjson import parse_ubjson

ROOTS = (2147483647, -1)
NODE_INDICES = ("left_children", "right_children", "parents", "split_indices")
NODE_ARRAYS = (*NODE_INDICES, "split_conditions", "default_left", "loss_changes", "sum_hessian")
MAX_FEATURES = 1 << 24
MAX_CATEGORIES = 1 << 24  # of a feature; XGBoost keeps codes in single precision
MAX_SET_BITS = 1 << 31  # of the sets of categories of all nodes together, which are as long as their greatest

Array = np.ndarray[Any, Any]
Document = dict[str, Any]


def check_xgboost(path: Path, limits: Limits = LIMITS) -> None:
    """Raise ArtifactInvalid for a model that XGBoost would follow out of its arrays, or for ever."""
    require_size(path, limits.file)
    content = path.read_bytes()
    parse = parse_ubjson if path.suffix == ".ubj" else parse_document
    document = parse(content, path.name, limits)
    try:
        _Model(path.name, document["learner"]).check()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise ArtifactInvalid(f"{path.name} lacks or has a wrong field: {type(error).__name__} {error}") from None


class _Model:
    """The learner of a document. name: of the file, for errors."""

    def __init__(self, name: str, learner: Document) -> None:
        self._name = name
        self._bits = 0
        booster = learner["gradient_booster"]
        if booster["name"] == "gblinear":
            raise ArtifactInvalid(f"{name} holds a linear booster: only trees are served")
        if booster["name"] not in ("gbtree", "dart"):
            raise self._wrong("gradient_booster", f"is called {str(booster['name'])[:40]!r}")
        self._weights = booster["weight_drop"] if booster["name"] == "dart" else None
        self._model = booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]
        self._parameters = learner["learner_model_param"]
        self._named = [len(learner.get(key) or ()) for key in ("feature_names", "feature_types")]
        self._trees = self._model["trees"]
        self._features = _number(self._parameters["num_feature"])

    def check(self) -> None:
        """Raise ArtifactInvalid for the first field that is wrong."""
        count = len(self._trees)
        if not 0 <= self._features <= MAX_FEATURES or any(named not in (0, self._features) for named in self._named):
            raise self._wrong("num_feature", f"is {self._features}, with {max(self._named)} names or types")
        parameters = self._model["gbtree_model_param"]
        if _number(parameters["num_trees"]) != count or _number(parameters.get("num_parallel_tree", 1)) < 1:
            raise self._wrong("gbtree_model_param", f"says other than {count} trees")
        sizes = {self._leaf_size(tree) for tree in self._trees} or {1}
        if len(sizes) > 1:
            raise self._wrong("size_leaf_vector", f"is {sorted(sizes)[:5]} in one model")
        vector = max(*sizes, 1)
        groups = max(_number(self._parameters.get("num_class", 0)), _number(self._parameters.get("num_target", 1)), 1)
        if groups > max(count, 1) * vector:
            raise self._wrong("num_class and num_target", f"say {groups} outputs of {count} trees")
        info = _integers(self._model["tree_info"])
        if len(info) != count or outside(info, groups):
            raise self._wrong("tree_info", f"names an output that is none of {groups}")
        if self._weights is not None and len(self._weights) != count:
            raise self._wrong("weight_drop", f"has {len(self._weights)} weights for {count} trees")
        if "iteration_indptr" in self._model:
            layers = _integers(self._model["iteration_indptr"])
            if not len(layers) or layers[0] != 0 or layers[-1] != count or (np.diff(layers) < 0).any():
                raise self._wrong("iteration_indptr", f"does not ascend from 0 to {count}")
        self._check_categories(self._model.get("cats") or {})
        for place, tree in enumerate(self._trees):
            self._check_tree(place, tree, groups)

    def _check_tree(self, place: int, tree: Document, groups: int) -> None:
        where = f"tree {place}"
        count, size = _number(tree["tree_param"]["num_nodes"]), self._leaf_size(tree)
        held = {key: np.asarray(tree[key]) for key in NODE_ARRAYS}
        if count < 1 or any(array.shape != (count,) for array in held.values()):
            raise self._wrong(where, f"has not {count} of everything that num_nodes says")
        if _number(tree["id"]) != place or not 0 <= size <= max(groups, 1):
            raise self._wrong(where, f"has the id {tree['id']} and size_leaf_vector {size} for {groups} outputs")
        if any(held[key].dtype.kind not in "iub" for key in (*NODE_INDICES, "default_left")):
            raise self._wrong(where, "has indices that are no whole numbers")
        left, right, parents = held["left_children"], held["right_children"], held["parents"]
        inner = np.flatnonzero(left != -1)
        children = np.concatenate([left[inner], right[inner]]).astype(np.int64)
        if not forms_trees(children, np.zeros(1, np.intp), count):
            raise self._wrong(where, "has children out of its nodes, or nodes that are the child of two")
        if (
            (parents[children] != np.concatenate([inner, inner])).any()
            or parents[0] not in ROOTS
            or outside(parents[1:], count)
        ):
            raise self._wrong(where, "has parents that do not fit the children")
        if outside(held["split_indices"][inner], self._features):
            raise self._wrong(where, f"splits by a feature beyond the {self._features} of num_feature")
        self._check_leaves(where, tree, count, size, right[left == -1])
        self._check_splits(where, tree, count)

    def _check_leaves(self, where: str, tree: Document, count: int, size: int, places: Array) -> None:
        weights = len(tree["base_weights"])
        if size <= 1:
            if weights != count:
                raise self._wrong(where, f"has {weights} base_weights for {count} nodes")
            return
        stored = len(tree["leaf_weights"])
        if weights != count * size or stored % size or outside(places, stored // size):
            raise self._wrong(
                where, f"has {stored} leaf_weights and {weights} base_weights for {count} nodes of {size} outputs"
            )

    def _check_splits(self, where: str, tree: Document, count: int) -> None:
        kinds = _integers(tree.get("split_type", [0] * count))
        nodes, begins, sizes, categories = (
            _integers(tree.get(key, []))
            for key in ("categories_nodes", "categories_segments", "categories_sizes", "categories")
        )
        if (
            len(kinds) != count
            or not np.array_equal(np.flatnonzero(kinds == 1), nodes)
            or not len(nodes) == len(begins) == len(sizes)
        ):
            raise self._wrong(where, "has a split by categories without categories")
        ends = begins + sizes
        if (
            (begins < 0).any()
            or (sizes < 1).any()
            or (ends > len(categories)).any()
            or outside(categories, MAX_CATEGORIES)
        ):
            raise self._wrong(where, f"has categories_segments out of its {len(categories)} categories")
        self._bits += sum(int(categories[begin:end].max()) + 1 for begin, end in zip(begins, ends, strict=True))
        if self._bits > MAX_SET_BITS or int(sizes.sum()) > len(categories):
            raise self._wrong(where, f"has categories whose sets take {self._bits} bits with those before")

    def _check_categories(self, held: Document) -> None:
        encodings, total = held.get("enc", []), 0
        segments, order = _integers(held.get("feature_segments", [])), _integers(held.get("sorted_idx", []))
        if not len(encodings):
            return
        ends = [0]
        for encoding in encodings:
            values = len(encoding["values"])
            if "offsets" in encoding:
                offsets = _integers(encoding["offsets"])
                if len(offsets) and (offsets[0] != 0 or offsets[-1] != values or (np.diff(offsets) < 0).any()):
                    raise self._wrong("cats", f"has offsets that do not ascend from 0 to {values}")
                values = max(len(offsets) - 1, 0)
            total += values
            ends.append(total)
        fitting = len(encodings) == self._features and len(order) == total and not outside(order, total)
        if not fitting or not np.array_equal(segments, ends):
            raise self._wrong(
                "cats", f"has segments or an order that do not fit {total} categories of {self._features} features"
            )

    def _leaf_size(self, tree: Document) -> int:
        return _number(tree["tree_param"].get("size_leaf_vector", 0))

    def _wrong(self, where: str, what: str) -> ArtifactInvalid:
        return ArtifactInvalid(f"{self._name}: {where} {what}")


def _number(value: Any) -> int:
    """Return a whole number, which XGBoost stores as text. Raises ValueError."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | str)
        or (isinstance(value, str) and not value.isdecimal())
    ):
        raise ValueError(f"{str(value)[:40]!r} is no whole number")
    return int(value)


def _integers(values: Any) -> Array:
    """Return whole numbers in a row. Raises ValueError."""
    found = np.asarray(values)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iub"):
        raise ValueError("an array is not of whole numbers")
    return found.astype(np.int64)
