"""Ensembles of trees in ONNX: every child, feature and target is there, and every path ends.

Source: ONNX, Operators-ml.md, TreeEnsemble, TreeEnsembleClassifier and TreeEnsembleRegressor; onnxruntime,
core/providers/cpu/ml/tree_ensemble_common.h, which reads a row at the places that nodes say.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from modelmill.artifacts.graphs import forms_trees, outside
from modelmill.artifacts.onnx_nodes import Node

TREES = ("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor")
MAX_WIDTH = 1 << 16  # of rows whose columns the file does not say
_LEAF = b"LEAF"

Array = np.ndarray[Any, Any]


def check_trees(node: Node, width: int | None) -> str:
    """Return what is wrong with an ensemble for rows of `width` columns, an empty text when nothing is."""
    if node.kind == "TreeEnsemble":
        return _check_split_form(node, width or MAX_WIDTH)
    keys = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    trees, places, features, yes, no = (node.integers(f"nodes_{key}") for key in keys)
    modes = node.attributes.get("nodes_modes", {}).get(9, [])
    values = len(node.numbers("nodes_values")) if "nodes_values" in node.attributes else None
    count = len(trees)
    if (
        not count
        or any(len(array) != count for array in (places, features, yes, no, modes))
        or values not in (None, count)
    ):
        return f"has {count} nodes_treeids and other numbers of the rest of its nodes"
    index = _index(trees, places)
    if index is None:
        return "has a node twice in a tree"
    inner = np.flatnonzero(np.array([bytes(mode) != _LEAF for mode in modes], np.bool_))
    children = np.concatenate([index(trees[inner], yes[inner]), index(trees[inner], no[inner])])
    roots = np.flatnonzero(np.concatenate([[True], trees[1:] != trees[:-1]]))
    if not forms_trees(children, roots, count):
        return "has a child that is no node of its tree, or a node that is the child of two"
    if outside(features[inner], width or MAX_WIDTH):
        return f"splits by a feature beyond the {width or MAX_WIDTH} of its input"
    return _check_targets(node, index)


def _check_targets(node: Node, index: Any) -> str:
    classifies = node.kind == "TreeEnsembleClassifier"
    prefix = "class" if classifies else "target"
    trees, places, ids = (node.integers(f"{prefix}_{key}") for key in ("treeids", "nodeids", "ids"))
    if len(trees) != len(places) or len(trees) != len(ids):
        return f"has {len(trees)} {prefix}_treeids and other numbers of {prefix}_nodeids and {prefix}_ids"
    if (index(trees, places) < 0).any():
        return f"has a {prefix}_nodeids that is none of its nodes"
    labels = max(len(node.integers("classlabels_int64s")), node.texts("classlabels_strings"))
    most = labels if classifies else node.integer("n_targets", 1)
    if not 0 < most <= max(len(ids), 2) or outside(ids, most):
        return f"has {prefix}_ids beyond its {most} outputs"
    weights = len(node.numbers(f"{prefix}_weights"))
    if weights != len(ids) and not (weights == 0 and f"{prefix}_weights_as_tensor" in node.attributes):
        return f"has {weights} {prefix}_weights for {len(ids)} {prefix}_ids"
    return ""


def _check_split_form(node: Node, width: int) -> str:
    """Check the operator of version 5, whose leaves are apart from its nodes."""
    keys = ("featureids", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")
    features, yes, no, yes_leaf, no_leaf = (node.integers(f"nodes_{key}") for key in keys)
    roots, targets = node.integers("tree_roots"), node.integers("leaf_targetids")
    count = len(features)
    if not count or any(len(array) != count for array in (yes, no, yes_leaf, no_leaf)):
        return f"has {count} nodes_featureids and other numbers of the rest of its nodes"
    leaves = np.concatenate([yes[yes_leaf != 0], no[no_leaf != 0]])
    children = np.concatenate([yes[yes_leaf == 0], no[no_leaf == 0]])
    # A tree of one leaf has a root both of whose children are that leaf, so leaves may have two parents.
    if not len(roots) or outside(leaves, len(targets)) or not forms_trees(children, roots, count):
        return "has a child that is no node or leaf, or a node that is the child of two"
    if outside(features, width):
        return f"splits by a feature beyond the {width} of its input"
    most = node.integer("n_targets", 1)
    if not 0 < most <= max(len(targets), 2) or outside(targets, most):
        return f"has leaf_targetids beyond its {most} outputs"
    return ""


def _index(trees: Array, places: Array) -> Any:
    """Return a function from trees and places in them to nodes, -1 for what is none; None when a node is there twice."""
    order = np.lexsort((places, trees))
    sorted_trees, sorted_places = trees[order], places[order]
    if ((np.diff(sorted_trees) == 0) & (np.diff(sorted_places) == 0)).any():
        return None
    begins = dict(zip(*_runs(sorted_trees), strict=True))

    def found(wanted_trees: Array, wanted: Array) -> Array:
        made = np.full(len(wanted), -1, np.int64)
        for tree in np.unique(wanted_trees):
            begin, end = begins.get(int(tree), (0, 0))
            chosen = np.flatnonzero(wanted_trees == tree)
            at = begin + np.searchsorted(sorted_places[begin:end], wanted[chosen])
            there = at < end
            there[there] = sorted_places[at[there]] == wanted[chosen][there]
            made[chosen[there]] = order[at[there]]
        return made

    return found


def _runs(values: Array) -> tuple[list[int], list[tuple[int, int]]]:
    edges = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]])).tolist()
    return [int(values[begin]) for begin in edges[:-1]], list(pairwise(edges))
