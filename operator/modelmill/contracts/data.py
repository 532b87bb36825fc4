"""Which part of its data a run is for, as `stage.Data` carries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from modelmill.contracts.documents import read_fields

SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


@dataclass(frozen=True, slots=True)
class Window:
    """The newest part of the data, by exactly one of three measures.

    last: span before the greatest value of `column`, as `span` reads it. rows: how many rows, the newest by `column` or without
    one by the order of the objects. objects_newer_than: greatest age of an object, as `span` reads it, with a unit.
    """

    column: str | None = None
    last: str | None = None
    rows: int | None = None
    objects_newer_than: str | None = None


def window_of(raw: Any) -> Window | None:
    """Return the window of a decoded JSON value. Raises TypeError for no object, ValueError unless it has one measure."""
    if not raw:
        return None
    window = read_fields(Window, raw)
    if sum(measure is not None for measure in (window.last, window.rows, window.objects_newer_than)) != 1:
        raise ValueError("data.window has not exactly one of last, rows and objects_newer_than")
    return window


def span(text: str) -> tuple[float, bool]:
    """Return a span and whether it is one of time: `30d` is (2592000.0, True), in seconds, and `5` is (5.0, False).

    Raises ValueError when it is neither.
    """
    seconds = SECONDS.get(text[-1:])
    return (float(text), False) if seconds is None else (float(text[:-1]) * seconds, True)


def is_mark(name: str) -> bool:
    """Tell whether an object holds no rows but is a mark of another program: a part of its name begins with `_` or `.`."""
    return any(part.startswith(("_", ".")) for part in name.split("/"))


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """What a column must be. type: number, boolean, text or date; the bounds are of numbers, max_missing_ratio of rows."""

    name: str
    type: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    max_missing_ratio: float | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Schema:
    """What the data must be. columns: none, where they are inferred from the last good version.

    unexpected: Allow or Reject, of columns that are not named; on_violation: Fail or Warn.
    """

    columns: tuple[SchemaColumn, ...] = ()
    unexpected: str = "Reject"
    on_violation: str = "Fail"


def schema_of(raw: Any) -> Schema | None:
    """Return the schema of a decoded JSON value; None without one. Raises TypeError or KeyError when it is of another form."""
    if not raw:
        return None
    columns = [
        read_fields(SchemaColumn, {**one, "categories": tuple(one.get("categories") or ())})
        for one in raw.get("columns") or ()
    ]
    plain = {name: raw[name] for name in ("unexpected", "on_violation") if name in raw}
    return Schema(tuple(columns), **plain)
