"""TrainingJob: a long-lived definition whose executions are runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import (
    Decimal,
    DeletionPolicy,
    ModelName,
    ObjectName,
    Part,
    Store,
    Text,
    Uri,
    rules,
)
from modelmill.api.data import Column, DataSchema, Window
from modelmill.api.directions import direction_rules
from modelmill.api.new_data import MOST, NewData
from modelmill.api.pods import EnvVar, ImageName, PodTemplate, variables
from modelmill.api.schedule import Schedule
from modelmill.api.tuning import SPEC_RULES, Tuning
from modelmill.contracts.estimators import PATTERN

Metric = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=64)]


class Holdout(Part):
    """Rows that training never sees and the result is measured on."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.uri) || has(self.fraction)", "set fraction (a share of data.train) or uri (rows given apart)"),
            ("!(has(self.uri) && has(self.fraction))", "fraction and uri exclude each other: remove one"),
            (
                "!has(self.strategy) || self.strategy != 'Latest' || has(self.column)",
                "strategy Latest needs column: the one to order the rows by",
            ),
            (
                "!has(self.fraction) || (double(self.fraction) > 0.0 && double(self.fraction) < 1.0)",
                "fraction must be between 0 and 1, e.g. '0.2'",
            ),
        )
    }
    fraction: Decimal | None = Field(default=None, description="Share of the rows, between 0 and 1, e.g. '0.2'.")
    strategy: Literal["Random", "Latest"] = Field(
        default="Random",
        description="Random: by a hash of each row's content, so that a row stays where it is as the data grow. "
        "Latest: the rows with the greatest values of column.",
    )
    column: Column | None = Field(default=None, description="Column that orders the rows for strategy Latest.")
    uri: Uri | None = Field(default=None, description="Prefix of rows given apart, in the format of data.train.")


class TrainData(Part):
    """The data to train on."""

    uri: Uri = Field(description="Prefix in the store; every object under it is read, e.g. s3://data/cars/.")
    format: Literal["csv", "parquet", "jsonl"] = Field(
        description="Format of the objects; with prepare, of the files that it leaves."
    )


class Features(Part):
    """Which columns are features. All but the target, unless excluded."""

    exclude: list[Column] = Field(
        default_factory=list,
        max_length=256,
        description="Columns that are not features.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class Data(Part):
    """Data of the run: snapshotted and pinned by digest when a run starts."""

    train: TrainData = Field(description="The data to train on. It is read with the credentials of store.")
    target: Column = Field(description="Column to predict.")
    holdout: Holdout = Field(description="Rows kept from training, to measure the result on.")
    features: Features = Field(default_factory=Features, description="Which columns are features.")
    window: Window | None = Field(
        default=None,
        description="The newest part of data.train, which alone is divided, trained and measured on. Left out: all of it.",
    )
    # `schema` is a name that pydantic's models have of their own.
    schema_: DataSchema | None = Field(
        default=None,
        alias="schema",
        description="What the data must be. Left out: the columns of the last approved version's data, where there is one.",
    )
    snapshot: Literal["Copy", "Digest"] | None = Field(
        default=None,
        description="Copy: each object of the data is kept in the store, once for each content, so that a version can be made "
        "again after its data have changed (modelmill.dev/reproduce). Digest: only its digest is. Left out: Digest, and Copy "
        "with tuning, whose trials read the copy.",
    )


class SklearnTrain(Part):
    """An estimator of scikit-learn, XGBoost or LightGBM, trained by the built-in stage."""

    estimator: Annotated[str, Field(pattern=rf"^(Auto|{PATTERN})$", max_length=200)] = Field(
        description="Import path, e.g. sklearn.ensemble.GradientBoostingRegressor, xgboost.XGBClassifier or "
        "lightgbm.LGBMRegressor. Auto: the one that a search with "
        "tuning.space Auto finds."
    )
    parameters: dict[str, int | Annotated[str, Field(max_length=256)]] = Field(
        default_factory=dict,
        description="Parameters of the estimator. Numbers with a fraction are written as text: '0.05'.",
        json_schema_extra={"maxProperties": 64},
    )
    preprocessing: Literal["Auto", "None"] = Field(
        default="Auto",
        description="Auto: missing values are imputed, numbers scaled where it helps, categories encoded; XGBoost and "
        "LightGBM do so themselves. None: raw columns.",
    )


class ContainerTrain(Part):
    """Any image, unchanged: it reads MODELMILL_INPUT and leaves a model, or rows, in MODELMILL_OUTPUT."""

    image: ImageName = Field(description="Image of the container.")
    command: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=64, description="Entrypoint. Left out: the image's own."
    )
    args: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=64, description="Arguments of the entrypoint."
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=64,
        description="Environment beside the MODELMILL_ variables of the contract.",
        json_schema_extra=variables(),
    )


