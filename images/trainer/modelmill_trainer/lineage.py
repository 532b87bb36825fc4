"""Where a version comes from: a flat map of text in its manifest."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version

from modelmill.contracts.estimators import BOOSTERS
from modelmill.contracts.result import WarmStart
from modelmill.contracts.snapshot import document_key
from modelmill.contracts.stage import BEST_TRIAL, Search, StageSpec
from modelmill_trainer.facts import Facts

ENV_GIT_REVISION = "MODELMILL_GIT_REVISION"
LIBRARIES = ("scikit-learn", "numpy", "pandas", "skops", "skl2onnx", "onnxruntime")


def told_search(search: Search) -> str:
    """Return in a sentence what a search found."""
    ends = {"failed": search.failed, "pruned": search.pruned}
    lost = "".join(f", {count} {word}" for word, count in ends.items() if count)
    return (
        f"{search.algorithm}, seed {search.seed}: trial {search.best_index} is the best of {search.succeeded} that were "
        f"measured ({search.trials} made{lost}), {search.objective_metric} {search.best_value:.6g} by {search.validation}"
    )


def told_published(search: Search, sha256: str) -> str:
    """Return in a sentence which model of a search is published. sha256: of its file, in hex."""
    best = f"trial {search.best_index}"
    if search.publish != BEST_TRIAL:
        return f"the model was trained with the parameters of {best} on all rows to train on"
    made = f"it was trained with its parameters on its rows, {search.validation} of the rows to train on left out"
    if not search.best_model:
        return f"the model is that of {best} made once more: {made}; which bytes the trial's had is not known"
    if search.best_model == sha256:
        return f"the model has the bytes of {best}: {made}"
    return (
        f"the model has other bytes than that of {best}, although {made}: another processor rounds otherwise; compare "
        f"{search.objective_metric} on the hold-out with that of the trial"
    )


def lineage(
    spec: StageSpec,
    facts: Facts,
    created: str,
    serving: str,
    published: str = "",
    warm_start: WarmStart | None = None,
) -> dict[str, str]:
    """Return everything that is needed to make the version again.

    serving: why it has its format. published: which model of a search it is; empty without one.
    warm_start: what the training began from.
    """
    found = {
        "training_job": spec.training_job,
        "namespace": spec.namespace,
        "run": str(spec.run),
        "run_uid": spec.run_uid,
        "trained": created,
        "data_uri": spec.data.uri,
        "data_digest": facts.digest,
        **({"window": facts.window} if facts.window else {}),
        **({"warm_start": warm_start.told()} if warm_start is not None else {}),
        "target": spec.data.target,
        "holdout": facts.holdout,
        "seed": str(spec.seed),
        "serving": serving,
        "python": platform.python_version(),
    }
    if facts.copied:
        found["data_snapshot"] = document_key(facts.digest)
    found |= _of_search(spec, published)
    if spec.estimator is not None:
        chosen = spec.estimator.chosen()
        found["estimator"] = chosen.estimator
        found["parameters"] = json.dumps(chosen.parameters, sort_keys=True)
        found["preprocessing"] = chosen.preprocessing
    if spec.prepare_image:
        found["prepare_image"] = spec.prepare_image
        found["prepared_digest"] = facts.prepared
    if spec.script is not None:
        found["script"] = f"{spec.script.key} of ConfigMap {spec.script.config_map}"
        found["script_digest"] = facts.script
    if spec.train_image:
        found["train_image"] = spec.train_image
    if os.environ.get(ENV_GIT_REVISION):
        found["git_revision"] = os.environ[ENV_GIT_REVISION]
    if spec.champion is not None:
        found["champion"] = f"{spec.champion.name} {spec.champion.digest}"
    return found | _libraries(spec)


def _of_search(spec: StageSpec, published: str) -> dict[str, str]:
    found = {}
    if spec.search is not None:
        found["search"] = told_search(spec.search)
        found["search_parameters"] = json.dumps(spec.search.parameters, sort_keys=True)
    if published:
        found["published"] = published
    if spec.data.without is not None:
        rule = spec.data.without
        found["left_out"] = f"{rule.strategy} {rule.fraction:g} of the rows to train on" + (
            f", by {rule.column}" if rule.column else ""
        )
    return found


def _libraries(spec: StageSpec) -> dict[str, str]:
    """Return the versions of the libraries that made the model."""
    booster = BOOSTERS.get(spec.estimator.chosen().estimator, "") if spec.estimator is not None else ""
    own = {"xgboost": ("xgboost-cpu",), "lightgbm": ("lightgbm",)}.get(booster, ())
    found = {}
    for library in (*LIBRARIES, *own):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
