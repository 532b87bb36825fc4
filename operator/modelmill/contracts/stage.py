"""What the operator tells the stages of one training run: the environment variable `MODELMILL_STAGE`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from modelmill.contracts.data import Schema, Window, schema_of, window_of
from modelmill.contracts.documents import read_fields

STAGE_VERSION = 1
CHOICE: Final = "estimator"
"""Name of the parameter that replaces the estimator's import path."""
REFIT: Final = "Refit"
BEST_TRIAL: Final = "BestTrial"
"""What a search publishes (`Search.publish`)."""
MEANT_FOR: Final = "__"
"""Between the name of an estimator's class and that of a parameter which only it has."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where artifacts go. `uri` is s3://BUCKET/PREFIX or file:///FOLDER."""

    uri: str
    endpoint: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Holdout:
    """Rows kept from training. With `uri` they are given apart; else about `fraction` of the rows is split off.

    strategy: Random (by a hash of each row's features and target, so rows that are added later move no other row, and equal
    rows stay together) or Latest (the rows with the greatest values of `column`).
    """

    fraction: float = 0.2
    strategy: str = "Random"
    column: str | None = None
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """Training data: every object under the prefix `uri`, in one format (csv, parquet, jsonl).

    copy: fetch copies what it read into the store (contracts.snapshot).
    snapshot: digest of such a copy, `sha256:` + hex, which is read in place of `uri` and of the hold-out's.
    window: the part of it that is divided, trained and measured on; None for all. schema: what the data must be.
    None: what the last good version's were.
    without: the rows to train on that are left out, divided off as a hold-out is; None for none. They validated the trial of a
    search whose model this run makes once more.
    """

    uri: str
    format: str
    target: str
    exclude: tuple[str, ...] = ()
    holdout: Holdout = field(default_factory=Holdout)
    window: Window | None = None
    schema: Schema | None = None
    copy: bool = False
    snapshot: str | None = None
    without: Holdout | None = None


