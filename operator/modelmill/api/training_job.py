"""TrainingJob: a long-lived definition whose executions are runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from modelmill.api.base import (
    Alert,
    Condition,
    Decimal,
    Digest,
    Message,
    ModelName,
    Part,
    Store,
    Text,
    Timestamp,
    Uri,
    Word,
    rules,
)

Column = Annotated[str, Field(min_length=1, max_length=128)]
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
        default="Random", description="Random: seeded choice. Latest: the rows with the greatest values of column."
    )
    column: Column | None = Field(default=None, description="Column that orders the rows for strategy Latest.")
    uri: Uri | None = Field(default=None, description="Prefix of rows given apart, in the format of data.train.")


class TrainData(Part):
    """The data to train on."""

    uri: Uri = Field(description="Prefix in the store; every object under it is read, e.g. s3://data/cars/.")
    format: Literal["csv", "parquet", "jsonl"] = Field(description="Format of the objects.")


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


class SklearnTrain(Part):
    """A scikit-learn estimator, trained by the built-in stage."""

    estimator: Annotated[str, Field(pattern=r"^sklearn(\.[A-Za-z_][A-Za-z0-9_]*)+$", max_length=200)] = Field(
        description="Import path, e.g. sklearn.ensemble.GradientBoostingRegressor."
    )
    parameters: dict[str, int | Annotated[str, Field(max_length=256)]] = Field(
        default_factory=dict,
        description="Parameters of the estimator. Numbers with a fraction are written as text: '0.05'.",
        json_schema_extra={"maxProperties": 64},
    )
    preprocessing: Literal["Auto", "None"] = Field(
        default="Auto",
        description="Auto: missing values are imputed, numbers scaled where it helps, categories encoded. None: raw columns.",
    )


class EnvVar(Part):
    """An environment variable with a literal value."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] = Field(
        description="Name of the variable; MODELMILL_ is reserved."
    )
    value: Annotated[str, Field(max_length=4096)] = Field(default="", description="Value, as it is.")


class ContainerTrain(Part):
    """Any image, unchanged: it reads MODELMILL_INPUT and leaves a model in MODELMILL_OUTPUT."""

    image: Annotated[str, Field(min_length=1, max_length=512)] = Field(description="Image of the train container.")
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
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            **rules(("self.all(e, !e.name.startsWith('MODELMILL_'))", "names that begin with MODELMILL_ are reserved")),
        },
    )


class Train(Part):
    """How the model is trained: exactly one of the fields."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.sklearn) != has(self.container)", "set exactly one of sklearn and container")
        )
    }
    sklearn: SklearnTrain | None = Field(default=None, description="A built-in scikit-learn estimator.")
    container: ContainerTrain | None = Field(default=None, description="Any container image.")


Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=32)]


class Resources(Part):
    """Compute resources of a container."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What the container is guaranteed, e.g. {cpu: 500m, memory: 1Gi}.",
        json_schema_extra={"maxProperties": 8},
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What the container may use at most.",
        json_schema_extra={"maxProperties": 8},
    )


class Toleration(Part):
    """A taint that the pod may be scheduled in spite of."""

    key: Annotated[str, Field(max_length=316)] | None = Field(default=None, description="Key of the taint.")
    operator: Literal["Exists", "Equal"] | None = Field(default=None, description="How key and value are compared.")
    value: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint. Left out: every effect."
    )


class PodTemplate(Part):
    """What may be said about the training pod. Everything else of it is decided by the operator."""

    resources: Resources = Field(default_factory=Resources, description="Resources of the train container.")
    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        default_factory=dict,
        description="Labels that the node must have.",
        json_schema_extra={"maxProperties": 32},
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=32,
        description="Taints that the pod may be scheduled in spite of.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
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


class Triggers(Part):
    """What starts a run beside creation, a change of the definition and the annotation modelmill.dev/run."""

    alerts: AlertTrigger = Field(default_factory=AlertTrigger, description="Runs on monitoring alerts.")


class Retrain(Part):
    """Limits on runs that an alert starts."""

    cooldown_seconds: int = Field(
        default=3600, ge=0, le=31_536_000, description="Least time from the end of the last run to an alert's run."
    )
    max_consecutive_failures: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Failed runs in a row after which alerts start no more until a person starts one.",
    )


