"""The report in a real browser: what is drawn, compared with the numbers that it tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelmill_trainer.report import figures
from modelmill_trainer.report.chart import BLUE
from tests.integration.report.browser import Seen, look
from tests.integration.report.runs import labelled, report_of

GREEN, RED = "#1a7f4b", "#c0392b"
WORLD = ["고양이", "قطة", "<script>alert(1)</script>", "a\nb", "x" * 300, '$x^2$ & "q"']
VOID = frozenset({"meta", "br", "img", "input", "link"})


class Read(HTMLParser):
    """What a page holds. elements: (name, attributes, text directly within), in order."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = (tag, dict(attributes), [])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][2].append(data)

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, "".join(text)) for name, attributes, text in self.elements if name == tag]


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix of a page. counts: as its table tells. cells: (x, y, side) within the picture, row by row."""

    counts: np.ndarray
    cells: list[tuple[float, float, float]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Seen]]:
    def make(frame: pd.DataFrame, **parts: object) -> Seen:
        folder = tmp_path_factory.mktemp("report")
        return look(report_of(folder, frame, **parts), folder)

    return make


@pytest.fixture(scope="module")
def world(seen: Callable[..., Seen]) -> Seen:
    frame = labelled(WORLD)
    frame["day"] = pd.date_range("2020-01-01", periods=len(frame)).strftime("%Y-%m-%d")
    frame["<b>remark</b>"] = [f"text {number}" for number in range(len(frame))]
    return seen(frame, gates=[{"metric": "accuracy", "minimum": 1.0}])


def confusion_of(page: Seen) -> Read:
    """Return the picture of the confusion matrix."""
    picture = re.search(r"<title>Confusion matrix</title>.*?</svg>", page.document, re.DOTALL)
    assert picture is not None
    return Read("<svg>" + picture[0])


def matrix_of(page: Seen) -> Matrix:
    table = re.search(r"<caption>Rows of the hold-out by actual class.*?</table>", page.document, re.DOTALL)
    assert table is not None
    numbers = [int(text) for attributes, text in Read(table[0]).of("td") if attributes.get("class") == "number"]
    rects = [attributes for attributes, _ in confusion_of(page).of("rect")]
    side = round(len(numbers) ** 0.5)
    cells = [(float(one["x"] or 0), float(one["y"] or 0), float(one["width"] or 0)) for one in rects]
    assert len(cells) == len(numbers) == side * side
    return Matrix(np.array(numbers).reshape(side, side), cells)


def held_out(page: Seen) -> int:
    """Return how many rows the page says it was measured on: about four in ten."""
    found = re.search(r"Measured on (\d+) rows", page.document)
    assert found is not None
    assert int(found[1]) > 100
    return int(found[1])


def assert_drawn(page: Seen, matrix: Matrix) -> tuple[float, float]:
    """Compare every cell's colour on the screen with its share of its row; return where the picture begins."""
    shares = matrix.counts / matrix.counts.sum(axis=1, keepdims=True)
    colors = [figures.shade(share) for share in shares.flatten().tolist()]
    unique = next(i for i, color in enumerate(colors) if colors.count(color) == 1 and color != "#ffffff")
    box = page.box(colors[unique])
    assert box is not None, f"no pixel of {colors[unique]} is on the screen"
    x, y, side = matrix.cells[unique]
    assert abs(box[2] - box[0] - side) <= 2
    assert abs(box[3] - box[1] - side) <= 2
    left, top = box[0] - x, box[1] - y
    for (x, y, side), color in zip(matrix.cells, colors, strict=True):
        row, column = round(top + y + side / 8), round(left + x + side / 2)
        assert "#" + bytes(page.pixels[row, column]).hex() == color
    return left, top


def test_every_cell_of_the_confusion_matrix_has_the_colour_of_its_share(world: Seen) -> None:
    matrix = matrix_of(world)
    assert len(matrix.counts) == len(WORLD)
    assert matrix.counts.sum() == held_out(world)
    assert_drawn(world, matrix)
    side = len(WORLD)
    assert sorted(matrix.cells, key=lambda cell: (cell[1], cell[0])) == matrix.cells
    assert len({x for x, _, _ in matrix.cells}) == len({y for _, y, _ in matrix.cells}) == side


