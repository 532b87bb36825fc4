"""Texts of anybody, made fit for a field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.api.texts import fitted


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("", 1, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("a\r\n b", 9, "a b"),
        ("\x00\u2028\ud800", 9, ""),
        ("Grüße  an", 9, "Grüße  an"),
        ("模型 cars", 9, "模型 cars"),
    ],
)
def test_fitted(text: str, limit: int, expected: str) -> None:
    assert fitted(text, limit) == expected


@given(st.text(st.characters(), max_size=100), st.integers(1, 50))
def test_any_text_fits_on_one_line(text: str, limit: int) -> None:
    line = fitted(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
    assert fitted(line, limit) == line
    line.encode()
