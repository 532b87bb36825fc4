"""Ensembles of scikit-learn that walk their trees themselves, without the checks of the estimators that hold them."""

from __future__ import annotations

from modelmill.artifacts.parts import Fields, Part, Parts, leaves, width_of

TREE = "Tree"
_FORESTS = {
    "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor", "RandomTreesEmbedding",
}  # fmt: skip
_BOOSTED = {"GradientBoostingClassifier", "GradientBoostingRegressor"}
_ISOLATING = {"IsolationForest"}
_DUMMIES = {"DummyClassifier": "class_prior_", "DummyRegressor": "constant_"}


def check_tree(parts: Parts, part: Part, fields: Fields) -> None:
    """Raise ArtifactInvalid when a tree takes other features than the estimator that holds it compares rows with."""
    tree = fields["tree_"]
    if tree.name == TREE and _features(parts, tree) != width_of(parts, part, fields):
        raise parts.wrong(
            part, f"has a tree of {_features(parts, tree)} features and takes {width_of(parts, part, fields)}"
        )


def check_ensemble(parts: Parts, part: Part, fields: Fields) -> None:
    """Raise ArtifactInvalid for a forest with a tree of other features. Source: sklearn/ensemble/_forest.py, _iforest.py."""
    if part.name in _FORESTS | _BOOSTED:
        width = width_of(parts, part, fields)
        for member in leaves(fields["estimators_"]):
            if _tree_of(parts, member) != width:
                raise parts.wrong(member, f"takes other features than the {width} of its {part.name}")
    elif part.name in _ISOLATING:
        width, most = width_of(parts, part, fields), parts.number(fields.get("_max_features"))
        chosen = list(leaves(fields["estimators_features_"])) if "estimators_features_" in fields else []
        members = list(leaves(fields["estimators_"]))
        if len(chosen) != len(members):
            raise parts.wrong(part, f"has {len(chosen)} lists of features for {len(members)} trees")
        for member, features in zip(members, chosen, strict=True):
            taken = len(parts.array(features)) if features.kind == "NdArrayNode" else 0
            if _tree_of(parts, member) != taken or (most == width and taken != width):
                raise parts.wrong(member, f"takes other features than its {part.name} gives it")
    if part.name in _BOOSTED:
        check_booster(parts, part, fields)


def check_booster(parts: Parts, part: Part, fields: Fields) -> None:
    """Raise ArtifactInvalid when stages have more outputs than the first prediction, beside which they would be written.

    Source: sklearn/ensemble/_gb.py, _raw_predict_init, and _gradient_boosting.pyx, predict_stages.
    """
    if part.name not in _BOOSTED:
        return
    if not {"estimators_", "init_", "n_trees_per_iteration_"} <= fields.keys():
        raise parts.wrong(part, "lacks estimators_, init_ or n_trees_per_iteration_")
    outputs = parts.number(fields["n_trees_per_iteration_"])
    stages = fields["estimators_"].items.values()
    if outputs is None or outputs < 1 or any(len(stage.items) != outputs for stage in stages):
        raise parts.wrong(part, f"has stages of other than n_trees_per_iteration_ {outputs} trees")
    init = fields["init_"]
    if init.kind == "JsonNode" and init.value == "zero":
        return
    name, held = init.name, init.attributes()
    prior = held.get(_DUMMIES.get(name, ""))
    if prior is not None:
        classes = parts.array(prior).size
        strategy = held["strategy"].value if "strategy" in held else None
        single = parts.number(held.get("n_outputs_")) == 1
        fitting = (classes == 1) if name == "DummyRegressor" else strategy == "prior" and classes == max(outputs, 2)
        if fitting and single and ("_strategy" not in held or held["_strategy"].value == strategy):
            return
    coefficients = held.get("coef_")
    if coefficients is not None and part.name == "GradientBoostingRegressor" and parts.array(coefficients).ndim == 1:
        return
    raise parts.wrong(part, f"begins with a {name}, whose outputs cannot be told from the file: leave init as it is")


def check_predictors(parts: Parts, part: Part, fields: Fields) -> None:
    """Raise ArtifactInvalid for a histogram tree of other features than the rows have.

    Source: sklearn/ensemble/_hist_gradient_boosting/gradient_boosting.py, _preprocess_X and _raw_predict.
    """
    width, binned = width_of(parts, part, fields), fields.get("_bin_mapper")
    if "_in_fit" in fields:
        raise parts.wrong(part, "is in the middle of fitting")
    encoder = fields.get("_preprocessor")
    if encoder is not None and (encoder.kind != "JsonNode" or encoder.value is not None):
        raise parts.wrong(part, "encodes categories itself: leave them to an OrdinalEncoder before it")
    flags = binned.attributes().get("is_categorical_") if binned is not None else None
    categorical = parts.array(flags) if flags is not None else None
    if categorical is None or categorical.shape != (width,):
        raise parts.wrong(part, f"has no _bin_mapper of {width} features")
    for member in leaves(fields["_predictors"]):
        if member.name != "TreePredictor" or "nodes" not in member.attributes():
            raise parts.wrong(member, "is no tree")
        nodes = parts.array(member.attributes()["nodes"])
        inner = nodes[nodes["is_leaf"] == 0]
        features = inner["feature_idx"]
        if len(features) and (features.min() < 0 or features.max() >= width):
            raise parts.wrong(member, f"splits by a feature beyond the {width}")
        if not categorical[features[inner["is_categorical"] != 0]].all():
            raise parts.wrong(member, "splits a feature by categories that is none of those")


def _tree_of(parts: Parts, member: Part) -> int:
    """Return how many features the tree of an estimator takes; 0 without one."""
    tree = member.attributes().get("tree_")
    return _features(parts, tree) if tree is not None and tree.name == TREE else 0


def _features(parts: Parts, tree: Part) -> int:
    return parts.number(tree.items["args"].items["0"]) or 0
