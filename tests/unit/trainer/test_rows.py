"""Rows by their content, and the file that says which were trained on."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.artifact import MAX_ROWS_BYTES
from modelmill_trainer import rows
from modelmill_trainer.rows import MAGIC, MAX_DIGESTS, MAX_HEADER, RowsError, TrainedRows, hash_rows, key_of, parse_rows

KEY = key_of(0)
KINDS = {"x": "number", "kind": "text", "flag": "boolean"}
VALUE = st.none() | st.floats(-1e9, 1e9)
ROW = st.tuples(VALUE, st.none() | st.text(max_size=5), st.none() | st.booleans())


def table(values: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=list(KINDS)).astype({"kind": object, "flag": object})


def hashes(values: list[tuple[Any, ...]]) -> list[list[int]]:
    return hash_rows(table(values), KINDS, KEY).tolist()


@given(st.lists(ROW, min_size=1, max_size=30))
def test_rows_are_equal_exactly_when_their_hashes_are(values: list[tuple[Any, ...]]) -> None:
    found = [tuple(pair) for pair in hashes(values)]
    content = [tuple(None if value is None else value + 0.0 if isinstance(value, float) else value for value in row)
               for row in values]  # fmt: skip
    for one, first in zip(content, found, strict=True):
        for other, second in zip(content, found, strict=True):
            assert (one == other) is (first == second)


@given(st.lists(ROW, min_size=2, max_size=30))
def test_a_hash_depends_on_its_row_alone(values: list[tuple[Any, ...]]) -> None:
    assert hashes(values)[1:] == hashes(values[1:])


def test_known_hashes_stay_what_they_are() -> None:
    # Champions in stores were written with these.
    found = hash_rows(table([(1.5, "ünï", True), (None, None, False)]), KINDS, KEY)
    assert [[format(value, "016x") for value in row] for row in found.tolist()] == [
        ["bca79ff0ea0113cc", "92e913c098244216"],
        ["d02759fb4049eba6", "415239e94178a393"],
    ]


@pytest.mark.parametrize(
    ("column", "other", "kind"),
    [
        (pd.Series([1, 2]), pd.Series([1.0, 2.0]), "number"),
        (pd.Series([1, 2], dtype="Int64"), pd.Series([1.0, 2.0]), "number"),
        (pd.Series([1.5, None], dtype="Float64"), pd.Series([1.5, np.nan]), "number"),
        (pd.Series([0.5, 1], dtype="float32"), pd.Series([0.5, 1.0]), "number"),
        (pd.Series([Decimal("1.5"), None]), pd.Series([1.5, np.nan]), "number"),
        (pd.Series([0.0]), pd.Series([-0.0]), "number"),
        (pd.Series([True, None], dtype="boolean"), pd.Series([1.0, np.nan]), "boolean"),
        (pd.Series([True, None], dtype=object), pd.Series([1.0, np.nan]), "boolean"),
        (pd.Series(["a", None], dtype="category"), pd.Series(["a", np.nan], dtype=object), "text"),
        (pd.Series(["a", None], dtype="string"), pd.Series(["a", None], dtype=object), "text"),
        (pd.Series([date(2026, 1, 31), None]), pd.Series([date(2026, 1, 31), pd.NaT], dtype=object), "date"),
        (pd.to_datetime(pd.Series(["2026-01-31", None])), pd.Series([pd.Timestamp("2026-01-31"), pd.NaT]), "date"),
    ],
)
def test_the_form_of_a_value_does_not_matter(column: pd.Series, other: pd.Series, kind: str) -> None:
    one, two = (hash_rows(pd.DataFrame({"x": item}), {"x": kind}, KEY).tolist() for item in (column, other))
    assert one == two


def test_columns_and_keys_and_texts_do_matter() -> None:
    frame = pd.DataFrame({"a": ["1", "x"], "b": ["x", "1"]})
    both = hash_rows(frame, {"a": "text", "b": "text"}, KEY).tolist()
    assert both[0] != both[1]
    assert hash_rows(frame, {"a": "text", "b": "text"}, key_of(1)).tolist() != both
    assert hash_rows(frame[["b", "a"]], {"b": "text", "a": "text"}, KEY).tolist() == both
    assert hash_rows(pd.DataFrame({"a": ["\ud800"]}), {"a": "text"}, KEY).shape == (1, 2)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table([(float(place), None if place % 3 else "a", True) for place in range(100)])
    whole = hash_rows(frame, KINDS, KEY).tolist()
    monkeypatch.setattr(rows, "BLOCK_VALUES", 21)
    assert hash_rows(frame, KINDS, KEY).tolist() == whole


def numbers(count: int) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(float(count))})


def trained(count: int) -> TrainedRows:
    return TrainedRows.of(numbers(count), {"x": "number", "never": "empty"}, KEY)


def packed(of: TrainedRows, *most: int) -> bytes:
    content = of.pack(*most)
    assert content is not None
    return content


def test_a_file_tells_rows_that_were_trained_on_from_others() -> None:
    found = parse_rows(packed(trained(100)))
    assert found.kinds == {"x": "number"}
    expected = [place >= 100 for place in range(150)]
    assert found.fresh(numbers(150), {"x": "number"}).tolist() == expected
    assert (~found.contains(numbers(150), {"x": "number"})).tolist() == expected


def test_of_too_many_rows_a_part_is_known() -> None:
    content = packed(trained(1000), 100)
    assert len(content) < 8 * 100 + 200
    fresh = parse_rows(content).fresh(numbers(3000), {"x": "number"})
    assert not fresh[:1000].any()
    # A tenth of the rows that are new is known to be new.
    assert 100 < fresh[1000:].sum() < 300


def test_a_file_has_eight_bytes_a_row_and_a_limit() -> None:
    assert len(packed(trained(500))) - len(packed(trained(400))) == 800
    assert MAX_ROWS_BYTES == 8 * MAX_DIGESTS + MAX_HEADER + 12
    wide = TrainedRows(KEY, {"x" * MAX_HEADER: "number"}, np.zeros(0, np.uint64))
    assert wide.pack() is None


def test_a_column_that_had_no_value_may_be_away() -> None:
    assert trained(3).fresh(numbers(3), {"x": "number"}).tolist() == [False] * 3


def test_a_column_that_became_empty_counts_for_nothing() -> None:
    frame = pd.DataFrame({"x": [1.0], "kind": [None]})
    known = TrainedRows.of(frame, {"x": "number", "kind": "text"}, KEY)
    assert known.contains(frame, {"x": "number", "kind": "empty"}).all()


@pytest.mark.parametrize(
    ("frame", "kinds", "said"),
    [
        (pd.DataFrame({"y": [1.0]}), {"y": "number"}, "known by x, which the data of this run lacks"),
        (pd.DataFrame({"x": ["a"]}), {"x": "text"}, "x, which had another type"),
    ],
)
def test_rows_of_other_columns_cannot_be_told(frame: pd.DataFrame, kinds: dict[str, str], said: str) -> None:
    with pytest.raises(RowsError, match=said):
        trained(3).fresh(frame, kinds)


def header(**changes: Any) -> bytes:
    document = {"v": 1, "key": KEY.hex(), "kinds": {"x": "number"}, "count": 0, "below": None} | changes
    return framed(json.dumps(document).encode())


def framed(content: bytes, digests: bytes = b"") -> bytes:
    return MAGIC + len(content).to_bytes(4, "big") + content + digests


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not begin"),
        (MAGIC, "does not begin"),
        (b"PK\x03\x04" * 10, "does not begin"),
        (MAGIC + b"\xff\xff\xff\xff", "cut off"),
        (MAGIC + b"\x00\x00\x00\x09{}", "cut off"),
        (header() + b"1234567", "cut off"),
        (framed(b"{}"), "header cannot be read"),
        (framed(b"[]"), "header cannot be read"),
        (framed(b"\xff\xfe"), "header cannot be read"),
        (framed(b"[" * 200_000), "header cannot be read"),
        (header(v=2), "not version 1"),
        (header(key="zz"), "header cannot be read"),
        (header(key=7), "header cannot be read"),
        (header(key="00" * 65), "too long"),
        (header(kinds={}), "no columns"),
        (header(kinds=["x"]), "no columns"),
        (header(kinds={"x": 1}), "no columns"),
        (header(below=-1), "wrong bound"),
        (header(below=1 << 64), "wrong bound"),
        (header(below=True), "wrong bound"),
        (header(below="1"), "wrong bound"),
        (header(count=-1), "wrong count"),
        (header(count=1.5), "wrong count"),
        (header(count=True), "wrong count"),
        (header(count=1), "cut off"),
        (header() + bytes(8), "longer than it says"),
        (header(count=10**30), "cut off"),
        (header(count=2) + bytes(16), "not in order"),
        (header(count=2) + b"\x02" + bytes(7) + b"\x01" + bytes(7), "not in order"),
        (header(count=1, below=5) + (5).to_bytes(8, "big"), "not in order"),
    ],
)
def test_a_file_of_another_form_is_refused_with_words(content: bytes, said: str) -> None:
    with pytest.raises(RowsError, match=said):
        parse_rows(content)


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROWS_BYTES", 100)
    with pytest.raises(RowsError, match="over the limit of 100"):
        parse_rows(bytes(101))


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_refused_or_read(place: int, damage: bytes) -> None:
    content = bytearray(packed(trained(40)))
    content[place : place + len(damage)] = damage
    try:
        parse_rows(bytes(content))
    except RowsError as error:
        assert str(error)  # noqa: PT017 - either is right, another error is not


def test_a_file_that_is_cut_off_anywhere_is_refused() -> None:
    content = packed(trained(40))
    for kept in range(len(content)):
        with pytest.raises(RowsError):
            parse_rows(content[:kept])