@dataclass(frozen=True, slots=True)
class Estimator:
    """A scikit-learn estimator by import path, for the built-in train stage.

    parameters: those of a trial over those of the resource. One called `estimator` is an import path that replaces
        `estimator`; one called `CLASS__NAME` is the parameter NAME of the estimator of that class (`chosen`).
    preprocessing: Auto (impute, scale numbers, encode categories) or None.
    """

    estimator: str
    parameters: dict[str, Any] = field(default_factory=dict)
    preprocessing: str = "Auto"

    def chosen(self) -> Estimator:
        """Return the estimator that the parameters choose, with its own parameters.

        What is meant for the estimator of another class is left out. Where another one replaces the resource's, plain names
        are its own as well.
        """
        path = str(self.parameters.get(CHOICE, self.estimator))
        name = path.rpartition(".")[2]
        plain = {key: value for key, value in self.parameters.items() if key != CHOICE and MEANT_FOR not in key}
        meant = {
            key.removeprefix(f"{name}{MEANT_FOR}"): value
            for key, value in self.parameters.items()
            if key.startswith(f"{name}{MEANT_FOR}")
        }
        return Estimator(path, plain | meant, self.preprocessing)


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition on the result. Either `metric` with a bound, or `min_improvement` over the champion.

    min_improvement is in units of the primary metric, positive = better than the champion by at least this much.
    """

    metric: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    min_improvement: float | None = None


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that the challenger is compared with, on hold-out rows that neither has been trained on."""

    name: str
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Origin:
    """The version whose recipe a run repeats. uri, digest: of its artifact, which the result is compared with."""

    name: str
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class PodTrial:
    """One of several trials that share a pod. parameters: its own, which are put over those of the stage's estimator."""

    index: int
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a search, measured on rows of the training data: the hold-out is not in its pod.

    index: from 0. attempt: which try of this index, from 1.
    fraction: share of the training rows that validates, by `strategy` as for Holdout; 0 with folds.
    folds: how many parts validate in turn, each fitted on the others by the built-in train stage; for Latest, each is
        fitted on the rows before it. 0 with a fraction.
    pod: the trials that share the pod, of which `index` is the first: the built-in train stage fits one after the other.
        Empty where it is one.
    """

    index: int
    attempt: int = 1
    folds: int = 0
    fraction: float = 0.0
    strategy: str = "Random"
    column: str | None = None
    pod: tuple[PodTrial, ...] = ()


@dataclass(frozen=True, slots=True)
class RankedTrial:
    """One of the best trials. value: of the objective, on the validation rows."""

    index: int
    value: float
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """The search that chose a run's parameters, as lineage and report tell it.

    trials: how many were made; succeeded, failed, pruned: how they ended. best_value: of the objective, on the validation rows.
    validation: in words, "5 folds". parameters: of the best trial. best: the best trials, at most ten, the best one first.
    publish: Refit, the best parameters on all rows to train on, or BestTrial, on those of the best trial (Data.without).
    best_model: sha256 of the best trial's model file in hex; empty where it is not known, and for Refit.
    """

    algorithm: str
    seed: int
    objective_metric: str
    direction: str
    trials: int
    succeeded: int
    failed: int
    pruned: int
    best_index: int
    best_value: float
    validation: str
    parameters: dict[str, Any] = field(default_factory=dict)
    best: tuple[RankedTrial, ...] = ()
    publish: str = REFIT
    best_model: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """A Python file that trains: a key of a ConfigMap. digest: that it must have, `sha256:` + hex; empty for any."""

    config_map: str
    key: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the data, compared with what the run of the spec has read.

    since: when that run began, in seconds since 1970. min_rows: rows that are enough; None when objects are counted.
    after: what was written after it, in seconds since 1970, is told apart; None when nothing is. recent_rows: rows of that
    which are enough; None when they are not counted.
    """

    since: float
    min_rows: int | None = None
    after: float | None = None
    recent_rows: int | None = None


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One run, as its stages see it. Numbers are numbers here; the custom resource has them as decimal strings.

    unless_digest: digest of data that need no training: fetch ends the run with outcome Unchanged when it finds them.
    trial: the trial that these stages are; None for a run that publishes. search: what chose the parameters of this run.
    reproduces: the version that this run makes again, for comparison: nothing is published.
    prepare_image: of the stage that makes rows of the data, between fetch and divide; empty without one.
    script: that trains, in place of an estimator; None without one.
    warm_start: the train stage goes on from the champion's model where it can, and leaves word of what it did.
    listed: fetch remembers in the store which objects it has read (contracts.look). look: compares with what it remembered.
    """

    namespace: str
    training_job: str
    run: int
    run_uid: str
    model: str
    version: str
    store: Store
    data: Data
    estimator: Estimator | None = None
    primary_metric: str | None = None
    primary_direction: str = "Maximize"
    gates: tuple[Gate, ...] = ()
    champion: Champion | None = None
    seed: int = 0
    train_image: str = ""
    prepare_image: str = ""
    script: Script | None = None
    description: str = ""
    unless_digest: str | None = None
    trial: Trial | None = None
    search: Search | None = None
    reproduces: Origin | None = None
    warm_start: bool = False
    listed: bool = False
    look: Look | None = None
    v: int = STAGE_VERSION


def encode(spec: StageSpec) -> str:
    """Return the JSON text of the environment variable.

    It has no `$`, since Kubernetes expands `$(NAME)` and `$$` in the value of a variable (API reference, EnvVar).
    """
    text = json.dumps(asdict(spec), separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("$", "\\u0024")


def decode(text: str) -> StageSpec:
    """Return the StageSpec in `text`. Raises ValueError when it is not one of this version."""
    raw = json.loads(text)
    if not isinstance(raw, dict) or raw.get("v") != STAGE_VERSION:
        raise ValueError(f"MODELMILL_STAGE is not version {STAGE_VERSION}")
    data = raw["data"]
    return StageSpec(
        namespace=raw["namespace"],
        training_job=raw["training_job"],
        run=int(raw["run"]),
        run_uid=raw["run_uid"],
        model=raw["model"],
        version=raw["version"],
        store=read_fields(Store, raw["store"]),
        data=Data(
            uri=data["uri"],
            format=data["format"],
            target=data["target"],
            exclude=tuple(data.get("exclude") or ()),
            holdout=read_fields(Holdout, data.get("holdout") or {}),
            window=window_of(data.get("window")),
            schema=schema_of(data.get("schema")),
            copy=bool(data.get("copy")),
            snapshot=data.get("snapshot"),
            without=read_fields(Holdout, data["without"]) if data.get("without") else None,
        ),
        estimator=read_fields(Estimator, raw["estimator"]) if raw.get("estimator") else None,
        primary_metric=raw.get("primary_metric"),
        primary_direction=raw.get("primary_direction", "Maximize"),
        gates=tuple(read_fields(Gate, gate) for gate in raw.get("gates") or ()),
        champion=read_fields(Champion, raw["champion"]) if raw.get("champion") else None,
        seed=int(raw.get("seed", 0)),
        train_image=raw.get("train_image", ""),
        script=read_fields(Script, raw["script"]) if raw.get("script") else None,
        prepare_image=str(raw.get("prepare_image") or ""),
        description=str(raw.get("description") or ""),
        unless_digest=raw.get("unless_digest"),
        trial=_trial(raw["trial"]) if raw.get("trial") else None,
        search=_search(raw["search"]) if raw.get("search") else None,
        reproduces=read_fields(Origin, raw["reproduces"]) if raw.get("reproduces") else None,
        warm_start=bool(raw.get("warm_start")),
        listed=bool(raw.get("listed")),
        look=read_fields(Look, raw["look"]) if raw.get("look") else None,
    )


def alone(spec: StageSpec, one: PodTrial) -> StageSpec:
    """Return what the stages of one of the trials of a pod would be told if it had the pod for itself."""
    if spec.trial is None or spec.estimator is None:
        raise ValueError("trials that share a pod are those of train.sklearn")
    own = replace(spec.estimator, parameters={**spec.estimator.parameters, **one.parameters})
    return replace(spec, estimator=own, trial=replace(spec.trial, index=one.index, pod=()))


def _trial(raw: dict[str, Any]) -> Trial:
    pod = tuple(read_fields(PodTrial, item) for item in raw.get("pod") or ())
    return read_fields(Trial, {**raw, "pod": pod})


def _search(raw: dict[str, Any]) -> Search:
    best = tuple(read_fields(RankedTrial, item) for item in raw.get("best") or ())
    return read_fields(Search, {**raw, "best": best})
