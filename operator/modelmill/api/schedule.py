"""When something runs by the clock: a TrainingJob, or the batch predictions of an InferenceService."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from modelmill.api.base import Part, rules

MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def _field(value: str) -> str:
    """Return the pattern of one field of a cron line: a list of values, ranges and `*`, the latter two with a step."""
    item = rf"({value}|({value}-{value}|[*])(/[1-9][0-9]?)?)"
    return rf"{item}(,{item})*"


FIELDS: Final = {
    "minute": (_field("[0-5]?[0-9]"), "0 to 59"),
    "hour": (_field("([01]?[0-9]|2[0-3])"), "0 to 23"),
    "day of the month": (_field("(0?[1-9]|[12][0-9]|3[01])"), "1 to 31"),
    "month": (_field(f"(0?[1-9]|1[0-2]|{'|'.join(MONTHS)})"), "1 to 12 or JAN to DEC"),
    "day of the week": (_field(f"([0-7]|{'|'.join(WEEKDAYS)})"), "0 to 7 or SUN to SAT"),
}
"""By name, in the order of a line: the pattern, and the values in words."""
CRON_PATTERN: Final = r"^[^ ]+( [^ ]+){4}$"
ZONE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"


def malformed(name: str) -> str:
    """Return what is wrong with this field of a line, and the mend."""
    forms = "a range, * or either with a step, or several of them by commas, e.g. */15"
    return f"the {name} of cron must be {FIELDS[name][1]}, {forms}"


def _rules() -> Iterator[tuple[str, str]]:
    for place, (name, (pattern, _)) in enumerate(FIELDS.items()):
        yield f"self.cron.matches('^([^ ]+ ){{{place}}}({pattern})( |$)')", malformed(name)


class Schedule(Part):
    """Runs by the clock."""

    model_config = Part.model_config | {"json_schema_extra": rules(*_rules())}

    cron: Annotated[str, Field(pattern=CRON_PATTERN, max_length=128)] = Field(
        description="Minute, hour, day of the month, month and day of the week, as in crontab: '0 3 * * MON' is each Monday at "
        "three. Where both days are given, either suffices."
    )
    time_zone: Annotated[str, Field(pattern=ZONE_PATTERN, max_length=64)] = Field(
        default="UTC",
        description="Time zone of cron, e.g. Asia/Seoul. What falls into the hour that is left out in spring comes as much "
        "later; what falls into the one that comes twice in autumn comes once, unless it comes every hour.",
    )
