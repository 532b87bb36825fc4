"""What compiled code of scikit-learn, scipy and numpy takes for granted in fitted objects.

Rules go by the attributes that the code reads, and by class where the class decides what is done with them. Source:
scikit-learn 1.7 and 1.8, the .pyx files named at each rule.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelmill.artifacts.estimators import check_estimator
from modelmill.artifacts.graphs import ascending, depth_within, forms_trees, outside
from modelmill.artifacts.parts import STATE, Part, Parts

TREE = "sklearn.tree._tree.Tree"
PREDICTOR = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
_POSITIONS = {  # of generators' state within their buffer: numpy reads there without asking
    "MT19937": ("key", 624, "pos"),
    "Philox": ("buffer", 4, "buffer_pos"),
    "PCG64": None,
    "PCG64DXSM": None,
    "SFC64": None,
}
MAX_POOL = 64


def check_fitted(parts: Parts) -> None:
    """Raise ArtifactInvalid for the first object whose numbers lead out of it."""
    for part in parts.all:
        rule = _RULES.get(part.type)
        if rule is not None and part.kind not in ("TypeNode", "FunctionNode"):
            rule(parts, part)
        if part.kind == "ObjectNode":
            check_estimator(parts, part)
        elif part.kind == "RandomGeneratorNode":
            _check_generator(parts, part)


def _check_tree(parts: Parts, part: Part) -> None:
    """Source: sklearn/tree/_tree.pyx, Tree.__cinit__, __setstate__, _apply_dense, decision_path."""
    state, arguments = part.items[STATE], part.items["args"]
    fields = state.items if state.kind == "DictNode" else {}
    if list(arguments.items) != ["0", "1", "2"] or not {"max_depth", "node_count", "nodes", "values"} <= fields.keys():
        raise parts.wrong(part, "lacks a part of a tree's state")
    features, outputs = parts.number(arguments.items["0"]), parts.number(arguments.items["2"])
    classes, nodes, values = (parts.array(held) for held in (arguments.items["1"], fields["nodes"], fields["values"]))
    if (
        features is None
        or outputs is None
        or outputs < 1
        or classes.shape != (outputs,)
        or classes.dtype.kind not in "iu"
    ):
        raise parts.wrong(part, f"has {classes.shape} numbers of classes for {outputs} outputs")
    if (classes < 1).any() or values.shape != (len(nodes), outputs, int(classes.max())):
        raise parts.wrong(part, f"has values of shape {values.shape} for {len(nodes)} nodes")
    names = ("left_child", "right_child", "feature")
    if (
        nodes.ndim != 1
        or not len(nodes)
        or any(nodes.dtype[name].kind != "i" for name in names if name in (nodes.dtype.names or ()))
    ):
        raise parts.wrong(part, "has no nodes")
    if not set(names) <= set(nodes.dtype.names or ()) or parts.number(fields["node_count"]) != len(nodes):
        raise parts.wrong(part, f"says another node_count than the {len(nodes)} nodes it has")
    left, right = nodes["left_child"], nodes["right_child"]
    inner = left != -1
    at = np.flatnonzero(inner)
    if not ascending(at, left[at], len(nodes)) or not ascending(at, right[at], len(nodes)):
        raise parts.wrong(part, "has a child that is no later node of the tree")
    if not forms_trees(np.concatenate([left[at], right[at]]), np.zeros(1, np.intp), len(nodes)):
        raise parts.wrong(part, "has a node that is the child of two")
    if outside(nodes["feature"][at], features):
        raise parts.wrong(part, f"splits by a feature beyond its {features}")
    depth = parts.number(fields["max_depth"])
    if depth is None or not 0 <= depth < len(nodes) or not depth_within(left, right, inner, depth):
        raise parts.wrong(part, f"is deeper than its max_depth {depth} says")


def _check_predictor(parts: Parts, part: Part) -> None:
    """Source: sklearn/ensemble/_hist_gradient_boosting/_predictor.pyx; features are compared with the model that holds it."""
    fields = part.attributes()
    if not {"nodes", "raw_left_cat_bitsets", "binned_left_cat_bitsets"} <= fields.keys():
        raise parts.wrong(part, "lacks nodes or bitsets")
    nodes = parts.array(fields["nodes"])
    needed = {"left", "right", "feature_idx", "is_leaf", "is_categorical", "bitset_idx"}
    if nodes.ndim != 1 or not len(nodes) or not needed <= set(nodes.dtype.names or ()):
        raise parts.wrong(part, "has no nodes")
    if any(nodes.dtype[name].kind not in "iu" for name in needed):
        raise parts.wrong(part, "has indices that are no whole numbers")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    if not all(ascending(inner, nodes[side][inner].astype(np.int64), len(nodes)) for side in ("left", "right")):
        raise parts.wrong(part, "has a child that is no later node of the tree")
    bitsets = parts.array(fields["raw_left_cat_bitsets"])
    if bitsets.ndim != 2 or bitsets.shape[1] != 8:
        raise parts.wrong(part, f"has bitsets of shape {bitsets.shape}")
    if outside(nodes["bitset_idx"][inner][nodes["is_categorical"][inner] != 0], len(bitsets)):
        raise parts.wrong(part, f"splits by a set of categories beyond its {len(bitsets)}")


def _check_ball(parts: Parts, part: Part) -> None:
    """Source: sklearn/neighbors/_binary_tree.pxi.tp, __setstate__, and _kd_tree and _ball_tree beside it."""
    state = part.items.get(STATE)
    if state is None or state.kind != "TupleNode" or len(state.items) != 13:
        raise parts.wrong(part, "lacks a part of its state")
    held = list(state.items.values())
    data, order, nodes, bounds = (parts.array(each) for each in held[:4])
    leaf_size, levels, count = (parts.number(each) for each in held[4:7])
    if data.ndim != 2 or not data.size or data.dtype.kind != "f":
        raise parts.wrong(part, f"has data of shape {data.shape}")
    rows, columns = data.shape
    if order.shape != (rows,) or order.dtype.kind != "i" or outside(order, rows):
        raise parts.wrong(part, f"has an idx_array that leads out of its {rows} rows")
    if (
        nodes.ndim != 1
        or not len(nodes)
        or nodes.dtype.names != ("idx_start", "idx_end", "is_leaf", "radius")
        or count != len(nodes)
    ):
        raise parts.wrong(part, f"has {nodes.shape} nodes and says {count}")
    if bounds.shape != (2 if part.name.startswith("KD") else 1, len(nodes), columns):
        raise parts.wrong(part, f"has node_bounds of shape {bounds.shape} for {len(nodes)} nodes of {columns} features")
    begin, end = nodes["idx_start"], nodes["idx_end"]
    if (begin < 0).any() or (end > rows).any() or (begin > end).any():
        raise parts.wrong(part, f"has a node of rows beyond its {rows}")
    if 2 * int(np.flatnonzero(nodes["is_leaf"] == 0).max(initial=-1)) + 2 >= len(nodes):
        raise parts.wrong(part, f"has a child that is none of its {len(nodes)} nodes")
    if leaf_size is None or leaf_size < 1 or levels is None or not 0 < levels <= 64:
        raise parts.wrong(part, f"has the leaf_size {leaf_size} and {levels} levels")
    weights = held[12]
    if weights.kind != "JsonNode" and parts.array(weights).shape != (rows,):
        raise parts.wrong(part, f"has other weights than {rows}")
    _check_distance(parts, held[11], columns)


def _check_distance(parts: Parts, part: Part, features: int = 0) -> None:
    """Source: sklearn/metrics/_dist_metrics.pyx.tp, __setstate__ and rdist of Minkowski. features: that weights may have."""
    state = part.items.get(STATE)
    if part.kind != "ObjectNode" or state is None or len(state.items) != 3:
        raise parts.wrong(part, "is no distance")
    weights = parts.array(state.items["1"])
    if part.name == "MinkowskiDistance64" and weights.shape not in ((0,), (features,)):
        raise parts.wrong(part, f"has weights of shape {weights.shape} for {features} features")


def _check_lone_distance(parts: Parts, part: Part) -> None:
    if part.name != "MinkowskiDistance64":
        _check_distance(parts, part)


def _check_spline(parts: Parts, part: Part) -> None:
    """Source: scipy/interpolate/_bsplines.py and src/__fitpack.cc, which search knots and coefficients by them."""
    fields = part.attributes()
    knots, coefficients = fields.get("_t") or fields.get("t"), fields.get("_c") or fields.get("c")
    degree = parts.number(fields.get("k"))
    if knots is None or coefficients is None or degree is None or not 0 <= degree <= 100:
        raise parts.wrong(part, f"has no knots, no coefficients or the degree {degree}")
    t, c = parts.array(knots), parts.array(coefficients)
    if (
        t.ndim != 1
        or t.dtype.kind != "f"
        or len(t) < 2 * degree + 2
        or not np.isfinite(t).all()
        or (np.diff(t) < 0).any()
    ):
        raise parts.wrong(part, f"has knots that do not ascend, or fewer than {2 * degree + 2}")
    if c.ndim < 1 or c.dtype.kind != "f" or len(c) < len(t) - degree - 1:
        raise parts.wrong(part, f"has {c.shape} coefficients for {len(t)} knots of degree {degree}")


def _check_generator(parts: Parts, part: Part) -> None:
    """Source: numpy/random/_mt19937.pyx and _philox.pyx, the setters of `state`; bit_generator.pyx, SeedSequence."""
    seeds = part.items.get("seed_seq")
    pool = parts.number(seeds.items.get("pool_size")) if seeds is not None else 4
    if pool is None or not 4 <= pool <= MAX_POOL:
        raise parts.wrong(part, f"has the pool_size {pool}")
    _check_stream(parts, part.items["bit_generator"])


def _check_state(parts: Parts, part: Part) -> None:
    state = part.items.get(STATE)
    if state is None or state.kind != "DictNode":
        raise parts.wrong(part, "lacks its state")
    _check_stream(parts, state)


def _check_stream(parts: Parts, part: Part) -> None:
    name = part.items["bit_generator"].value if "bit_generator" in part.items else None
    if name not in _POSITIONS:
        raise parts.wrong(part, f"is the state of {str(name)[:40]!r}, which is no generator")
    bounds = _POSITIONS[name]
    if bounds is None:
        return
    key, length, position = bounds
    inner = part.items.get("state")
    fields = {**part.items, **(inner.items if inner is not None else {})}
    at = parts.number(fields.get(position))
    if at is None or not 0 <= at <= length or key not in fields or parts.array(fields[key]).shape != (length,):
        raise parts.wrong(part, f"has the position {at} in a state of {length} numbers")


_RULES: dict[str, Callable[[Parts, Part], None]] = {
    TREE: _check_tree,
    PREDICTOR: _check_predictor,
    "sklearn.neighbors._kd_tree.KDTree": _check_ball,
    "sklearn.neighbors._ball_tree.BallTree": _check_ball,
    "sklearn.metrics._dist_metrics.EuclideanDistance64": _check_lone_distance,
    "sklearn.metrics._dist_metrics.ManhattanDistance64": _check_lone_distance,
    "sklearn.metrics._dist_metrics.MinkowskiDistance64": _check_lone_distance,
    "scipy.interpolate._bsplines.BSpline": _check_spline,
    "numpy.random.mtrand.RandomState": _check_state,
}
