"""Texts of anybody, made fit for a field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.kube.texts import fitted, word


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
        ("a\x1b[31mred\x1b[0m", 20, "a [31mred [0m"),
        ("user\u202egpj.exe\u2066", 20, "user gpj.exe"),
        ("\ufeff\u200bzero\u00adwidth", 20, "zero width"),
        ("x" * 1_000_000, 4, "xxx…"),
        ("\n" * 1_000_000 + "far", 4, "…"),
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


@pytest.mark.parametrize("text", ["ModelInvalid", "A", "a_b9", "x" * 64])
def test_a_word_stays(text: str) -> None:
    assert word(text, "Failed") == text


@pytest.mark.parametrize(
    "text", ["", "two words", "x" * 65, "9to5", "Bad\n", "\u202eBad", "<b>Bad</b>", "Ünfit", "a-b", '"', "${{x}}"]
)
def test_what_is_no_word_is_replaced(text: str) -> None:
    assert word(text, "Failed") == "Failed"
