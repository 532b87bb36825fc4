"""spec.batch of an InferenceService: prefixes that are scored with the version that serves, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import (
    Digest,
    Message,
    Part,
    S3Uri,
    StatusPart,
    Store,
    StoreAccess,
    Timestamp,
    Word,
    rules,
)
from modelmill.api.data import Column
from modelmill.api.pods import Resources
from modelmill.api.schedule import Schedule
from modelmill.contracts.batch import MAX_PARTITIONS

MOST: int = 10
"""Entries of a service."""
RUNS: int = 5
"""Runs of each that are told."""
EntryName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=32)]


class BatchInput(Part):
    """What is scored."""

    uri: S3Uri = Field(
        description="s3://BUCKET/PREFIX: every object below it is scored, but for empty ones and those whose name has a part "
        "that begins with _ or a dot."
    )
    format: Literal["csv", "parquet", "jsonl"] = Field(
        description="Format of the objects, and of the results. Names in a csv's header, of the columns of parquet and in each "
        "object of JSON lines are the model's inputs; other columns are passed on."
    )


class BatchOutput(Part):
    """Where results go."""

    uri: S3Uri = Field(
        description="s3://BUCKET/PREFIX: each run has a folder of its own below it, with rows/ and, last, manifest.json."
    )
    columns: list[Column] | None = Field(
        default=None,
        max_length=256,
        description="Columns of the input that the results have before the answers. Left out: all; [] for none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


_INSIDE = "(self.output.uri + '/').startsWith(self.input.uri.endsWith('/') ? self.input.uri : self.input.uri + '/')"


class Batch(Part):
    """A prefix that is scored, by the clock or by a person's word."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (f"!{_INSIDE}", "output.uri must not lie in input.uri, all of which is scored: name another prefix"),
            (
                "!has(self.parallelism) || self.parallelism <= self.partitions",
                "parallelism must not be above partitions: no more pods than those find anything to do",
            ),
        )
    }
    name: EntryName = Field(description="What the annotation modelmill.dev/batch calls it.")
    schedule: Schedule | None = Field(
        default=None, description="When it runs. Left out: only when the annotation modelmill.dev/batch names it."
    )
    suspend: bool = Field(default=False, description="Whether no run begins. One that has begun goes on.")
    input: BatchInput = Field(description="What is scored.")
    output: BatchOutput = Field(description="Where results go.")
    store: StoreAccess = Field(
        description="How input and output are reached. The keys list and read the one, and list, read, write and delete below "
        "the other."
    )
    on_bad_row: Literal["Fail", "Skip"] = Field(
        default="Fail",
        description="What a row does that the model cannot take. Fail: it ends the run, which names it. Skip: it is left out "
        "and counted, and the manifest names the first hundred.",
    )
    partitions: int = Field(
        default=1,
        ge=1,
        le=MAX_PARTITIONS,
        description="Among how many pods the objects are shared out. An object is scored by one pod.",
    )
    parallelism: int | None = Field(
        default=None, ge=1, le=MAX_PARTITIONS, description="How many of them run at once. Left out: all."
    )
    resources: Resources = Field(
        default_factory=Resources,
        description="Resources of each pod. Its memory holds the model and some 200 MiB, whatever the input's size; its disk "
        "holds an object and its result.",
    )
    active_deadline_seconds: int = Field(
        default=86_400, ge=60, le=2_592_000, description="Longest time of a run; then it has failed."
    )
    ttl_seconds_after_finished: int = Field(
        default=3600,
        ge=0,
        le=2_592_000,
        description="How long the Job of a run stays, with its pods' logs, once it is over.",
    )

    def stores(self) -> list[Store]:
        """Return where a run reads and writes."""
        return [Store(uri=uri, **self.store.model_dump()) for uri in (self.input.uri, self.output.uri)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRun(StatusPart):
    """A run: one Job."""

    name: Annotated[Word, Field(description="Name of the run, of its Job, and of its folder below output.uri.")]
    trigger: Annotated[Literal["Schedule", "Manual"], Field(description="Why it began.")]
    phase: Annotated[Literal["Pending", "Running", "Succeeded", "Failed"], Field(description="For scripts.")]
    version: Annotated[Word, Field(description="ModelVersion that scores: the stable one when the run began.")]
    digest: Annotated[Digest, Field(description="Digest of its artifact.")]
    output: Annotated[Annotated[str, Field(max_length=1200)], Field(description="Its folder.")]
    start_time: Annotated[Timestamp, Field(description="When it began.")]
    end_time: Annotated[Timestamp | None, Field(description="When it ended.")] = None
    partitions: Annotated[int, Field(ge=1, description="Pods among which its objects are shared out.")]
    partitions_done: Annotated[int, Field(ge=0, description="How many of them are done.")] = 0
    objects: Annotated[int | None, Field(ge=0, description="Objects that were scored.")] = None
    rows: Annotated[int | None, Field(ge=0, description="Rows that were scored.")] = None
    rejected: Annotated[int | None, Field(ge=0, description="Rows that the model could not take.")] = None
    drifted_feature: Annotated[
        Annotated[str, Field(max_length=128)] | None, Field(description="Feature farthest from its training data.")
    ] = None
    psi: Annotated[Word | None, Field(description="Its population stability index.")] = None
    manifest: Annotated[
        Annotated[str, Field(max_length=1300)] | None,
        Field(description="Address of the manifest, which says what was done."),
    ] = None
    message: Annotated[
        Message | None, Field(description="What it waits for, why it failed, which rows were left out.")
    ] = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus(StatusPart):
    """What became of an entry of spec.batch."""

    name: Annotated[Word, Field(description="As in spec.batch.")]
    next_time: Annotated[Timestamp | None, Field(description="When its schedule begins a run next.")] = None
    schedule_hash: Annotated[Word | None, Field(description="Hash of the schedule that next_time is of.")] = None
    message: Annotated[Message | None, Field(description="Why no run begins.")] = None
    runs: Annotated[
        tuple[BatchRun, ...],
        Field(
            max_length=RUNS,
            description="Its last runs, newest first.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()

    @property
    def running(self) -> BatchRun | None:
        """The run that is not over; there is one at most."""
        return self.runs[0] if self.runs and not self.runs[0].over else None
