"""Rows from and to csv, parquet and jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill_trainer.failure import StageError
from modelmill_trainer.snapshot import Fetched
from modelmill_trainer.tables import read_objects, read_rows, write_rows

FRAME = pd.DataFrame(
    {
        "number": [0.1 + 0.2, np.nan, 1e-17, 12345678.901234567],
        "whole": [1, 2, 3, 4],
        "flag": [True, False, True, None],
        "text": ["a", 'b,"c"\n', None, "ünï"],
        "code": ["01", "02", "03", None],
    }
)
KINDS = {"number": "number", "whole": "number", "flag": "boolean", "text": "text", "code": "text"}


def objects(folder: Path, **contents: str | bytes) -> list[Fetched]:
    found = []
    for name, content in contents.items():
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found.append(Fetched(name, path.stat().st_size, "", path))
    return found


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_every_value_survives(tmp_path: Path, form: str) -> None:
    write_rows(FRAME, tmp_path / "rows", form)
    back = read_rows(tmp_path / "rows", form, KINDS)
    np.testing.assert_array_equal(back["number"], FRAME["number"])
    assert back["whole"].dtype == "int64"
    np.testing.assert_array_equal(back["flag"], [1.0, 0.0, 1.0, np.nan])
    assert back["text"].tolist()[:2] + back["text"].tolist()[3:] == ["a", 'b,"c"\n', "ünï"]
    assert np.isnan(back["text"].iloc[2])
    assert back["code"].tolist()[:3] == ["01", "02", "03"]


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_kinds_are_found_in_every_format(tmp_path: Path, form: str) -> None:
    write_rows(FRAME.drop(columns="code"), tmp_path / "rows", form)
    item = Fetched("rows", 1, "", tmp_path / "rows")
    assert read_objects([item], form).kinds == {name: kind for name, kind in KINDS.items() if name != "code"}


def test_objects_become_one_table_that_knows_where_a_row_came_from(tmp_path: Path) -> None:
    table = read_objects(objects(tmp_path, a="x,y\n1,2\n3,4\n", b="y,x\n6,5\n"), "csv")
    assert table.frame.to_dict("list") == {"x": [1, 3, 5], "y": [2, 4, 6]}
    assert [table.where(row) for row in (0, 1, 2)] == ["a, data row 1", "a, data row 2", "b, data row 1"]


@pytest.mark.parametrize(
    ("form", "contents", "reason", "said"),
    [
        ("csv", {"a": "x,y\n1,2\n", "b": "x,z\n1,2\n"}, "ColumnsDiffer", "b lacks y"),
        ("csv", {"a": "x\n1\n", "b": "x\nabc\n"}, "ColumnsDiffer", "column 'x' is text in b and number"),
        ("csv", {"a": "x,y\n1,2,3\n4,5,6\n"}, "DataUnreadable", "more fields than its header"),
        ("csv", {"a": "x,y\n1,2\n3,4,5\n"}, "DataUnreadable", "a cannot be read as csv"),
        ("csv", {"a": b"x\n\xff\xfe\n"}, "DataUnreadable", "a is not UTF-8"),
        ("csv", {"a": "x,x.1,x\n1,2,3\n"}, "DataUnreadable", "more than one column is called 'x'"),
        ("jsonl", {"a": '{"x": 1}\n{"x": \n'}, "DataUnreadable", "line 2 is not JSON"),
        ("jsonl", {"a": "[1]\n"}, "DataUnreadable", "line 1 is not an object"),
        ("jsonl", {"a": '{"x": {"y": 1}}\n'}, "ColumnInvalid", "column 'x' of a holds dict"),
        ("parquet", {"a": "not parquet"}, "DataUnreadable", "a cannot be read as parquet"),
    ],
)
def test_what_cannot_be_read_is_told_by_object(
    tmp_path: Path, form: str, contents: dict[str, str], reason: str, said: str
) -> None:
    with pytest.raises(StageError) as caught:
        read_objects(objects(tmp_path, **contents), form)
    assert (caught.value.reason, caught.value.rejected) == (reason, True)
    assert said in caught.value.line()


def test_in_a_column_of_text_only_an_empty_field_is_missing(tmp_path: Path) -> None:
    """As in requests, where NA is a text: a model is asked in the words that it was trained on."""
    first = "\ufeff,alley,price,code\n1,Gravel,1,a\n2,NA,NA,b\n3,,3,c\n\n4,None,4,d\n"
    table = read_objects(objects(tmp_path, a=first, b=",alley,price,code\n5,NA,5,n/a\n6,Paved,6,f\n"), "csv")
    assert table.frame["alley"].fillna("").tolist() == ["Gravel", "NA", "", "None", "NA", "Paved"]
    assert table.frame["code"].tolist() == ["a", "b", "c", "d", "n/a", "f"]
    assert table.marks == {"alley": {"NA": 2, "None": 1}, "code": {"n/a": 1}}
    assert (table.kinds["price"], table.frame["price"].isna().tolist()) == ("number", [False, True] + [False] * 4)


def test_an_object_with_nothing_but_such_texts_has_them_where_another_has_text(tmp_path: Path) -> None:
    table = read_objects(objects(tmp_path, a="x,y\nnan,1\n,2\n", b="x,y\nred,3\n"), "csv")
    assert table.frame["x"].fillna("").tolist() == ["nan", "", "red"]
    assert table.frame["y"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("mark", ["NA", "N/A", "nan", "null", "None", "NULL", "#N/A", "n/a"])
def test_a_category_that_looks_missing_survives(tmp_path: Path, mark: str) -> None:
    frame = pd.DataFrame({"text": ["a", mark, None], "number": [1.5, None, 2.0], "flag": [True, None, False]})
    write_rows(frame, tmp_path / "rows", "csv")
    kinds = {"text": "text", "number": "number", "flag": "boolean"}
    for back in (
        read_rows(tmp_path / "rows", "csv", kinds),
        read_objects([Fetched("rows", 1, "", tmp_path / "rows")], "csv").frame,
    ):
        assert back["text"].fillna("").tolist() == ["a", mark, ""]
        assert back["number"].isna().tolist() == [False, True, False]
        assert back["flag"].isna().tolist() == [False, True, False]


def test_other_formats_have_no_such_texts(tmp_path: Path) -> None:
    table = read_objects(objects(tmp_path, a='{"x": "NA"}\n{"x": null}\n'), "jsonl")
    assert table.marks == {}
    assert table.frame["x"].tolist() == ["NA", None]


@pytest.mark.parametrize("row", [{"half\ud800": 1}, {"x": "\udfff"}, {"x": ["\ud83d"]}], ids=str)
def test_half_a_character_is_told_with_its_line(tmp_path: Path, row: dict[str, Any]) -> None:
    """Nothing that is written later could have it."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in ({"x": "\U0001f600"}, row)))
    with pytest.raises(
        StageError, match=r"a\.jsonl cannot be read as jsonl: line 2 has half of a surrogate pair"
    ) as caught:
        read_objects([Fetched("a.jsonl", 1, "0", path)], "jsonl")
    assert caught.value.reason == "DataUnreadable"
