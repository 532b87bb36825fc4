"""Status of an InferenceService: the tracks, the history, what monitoring says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from modelmill.api.analysis import Analysis
from modelmill.api.base import (
    Alert,
    Condition,
    Digest,
    Message,
    Revision,
    StatusPart,
    Text,
    Timestamp,
    Word,
)
from modelmill.api.batch import MOST, BatchStatus
from modelmill.api.drift_report import ReportStatus
from modelmill.api.monitoring_status import MonitoringStatus
from modelmill.api.rollout import Step

_REVISION = "Hash of the template of its pods; suffix of the Deployment's name."
_INPUTS = "Hash of what the spec and the version say about the pods: another one makes another revision."
_IMAGE = "Image of the server in its pods: a release of the operator does not change it."
ServerImage = Annotated[str, Field(max_length=512)]
Skips = Annotated[
    Literal["Person", "Rollback", "RollbackWindow", "Mirror"] | None,
    Field(
        description="Why it is, or was, promoted without steps: modelmill.dev/promote-full, modelmill.dev/rollback or "
        "spec.monitoring.rollback, spec.rollout.rollbackWindow, or Mirror: the version that serves gets pods that can mirror, "
        "for strategy Shadow."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StableTrack(StatusPart):
    """The version that serves."""

    version: Annotated[Word, Field(description="Name of the ModelVersion.")]
    digest: Annotated[Digest, Field(description="Digest of its artifact.")]
    revision: Annotated[Revision, Field(description=_REVISION)]
    inputs: Annotated[Word, Field(description=_INPUTS)] = ""
    server_image: Annotated[ServerImage, Field(description=_IMAGE)] = ""
    replicas: Annotated[int, Field(ge=0, description="Pods wanted.")]
    ready: Annotated[int, Field(ge=0, description="Pods ready.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(StatusPart):
    """One measurement of the analysis."""

    time: Annotated[Timestamp, Field(description="When.")]
    requests: Annotated[int, Field(ge=0, description="Requests to the new version since the measurement before.")]
    verdict: Annotated[
        Literal["Pass", "Fail", "Error", "Inconclusive", "Insufficient"], Field(description="What the checks said.")
    ]
    message: Annotated[Text, Field(description="The values against their bounds.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTrack(StatusPart):
    """The version that is being rolled out."""

    version: Annotated[Word, Field(description="Name of the ModelVersion.")]
    digest: Annotated[Digest, Field(description="Digest of its artifact.")]
    revision: Annotated[Revision, Field(description=_REVISION)]
    inputs: Annotated[Word, Field(description=_INPUTS)] = ""
    server_image: Annotated[ServerImage, Field(description=_IMAGE)] = ""
    replicas: Annotated[int, Field(ge=0, description="Pods wanted.")]
    ready: Annotated[int, Field(ge=0, description="Pods ready.")]
    weight: Annotated[int, Field(ge=0, le=100, description="Share of traffic wanted, percent.")]
    actual_weight: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Share of traffic that it gets, percent: by ready pods, or by the weights that gateways have taken.",
        ),
    ]
    greatest_weight: Annotated[int, Field(ge=0, le=100, description="Greatest share that it had so far, percent.")] = 0
    whole_time: Annotated[Timestamp | None, Field(description="Since when it has all the traffic.")] = None
    step: Annotated[int, Field(ge=0, description="Step of status.effective.steps that is being done, from 0.")]
    step_time: Annotated[Timestamp, Field(description="When the step began.")]
    routed_time: Annotated[
        Timestamp | None,
        Field(description="When the gateways were seen to give the weight of the step, in mode GatewayAPI."),
    ] = None
    start_time: Annotated[Timestamp, Field(description="When the rollout began.")]
    size: Annotated[
        int | None,
        Field(
            ge=0, description="With spec.autoscaling: pods that the service needs, of which this track gets its share."
        ),
    ] = None
    last_measure_time: Annotated[Timestamp | None, Field(description="When it was last measured.")] = None
    paused: Annotated[
        Word | None,
        Field(
            description="Why it waits for a person: Manual (a step says so), Person (modelmill.dev/pause), Inconclusive."
        ),
    ] = None
    pause_time: Annotated[Timestamp | None, Field(description="Since when it waits.")] = None
    resumed: Annotated[bool, Field(description="Whether a person let it go on in this step.")] = False
    skips_steps: Skips = None
    failures: Annotated[int, Field(ge=0, description="Failed measurements so far.")] = 0
    inconclusive: Annotated[
        int,
        Field(
            ge=0, description="Inconclusive measurements since the last one that passed or failed, or a person's word."
        ),
    ] = 0
    consecutive_errors: Annotated[int, Field(ge=0, description="Measurements in a row without figures.")] = 0
    passes: Annotated[
        int, Field(ge=0, description="Measurements in a row that passed, in the step of the last one.")
    ] = 0
    analysis: Annotated[
        tuple[Measurement, ...],
        Field(
            max_length=10,
            description="Last measurements, newest first.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousTrack(StatusPart):
    """The version that served before, whose pods are kept for a while: spec.rollout.scaleDownDelaySeconds."""

    version: Annotated[Word, Field(description="Name of the ModelVersion.")]
    revision: Annotated[Revision, Field(description=_REVISION)]
    server_image: Annotated[ServerImage, Field(description=_IMAGE)] = ""
    replicas: Annotated[int, Field(ge=0, description="Pods kept.")]
    until: Annotated[Timestamp, Field(description="When they go.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class WentBack(StatusPart):
    """Another version serves than the spec says: by the annotation modelmill.dev/rollback, or for an alert."""

    version: Annotated[Word, Field(description="Name of the ModelVersion that serves instead.")]
    left: Annotated[
        tuple[Word, ...],
        Field(
            max_length=20,
            description="Versions that were left. They are skipped until the spec, or the newest version, is another one.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    time: Annotated[Timestamp, Field(description="When.")]
    alert: Annotated[
        Text | None,
        Field(description="The alert for which spec.monitoring.rollback did it; left out when a person asked."),
    ] = None
    revision: Annotated[Word | None, Field(description="The revision that was taken back for it.")] = None


Answer = Annotated[str, Field(max_length=256)] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(StatusPart):
    """Values of the annotations of persons that were last answered: a new text asks anew."""

    pause: Annotated[Answer, Field(description="Of modelmill.dev/pause.")] = None
    resume: Annotated[Answer, Field(description="Of modelmill.dev/resume.")] = None
    promote: Annotated[Answer, Field(description="Of modelmill.dev/promote.")] = None
    promote_full: Annotated[Answer, Field(description="Of modelmill.dev/promote-full.")] = None
    abort: Annotated[Answer, Field(description="Of modelmill.dev/abort.")] = None
    rollback: Annotated[Answer, Field(description="Of modelmill.dev/rollback.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served(StatusPart):
    """A version that served."""

    version: Annotated[Word, Field(description="Name of the ModelVersion.")]
    revision: Annotated[Word, Field(description="Hash of the template of its pods.")]
    digest: Annotated[Digest | None, Field(description="Digest of the artifact, of one that came to serve.")] = None
    start_time: Annotated[Timestamp, Field(description="When it took all traffic, or its rollout began.")]
    end_time: Annotated[Timestamp | None, Field(description="When it ended; left out while it serves.")] = None
    outcome: Annotated[
        Literal["Serving", "Replaced", "RolledBack", "Superseded"],
        Field(
            description="How it ended. RolledBack: taken back, out of its rollout, or, without weight, for an alert once it "
            "served. Superseded: something else was to serve before its rollout was over."
        ),
    ]
    weight: Annotated[
        int | None, Field(ge=0, le=100, description="Greatest share of one that did not come to serve.")
    ] = None
    skips_steps: Skips = None
    message: Annotated[Text | None, Field(description="Why it ended, or on what grounds it serves.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRollout(StatusPart):
    """How versions are rolled out: spec.rollout with what it leaves out."""

    strategy: Annotated[Literal["Canary", "BlueGreen", "Shadow", "Direct"], Field(description="As in spec.rollout.")]
    steps: Annotated[
        tuple[Step, ...],
        Field(
            max_length=33,
            description="All steps, the last one of weight 100.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    analysis: Annotated[Analysis | None, Field(description="The measurements, none when there are none.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceServiceStatus(StatusPart):
    """What is true now."""

    observed_generation: Annotated[int | None, Field(ge=0, description="Generation that this status is about.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description="Ready, Available, Reconciling, Stalled, RolledBack, DriftDetected, MonitoringReady, ScalingActive, "
            "ChildRefused.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    phase: Annotated[
        Literal[
            "Pending",
            "Deploying",
            "Stable",
            "RollingOut",
            "Paused",
            "RollingBack",
            "RolledBack",
            "Suspended",
            "ScaledToZero",
            "Resuming",
        ],
        Field(description="For scripts."),
    ] = "Pending"
    url: Annotated[Annotated[str, Field(max_length=512)] | None, Field(description="URL inside the cluster.")] = None
    stable: Annotated[StableTrack | None, Field(description="The version that serves.")] = None
    canary: Annotated[CanaryTrack | None, Field(description="The version that is being rolled out.")] = None
    failed_revision: Annotated[Word | None, Field(description="Revision that was taken back.")] = None
    failed_inputs: Annotated[Word | None, Field(description="Its inputs: not tried again until these change.")] = None
    failed_message: Annotated[Message | None, Field(description="Why it was taken back.")] = None
    retried_annotation: Annotated[
        Annotated[str, Field(max_length=256)] | None,
        Field(description="Value of modelmill.dev/retry that was last answered."),
    ] = None
    server: Annotated[
        Literal["Current", "Older"] | None,
        Field(description="Whether the stable track has the server's image of the operator's release."),
    ] = None
    refreshed_annotation: Annotated[
        Annotated[str, Field(max_length=256)] | None,
        Field(description="Value of modelmill.dev/refresh that was last answered."),
    ] = None
    answered: Annotated[
        Answered | None, Field(description="Annotations by which persons asked for something, as last answered.")
    ] = None
    rollback: Annotated[
        WentBack | None,
        Field(description="What modelmill.dev/rollback asked for, or an alert brought about, while it is in effect."),
    ] = None
    previous: Annotated[
        PreviousTrack | None, Field(description="The version before, while its pods are kept after a promotion.")
    ] = None
    effective: Annotated[
        EffectiveRollout | None, Field(description="spec.rollout as it is done, with what it leaves out.")
    ] = None
    history: Annotated[
        tuple[Served, ...],
        Field(
            max_length=50,
            description="Which version served from when to when, newest first.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
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
    rollback_held: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...],
        Field(
            max_length=32,
            description="Firing alerts, by id, of the kinds of spec.monitoring.rollback for which no version comes back, as "
            "RolledBack tells: these may start a run. One that is not among them is not decided on yet.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    monitoring: Annotated[MonitoringStatus | None, Field(description="What monitoring says.")] = None
    report: Annotated[ReportStatus | None, Field(description="Pages about what the service was asked.")] = None
    batch: Annotated[
        tuple[BatchStatus, ...],
        Field(
            max_length=MOST,
            description="What became of each entry of spec.batch.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    batch_annotation: Annotated[
        Annotated[str, Field(max_length=256)] | None,
        Field(description="Value of modelmill.dev/batch that was last answered."),
    ] = None
    scoring: Annotated[Word | None, Field(description="The run in progress or the last one, for the BATCH column.")] = (
        None
    )
    replicas: Annotated[int, Field(ge=0, description="Pods of the service, for the scale subresource.")] = 0
    selector: Annotated[
        Annotated[str, Field(max_length=512)] | None,
        Field(description="Selector of the pods, for the scale subresource."),
    ] = None
    weight: Annotated[Word | None, Field(description="Actual and wanted weight, for the WEIGHT column.")] = None
    ready_replicas: Annotated[Word | None, Field(description="Ready and wanted pods, for the REPLICAS column.")] = None
    drift: Annotated[
        Word | None,
        Field(description="ok, pending, alert, skew, bad data, few rows, no data, off, or - : the DRIFT column."),
    ] = None
    step: Annotated[Word | None, Field(description="Step of the rollout, for the STEP column.")] = None


def columns() -> list[dict[str, Any]]:
    """Return the printer columns of `kubectl get`; priority 1 = only with -o wide."""
    ready = ".status.conditions[?(@.type=='Ready')]"
    return [
        {"name": "Ready", "type": "string", "jsonPath": f"{ready}.status"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Stable", "type": "string", "jsonPath": ".status.stable.version"},
        {"name": "Canary", "type": "string", "jsonPath": ".status.canary.version"},
        {"name": "Weight", "type": "string", "jsonPath": ".status.weight"},
        {"name": "Replicas", "type": "string", "jsonPath": ".status.readyReplicas"},
        {"name": "Drift", "type": "string", "jsonPath": ".status.drift"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Reason", "type": "string", "jsonPath": f"{ready}.reason", "priority": 1},
        {"name": "Monitoring", "type": "string", "jsonPath": ".status.monitoring.state", "priority": 1},
        {"name": "Step", "type": "string", "jsonPath": ".status.step", "priority": 1},
        {"name": "Batch", "type": "string", "jsonPath": ".status.scoring", "priority": 1},
        {"name": "Server", "type": "string", "jsonPath": ".status.server", "priority": 1},
        {"name": "URL", "type": "string", "jsonPath": ".status.url", "priority": 1},
        {"name": "Message", "type": "string", "jsonPath": f"{ready}.message", "priority": 1},
    ]
