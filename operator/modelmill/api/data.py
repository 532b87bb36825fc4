"""Which part of the data a run is for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modelmill.api.base import Part, rules

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
