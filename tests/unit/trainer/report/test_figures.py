from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from modelmill_trainer.report import figures
from modelmill_trainer.report.chart import BLUE, Figure

SVG = "{http://www.w3.org/2000/svg}"


def elements(figure: Figure, name: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(str(figure.svg)).findall(f"{SVG}{name}")


def texts(figure: Figure) -> list[str]:
    return ["".join(element.itertext()) for element in elements(figure, "text")]


def test_a_share_is_white_for_none_and_blue_for_all() -> None:
    assert (figures.shade(0), figures.shade(1)) == ("#ffffff", BLUE)
    assert figures.shade(0.5) == "#80b8d8"


def test_the_confusion_matrix_has_a_cell_for_each_count_shaded_by_its_share_of_the_row() -> None:
    made = figures.confusion(np.array([[3, 1], [0, 0]]), ["한", "<b>"], "told")
    cells = elements(made, "rect")
    assert [cell.get("fill") for cell in cells] == [figures.shade(0.75), figures.shade(0.25), "#ffffff", "#ffffff"]
    x, y = ([float(cell.get(name) or 0) for cell in cells] for name in "xy")
    assert x[0] == x[2] < x[1] == x[3]
    assert y[0] == y[1] < y[2] == y[3]
    told = texts(made)
    assert told.count("한") == told.count("<b>") == 2
    assert [text for text in told if text.isdigit()] == ["3", "1", "0", "0"]


@pytest.mark.parametrize("count", [1, 2, 21])
def test_nothing_lies_beyond_the_picture(count: int) -> None:
    labels = ["a very long name of a class that is cut" + str(number) for number in range(count)]
    made = figures.confusion(np.full((count, count), 1234567), labels, "told")
    root = ElementTree.fromstring(str(made.svg))
    width, height = float(root.get("width") or 0), float(root.get("height") or 0)
    for cell in root.findall(f"{SVG}rect"):
        assert float(cell.get("x") or 0) + float(cell.get("width") or 0) <= width
        assert float(cell.get("y") or 0) + float(cell.get("height") or 0) <= height


def test_the_scatter_has_a_point_for_each_row_and_a_bounded_number_of_them() -> None:
    few = figures.predicted_against_actual(np.array([1.0, 2.0, 3.0]), np.array([1.1, 2.0, 2.5]), "y")
    (path,) = elements(few, "path")
    assert (path.get("d") or "").count("M") == 3
    many = np.linspace(0, 1, 50_000)
    (path,) = elements(figures.predicted_against_actual(many, many, "y"), "path")
    assert (path.get("d") or "").count("M") == figures.MAX_POINTS


def test_the_histogram_counts_every_row() -> None:
    gap = np.concatenate([np.full(30, -1.0), np.full(10, 1.0)])
    bars = elements(figures.residuals(gap, "y"), "rect")
    heights = [float(bar.get("height") or 0) for bar in bars]
    assert len(bars) == 5
    assert heights[0] == pytest.approx(3 * heights[-1], rel=0.01)
    assert heights[1:-1] == [0, 0, 0]


@pytest.mark.parametrize("value", [0.0, 5.0, -3e9, 1e140])
def test_values_that_are_all_equal_can_be_drawn(value: float) -> None:
    same = np.full(20, value)
    assert texts(figures.predicted_against_actual(same, same, "y"))
    assert texts(figures.residuals(same, "y"))
    assert texts(figures.residuals_against_prediction(same - same, same, "y"))
    near = np.where(np.arange(20) % 2, value, np.nextafter(value, 1))
    assert texts(figures.residuals(near, "y"))


def test_the_roc_curve_begins_and_ends_in_the_corners() -> None:
    made = figures.roc(np.array([0, 0.1, 1.0]), np.array([0, 0.8, 1.0]), 0.85, "ill")
    assert made.title == "ROC curve, area 0.850"
    assert "class ill" in made.told
    chance, curve = [str(line.get("points")).split() for line in elements(made, "polyline")][-2:]
    assert [curve[0], curve[-1]] == chance


def test_the_bars_of_importance_are_in_order_and_capped() -> None:
    made = figures.importance({f"{number} <x>": 1 - number / 50 for number in range(50)}, "accuracy")
    bars = elements(made, "rect")
    assert len(bars) == figures.MAX_BARS
    widths = [float(bar.get("width") or 0) for bar in bars]
    assert widths == sorted(widths, reverse=True)
    assert "0 <x>" in texts(made)
    assert "30 <x>" not in texts(made)
    assert len(made.rows) == 50
    assert "The 20 most important of 50" in made.told


def test_a_feature_that_harms_has_a_bar_to_the_left() -> None:
    harm, use = elements(figures.importance({"harm": -0.5, "use": 0.5}, "accuracy"), "rect")
    end = float(harm.get("x") or 0) + float(harm.get("width") or 0)
    assert end == pytest.approx(float(use.get("x") or 0), abs=0.2)
    assert elements(figures.importance({"none": 0.0}, "accuracy"), "rect")
