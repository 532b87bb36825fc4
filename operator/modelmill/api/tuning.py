"""spec.tuning of a TrainingJob: a run that searches the best parameters by many trials before it publishes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import Decimal, Part, rules
from modelmill.api.directions import direction_rules
from modelmill.contracts.estimators import PATTERN
from modelmill.contracts.metrics import CLASSIFICATION_METRICS, REGRESSION_METRICS
from modelmill.contracts.spaces import AUTO, SPACES

MAX_PARAMETERS = 32
LARGEST = 2**53
"""Integers up to here are exact as the doubles that a sampler computes with."""
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
Choice = int | Annotated[str, Field(max_length=200)]
"""A choice, or a value of a seed trial. Texts and integers of one look are the same: 16 and '16'."""
# In a string of CEL a backslash is written twice.
_ESTIMATOR = "^(" + PATTERN.replace("\\", "\\\\") + ")$"


class Objective(Part):
    """What the search optimizes."""

    model_config = Part.model_config | {"json_schema_extra": rules(*direction_rules("self"))}
    metric: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="Metric that each trial is measured by, e.g. r2, mae, accuracy.",
        json_schema_extra=rules(
            (
                "self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",
                "a search has one objective, the name of one metric: choose one, and bound the others in evaluation.gates",
            )
        ),
    )
    direction: Literal["Maximize", "Minimize"] = Field(description="Which way is better.")
    goal: Decimal | None = Field(
        default=None, description="Value of the metric at which the search ends. Left out: it makes all its trials."
    )


class FloatRange(Part):
    """Numbers between two bounds, which are included."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("double(self.low) <= double(self.high)", "low must not be above high"),
            ("!has(self.log) || !self.log || double(self.low) > 0.0", "log needs low above 0"),
            ("!has(self.log) || !self.log || !has(self.step)", "log and step exclude each other: remove one"),
            ("!has(self.step) || double(self.step) > 0.0", "step must be above 0"),
            (
                "!has(self.step) || double(self.step) <= 0.0 || "
                "(double(self.high) - double(self.low)) / double(self.step) < 1e15",
                "step is too small for the range: there may be 1e15 steps at most",
            ),
        )
    }
    low: Decimal = Field(description="Least value, e.g. '0.01'.")
    high: Decimal = Field(description="Greatest value.")
    log: bool = Field(default=False, description="Whether orders of magnitude are equally likely.")
    step: Decimal | None = Field(default=None, description="Distance between values. Left out: any value.")


class IntRange(Part):
    """Whole numbers between two bounds, which are included."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("self.low <= self.high", "low must not be above high"),
            ("!has(self.log) || !self.log || self.low >= 1", "log needs low of at least 1"),
            (
                "!has(self.log) || !self.log || !has(self.step) || self.step == 1",
                "log and step exclude each other: remove one",
            ),
        )
    }
    low: Annotated[int, Field(ge=-LARGEST, le=LARGEST)] = Field(description="Least value.")
    high: Annotated[int, Field(ge=-LARGEST, le=LARGEST)] = Field(description="Greatest value.")
    log: bool = Field(default=False, description="Whether orders of magnitude are equally likely.")
    step: Annotated[int, Field(ge=1, le=LARGEST)] = Field(default=1, description="Distance between values.")


class Categorical(Part):
    """One of several values without an order."""

    choices: list[Choice] = Field(
        min_length=1,
        max_length=32,
        description="The values. Numbers with a fraction, truth values and null are written as text: '0.5', 'true', 'null'.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class When(Part):
    """The value of another parameter that a parameter hangs on."""

    parameter: ParameterName = Field(description="Name of a categorical parameter.")
    equals: Choice = Field(description="One of its choices: with another one, a trial has no value for this parameter.")


class Parameter(Part):
    """One dimension of the space: exactly one of float, int and categorical."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "(has(self.float) ? 1 : 0) + (has(self.int) ? 1 : 0) + (has(self.categorical) ? 1 : 0) == 1",
                "set exactly one of float, int and categorical",
            )
        )
    }
    name: ParameterName = Field(
        description="Name of the estimator's parameter. CLASS__NAME is one that only the estimator of that class has; "
        "estimator is the estimator's import path itself."
    )
    float_range: FloatRange | None = Field(default=None, alias="float", description="A number.")
    int_range: IntRange | None = Field(default=None, alias="int", description="A whole number.")
    categorical: Categorical | None = Field(default=None, description="One of several values.")
    when: When | None = Field(default=None, description="Only where another parameter has a certain value.")