class ConfigMapKey(Part):
    """A key of a ConfigMap of the namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        default="train.py", description="Key with the Python program."
    )


class ScriptTrain(Part):
    """A Python program, run in the image of the built-in stages: it reads and leaves what a container does."""

    config_map_ref: ConfigMapKey = Field(
        description="Where the program is. A run reads it once, when it begins; a change starts no run."
    )
    args: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list,
        max_length=64,
        description="Arguments of the program, in which $(MODELMILL_INPUT) and the like are expanded.",
    )


class Train(Part):
    """How the model is trained: exactly one of sklearn, container and script."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "[has(self.sklearn), has(self.container), has(self.script)].filter(given, given).size() == 1",
                "set exactly one of sklearn, container and script",
            ),
            (
                "!has(self.warmStart) || !self.warmStart || has(self.sklearn)",
                "warmStart needs sklearn: a container finds the champion in MODELMILL_INPUT and begins from what it likes",
            ),
        )
    }
    sklearn: SklearnTrain | None = Field(
        default=None, description="An estimator of scikit-learn, XGBoost or LightGBM, trained by the built-in stage."
    )
    container: ContainerTrain | None = Field(default=None, description="Any container image.")
    script: ScriptTrain | None = Field(default=None, description="A Python program in a ConfigMap.")
    warm_start: bool = Field(
        default=False,
        description="Go on from the model of the approved version where the estimator and the data allow it, else train anew "
        "and say why.",
    )


class Prepare(Part):
    """A stage between fetch and train that turns raw data into training rows."""

    container: ContainerTrain = Field(
        description="Any image: it reads the objects of data.train under their names in MODELMILL_INPUT and leaves rows in "
        "MODELMILL_OUTPUT, as files of data.train.format."
    )


STAGE_RULES = (
    (
        "!has(self.tuning) || !has(self.train.script)",
        "tuning and train.script exclude each other, since a script may change between trials: use train.container",
    ),
    (
        "!has(self.tuning) || !has(self.train.warmStart) || !self.train.warmStart",
        "tuning and train.warmStart exclude each other, since a search tries parameters that the champion was not made "
        "with: leave one out",
    ),
    (
        "!has(self.prepare) || !has(self.tuning)",
        "prepare and tuning exclude each other, since trials read a copy of the data: search on data that are prepared already",
    ),
    (
        "!has(self.prepare) || !has(self.data.holdout.uri)",
        "prepare needs data.holdout.fraction: the hold-out is a part of the rows that it leaves",
    ),
    (
        "!has(self.prepare) || !has(self.triggers) || !has(self.triggers.newData) || !has(self.triggers.newData.minNewRows)",
        "prepare makes the rows, which a look at the data cannot count: use triggers.newData.minNewObjects",
    ),
)


class Primary(Part):
    """The metric that versions are compared by."""

    metric: Metric = Field(description="Name of the metric, e.g. r2, mae, accuracy.")
    direction: Literal["Maximize", "Minimize"] = Field(description="Which way is better.")


class VersusChampion(Part):
    """Comparison with the version that is approved now, on the same hold-out."""

    min_improvement: Decimal = Field(
        default="0", description="How much better the primary metric must be, in its own units."
    )


