from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill_trainer.report.svg import FONT, Drawing, Scale, cut, spoken, visible, width_of

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing: Drawing) -> ElementTree.Element:
    return ElementTree.fromstring(str(drawing.markup()))


def test_a_drawing_is_well_formed_and_says_its_title() -> None:
    drawing = Drawing(100.2, 50, 'a "b" <c>', "1 < 2")
    drawing.rect(1, 2, 3.25, 4, "#112233")
    drawing.line([(0, 0), (10, 5.5)], "#000000", 2)
    drawing.dots([(1, 1), (2, 2)], "#000000")
    root = parsed(drawing)
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("101", "50", "0 0 101 50")
    assert [element.text for element in root[:2]] == ['a "b" <c>', "1 < 2"]
    assert root[2].attrib == {"x": "1", "y": "2", "width": "3.2", "height": "4", "fill": "#112233"}
    assert root[3].get("points") == "0,0 10,5.5"
    assert root[4].get("d") == "M1 1h0M2 2h0"


@pytest.mark.parametrize("words", ["<script>alert(1)</script>", "&amp;", '"><g onload="x', "]]>", "{0}", "%s", "$x^2$"])
def test_hostile_words_stay_words(words: str) -> None:
    drawing = Drawing(10, 10, words)
    drawing.text(1, 2, words, turn=-45)
    root = parsed(drawing)
    assert [element.tag for element in root.iter()] == [f"{SVG}{name}" for name in ("svg", "title", "desc", "text")]
    assert (root[0].text, root[2].text) == (words, words)


@given(st.text())
def test_any_text_is_well_formed(words: str) -> None:
    drawing = Drawing(10, 10, "title")
    drawing.text(1, 2, words, most=60)
    assert "".join(parsed(drawing)[2].itertext()).startswith(cut(words, 60)[:1]) or not words


def test_words_that_are_too_wide_are_cut_and_kept_whole_beside() -> None:
    drawing = Drawing(10, 10, "title")
    drawing.text(1, 2, "x" * 300, most=100)
    _, _, text = parsed(drawing)
    assert text[0].tag == f"{SVG}title"
    assert text[0].text == "x" * 300
    shown = text[0].tail or ""
    assert shown.endswith("…")
    assert 5 < len(shown) < 20


@given(st.text(), st.floats(20, 500))
def test_what_is_cut_fits(words: str, most: float) -> None:
    shown = cut(words, most)
    assert shown == visible(words) or width_of(shown) <= most + FONT
    assert cut(words, math.inf) == visible(words)


def test_wide_letters_take_more_room_and_marks_none() -> None:
    assert width_of("한국") > 1.5 * width_of("ab")
    assert width_of("e\u0301") == width_of("e")


def test_line_breaks_and_control_characters_become_spaces() -> None:
    assert visible("a\nb\x00c\u2028d\ud800e") == "a b c d e"
    assert visible("می\u200cشود") == "می\u200cشود"  # joiners shape letters


def test_a_scale_maps_both_ends_and_has_round_ticks() -> None:
    scale = Scale(0, 47, 100, 300)
    assert (scale(0), scale(47)) == (100, 300)
    assert scale.ticks() == [0, 10, 20, 30, 40]
    assert spoken(Scale(0, 1, 0, 1).ticks()) == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert spoken(Scale(-20000, 90000, 0, 1).ticks()) == ["-20000", "0", "20000", "40000", "60000", "80000"]


@given(st.floats(-1e150, 1e150), st.floats(-1e150, 1e150))
def test_any_two_numbers_make_a_scale(one: float, other: float) -> None:
    low, high = sorted((one, other))
    scale = Scale(low, high, 0, 100)
    assert -1e-6 <= scale(low) <= scale(high) <= 100 + 1e-6
    ticks = scale.ticks()
    assert len(ticks) <= 8
    assert all(scale.low - (high - low) <= tick <= scale.high + (high - low) for tick in ticks) or low == high
    assert len(spoken(ticks)) == len(ticks)