class Algorithm(Part):
    """How the parameters of the next trial are found."""

    name: Literal["Random", "Grid", "TPE"] = Field(
        default="TPE",
        description="TPE: where earlier trials make good values likely (tree-structured Parzen estimator). Random: anywhere. "
        "Grid: every combination once.",
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=0, description="The same seed and the same results of trials make the same search."
    )


class Validation(Part):
    """Rows of the training data that measure a trial. The hold-out never does."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.folds) != has(self.fraction)", "set exactly one of folds and fraction"),
            (
                "!has(self.fraction) || (double(self.fraction) > 0.0 && double(self.fraction) < 1.0)",
                "fraction must be between 0 and 1, e.g. '0.2'",
            ),
            (
                "!has(self.strategy) || self.strategy != 'Latest' || has(self.column)",
                "strategy Latest needs column: the one to order the rows by",
            ),
        )
    }
    folds: Annotated[int, Field(ge=2, le=20)] | None = Field(
        default=None,
        description="Each trial is fitted so many times, and measured on another part of the rows each time.",
    )
    fraction: Decimal | None = Field(default=None, description="Share of the training rows, e.g. '0.2'.")
    strategy: Literal["Random", "Latest"] = Field(
        default="Random",
        description="Random: by a hash of each row's content. Latest: rows with the greatest values of column; with folds, "
        "each part is measured by a model of the rows before it.",
    )
    column: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None, description="Column that orders the rows for strategy Latest."
    )


class Pruning(Part):
    """When a trial is stopped that does worse than those before it, by the values that it reports while it trains."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "has(self.percentile) == (self.name == 'Percentile')",
                "percentile is for name Percentile, which needs it: set both, or neither",
            ),
            (
                "!has(self.percentile) || (double(self.percentile) > 0.0 && double(self.percentile) < 100.0)",
                "percentile must be between 0 and 100, e.g. '25' lets the best quarter go on",
            ),
        )
    }
    name: Literal["Median", "Percentile"] = Field(
        description="Median: a trial is stopped whose best value so far is worse than the median of the trials that succeeded, "
        "at the same step. Percentile: than the best percentile of them."
    )
    percentile: Decimal | None = Field(default=None, description="Share that goes on, in percent, e.g. '25'.")
    startup_trials: Annotated[int, Field(ge=1, le=5000)] = Field(
        default=5, description="No trial is stopped before so many have succeeded."
    )
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        default=2, description="No trial is stopped for what it reports of earlier steps than this one."
    )


_PARAMETERS = "!has(self.parameters) || "
_NAMED = "self.seedTrials.all(t, t.all(n, self.parameters.exists(p, p.name == n)))"
_NUMBER = r"matches('^-?[0-9]{1,15}(\\.[0-9]{1,15})?([eE][-+]?[0-9]{1,2})?$')"
_WITHIN = (
    "self.seedTrials.all(t, self.parameters.all(p, !(p.name in t) || "
    "(has(p.categorical) ? p.categorical.choices.exists(c, string(c) == string(t[p.name])) : "
    f"has(p.int) ? string(t[p.name]).matches('^-?[0-9]{{1,16}}$') && int(string(t[p.name])) >= p.int.low && "
    "int(string(t[p.name])) <= p.int.high : "
    f"has(p.float) ? string(t[p.name]).{_NUMBER} && double(string(t[p.name])) >= double(p.float.low) && "
    "double(string(t[p.name])) <= double(p.float.high) : true)))"
)


