"""Status of a TrainingJob: the run in progress, the runs that ended, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from modelmill.api.base import (
    Alert,
    Condition,
    Digest,
    JobName,
    Message,
    Name,
    StatusPart,
    Text,
    Timestamp,
    Word,
)
from modelmill.api.new_data import LastLook

RunReason = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]*$", max_length=32)]
"""Kind of a trigger, as its file in `training.triggers` names it."""
RunOutcome = Literal["Published", "GateFailed", "DataRejected", "Failed", "Unchanged", "Reproduced"]

_BEST = (
    "Best primary metric of the versions that are not rejected, each on the hold-out of its run; of two that were compared on "
    "the same rows the better one. While a search goes on that of its trials. For the BEST column."
)
TrialState = Literal["Running", "Succeeded", "Failed", "Pruned"]
Shown = Annotated[str, Field(max_length=512)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials(StatusPart):
    """How many trials a search has, and why it ended."""

    maximum: Annotated[int, Field(ge=1, description="How many there are to be: spec.tuning.maxTrials.")]
    succeeded: Annotated[int, Field(ge=0, description="Trials with a value of the objective.")] = 0
    failed: Annotated[int, Field(ge=0, description="Trials that ended without one.")] = 0
    pruned: Annotated[int, Field(ge=0, description="Trials that were stopped.")] = 0
    running: Annotated[int, Field(ge=0, description="Trials that have begun and not ended.")] = 0
    end: Annotated[
        Word | None,
        Field(description="Why the search ended: GoalReached, MaxTrialsReached, SearchSpaceExhausted, or what failed."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFacts(StatusPart):
    """One trial of a search. The whole ledger is in ConfigMaps with the label modelmill.dev/run-number."""

    index: Annotated[int, Field(ge=0, description="Number of the trial, from 0.")]
    state: Annotated[TrialState, Field(description="Running, Succeeded, Failed or Pruned.")]
    value: Annotated[Word | None, Field(description="Value of the objective on the validation rows.")] = None
    reason: Annotated[Word | None, Field(description="Why it did not succeed, as one CamelCase word.")] = None
    parameters: Annotated[Shown, Field(description="Its parameters: name=value, …")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRun(StatusPart):
    """The run in progress."""

    number: Annotated[int, Field(ge=1, description="Number of the run; also of the version that it makes.")]
    reason: Annotated[
        RunReason, Field(description="What started it: Spec, Manual, Reproduce, Alert, Data or Schedule.")
    ]
    triggers: Annotated[
        tuple[Word, ...],
        Field(
            max_length=32,
            description="Identities of the triggers that this run answers.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    alerts: Annotated[
        tuple[Word, ...],
        Field(
            max_length=8,
            description="Kinds of the alerts among them.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    trained_hash: Annotated[Word, Field(description="Hash of the fields that this run trains.")]
    version: Annotated[Name, Field(description="Name of the ModelVersion that it makes, or makes again (Reproduce).")]
    job: Annotated[JobName, Field(description="Name of its Job.")]
    champion: Annotated[Word | None, Field(description="Version that it is compared with.")] = None
    phase: Annotated[
        Literal["Pending", "Fetching", "Preparing", "Searching", "Training", "Evaluating", "Publishing"],
        Field(description="What it does now."),
    ]
    attempt: Annotated[int, Field(ge=1, description="Which try this is.")]
    start_time: Annotated[Timestamp, Field(description="When it started.")]
    message: Annotated[Message | None, Field(description="What it waits for, if anything.")] = None
    trials: Annotated[Trials | None, Field(description="Its trials, when it searches.")] = None
    best: Annotated[TrialFacts | None, Field(description="The best trial so far.")] = None
    last_trials: Annotated[
        tuple[TrialFacts, ...],
        Field(
            max_length=10,
            description="The ten trials that were begun last, newest first.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced(StatusPart):
    """A version beside the model that its recipe made again."""

    version: Annotated[Word, Field(description="Name of the ModelVersion.")]
    bytes: Annotated[
        Literal["Same", "Different"], Field(description="Whether the file of the served model has the same bytes.")
    ]
    differences: Annotated[
        Mapping[str, Word],
        Field(
            description="By how much the metrics of the new model differ from the version's; empty when none does.",
            json_schema_extra={"maxProperties": 64},
        ),
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun(StatusPart):
    """A run that ended."""

    number: Annotated[int, Field(ge=1, description="Number of the run.")]
    reason: Annotated[RunReason, Field(description="What started it.")]
    triggers: Annotated[
        tuple[Word, ...],
        Field(
            max_length=32,
            description="Identities of the triggers that it answered.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    alerts: Annotated[
        tuple[Word, ...],
        Field(
            max_length=8,
            description="Kinds of the alerts among them.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    outcome: Annotated[
        RunOutcome,
        Field(
            description="How it ended. Unchanged: a run that nobody asked for found the data of the last version; nothing "
            "was trained. Reproduced: a version was made again and compared; there is no new one."
        ),
    ]
    cause: Annotated[Word | None, Field(description="Why, when it was not published, as one CamelCase word.")] = None
    message: Annotated[Message | None, Field(description="What happened and what to do.")] = None
    version: Annotated[Word | None, Field(description="ModelVersion that it made.")] = None
    report: Annotated[
        Annotated[str, Field(max_length=1100)] | None,
        Field(description="Where the report of that version is: a page to open."),
    ] = None
    notes: Annotated[
        tuple[Text, ...],
        Field(
            max_length=16,
            description="What else is worth knowing about a run that went well, e.g. which columns were left out.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    drift: Annotated[
        tuple[Text, ...],
        Field(
            max_length=16,
            description="What the data gates told of a run that went on: how its data differ from the last approved version's.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    trained_hash: Annotated[Word | None, Field(description="Hash of the fields that it trained.")] = None
    data_digest: Annotated[Digest | None, Field(description="Digest of the data that it fetched to train on.")] = None
    metrics: Annotated[
        Mapping[str, Word], Field(description="Measured on the hold-out.", json_schema_extra={"maxProperties": 64})
    ] = field(default_factory=dict)
    champion: Annotated[Word | None, Field(description="Version that it was compared with.")] = None
    champion_metrics: Annotated[
        Mapping[str, Word],
        Field(description="The champion measured on the same hold-out.", json_schema_extra={"maxProperties": 64}),
    ] = field(default_factory=dict)
    trials: Annotated[Trials | None, Field(description="Its trials, when it searched.")] = None
    best: Annotated[TrialFacts | None, Field(description="The best trial, whose parameters were published.")] = None
    reproduced: Annotated[
        Reproduced | None, Field(description="How the version that it made again compares; only of outcome Reproduced.")
    ] = None
    job: Annotated[Word, Field(description="Name of its Job.")]
    attempts: Annotated[int, Field(ge=1, description="How many tries it took.")]
    start_time: Annotated[Timestamp, Field(description="When it started.")]
    finish_time: Annotated[Timestamp, Field(description="When it ended.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTrigger(StatusPart):
    """A reason to run that waits."""

    id: Annotated[Word, Field(description="Identity of the trigger.")]
    reason: Annotated[RunReason, Field(description="Kind of the trigger.")]
    message: Annotated[Text, Field(description="What it waits for.")]
    hold: Annotated[Word | None, Field(description="What it waits for, as one CamelCase word.")] = None
    until: Annotated[Timestamp | None, Field(description="When that ends by itself, if time ends it.")] = None


DecisionAction = Literal["Started", "Held", "Ignored", "Answered", "Suspended", "Resumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTaken(StatusPart):
    """What was decided about runs, and why."""

    time: Annotated[Timestamp, Field(description="When it was decided, the last time.")]
    action: Annotated[
        DecisionAction,
        Field(
            description="Started: a run. Held: what nobody asked for waits. Ignored: it was over before a run began. Answered: "
            "a run made a version for alerts. Suspended: alerts, the schedule and new data start no more runs. Resumed: they "
            "do again."
        ),
    ]
    reason: Annotated[Word, Field(description="Why, as one CamelCase word.")]
    message: Annotated[Text, Field(description="Why, for people, as it was when that began.")]
    count: Annotated[int, Field(ge=1, description="How many times, none of them an hour after the one before.")] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJobStatus(StatusPart):
    """What is true now."""

    observed_generation: Annotated[int | None, Field(ge=0, description="Generation that this status is about.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description="Ready, Running, Finished, DataValid, Stalled, Suspended, RetrainSuspended, ChildRefused.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    phase: Annotated[Literal["Idle", "Running", "Suspended", "Failed"], Field(description="For scripts.")] = "Idle"
    current_run: Annotated[CurrentRun | None, Field(description="The run in progress.")] = None
    last_run: Annotated[FinishedRun | None, Field(description="The run that ended last.")] = None
    runs: Annotated[
        tuple[FinishedRun, ...],
        Field(
            max_length=10,
            description="The last ten runs, newest first.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    pending_triggers: Annotated[
        tuple[PendingTrigger, ...],
        Field(
            max_length=32,
            description="Reasons to run that wait.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ] = ()
    alerts: Annotated[
        tuple[Alert, ...],
        Field(
            max_length=32,
            description="Firing alerts that named this object.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ] = ()
    trained_hash: Annotated[Word | None, Field(description="Hash of the fields that the last started run trains.")] = (
        None
    )
    decisions: Annotated[
        tuple[DecisionTaken, ...],
        Field(
            max_length=10,
            description="What was decided last about runs, newest first. What waits, and until when, is in pendingTriggers.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    handled_annotation: Annotated[
        Annotated[str, Field(max_length=256)] | None,
        Field(description="Value of modelmill.dev/run that was last answered."),
    ] = None
    handled_reproduction: Annotated[
        Annotated[str, Field(max_length=256)] | None,
        Field(description="Value of modelmill.dev/reproduce that was last answered; gone when the annotation is."),
    ] = None
    answered_alerts: Annotated[
        tuple[Word, ...],
        Field(
            max_length=256,
            description="Alerts that still fire and that a run has answered: they start no other.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    next_schedule_time: Annotated[
        Timestamp | None,
        Field(description="Next time of spec.triggers.schedule, or the first one that no run has answered."),
    ] = None
    schedule_hash: Annotated[Word | None, Field(description="Hash of the schedule that this time is of.")] = None
    next_look_time: Annotated[
        Timestamp | None,
        Field(description="When the data is looked at next, or since when a look is due; of spec.triggers.newData."),
    ] = None
    last_look: Annotated[
        LastLook | None, Field(description="What the last look at the data found, and why there is a run, or none.")
    ] = None
    unattended_starts: Annotated[
        tuple[Timestamp, ...],
        Field(
            max_length=96,
            description="When the last runs began that nobody asked for, newest first; without retrain.maxRunsPerDay "
            "those of alerts.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    consecutive_failures: Annotated[
        int, Field(ge=0, description="Failed runs in a row. Each doubles the cooldown, up to 16 times.")
    ] = 0
    consecutive_rejections: Annotated[
        int,
        Field(
            ge=0, description="Versions in a row that failed their gates. Each doubles the cooldown, up to 16 times."
        ),
    ] = 0
    turn_since: Annotated[
        Timestamp | None,
        Field(
            description="Since when a run waits only for its turn, since so many that nobody asked for are in progress in the "
            "whole cluster.",
        ),
    ] = None
    unhelpful_runs: Annotated[
        tuple[int, ...],
        Field(
            max_length=100,
            description="Runs of alerts in a row that did not help: an alert of the same kind was soon about the version that "
            "they made.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    latest_version: Annotated[Word | None, Field(description="ModelVersion that was published last.")] = None
    progress: Annotated[Word | None, Field(description="Where the run is, for the PROGRESS column.")] = None
    trigger: Annotated[
        RunReason | None,
        Field(description="What started the run in progress, or else the last one, for the TRIGGER column."),
    ] = None
    best: Annotated[
        Annotated[str, Field(max_length=160)] | None,
        Field(description=_BEST),
    ] = None


def columns() -> list[dict[str, Any]]:
    """Return the printer columns of `kubectl get`; priority 1 = only with -o wide."""
    ready = ".status.conditions[?(@.type=='Ready')]"
    return [
        {"name": "Ready", "type": "string", "jsonPath": f"{ready}.status"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Progress", "type": "string", "jsonPath": ".status.progress"},
        {"name": "Best", "type": "string", "jsonPath": ".status.best", "description": _BEST},
        {"name": "Version", "type": "string", "jsonPath": ".status.latestVersion"},
        {"name": "Trigger", "type": "string", "jsonPath": ".status.trigger"},
        {"name": "Held", "type": "string", "jsonPath": ".status.pendingTriggers[0].hold"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Reason", "type": "string", "jsonPath": f"{ready}.reason", "priority": 1},
        {"name": "Runs", "type": "integer", "jsonPath": ".status.lastRun.number", "priority": 1},
        {"name": "Next", "type": "string", "jsonPath": ".status.nextScheduleTime", "priority": 1},
        {
            "name": "DataValid",
            "type": "string",
            "jsonPath": ".status.conditions[?(@.type=='DataValid')].reason",
            "priority": 1,
        },
        {"name": "Data", "type": "string", "jsonPath": ".status.lastRun.dataDigest", "priority": 1},
        {"name": "Message", "type": "string", "jsonPath": f"{ready}.message", "priority": 1},
    ]
