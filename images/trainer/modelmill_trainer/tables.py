"""Rows as they are stored: csv, parquet and jsonl, to and from data frames."""

from __future__ import annotations

import json
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from modelmill_trainer.failure import rejected
from modelmill_trainer.kinds import BOOLEAN, EMPTY, NUMBER, TEXT, kind_of
from modelmill_trainer.snapshot import Fetched

FORMATS = ("csv", "parquet", "jsonl")


@dataclass(slots=True)
class Table:
    """All rows of some objects. kinds: kind of each column.

    sources, starts: each object's name and the place of its first row.
    marks: by column of text, how often each text of a csv stands there that pandas takes for a missing number, e.g. NA.
    """

    frame: pd.DataFrame
    kinds: dict[str, str]
    sources: tuple[str, ...]
    starts: tuple[int, ...]
    marks: dict[str, Counter[str]] = field(default_factory=dict)

    def where(self, row: int) -> str:
        """Return where a row came from, for people; data rows are counted from 1."""
        place = bisect_right(self.starts, row) - 1
        return f"{self.sources[place]}, data row {row - self.starts[place] + 1}"


def read_objects(objects: Sequence[Fetched], form: str) -> Table:
    """Return the rows of all objects. Raises StageError, which names the object: DataUnreadable, ColumnsDiffer, …

    In a csv, NA, null and the like are missing numbers and truth values. In a column of text they are text: they may be
    categories (a country, "none of these"), and a request has them as text: a model is asked in the words of its training.
    """
    frames: list[pd.DataFrame] = []
    kinds: dict[str, str] = {}
    marks: dict[str, Counter[str]] = {}
    for item in objects:
        frame = _read_told(item, form)
        if not frame.columns.is_unique:
            twice = sorted(set(frame.columns[frame.columns.duplicated()]))
            raise rejected("DataUnreadable", f"{item.name} has more than one column called {', '.join(twice)}")
        _require_same_columns(frame, item.name, frames, objects[0].name)
        for name in frame.columns:
            found = kind_of(frame[name], f"column {name!r} of {item.name}")
            before = kinds.get(name, EMPTY)
            if EMPTY not in (before, found) and before != found:
                raise rejected(
                    "ColumnsDiffer",
                    f"column {name!r} is {found} in {item.name} and {before} in the objects before it: make them agree",
                )
            kinds[name] = found if before == EMPTY else before
        frames.append(frame)
    if form == "csv":
        for item, frame in zip(objects, frames, strict=True):
            for name, texts in _restore_texts(item.path, frame, kinds).items():
                marks.setdefault(name, Counter()).update(texts)
    starts = [0]
    for frame in frames[:-1]:
        starts.append(starts[-1] + len(frame))
    with warnings.catch_warnings():
        # Whether an empty column counts for the type of the whole is the same to us: kinds decide.
        warnings.simplefilter("ignore", FutureWarning)
        whole = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Table(whole, kinds, tuple(item.name for item in objects), tuple(starts), marks)


def read_rows(path: Path, form: str, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Return rows that `write_rows` wrote, as their kinds say: float64 for numbers and truth values, text with NaN.

    A column of numbers that are all whole stays int64, which matters for labels only.
    """
    if form == "csv":
        texts = {name: str for name, kind in kinds.items() if kind == TEXT}
        frame = pd.read_csv(
            path, float_precision="round_trip", low_memory=False, dtype=texts, keep_default_na=False, na_values=[""]
        )
    else:
        frame = read_frame(path, form)
    for name in frame.columns:
        kind = kinds.get(name)
        if kind == BOOLEAN or (kind == NUMBER and frame[name].dtype.kind not in "iu"):
            frame[name] = frame[name].astype("float64")
        elif kind == TEXT:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), float("nan"))
    return frame


def write_rows(frame: pd.DataFrame, path: Path, form: str) -> None:
    """Write rows in one of the formats; csv and jsonl keep every digit of a number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "csv":
        frame.to_csv(path, index=False)
    elif form == "parquet":
        frame.to_parquet(path, index=False)
    else:
        columns = [[None if value != value else value for value in frame[name].tolist()] for name in frame.columns]
        with path.open("w", encoding="utf-8") as stream:
            for row in zip(*columns, strict=True):
                stream.write(json.dumps(dict(zip(frame.columns, row, strict=True)), default=str) + "\n")


def read_frame(path: Path, form: str) -> pd.DataFrame:
    """Return one file's rows. Raises ValueError or whatever the parser raises."""
    if form == "csv":
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, encoding="utf-8-sig").iloc[0]
        if header.duplicated().any():
            # pandas would number them.
            raise ValueError(f"more than one column is called {header[header.duplicated()].iloc[0]!r}")
        frame = pd.read_csv(path, float_precision="round_trip", low_memory=False, encoding="utf-8-sig")
        if not isinstance(frame.index, pd.RangeIndex):
            # This is what pandas makes of them without a word.
            raise ValueError("its rows have more fields than its header")
    elif form == "parquet":
        frame = pd.read_parquet(path).reset_index(drop=True)
    else:
        frame = pd.DataFrame.from_records(_json_lines(path))
    frame.columns = [str(name) for name in frame.columns]
    return frame


def _restore_texts(path: Path, frame: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, Counter[str]]:
    """Put into the gaps of the columns of text what stands there in the csv, and return it by column; nothing is a gap."""
    gaps = {place: name for place, name in enumerate(frame.columns) if kinds[name] == TEXT and frame[name].isna().any()}
    if not gaps:
        return {}
    raw = pd.read_csv(path, usecols=list(gaps), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    raw.columns = list(gaps.values())
    found = {}
    for name in raw.columns:
        marked = frame[name].isna() & (raw[name] != "")
        if marked.any():
            frame[name] = frame[name].astype(object).mask(marked, raw[name])
            found[name] = Counter(raw[name][marked].tolist())
    return found


def _json_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number} is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not an object")  # noqa: TRY004 - a wrong value, not a wrong type
            if "\\ud" in line.lower():  # a part of a surrogate pair, which UTF-8 has no form for
                _require_whole_characters(row, number)
            rows.append(row)
    return rows


def _require_whole_characters(row: dict[str, Any], number: int) -> None:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"line {number} has half of a surrogate pair, which is no character") from None


def _read_told(item: Fetched, form: str) -> pd.DataFrame:
    try:
        return read_frame(item.path, form)
    except UnicodeDecodeError as error:
        raise rejected("DataUnreadable", f"{item.name} is not UTF-8 text: byte {error.start}: {error.reason}") from None
    except (MemoryError, OSError):
        raise
    except Exception as error:  # each format's parser has its own errors
        raise rejected("DataUnreadable", f"{item.name} cannot be read as {form}: {error}") from None


def _require_same_columns(frame: pd.DataFrame, name: str, before: Sequence[pd.DataFrame], first: str) -> None:
    if not before:
        return
    wanted, found = set(before[0].columns), set(frame.columns)
    problems = []
    if wanted - found:
        problems.append(f"{name} lacks {', '.join(sorted(wanted - found))}, which {first} has")
    if found - wanted:
        problems.append(f"{name} has {', '.join(sorted(found - wanted))}, which {first} has not")
    if problems:
        raise rejected("ColumnsDiffer", *problems)
