"""LightGBM models, model.txt: every list as long as it is taken to be, every child, feature and category there.

Source: LightGBM 4, src/boosting/gbdt_model_text.cpp (LoadModelFromString) and src/io/tree.cpp (Tree from a string), which reads
22 lines of a tree and ends the process when a list in a tree has another length.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from modelmill.artifacts.documents import require_depth
from modelmill.artifacts.graphs import forms_trees, outside
from modelmill.artifacts.limits import LIMITS, ArtifactInvalid, Limits, require_size

HEADER = ("num_class", "num_tree_per_iteration", "max_feature_idx", "feature_names", "feature_infos", "tree_sizes")
SPLIT_INTEGERS = ("split_feature", "decision_type", "left_child", "right_child")
SPLIT_NUMBERS = ("threshold", "split_gain", "internal_value", "internal_weight", "internal_count")
LEAF_NUMBERS = ("leaf_weight", "leaf_count")
LINEAR = ("leaf_const", "num_features", "leaf_features", "leaf_coeff")
TREE_KEYS = {
    "num_leaves", "num_cat", "leaf_value", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage",
    *SPLIT_INTEGERS, *SPLIT_NUMBERS, *LEAF_NUMBERS, *LINEAR,
}  # fmt: skip
END = b"end of trees\n"
_INTEGERS = re.compile(rb"-?[0-9]{1,10}(?: +-?[0-9]{1,10})*")
_PARAMETER = re.compile(rb"\[[A-Za-z0-9_]+: .*\]")
_CLASSES = re.compile(r"\bnum_class:(\S*)")
CATEGORICAL = 1
LONGEST = 40  # letters of a number

Array = np.ndarray[Any, Any]
Lines = dict[str, bytes]


def check_lightgbm(path: Path, limits: Limits = LIMITS) -> None:
    """Raise ArtifactInvalid for a model that LightGBM would follow out of its arrays, or for ever."""
    require_size(path, limits.file)
    content = path.read_bytes()
    _Model(path.name, content).check()
    _check_tail(path.name, content[content.rfind(END) :], limits)


def _check_tail(name: str, content: bytes, limits: Limits) -> None:
    """Raise ArtifactInvalid for parameters that are cut at marks which are not there, or categories nested too deeply."""
    _, begun, rest = content.partition(b"\nparameters:\n")
    parameters, _, rest = rest.partition(b"\nend of parameters\n")
    wrong = next((line for line in parameters.split(b"\n") if line and not _PARAMETER.fullmatch(line)), None)
    if begun and wrong is not None:
        raise ArtifactInvalid(
            f"{name}: parameters has the line {wrong[:40]!r}, which is none of the form [name: value]"
        )
    for line in rest.split(b"\n"):
        if line.startswith(b"pandas_categorical:"):
            require_depth(line, f"{name}: pandas_categorical", limits.depth)


class _Model:
    """The text of a model. name: of the file, for errors."""

    def __init__(self, name: str, content: bytes) -> None:
        self._name = name
        head, blank, rest = content.partition(b"\n\n")
        if not head.startswith(b"tree\n") or not blank:
            raise ArtifactInvalid(f"{name}: the file is no LightGBM model in text form")
        self._head = self._lines("the header", head.removeprefix(b"tree\n"))
        lacking = next((key for key in HEADER if key not in self._head), "")
        if lacking:
            raise ArtifactInvalid(f"{name}: the header lacks {lacking}")
        self._rest = rest

    def check(self) -> None:
        """Raise ArtifactInvalid for the first line that is wrong."""
        outputs, features = self._number("num_tree_per_iteration"), self._number("max_feature_idx") + 1
        if outputs < 1 or self._number("num_class") != outputs:
            raise self._wrong("num_class", f"is not num_tree_per_iteration, {outputs}")
        said = _CLASSES.search(self._head.get("objective", b"").decode("utf-8", "replace"))
        if said and said[1] != str(outputs):
            raise self._wrong("objective", f"has {said[1][:20]!r} classes and num_class is {outputs}")
        for key in ("feature_names", "feature_infos"):
            if features < 1 or self._head[key].count(b" ") + 1 != features:
                raise self._wrong(key, f"has other than {features} entries, as max_feature_idx says")
        sizes = self._integers("tree_sizes", self._head)
        if len(sizes) % outputs or (sizes < 1).any() or sizes.sum() > len(self._rest):
            raise self._wrong("tree_sizes", f"has {len(sizes)} sizes for {outputs} outputs, or sizes beyond the file")
        begin = 0
        for place, size in enumerate(sizes.tolist()):
            self._check_tree(place, self._rest[begin : begin + size], features)
            begin += size
        if not self._rest.startswith(END, begin) or self._rest.find(b"\nTree=", begin) >= 0:
            raise self._wrong("tree_sizes", f"does not end where the {len(sizes)} trees do")

    def _check_tree(self, place: int, content: bytes, features: int) -> None:
        where = f"tree {place}"
        mark, _, body = content.partition(b"\n")
        if mark != b"Tree=%d" % place or not content.endswith(b"\n"):
            raise self._wrong(where, "is not where tree_sizes says")
        lines = self._lines(where, body.rstrip(b"\n"))
        unknown = lines.keys() - TREE_KEYS
        if unknown:
            raise self._wrong(where, f"has the unknown line {min(unknown)[:40]!r}")
        leaves, categories = (self._one(lines, key, where) for key in ("num_leaves", "num_cat"))
        if leaves < 1:
            raise self._wrong(where, f"has num_leaves {leaves}")
        self._numbers("leaf_value", lines, leaves, where)
        inner = leaves - 1
        for keys, count in ((SPLIT_NUMBERS, inner), (LEAF_NUMBERS, leaves)):
            for key in keys:
                # One leaf alone has no weight, and old models lack some lists.
                if lines.get(key) or (key == "threshold" and inner):
                    self._numbers(key, lines, count, where)
        if inner:
            self._check_nodes(where, lines, leaves, features, categories)
        if lines.get("is_linear", b"0") not in (b"0", b"1"):
            raise self._wrong(where, "has an is_linear that is neither 0 nor 1")
        if lines.get("is_linear") == b"1" or any(key in lines for key in LINEAR):
            self._check_linear(where, lines, leaves, features)

    def _check_nodes(self, where: str, lines: Lines, leaves: int, features: int, categories: int) -> None:
        inner = leaves - 1
        chosen, kinds, left, right = (self._integers(key, lines, inner, where) for key in SPLIT_INTEGERS)
        children = np.concatenate([left, right])
        if not forms_trees(children[children >= 0], np.zeros(1, np.intp), inner) or outside(
            ~children[children < 0], leaves
        ):
            raise self._wrong(
                where, f"has children that are none of its {inner} nodes and {leaves} leaves, or the child of two"
            )
        if outside(chosen, features):
            raise self._wrong(where, f"splits by a feature beyond the {features} of max_feature_idx")
        if outside(kinds, 16):
            raise self._wrong(where, "has a decision_type that is none")
        by_category = (kinds & CATEGORICAL).astype(bool)
        if not categories and not by_category.any():
            return
        sets = self._numbers("threshold", lines, inner, where)[by_category]
        bounds = self._integers("cat_boundaries", lines, categories + 1, where)
        stored = len(self._integers("cat_threshold", lines, None, where))
        if bounds[0] != 0 or bounds[-1] != stored or (np.diff(bounds) < 1).any():
            raise self._wrong(where, f"has cat_boundaries that do not ascend from 0 to {stored}")
        if not np.isin(sets, np.arange(categories)).all():
            raise self._wrong(where, f"splits by a set of categories that is none of its {categories}")

    def _check_linear(self, where: str, lines: Lines, leaves: int, features: int) -> None:
        self._numbers("leaf_const", lines, leaves, where)
        counts = self._integers("num_features", lines, leaves, where)
        if (counts < 0).any():
            raise self._wrong(where, "has a leaf of less than no features")
        total = int(counts.sum())
        if outside(self._integers("leaf_features", lines, total, where), features):
            raise self._wrong(where, f"has a leaf with a feature beyond the {features} of max_feature_idx")
        self._numbers("leaf_coeff", lines, total, where)

    def _lines(self, where: str, content: bytes) -> Lines:
        found: Lines = {}
        for line in content.split(b"\n"):
            key, _, value = line.partition(b"=")
            if not key.isascii() or b"\r" in line or b"\0" in line or key.decode() in found:
                raise ArtifactInvalid(f"{self._name}: {where} has {key[:40]!r} twice, or a line that is none")
            found[key.decode()] = value
        return found

    def _number(self, key: str) -> int:
        return self._one(self._head, key, "the header")

    def _one(self, lines: Lines, key: str, where: str) -> int:
        return int(self._integers(key, lines, 1, where)[0])

    def _integers(self, key: str, lines: Lines, count: int | None = None, where: str = "the header") -> Array:
        """Return whole numbers, as many as are wanted where it is said. Raises ArtifactInvalid."""
        value = lines.get(key, b"").strip(b" ")
        if value and not _INTEGERS.fullmatch(value):
            raise self._wrong(where, f"has {key} that is not of whole numbers")
        return self._counted(key, value, np.dtype(np.int64), count, where)

    def _numbers(self, key: str, lines: Lines, count: int, where: str) -> Array:
        return self._counted(key, lines.get(key, b"").strip(b" "), np.dtype(np.float64), count, where)

    def _counted(self, key: str, value: bytes, kind: np.dtype[Any], count: int | None, where: str) -> Array:
        words = value.split()
        if b"_" in value or any(len(word) > LONGEST for word in words):
            raise self._wrong(where, f"has {key} that is not of numbers")
        try:
            found = np.array(words, "S").astype(kind) if words else np.zeros(0, kind)
        except ValueError:
            raise self._wrong(where, f"has {key} that is not of numbers") from None
        if count is not None and len(found) != count:
            raise self._wrong(where, f"has {len(found)} of {key} where {count} belong")
        return found

    def _wrong(self, where: str, what: str) -> ArtifactInvalid:
        return ArtifactInvalid(f"{self._name}: {where} {what}")
