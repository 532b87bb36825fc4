"""When a TrainingJob runs because there is new data, and what a look at the data has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from modelmill.api.base import Message, Part, StatusPart, Timestamp, Word, rules

MOST: int = 1_000_000_000


class NewData(Part):
    """Runs on new data."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.minNewRows) != has(self.minNewObjects)", "set exactly one of minNewRows and minNewObjects")
        )
    }
    every_seconds: int = Field(
        default=900,
        ge=60,
        le=604_800,
        description="How often a pod looks at data.train with the credentials of store. It lists the objects, and reads those "
        "that are new only with minNewRows.",
    )
    min_new_rows: int | None = Field(
        default=None,
        ge=1,
        le=MOST,
        description="How many rows must have come since the last run read its data: those of new objects, and those by which "
        "an object has grown.",
    )
    min_new_objects: int | None = Field(
        default=None,
        ge=1,
        le=MOST,
        description="How many objects must have come or changed since the last run read its data.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLook(StatusPart):
    """What the last look at the data found, beside the data of the last run."""

    time: Annotated[Timestamp, Field(description="When it ended.")]
    run: Annotated[int, Field(ge=1, description="Number of the run whose data it compared with.")]
    new_objects: Annotated[int | None, Field(ge=0, description="Objects that came or changed.")] = None
    new_rows: Annotated[
        int | None,
        Field(ge=0, description="Rows that came, counted until there were enough; with minNewRows only."),
    ] = None
    since: Annotated[
        Timestamp | None,
        Field(description="Objects written after it count for the alerts that wait; none do without it."),
    ] = None
    recent_objects: Annotated[int | None, Field(ge=0, description="Objects that came or changed after that.")] = None
    recent_rows: Annotated[
        int | None, Field(ge=0, description="Rows that came in those, counted until there were enough.")
    ] = None
    removed_objects: Annotated[int | None, Field(ge=0, description="Objects that are gone. They start no run.")] = None
    listing: Annotated[Word | None, Field(description="Digest of the listing, shortened.")] = None
    failures: Annotated[
        int, Field(ge=0, description="Looks in a row that failed. Each doubles the time to the next, up to 16 times.")
    ] = 0
    too_few: Annotated[
        int,
        Field(
            ge=0,
            description="Looks in a row that found too little for the alerts that wait. Each doubles the time to the next, "
            "from 60 s to 900 s.",
        ),
    ] = 0
    message: Annotated[Message, Field(description="What that means: a run, or why there is none.")]