class Tuning(Part):
    """A search: trials with different parameters, each measured on validation rows, before the best ones are published."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "has(self.parameters) != has(self.space)",
                "set exactly one of parameters and space",
            ),
            (
                "!has(self.space) || !has(self.seedTrials) || self.seedTrials.size() == 0",
                "seedTrials needs parameters, of which it gives the first values: list them in place of space",
            ),
            (
                "!has(self.space) || !has(self.algorithm) || self.algorithm.name != 'Grid'",
                "algorithm Grid needs parameters with steps: list them in place of space",
            ),
            (
                "!has(self.parallelTrials) || self.parallelTrials <= self.maxTrials",
                "parallelTrials must not be above maxTrials",
            ),
            (
                "!has(self.trialsPerPod) || self.trialsPerPod <= (has(self.parallelTrials) ? self.parallelTrials : 1)",
                "trialsPerPod must not be above parallelTrials, the number of trials under way: raise parallelTrials",
            ),
            (
                "!has(self.publish) || self.publish != 'BestTrial' || "
                "(has(self.validation) && has(self.validation.fraction))",
                "publish BestTrial needs validation.fraction: of folds there is no single model",
            ),
            (
                f"{_PARAMETERS}!has(self.algorithm) || self.algorithm.name != 'Grid' || "
                "self.parameters.all(p, !has(p.float) || has(p.float.step))",
                "algorithm Grid needs a step for each float parameter: without one there is no end of combinations",
            ),
            (
                f"{_PARAMETERS}self.parameters.all(p, !has(p.when) || self.parameters.exists(q, q.name == p.when.parameter && "
                "has(q.categorical) && q.categorical.choices.exists(c, string(c) == string(p.when.equals))))",
                "when needs a categorical parameter of this list, and one of its choices",
            ),
            (
                f"{_PARAMETERS}self.parameters.all(p, !has(p.when) || self.parameters.exists(q, q.name == p.when.parameter && "
                "(!has(q.when) || self.parameters.exists(r, r.name == q.when.parameter && !has(r.when)))))",
                "when goes two steps deep at most: the parameter that it names may hang on another one, which hangs on none",
            ),
            (
                f"{_PARAMETERS}self.parameters.all(p, "
                "self.parameters.exists_one(q, q.name.lowerAscii() == p.name.lowerAscii()))",
                "names that differ in capitals only would be one environment variable: rename one",
            ),
            (f"{_PARAMETERS}!has(self.seedTrials) || {_NAMED}", "seedTrials may name parameters of this search only"),
            (
                f"{_PARAMETERS}!has(self.seedTrials) || {_WITHIN}",
                "a value of seedTrials is outside its parameter's range or choices",
            ),
        )
    }
    objective: Objective | None = Field(
        default=None, description="What the search optimizes. Left out: evaluation.primary, without a goal."
    )
    parameters: Annotated[list[Parameter], Field(min_length=1)] | None = Field(
        default=None,
        max_length=MAX_PARAMETERS,
        description="The space that is searched. A trial's values are put over train.sklearn.parameters; every train container "
        "has them as MODELMILL_PARAMS (JSON) and MODELMILL_PARAM_<NAME>.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    space: Literal["Auto"] | None = Field(
        default=None,
        description="Auto, in place of parameters: the documented space of train.sklearn.estimator; where that is Auto too, "
        "several estimators with theirs, for the task that the metric belongs to.",
    )
    algorithm: Algorithm = Field(default_factory=Algorithm, description="How the next trial's parameters are found.")
    max_trials: Annotated[int, Field(ge=1, le=5000)] = Field(
        description="How many trials are made. Raised after a search, the next run goes on with it."
    )
    parallel_trials: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="How many trials run at a time."
    )
    trials_per_pod: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1,
        description="How many trials share a pod, which fits one after the other: for models whose fit takes less than the "
        "seconds that a pod costs. Only train.sklearn.",
    )
    max_failed_trials: Annotated[int, Field(ge=0, le=5000)] = Field(
        default=3, description="How many trials may fail; with one more the run fails. Lost pods do not count."
    )
    validation: Validation | None = Field(
        default=None,
        description="Rows that measure a trial. Left out: 5 folds with train.sklearn, else a fifth of the training rows; by "
        "strategy and column of data.holdout.",
    )
    pruning: Pruning | None = Field(
        default=None, description="Stops trials that do worse than others. Left out: each trial goes on to its end."
    )
    publish: Literal["Refit", "BestTrial"] = Field(
        default="Refit",
        description="Refit: the best trial's parameters, trained on all training rows. BestTrial: the best trial's model, made "
        "once more from the rows that it was trained on, without the validation rows. Only train.sklearn with "
        "validation.fraction.",
    )
    seed_trials: list[Annotated[dict[str, Choice], Field(max_length=MAX_PARAMETERS)]] = Field(
        default_factory=list,
        max_length=16,
        description="Parameters of the first trials. What one leaves out is found by the algorithm.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


def _one_of(names: Iterable[str]) -> str:
    return f"[{', '.join(repr(name) for name in names)}]"


_KNOWN = [path for spaces in SPACES.values() for path in spaces]
_METRIC = "(has(self.tuning.objective) ? self.tuning.objective.metric : self.evaluation.primary.metric) in " + _one_of(
    (*CLASSIFICATION_METRICS, *REGRESSION_METRICS)
)

SPEC_RULES = (
    (
        f"!has(self.train.sklearn) || self.train.sklearn.estimator != '{AUTO}' || "
        "(has(self.tuning) && has(self.tuning.space))",
        "train.sklearn.estimator Auto is found by a search: set tuning.space to Auto, or name an estimator",
    ),
    (
        "!has(self.tuning) || !has(self.tuning.space) || (has(self.train.sklearn) && "
        f"(self.train.sklearn.estimator == '{AUTO}' || self.train.sklearn.estimator in {_one_of(_KNOWN)}))",
        "tuning.space Auto needs train.sklearn with estimator Auto, or one of docs/reference/search-spaces.md; for another one "
        "list tuning.parameters",
    ),
    (
        f"!has(self.tuning) || !has(self.train.sklearn) || self.train.sklearn.estimator != '{AUTO}' || {_METRIC}",
        "train.sklearn.estimator Auto follows from the metric, which must be one of docs/reference/search-spaces.md: name an "
        "estimator, or choose such a metric",
    ),
    (
        "!has(self.tuning) || !has(self.tuning.validation) || !has(self.tuning.validation.folds) || has(self.train.sklearn)",
        "tuning.validation.folds needs train.sklearn, whose stage fits each fold: use fraction with a container",
    ),
    (
        "!has(self.tuning) || !has(self.tuning.trialsPerPod) || self.tuning.trialsPerPod == 1 || has(self.train.sklearn)",
        "tuning.trialsPerPod above 1 needs train.sklearn, whose stage fits one trial after the other: leave it out with a "
        "container",
    ),
    (
        "!has(self.tuning) || !has(self.tuning.publish) || self.tuning.publish != 'BestTrial' || has(self.train.sklearn)",
        "tuning.publish BestTrial needs train.sklearn, which makes the same model again: leave publish out",
    ),
    (
        "!has(self.tuning) || !has(self.tuning.parameters) || !has(self.train.sklearn) || "
        "self.tuning.parameters.all(p, p.name != 'estimator' || "
        f"(has(p.categorical) && p.categorical.choices.all(c, string(c).matches('{_ESTIMATOR}'))))",
        "the parameter estimator needs categorical choices that are import paths, e.g. sklearn.linear_model.Ridge or "
        "xgboost.XGBRegressor",
    ),
    (
        "!has(self.tuning) || !has(self.tuning.pruning) || !has(self.train.sklearn) || "
        "(has(self.tuning.validation) && has(self.tuning.validation.fraction))",
        "tuning.pruning with train.sklearn needs tuning.validation.fraction: by folds a trial has no value until its end",
    ),
    (
        "!has(self.tuning) || !has(self.tuning.pruning) || !has(self.tuning.trialsPerPod) || self.tuning.trialsPerPod == 1",
        "tuning.pruning needs a pod for each trial, which tells whose a report is: leave trialsPerPod out",
    ),
    (
        "!has(self.tuning) || !has(self.data.snapshot) || self.data.snapshot == 'Copy'",
        "a search needs data.snapshot Copy, which its trials read: leave data.snapshot out, or set Copy",
    ),
)
"""Rules of a TrainingJob's spec about its tuning and what it stands beside."""