class RunPolicy(Part):
    """How a run is executed."""

    suspend: bool = Field(default=False, description="Start no run while true. A run in progress goes on.")
    backoff_limit: int = Field(default=2, ge=0, le=20, description="How often a failed pod is tried again.")
    active_deadline_seconds: int = Field(
        default=7200, ge=1, le=2_592_000, description="Longest time of a run, all tries together."
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


class TrainingJobSpec(Part):
    """A model's training: what on, how, how it is judged and what starts it again."""

    model: ModelName = Field(
        description="Name of the model: the family that versions belong to.",
        json_schema_extra=rules(("self == oldSelf", "model is immutable: create another TrainingJob")),
    )
    description: Text = Field(default="", description="What the model is for; copied to its report.")
    store: Store = Field(description="Where data is read and artifacts are published, and with which credentials.")
    data: Data = Field(description="What to train on and to measure with.")
    train: Train = Field(description="How the model is trained.")
    pod_template: PodTemplate = Field(default_factory=PodTemplate, description="Resources and placement of the pod.")
    evaluation: Evaluation = Field(description="How the result is judged.")
    triggers: Triggers = Field(default_factory=Triggers, description="What starts a run.")
    retrain: Retrain = Field(default_factory=Retrain, description="Limits on runs that an alert starts.")
    run_policy: RunPolicy = Field(default_factory=RunPolicy, description="How a run is executed.")
    versions: Versions = Field(default_factory=Versions, description="What becomes of published versions.")


RunReason = Literal["Spec", "Manual", "Alert"]


class CurrentRun(Part):
    """The run in progress."""

    number: int = Field(ge=1, description="Number of the run; also of the version that it makes.")
    reason: RunReason = Field(description="What started it: Spec, Manual or Alert.")
    triggers: list[Word] = Field(
        default_factory=list,
        max_length=32,
        description="Identities of the triggers that this run answers.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    trained_hash: Word = Field(description="Hash of the fields that this run trains.")
    version: Word = Field(description="Name of the ModelVersion that it makes.")
    job: Word = Field(description="Name of its Job.")
    champion: Word | None = Field(default=None, description="Version that it is compared with.")
    phase: Literal["Pending", "Fetching", "Training", "Publishing"] = Field(description="What it does now.")
    attempt: int = Field(ge=1, description="Which try this is.")
    start_time: Timestamp = Field(description="When it started.")
    message: Message | None = Field(default=None, description="What it waits for, if anything.")


class FinishedRun(Part):
    """A run that ended."""

    number: int = Field(ge=1, description="Number of the run.")
    reason: RunReason = Field(description="What started it.")
    triggers: list[Word] = Field(
        default_factory=list,
        max_length=32,
        description="Identities of the triggers that it answered.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    outcome: Literal["Published", "GateFailed", "DataRejected", "Failed"] = Field(description="How it ended.")
    cause: Word | None = Field(default=None, description="Why, when it was not published, as one CamelCase word.")
    message: Message | None = Field(default=None, description="What happened and what to do.")
    version: Word | None = Field(default=None, description="ModelVersion that it made.")
    data_digest: Digest | None = Field(default=None, description="Digest of the data that it trained on.")
    metrics: dict[str, Word] = Field(
        default_factory=dict, description="Measured on the hold-out.", json_schema_extra={"maxProperties": 64}
    )
    champion: Word | None = Field(default=None, description="Version that it was compared with.")
    champion_metrics: dict[str, Word] = Field(
        default_factory=dict,
        description="The champion measured on the same hold-out.",
        json_schema_extra={"maxProperties": 64},
    )
    job: Word = Field(description="Name of its Job.")
    attempts: int = Field(ge=1, description="How many tries it took.")
    start_time: Timestamp = Field(description="When it started.")
    finish_time: Timestamp = Field(description="When it ended.")


class PendingTrigger(Part):
    """A reason to run that waits."""

    id: Word = Field(description="Identity of the trigger.")
    reason: RunReason = Field(description="Kind of the trigger.")
    message: Text = Field(description="What it waits for.")


class TrainingJobStatus(Part):
    """What is true now."""

    observed_generation: int | None = Field(default=None, ge=0, description="Generation that this status is about.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        description="Ready, Running, Finished, DataValid, Stalled, Suspended, RetrainSuspended.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    phase: Literal["Idle", "Running", "Suspended", "Failed"] = Field(default="Idle", description="For scripts.")
    current_run: CurrentRun | None = Field(default=None, description="The run in progress.")
    last_run: FinishedRun | None = Field(default=None, description="The run that ended last.")
    runs: list[FinishedRun] = Field(
        default_factory=list,
        max_length=10,
        description="The last ten runs, newest first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    pending_triggers: list[PendingTrigger] = Field(
        default_factory=list,
        max_length=32,
        description="Reasons to run that wait.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
    )
    alerts: list[Alert] = Field(
        default_factory=list,
        max_length=32,
        description="Firing alerts that named this object.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
    )
    trained_hash: Word | None = Field(default=None, description="Hash of the fields that the last started run trains.")
    handled_annotation: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="Value of modelmill.dev/run that was last answered."
    )
    consecutive_failures: int = Field(default=0, ge=0, description="Failed runs in a row.")
    latest_version: Word | None = Field(default=None, description="ModelVersion that was published last.")
    progress: Word | None = Field(default=None, description="Where the run is, for the PROGRESS column.")
    best: Word | None = Field(default=None, description="Primary metric of the last version, for the BEST column.")


def columns() -> list[dict[str, Any]]:
    """Return the printer columns of `kubectl get`; priority 1 = only with -o wide."""
    ready = ".status.conditions[?(@.type=='Ready')]"
    return [
        {"name": "Ready", "type": "string", "jsonPath": f"{ready}.status"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Progress", "type": "string", "jsonPath": ".status.progress"},
        {"name": "Best", "type": "string", "jsonPath": ".status.best"},
        {"name": "Version", "type": "string", "jsonPath": ".status.latestVersion"},
        {"name": "Trigger", "type": "string", "jsonPath": ".status.lastRun.reason"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Reason", "type": "string", "jsonPath": f"{ready}.reason", "priority": 1},
        {"name": "Runs", "type": "integer", "jsonPath": ".status.lastRun.number", "priority": 1},
        {"name": "Data", "type": "string", "jsonPath": ".status.lastRun.dataDigest", "priority": 1},
        {"name": "Message", "type": "string", "jsonPath": f"{ready}.message", "priority": 1},
    ]
