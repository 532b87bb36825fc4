"""When a TrainingJob runs by the clock."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modelmill.api.base import Part

MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def _field(value: str) -> str:
    """Return the pattern of one field of a cron line: a list of values, ranges and `*`, the latter two with a step."""
    item = rf"({value}|({value}-{value}|\*)(/[1-9][0-9]?)?)"
    return rf"{item}(,{item})*"


_FIELDS: Final = (
    "[0-5]?[0-9]",
    "([01]?[0-9]|2[0-3])",
    "(0?[1-9]|[12][0-9]|3[01])",
    f"(0?[1-9]|1[0-2]|{'|'.join(MONTHS)})",
    f"([0-7]|{'|'.join(WEEKDAYS)})",
)
CRON_PATTERN: Final = f"^{' '.join(map(_field, _FIELDS))}$"
ZONE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"


class Schedule(Part):
    """Runs by the clock."""

    cron: Annotated[str, Field(pattern=CRON_PATTERN, max_length=128)] = Field(
        description="Minute, hour, day of the month, month and day of the week, as in crontab: '0 3 * * MON' is each Monday at "
        "three. Where both days are given, either suffices."
    )
    time_zone: Annotated[str, Field(pattern=ZONE_PATTERN, max_length=64)] = Field(
        default="UTC",
        description="Time zone of cron, e.g. Asia/Seoul. What falls into the hour that is left out in spring comes as much "
        "later; what falls into the one that comes twice in autumn comes once, unless it comes every hour.",
    )
