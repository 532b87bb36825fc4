"""Which part of the data a run is for, and what they must be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import Decimal, Part, rules

Column = Annotated[str, Field(min_length=1, max_length=128)]
ABOVE_ZERO = r"([1-9][0-9]{0,8}(\.[0-9]{1,9})?|0\.0{0,7}[1-9][0-9]?)"
Span = Annotated[str, Field(pattern=rf"^{ABOVE_ZERO}[smhdw]?$", max_length=24)]
"""A span of time, e.g. 30d, or a number as text: above zero."""
Age = Annotated[str, Field(pattern=rf"^{ABOVE_ZERO}[smhdw]$", max_length=24)]


class Window(Part):
    """The newest part of data.train; what is older is not trained or measured on."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "[has(self.last), has(self.rows), has(self.objectsNewerThan)].filter(given, given).size() == 1",
                "set exactly one of last, rows and objectsNewerThan",
            ),
            ("!has(self.last) || has(self.column)", "last needs column: the dates or numbers that it is counted in"),
            (
                "!has(self.objectsNewerThan) || !has(self.column)",
                "objectsNewerThan goes by the times at which objects were written: remove column",
            ),
        )
    }
    column: Column | None = Field(
        default=None,
        description="Column of dates or numbers that says how new a row is. It may be excluded as a feature.",
    )
    last: Span | None = Field(
        default=None,
        description="Span before the greatest value of column, whose rows are kept: 30d for dates (s, m, h, d, w), '5' for "
        "numbers.",
    )
    rows: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="How many rows are kept: those with the greatest values of column, or without column the last ones in "
        "the order of the objects' names.",
    )
    objects_newer_than: Age | None = Field(
        default=None,
        description="Objects that were written longer ago than this are left out, e.g. 7d (s, m, h, d, w).",
    )


class SchemaColumn(Part):
    """What one column must be. A bound that is left out allows everything."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "!(has(self.minimum) || has(self.maximum)) || !has(self.type) || self.type == 'number'",
                "minimum and maximum are bounds of numbers: remove them, or set type number",
            ),
            (
                "!has(self.minimum) || !has(self.maximum) || double(self.minimum) <= double(self.maximum)",
                "minimum must not be above maximum",
            ),
            (
                "!has(self.maxMissingRatio) || (double(self.maxMissingRatio) >= 0.0 && double(self.maxMissingRatio) <= 1.0)",
                "maxMissingRatio must be from 0 to 1, e.g. '0.05'",
            ),
        )
    }
    name: Column = Field(description="Name of the column; also the target's, or that of an excluded one.")
    type: Literal["number", "boolean", "text", "date"] | None = Field(
        default=None, description="What its values are. Text of a csv that is all ISO 8601 counts as date and as text."
    )
    minimum: Decimal | None = Field(default=None, description="Least number that passes.")
    maximum: Decimal | None = Field(default=None, description="Greatest number that passes.")
    categories: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list,
        max_length=64,
        description="Values that pass, as text. Left out: all.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    max_missing_ratio: Decimal | None = Field(
        default=None, description="Greatest share of rows without a value, e.g. '0.05'. Left out: any but all of them."
    )
    required: bool = Field(default=True, description="Whether the column must be there, and have a value in some row.")


class DataSchema(Part):
    """What the data must be; checked before anything is trained."""

    columns: list[SchemaColumn] = Field(
        default_factory=list,
        max_length=128,
        description="Columns that are checked. Left out: the columns must be those of the last approved version's data.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    unexpected: Literal["Allow", "Reject"] | None = Field(
        default=None,
        description="Whether a feature may come that is not expected. Left out: Allow where columns are given, else Reject.",
    )
    on_violation: Literal["Fail", "Warn"] = Field(
        default="Fail",
        description="Fail: the run ends with outcome DataRejected. Warn: it goes on, and says what is wrong.",
    )
