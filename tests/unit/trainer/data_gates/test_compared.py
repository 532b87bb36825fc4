"""The data of the last good version: what is compared, what is not, and what hostile data make of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts import names
from modelmill.contracts.artifact import Manifest, Signature, Tensor, canonical, digest
from modelmill.contracts.stage import Champion, Data
from modelmill_trainer.data_gates.examine import Examined, Reference, examine, reference_of
from modelmill_trainer.data_gates.summary import MAX_BYTES, Column, Summary, parse_summary
from modelmill_trainer.kinds import kind_of
from modelmill_trainer.tables import Table

HALF = "\ud800"


def table(frame: pd.DataFrame) -> Table:
    frame.columns = [str(name) for name in frame.columns]
    return Table(frame, {name: kind_of(frame[name], name[:20]) for name in frame.columns}, ("a.csv",), (0,))


def run(frame: pd.DataFrame, known: Reference | None = None, **data: Any) -> Examined:
    return examine(table(frame), Data("", "csv", "y", **data), 0.0, known or Reference())


def known_by(frame: pd.DataFrame, *taken: str, **data: Any) -> Reference:
    summary = run(frame, **data).summary
    return Reference("v-1", frozenset(taken or summary.columns), summary)


def plain(rows: int = 200, **more: Any) -> pd.DataFrame:
    random = np.random.default_rng(5)
    x = random.normal(size=rows)
    return pd.DataFrame({"x": x, "z": random.normal(size=rows), "y": x + random.normal(size=rows), **more})


def gates(seen: Examined) -> dict[str, tuple[str, ...]]:
    return {one.gate: one.columns for one in seen.findings}


def test_the_same_data_raise_nothing() -> None:
    seen = run(plain(), known_by(plain()))
    assert (seen.findings, seen.compared) == ((), "compared with the data of v-1, 200 rows")


def test_without_a_version_nothing_is_compared() -> None:
    assert run(plain()).compared == "there is no approved version to compare with"


def test_another_target_is_not_compared() -> None:
    known = Reference("v-1", frozenset({"q"}), Summary(200, 0.0, "other", {"q": Column("number", True)}))
    seen = run(plain(), known)
    assert (seen.findings, seen.compared) == ((), "v-1 predicts other: its data are not compared")


def test_what_its_model_did_not_take_may_go_and_be_of_another_type() -> None:
    known = known_by(plain(note=["a", "b"] * 100, id=range(200)), "x", "z")
    assert gates(run(plain(note=range(200)), known)) == {}


def test_what_is_excluded_may_go_and_what_was_excluded_may_come() -> None:
    known = known_by(plain(), "x", exclude=("z",))
    assert gates(run(plain(), known)) == {}
    assert gates(run(plain().drop(columns="x"), known, exclude=("x",))) == {}


def test_truth_values_and_numbers_are_one_type_and_the_target_is_compared_too() -> None:
    flag = [True, False] * 100
    assert gates(run(plain(f=[1, 0] * 100), known_by(plain(f=flag)))) == {}
    assert gates(run(plain(y=["a", "b"] * 100), known_by(plain()))) == {"WrongType": ("y",), "LessTelling": ("x",)}


def test_a_leak_that_was_there_is_no_news_and_without_a_version_it_is_told() -> None:
    leaking = plain()
    leaking["z"] = leaking["y"] * 2
    first = run(leaking)
    assert [(one.gate, one.columns, one.stops) for one in first.findings] == [("TargetLeaked", ("z",), False)]
    assert run(leaking, known_by(leaking)).findings == ()
    seen = run(leaking, known_by(plain()))
    assert [(one.gate, one.stops) for one in seen.findings if one.gate == "TargetLeaked"] == [("TargetLeaked", True)]


def test_labels_can_be_given_away_as_well() -> None:
    labels = np.array(["yes", "no", "maybe"] * 70)
    frame = pd.DataFrame({"x": np.arange(210.0), "code": pd.factorize(labels)[0], "y": labels})
    assert gates(run(frame)) == {"TargetLeaked": ("code",)}


@pytest.mark.parametrize(
    ("rows", "told"), [(0, {"NoValue": ("x", "z", "y")}), (1, {"FewerRows": ()}), (6, {}), (12, {})]
)
def test_few_rows_are_no_error(rows: int, told: dict[str, tuple[str, ...]]) -> None:
    frame = plain(12)[:rows]
    assert gates(run(frame if rows else frame.astype(object), known_by(plain(12)))) == told
    assert parse_summary(run(frame).summary.encode() or b"").rows == rows


def test_names_of_any_kind_are_told_and_kept() -> None:
    """Names of a megabyte, with half a surrogate pair, line ends, and marks that turn the direction of writing."""
    strange = {
        f"{HALF}half": range(200),
        "line\nend": range(200),
        "\u202eturned": range(200),
        "x" * 1_000_000: range(200),
    }
    known = known_by(plain(**strange))
    assert parse_summary(known.summary.encode() or b"") == known.summary  # type: ignore[union-attr]
    (one,) = run(plain(), known).findings
    assert one.text.isprintable()
    assert len(one.text) < 500
    one.text.encode()


def test_texts_of_any_kind_are_told() -> None:
    words = ["a", "b"] * 100
    strange = [HALF, "x\n" * 1000, "\u202e"] * 60 + ["a"] * 20
    (one,) = [one for one in run(plain(w=strange), known_by(plain(w=words))).findings if one.gate == "Categories"]
    assert one.text.isprintable()
    assert len(one.text) < 500
    free = run(plain(w=["x" * 5000, "y"] * 100)).summary
    assert free.columns["w"].categories == {}


def test_what_names_make_too_large_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = run(plain(**{"x" * MAX_BYTES: range(200)}))
    seen.keep(tmp_path / "schema.json")
    assert not (tmp_path / "schema.json").exists()
    assert "there is no schema.json" in capsys.readouterr().out


def test_a_wide_table_is_compared_and_told_in_a_sentence_for_each_gate() -> None:
    random = np.random.default_rng(3)
    values = random.normal(size=(60, 1_000))
    frame = pd.DataFrame(values, columns=[f"c{number}" for number in range(1_000)])
    frame["y"] = values[:, 0]
    known = known_by(frame)
    assert run(frame, known).findings == ()
    moved = frame * 1000.0
    moved["y"] = frame["y"]
    (one,) = run(moved, known).findings
    assert (one.gate, len(one.columns)) == ("OutOfRange", 1_000)
    assert one.text.endswith("and 995 more; see whether they are meant")
    assert len(one.text) < 500


def test_extreme_numbers_and_dates_are_no_error() -> None:
    large = np.array([1.7e308, -1.7e308] * 100)
    dates = ["0001-01-01", "9999-12-31"] * 100
    seen = run(plain(large=large, dates=dates), known_by(plain(large=np.arange(200.0), dates=["2026-01-01"] * 200)))
    assert parse_summary(seen.summary.encode() or b"") == seen.summary


def artifact(folder: Path, schema: bytes | None) -> Champion:
    inputs = (Tensor("x", "FP64", (-1,)), Tensor("w", "BYTES", (-1,), "categorical"))
    signature = Signature("regression", inputs, (Tensor("predict", "FP64", (-1,)),), ("y", "z"))
    content = canonical(Manifest("onnx", (), signature, {}, {}, "2026-01-31T12:00:00Z", "v", "v-1"))
    (folder / names.MANIFEST_FILE).write_bytes(content)
    if schema is not None:
        (folder / names.SCHEMA_FILE).write_bytes(schema)
    return Champion("v-1", "file:///nowhere/", digest(content))


def test_of_a_version_without_the_file_the_columns_of_its_signature_are_compared(tmp_path: Path) -> None:
    known = reference_of(artifact(tmp_path, None), tmp_path)
    assert gates(run(plain(), known)) == {"MissingColumn": ("w",)}
    assert gates(run(plain(w=range(200)), known)) == {"WrongType": ("w",)}
    seen = run(plain(w=["a", "b"] * 100, extra=range(200)), known)
    assert gates(seen) == {"UnexpectedColumn": ("extra",)}
    assert seen.compared == "compared with the columns of v-1, whose values are not known"


WHOLE: dict[str, Any] = json.loads(run(plain(w=["a", "b"] * 100)).summary.encode() or b"")


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2}, {"rows": -1}, {"rows": True}, {"rows": "5"}, {"copies": 2}, {"copies": None}, {"target": 5}, {"columns": []},
        {"columns": {"x": []}}, {"columns": {"x": {}}}, {"columns": None}, {"rows": None},
        *({"columns": {"x": {**WHOLE["columns"]["x"], name: value}}} for name, value in (
            ("kind", "picture"), ("kind", []), ("missing", 2), ("missing", "0"), ("quantiles", [1, 2]), ("quantiles", None),
            ("quantiles", list(range(23, 0, -1))), ("quantiles", ["1"] * 23), ("below", -1), ("categories", {"a": 0}),
            ("categories", {"a": "b"}), ("categories", []), ("strength", 7), ("error", "1"), ("dated", 1), ("more", 1),
            ("strength", "high"), ("error", None),
        )),
    ],
    ids=str,
)  # fmt: skip
def test_a_file_that_somebody_wrote_is_no_reason_to_end_the_run(tmp_path: Path, change: dict[str, Any]) -> None:
    known = reference_of(artifact(tmp_path, json.dumps(WHOLE | change).encode()), tmp_path)
    assert known.summary is None
    assert known.why.startswith("the schema.json of v-1 says nothing: ")
    assert run(plain(), known).findings == ()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 100_000, b'{"v": NaN}', b" " * (MAX_BYTES + 1)]
)
def test_bytes_that_are_no_such_file_are_no_reason_either(tmp_path: Path, content: bytes) -> None:
    known = reference_of(artifact(tmp_path, content), tmp_path)
    assert known.summary is None
    assert len(known.why) < 300


def test_what_was_kept_is_read_again() -> None:
    summary = run(plain(w=["a", "b"] * 100, day=["2026-01-31", "2026-02-01"] * 100, e=[None] * 200)).summary
    content = summary.encode() or b""
    assert parse_summary(content) == summary
    assert asdict(replace(summary, v=1)) == asdict(summary)
    assert summary.columns["day"].dated
    assert summary.columns["w"].categories == {"a": 100, "b": 100}