def test_names_of_every_script_are_text_of_the_picture_and_are_drawn(world: Seen) -> None:
    read = confusion_of(world)
    texts = [text for _, text in read.of("text")]
    for name in ("고양이", "قطة", "a b", '$x^2$ & "q"'):
        assert texts.count(name) == 2, name
    assert sum(text.startswith("<script>") and text.endswith("…") for text in texts) == 2
    assert [text for _, text in read.of("title")].count("x" * 300) == 2  # cut in the picture, whole under the pointer
    matrix = matrix_of(world)
    left, top = assert_drawn(world, matrix)
    for x, y, side in matrix.cells[:: len(WORLD)]:
        label = world.pixels[round(top + y) : round(top + y + side), round(left + x - 40) : round(left + x - 6)]
        assert (label.max(axis=2) < 128).any(), "no letter beside the row"


def test_hostile_names_stay_text(world: Seen) -> None:
    read = Read(world.document)
    assert not read.of("script")
    assert "remark" not in [text for _, text in read.of("b")]
    assert [text for _, text in read.of("td")].count("<script>alert(1)</script>") == 1
    assert world.complaints == []


def test_columns_left_out_are_named_with_the_reason(world: Seen) -> None:
    cells = [text for _, text in Read(world.document).of("td")]
    assert cells[cells.index("day") + 1].startswith("dates")
    assert cells[cells.index("<b>remark</b>") + 1].startswith("texts that are all different")


def test_a_failed_gate_is_red_a_passed_one_green_and_none_is_neither(world: Seen, seen: Callable[..., Seen]) -> None:
    passed = seen(labelled(["no", "yes"]), gates=[{"metric": "accuracy", "minimum": 0.1}])
    none = seen(labelled(["no", "yes"]))
    drawn = [(page.shows(GREEN), page.shows(RED)) for page in (world, passed, none)]
    assert drawn == [(False, True), (True, False), (False, False)]
    assert "No gate is defined" in none.document
    for page in (passed, none):
        assert_drawn(page, matrix_of(page))
        assert page.complaints == []


def test_of_thirty_classes_the_last_count_as_one(seen: Callable[..., Seen]) -> None:
    frame = labelled([f"class {number}" for number in range(30)], 900)
    page = seen(frame, estimator={"estimator": "sklearn.tree.DecisionTreeClassifier"})
    matrix = matrix_of(page)
    assert len(matrix.counts) == 21
    assert matrix.counts.sum() == held_out(page)
    assert_drawn(page, matrix)
    assert "10 others" in [text for _, text in Read(page.document).of("text")]


def test_a_regression_shows_points_and_bars(seen: Callable[..., Seen]) -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"x": random.normal(size=400), "가격": random.normal(size=400)})
    frame["target"] = 40 * frame["x"] + 5 * frame["가격"] + random.normal(size=400) + 200
    page = seen(frame, estimator={"estimator": "sklearn.linear_model.LinearRegression"})
    read = Read(page.document)
    titles = [text for _, text in read.of("b")]
    assert titles[:4] == [
        "Predicted against actual", "Residuals against prediction", "Residuals", "Importance of the features"
    ]  # fmt: skip
    assert titles[4:6] == ["Partial dependence on x", "Partial dependence on 가격"]
    assert [title.split(",")[0].split(" ", 1)[0] for title in titles[6:]] == ["Row"] * 3
    points = [str(attributes["d"]) for attributes, _ in read.of("path")][:2]
    assert [one.count("M") for one in points] == [held_out(page)] * 2
    bars = page.box(BLUE)
    assert bars is not None
    assert (page.pixels[:, :430] != 255).any()
    assert page.complaints == []


def test_a_picture_that_the_policy_refuses_would_be_noticed(world: Seen, tmp_path: Path) -> None:
    policy = re.search(r"<meta http-equiv=[^>]*>", world.document)
    assert policy is not None
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNQTl4BAAHrATfbUz88AAAAAElFTkSuQmCC"
    body = f'<img src="data:image/png;base64,{pixel}" width="50" height="50"><script>document.title="x"</script>'
    (tmp_path / "refused.html").write_text(f"<!doctype html><html><head>{policy[0]}</head><body>{body}</body></html>")
    page = look(tmp_path / "refused.html", tmp_path, height=200)
    assert any("img-src" in line or "default-src" in line for line in page.complaints)
    assert "<title>x" not in page.document
