"""What estimators of scikit-learn hand to compiled code: arrays whose sides must fit each other and the width of the input.

An estimator refuses rows of another width than its `n_features_in_`, and rows of any width when it lacks the attribute. So
whoever holds an array that is read by the width of the input must say that width.
"""

from __future__ import annotations

from collections.abc import Callable

from modelmill.artifacts.parts import Part, Parts

TREE = "Tree"


def check_estimator(parts: Parts, part: Part) -> None:
    """Raise ArtifactInvalid when an object's arrays do not fit each other."""
    fields = part.attributes()
    for name, rule in _RULES.items():
        if name in fields:
            rule(parts, part, fields)


def _width(parts: Parts, part: Part, fields: dict[str, Part]) -> int:
    width = parts.number(fields.get("n_features_in_"))
    if width is None or width < 1:
        raise parts.wrong(part, "has no n_features_in_ that is a whole number")
    return width


def _check_tree(parts: Parts, part: Part, fields: dict[str, Part]) -> None:
    tree = fields["tree_"]
    if tree.name == TREE and _features(parts, tree) != _width(parts, part, fields):
        raise parts.wrong(
            part, f"has a tree of {_features(parts, tree)} features and takes {_width(parts, part, fields)}"
        )


def _features(parts: Parts, tree: Part) -> int:
    return parts.number(tree.items["args"].items["0"]) or 0


_RULES: dict[str, Callable[[Parts, Part, dict[str, Part]], None]] = {
    "tree_": _check_tree,
}
