"""status.report of an InferenceService: pages about what it was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import Digest, Message, StatusPart, Text, Timestamp, Word

Address = Annotated[str, Field(max_length=1300)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportJob(StatusPart):
    """A page that is made: one Job."""

    name: Annotated[Word, Field(description="Name of the Job.")]
    phase: Annotated[Literal["Pending", "Running", "Succeeded", "Failed"], Field(description="For scripts.")]
    reason: Annotated[Text, Field(description="Why it is made.")]
    version: Annotated[Word, Field(description="ModelVersion that it is about: the stable one when it was asked for.")]
    digest: Annotated[Digest, Field(description="Digest of its artifact.")]
    uri: Annotated[Address, Field(description="Where the page goes.")]
    start_time: Annotated[Timestamp, Field(description="When it was asked for.")]
    end_time: Annotated[Timestamp | None, Field(description="When it ended.")] = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStatus(StatusPart):
    """Pages about what the service was asked."""

    uri: Annotated[Address | None, Field(description="Address of the last page.")] = None
    time: Annotated[Timestamp | None, Field(description="What the last page is about ends then.")] = None
    message: Annotated[
        Message | None, Field(description="Why the last one that was asked for is not there, or what it waits for.")
    ] = None
    job: Annotated[ReportJob | None, Field(description="The last one that was asked for.")] = None
    annotation: Annotated[
        Annotated[str, Field(max_length=256)] | None,
        Field(description="Value of modelmill.dev/report that was last answered."),
    ] = None
    alerts: Annotated[
        tuple[Word, ...],
        Field(
            max_length=32,
            description="Alerts of status.alerts, by id, that a page was asked for.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
