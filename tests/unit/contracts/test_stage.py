"""What the operator tells the stages."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from modelmill.contracts import stage

SPEC = stage.StageSpec(
    namespace="ml", training_job="fuel", run=3, run_uid="u-3", model="fuel", version="fuel-3",
    store=stage.Store("s3://mill/prod"),
    data=stage.Data("s3://mill/cars", "csv", "mpg", copy=True, snapshot="sha256:" + "0" * 64,
                    without=stage.Holdout(0.3, "Latest", "year")),
    estimator=stage.Estimator("sklearn.linear_model.Ridge", {"alpha": 0.5}),
    trial=stage.Trial(7, attempt=2, fraction=0.2, strategy="Latest", column="year"),
    reproduces=stage.Origin("fuel-2", "s3://mill/prod/x", "sha256:1"),
    search=stage.Search(
        "TPE", 42, "r2", "Maximize", trials=40, succeeded=38, failed=1, pruned=1, best_index=7, best_value=0.9,
        validation="5 folds", parameters={"alpha": 0.5}, best=(stage.RankedTrial(7, 0.9, {"alpha": 0.5}),), publish="BestTrial",
        best_model="a" * 64,
    ),
)  # fmt: skip


def test_everything_comes_back() -> None:
    assert stage.decode(stage.encode(SPEC)) == SPEC


def test_a_spec_of_before_is_no_trial_and_copies_nothing() -> None:
    raw = json.loads(stage.encode(SPEC))
    del raw["trial"], raw["search"], raw["reproduces"]
    for name in ("copy", "snapshot", "without"):
        del raw["data"][name]
    old = stage.decode(json.dumps(raw))
    assert (old.trial, old.search, old.reproduces) == (None, None, None)
    assert (old.data.copy, old.data.snapshot, old.data.without) == (False, None, None)


@pytest.mark.parametrize(
    ("given", "path", "parameters"),
    [
        ({"alpha": 1}, "sklearn.linear_model.Ridge", {"alpha": 1}),
        ({"estimator": "sklearn.svm.SVR", "C": 2}, "sklearn.svm.SVR", {"C": 2}),
        ({"estimator": "sklearn.svm.SVR", "SVR__C": 2, "Ridge__alpha": 1}, "sklearn.svm.SVR", {"C": 2}),
        ({"Ridge__alpha": 1, "alpha": 3}, "sklearn.linear_model.Ridge", {"alpha": 1}),
        ({"estimator": 3}, "3", {}),
    ],
)  # fmt: skip
def test_a_parameter_called_estimator_replaces_it_and_others_may_be_meant_for_one_of_them(
    given: dict[str, object], path: str, parameters: dict[str, object]
) -> None:
    chosen = stage.Estimator("sklearn.linear_model.Ridge", given).chosen()
    assert (chosen.estimator, chosen.parameters) == (path, parameters)


def test_trials_of_a_pod_are_told_with_their_own_parameters() -> None:
    pod = (stage.PodTrial(4, {"alpha": 0.5}), stage.PodTrial(5, {"alpha": 2, "tol": 0.1}))
    several = replace(
        SPEC,
        estimator=stage.Estimator("x.Ridge", {"alpha": 1, "max_iter": 9}),
        trial=stage.Trial(4, 2, folds=3, pod=pod),
    )
    assert stage.decode(stage.encode(several)) == several
    one = stage.alone(several, pod[1])
    assert one.trial == stage.Trial(5, 2, folds=3)
    assert one.estimator == stage.Estimator("x.Ridge", {"alpha": 2, "max_iter": 9, "tol": 0.1})


def test_a_run_that_is_no_trial_has_none_of_a_pod() -> None:
    with pytest.raises(ValueError, match=r"train\.sklearn"):
        stage.alone(replace(SPEC, trial=None), stage.PodTrial(1))
