"""What a request asks, whichever protocol it came by: columns of features and the outputs that are wanted."""

from __future__ import annotations

from dataclasses import dataclass

from modelmill_server.queries.columns import Column, Feature, RejectedError, bad

UNKNOWN = "(unknown)"  # the feature label for names that are the client's own: those must not become series


@dataclass(slots=True)
class Query:
    """columns: one per feature, in the signature's order, all of `rows` values. wanted: names of outputs, in answer order.

    binary: the outputs that are to be answered in binary form. ranked: by output, how many of its greatest values are wanted
    instead of all. began: when the model began, by time.perf_counter.
    joined: answered by a call of the model that another query counts.
    """

    columns: list[Column]
    rows: int
    wanted: tuple[str, ...]
    id: str | None = None
    binary: frozenset[str] = frozenset()
    ranked: dict[str, int] | None = None
    began: float = 0.0
    joined: bool = False


def check_rows(rows: int, most: int) -> None:
    """Raise RejectedError when a request has no rows (400) or more than the limit (413)."""
    if rows < 1:
        raise bad("the request has no rows")
    if rows > most:
        raise RejectedError(413, f"the request has {rows} rows: at most {most} are taken at once")


def completed(columns: list[Column | None], features: tuple[Feature, ...], rows: int) -> list[Column]:
    """Return the columns; a feature that may be missing and that the request does not have is missing in every row.

    Raises RejectedError naming the other features that the request does not have.
    """
    absent = [feature for feature, column in zip(features, columns, strict=True) if column is None]
    needed = [feature.name for feature in absent if not feature.nullable]
    if needed:
        raise bad(f"missing {_listed('input', needed)}", needed[0], "missing")
    for feature in absent:
        columns[feature.index] = [None] * rows
    return columns


def unknown(name: str, features: tuple[Feature, ...]) -> RejectedError:
    """Return the 400 for an input that the model does not have."""
    return bad(f"unknown input {name[:100]!r}: the model takes the {listed_features(features)}", UNKNOWN, "unknown")


def listed_features(features: tuple[Feature, ...]) -> str:
    """Return the names of the features for a message, the first 20 of them."""
    return _listed("input", [feature.name for feature in features])


def _listed(word: str, names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"{word}{'s' if len(names) > 1 else ''} {shown}{more}"