class Gate(Part):
    """One condition on the result; a version that fails one is kept as Rejected."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.metric) != has(self.versusChampion)", "a gate has either metric or versusChampion"),
            ("!has(self.metric) || has(self.minimum) || has(self.maximum)", "a metric gate needs minimum or maximum"),
        )
    }
    metric: Metric | None = Field(default=None, description="Metric to bound.")
    minimum: Decimal | None = Field(default=None, description="Least value that passes.")
    maximum: Decimal | None = Field(default=None, description="Greatest value that passes.")
    versus_champion: VersusChampion | None = Field(
        default=None, description="Compare with the approved version; passes when there is none."
    )


class Evaluation(Part):
    """How the result is judged on the hold-out."""

    # Not of Primary itself, which versions have as well: what a run was told counts for its version.
    model_config = Part.model_config | {"json_schema_extra": rules(*direction_rules("self.primary"))}
    primary: Primary = Field(description="The metric that versions are compared by.")
    gates: list[Gate] = Field(
        default_factory=list,
        max_length=16,
        description="Conditions on the result, all of which must hold.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class AlertTrigger(Part):
    """Runs on monitoring alerts."""

    enabled: bool = Field(default=False, description="Whether an alert may start a run.")
    min_new_rows: int = Field(
        default=100,
        ge=0,
        le=MOST,
        description="How many rows must have come since the last run read its data before an alert starts a run, counted as "
        "newData does. Of alerts of the kinds Drift, Skew and Quality only objects that were written since the episode may "
        "have begun count; one new or changed object suffices for Staleness, and with prepare. 0: the data is not looked at.",
    )

    @property
    def waits_for_rows(self) -> bool:
        """Whether the data is looked at before an alert starts a run."""
        return self.enabled and self.min_new_rows > 0


class Triggers(Part):
    """What starts a run beside creation, a change of the definition and the annotation modelmill.dev/run."""

    alerts: AlertTrigger = Field(default_factory=AlertTrigger, description="Runs on monitoring alerts.")
    schedule: Schedule | None = Field(
        default=None,
        description="Runs by the clock. One whose data are those of the last version ends without training. Times that were "
        "missed make one run.",
    )
    new_data: NewData | None = Field(
        default=None,
        description="Runs when enough data has come since the last run read its data, whatever its outcome.",
    )


class Retrain(Part):
    """Limits on runs that nobody asked for: those of alerts, of the schedule and of new data."""

    cooldown_seconds: int = Field(
        default=3600,
        ge=0,
        le=31_536_000,
        description="Least time from the end of the last run to one that nobody asked for; doubled for each version in a row "
        "that failed its gates and for each run in a row that failed, up to 16 times.",
    )
    max_consecutive_failures: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Failed runs in a row, or versions in a row that failed their gates, after which alerts, the schedule "
        "and new data start no more until a person starts one.",
    )
    max_runs_per_day: int | None = Field(
        default=None,
        ge=1,
        le=96,
        description="How many runs that nobody asked for may begin within 24 hours. Left out: 4 of alerts, and any number of "
        "the schedule and of new data.",
    )


class RunPolicy(Part):
    """How a run is executed."""

    suspend: bool = Field(
        default=False,
        description="Start no run while true, and no trial of a search. A run in progress goes on, as do trials.",
    )
    backoff_limit: int = Field(default=2, ge=0, le=20, description="How often a failed pod is tried again.")
    active_deadline_seconds: int = Field(
        default=7200,
        ge=1,
        le=2_592_000,
        description="Longest time of a run, all tries together. With tuning: of each of its Jobs.",
    )
    ttl_seconds_after_finished: int = Field(
        default=86_400, ge=0, le=2_592_000, description="How long the Job and its logs are kept after a run."
    )


class Versions(Part):
    """What becomes of the versions that runs publish."""

    approval: Literal["Manual", "Automatic"] = Field(
        default="Manual",
        description="Automatic: a version that passes its gates is approved. Manual: a person approves it.",
    )
    deletion_policy: DeletionPolicy = Field(
        default="Retain",
        description="spec.deletionPolicy of the versions that are made: whether the artifact is removed with its version.",
    )
    history_limit: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="How many of the versions that this TrainingJob made and that nothing keeps are there at most; older ones "
        "are deleted. What is approved, has an alias or is served is kept and does not count. Left out: all stay.",
    )


class TrainingJobSpec(Part):
    """A model's training: what on, how, how it is judged and what starts it again."""

    model_config = Part.model_config | {"json_schema_extra": rules(*SPEC_RULES, *STAGE_RULES)}
    model: ModelName = Field(
        description="Name of the model: the family that versions belong to.",
        json_schema_extra=rules(("self == oldSelf", "model is immutable: create another TrainingJob")),
    )
    description: Text = Field(default="", description="What the model is for; copied to its report.")
    store: Store = Field(description="Where data is read and artifacts are published, and with which credentials.")
    data: Data = Field(description="What to train on and to measure with.")
    prepare: Prepare | None = Field(
        default=None,
        description="What makes training rows of the data, before they are divided. Left out: the data are rows.",
    )
    train: Train = Field(description="How the model is trained.")
    pod_template: PodTemplate = Field(default_factory=PodTemplate, description="Resources and placement of the pod.")
    evaluation: Evaluation = Field(description="How the result is judged.")
    tuning: Tuning | None = Field(default=None, description="A search of the best parameters, before a run publishes.")
    triggers: Triggers = Field(default_factory=Triggers, description="What starts a run.")
    retrain: Retrain = Field(default_factory=Retrain, description="Limits on runs that nobody asked for.")
    run_policy: RunPolicy = Field(default_factory=RunPolicy, description="How a run is executed.")
    versions: Versions = Field(default_factory=Versions, description="What becomes of published versions.")
