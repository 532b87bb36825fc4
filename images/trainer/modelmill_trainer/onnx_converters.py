"""Amendments to skl2onnx's converters."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from onnx import GraphProto, helper, numpy_helper
from skl2onnx.common._registration import get_converter
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.preprocessing import KBinsDiscretizer, QuantileTransformer

from modelmill_trainer.decimals import single_at_most, single_less

BOOSTING = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
VOTING = (BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier)
# The time of skl2onnx grows with the square: so many take a few seconds, the default of scikit-learn many minutes.
MAX_QUANTILES = 500
TIE = 2.0**16  # probabilities that are nearer than its inverse are equal

Converter = Callable[[Any, Any, Any], None]


def amended() -> dict[type, Converter]:
    """Return the converters to be used in place of skl2onnx's own, by estimator."""
    boosting = {cls: _boosting(get_converter(f"Sklearn{cls.__name__}")) for cls in BOOSTING}
    return {
        **boosting,
        KBinsDiscretizer: _bins(get_converter("SklearnKBinsDiscretizer")),
        QuantileTransformer: _quantiles(get_converter("SklearnQuantileTransformer")),
        VotingClassifier: _voting(get_converter("SklearnVotingClassifier")),
    }


def _boosting(original: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        for trees in operator.raw_operator._predictors:
            if any(tree.nodes["is_categorical"].any() for tree in trees):
                raise NotImplementedError("a split by categories has no form in ONNX")
        # Options are kept by the identity of an estimator, so a copy of it would lose them.
        kept = operator.raw_operator._predictors
        operator.raw_operator._predictors = [[_in_single(tree) for tree in trees] for trees in kept]
        try:
            original(scope, operator, _WholeNumbers(container))
        finally:
            operator.raw_operator._predictors = kept

    return convert


def _in_single(tree: Any) -> Any:
    """Return a copy of a boosted tree whose splits decide in single precision as they do in double."""
    made = copy(tree)
    made.nodes = tree.nodes.copy()
    made.nodes["num_threshold"] = [float(single_at_most(split)) for split in tree.nodes["num_threshold"]]
    return made


def _bins(original: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        bins = copy(operator.raw_operator)
        bins.bin_edges_ = [[float(single_less(edge)) for edge in edges] for edges in bins.bin_edges_]
        operator.raw_operator = bins
        original(scope, operator, container)

    return convert


def _quantiles(original: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        count = operator.raw_operator.quantiles_.size
        if count > MAX_QUANTILES:
            raise NotImplementedError(
                f"{count} quantiles are too many to convert: at most {MAX_QUANTILES}, over all features"
            )
        original(scope, operator, container)

    return convert


def _voting(original: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        # Its form of transform(), which has nothing to do with predictions, is not taken otherwise.
        voting = copy(operator.raw_operator)
        voting.flatten_transform = False
        operator.raw_operator = voting
        original(scope, operator, container)

    return convert


class _WholeNumbers:
    """A container of ONNX nodes that takes truth values among whole numbers, which protobuf refuses from version 7 on."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        made = {
            name: [int(item) if isinstance(item, bool) else item for item in value]
            if isinstance(value, list)
            else value
            for name, value in attributes.items()
        }
        self._container.add_node(op_type, inputs, outputs, **made)


def averages_votes(classifier: Any) -> bool:
    """Return whether two classes can easily have the same number of votes."""
    return isinstance(classifier, VOTING)


def settle_ties(graph: GraphProto, classes: tuple[Any, ...]) -> None:
    """Let the label be the first of the classes with the greatest probability, as scikit-learn has it.

    The runtime adds votes in single precision, where a tie goes to any of the classes. The graph's outputs are the label and
    the probabilities of the classes.
    """
    label, probabilities = graph.output[0], graph.output[1].name
    texts = isinstance(classes[0], str)
    values = np.array(classes, object if texts else np.int64)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(TIE, np.float32), "settled_scale"),
            numpy_helper.from_array(values, "settled_classes"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Mul", [probabilities, "settled_scale"], ["settled_scaled"]),
            helper.make_node("Round", ["settled_scaled"], ["settled_rounded"]),
            helper.make_node("ArgMax", ["settled_rounded"], ["settled_place"], axis=1, keepdims=0),
            helper.make_node("Gather", ["settled_classes", "settled_place"], ["settled_label"]),
        ]
    )
    label.name = "settled_label"
