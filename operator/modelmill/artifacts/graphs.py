"""Trees in arrays of numbers: children point inside, and whoever follows them arrives."""

from __future__ import annotations

from typing import Any

import numpy as np

Indices = np.ndarray[Any, Any]


def outside(indices: Indices, most: int) -> bool:
    """Return whether any index is below 0 or not below `most`."""
    return bool(len(indices) and (indices.min() < 0 or indices.max() >= most))


def ascending(parents: Indices, children: Indices, count: int) -> bool:
    """Return whether every child is one of `count` nodes and comes after its parent, so that every path ends."""
    return not outside(children, count) and bool((children > parents).all())


def forms_trees(children: Indices, roots: Indices, count: int) -> bool:
    """Return whether no node is the child of two, no root is anybody's child, and all children are among `count` nodes.

    What is reached from a root is then a tree, whatever the order of its nodes: to meet a node twice it would need two parents.
    """
    if outside(children, count) or outside(roots, count):
        return False
    parents = np.bincount(children, minlength=count)
    return not len(parents) or bool(parents.max() <= 1 and not parents[roots].any())


def depth_within(left: Indices, right: Indices, inner: Indices, most: int) -> bool:
    """Return whether a tree with the root 0 has at most `most` levels below it. inner: which nodes have children.

    Call it for trees only: in a graph with shared children the levels would grow without end.
    """
    level = np.zeros(1, np.intp)
    for _ in range(most + 1):
        level = level[inner[level]]
        if not len(level):
            return True
        level = np.concatenate([left[level], right[level]])
    return False
