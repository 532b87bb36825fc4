"""Objects scored as the model itself scores their rows; runs that are resumed, shared and told. Without processes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from modelmill.contracts.batch import BatchResult, BatchSpec
from modelmill_server.failure import StartError
from tests.support.batch_runs import manifest, read, run_here, write
from tests.support.fitted import cars, iris_numbers, on_columns


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, pd.DataFrame]:
    """An artifact of cars, its estimator, and rows."""
    frame, target = cars()
    estimator = on_columns(Ridge(), frame).fit(frame, target)
    folder = tmp_path_factory.mktemp("artifact") / "model"
    write_artifact(folder, estimator, frame, "skops")
    return folder, estimator, frame


def run(served: Any, tmp_path: Path, form: str, *, index: int = 0, **options: Any) -> BatchResult:
    uris = (tmp_path / "in").as_uri(), (tmp_path / "out").as_uri()
    return run_here(served[0], BatchSpec("r", *uris, form, **options), index, tmp_path)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_are_scored_as_the_model_does_and_passed_on(form: str, served: Any, tmp_path: Path) -> None:
    _, estimator, frame = served
    given = frame.assign(id=[f"car, {number}" for number in range(len(frame))])
    write(given[:150], tmp_path / "in" / f"a.{form}")
    write(given[150:], tmp_path / "in" / "deep" / f"b.{form}")
    told = run(served, tmp_path, form)
    assert (told.objects, told.rows, told.rejected) == (2, 200, 0)
    for name, part in ((f"a.{form}", frame[:150]), (f"deep/b.{form}", frame[150:])):
        rows = read(tmp_path / "out" / "rows" / name)
        assert list(rows.columns) == ["power", "cylinders", "origin", "id", "predict"]
        np.testing.assert_allclose(rows["predict"].to_numpy(float), estimator.predict(part), rtol=1e-9)
        assert rows["id"].tolist() == [f"car, {number}" for number in part.index]
    document = manifest(tmp_path / "out")
    assert (document["rows"], document["scored"], document["rejected"]) == (200, 200, 0)
    assert document["version"] == "demo-1"
    for one in document["objects"]:
        made = (tmp_path / "out" / one["result"]["name"]).read_bytes()
        assert one["result"]["sha256"] == hashlib.sha256(made).hexdigest()
        assert one["sha256"] == hashlib.sha256((tmp_path / "in" / one["name"]).read_bytes()).hexdigest()


def test_what_is_passed_on_keeps_its_characters(served: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text('id,power,cylinders,origin\n007,1.50,4,"US, A"\n1e3,NA,3.0,\n')
    run(served, tmp_path, "csv", columns=("id", "power"))
    rows = (tmp_path / "out" / "rows" / "a.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in rows] == ["id,power", "007,1.50", "1e3,NA"]


def test_a_bad_row_ends_the_run_by_its_number_and_column(served: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("power,cylinders,origin\n1,4,USA\n2,4,USA\nmany,4,USA\n")
    with pytest.raises(StartError, match=r"a.csv, data row 3: input 'power' has text: it must be a number") as failed:
        run(served, tmp_path, "csv")
    assert failed.value.reason == "RowRejected"
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_bad_rows_are_left_out_told_and_counted(served: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    good = "".join(f"{number},4,USA\n" for number in range(60))
    (tmp_path / "in" / "a.csv").write_text(
        f"power,cylinders,origin\nmany,4,USA\n{good}1,4\n1,4.5,USA\n1_000,4,USA\n1e300,4,USA\n1,,USA\n"
    )
    run(served, tmp_path, "csv", on_bad_row="Skip")
    document = manifest(tmp_path / "out")
    assert (document["rows"], document["scored"], document["rejected"]) == (66, 60, 6)
    told = {one["row"]: (one["column"], one["reason"]) for one in document["rejections"]}
    assert told == {
        1: ("power", "type"), 62: ("", "shape"), 63: ("cylinders", "type"), 64: ("power", "type"),
        65: ("power", "range"), 66: ("cylinders", "null"),
    }  # fmt: skip
    assert len(read(tmp_path / "out" / "rows" / "a.csv")) == 60


def test_a_run_goes_on_where_it_was_ended(served: Any, tmp_path: Path) -> None:
    frame = served[2]
    for number in range(3):
        write(frame, tmp_path / "in" / f"{number}.csv")
    run(served, tmp_path, "csv")
    whole = (tmp_path / "out" / "manifest.json").read_bytes()
    # As a killed pod leaves it: the second object's result is there and not told, the third one's is damaged.
    for name in ("manifest.json", "partitions/0000.json", "objects/000001.json", "objects/000002.json"):
        (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / "rows" / "2.csv").write_text("half")
    kept = (tmp_path / "out" / "objects" / "000000.json").stat().st_mtime_ns
    write(frame[:1], tmp_path / "in" / "later.csv")
    run(served, tmp_path, "csv")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == whole
    assert (tmp_path / "out" / "objects" / "000000.json").stat().st_mtime_ns == kept
    assert not (tmp_path / "out" / "rows" / "later.csv").exists()


def test_partitions_share_the_objects_and_the_last_one_writes_the_manifest(served: Any, tmp_path: Path) -> None:
    for number in range(5):
        write(served[2][: 20 * (number + 1)], tmp_path / "in" / f"{number}.csv")
    told = [run(served, tmp_path, "csv", index=index, partitions=3) for index in (2, 0, 1)]
    assert [one.manifest != "" for one in told] == [False, False, True]
    assert sum(one.objects for one in told[:2]) < 5
    document = manifest(tmp_path / "out")
    assert [one["rows"] for one in document["objects"]] == [20, 40, 60, 80, 100]
    assert document["rows"] == 300


def test_the_chances_of_each_class_are_columns(tmp_path: Path) -> None:
    frame, labels = iris_numbers()
    estimator = RandomForestClassifier(5, random_state=0).fit(frame, labels)
    folder = tmp_path / "model"
    write_artifact(folder, estimator, frame, "skops")
    write(frame, tmp_path / "in" / "a.parquet")
    run((folder,), tmp_path, "parquet", columns=())
    rows = read(tmp_path / "out" / "rows" / "a.parquet")
    assert list(rows.columns) == ["predict", "predict_proba_0", "predict_proba_1", "predict_proba_2"]
    np.testing.assert_allclose(rows.iloc[:, 1:].to_numpy(), estimator.predict_proba(frame))


def test_drift_is_counted_against_the_reference(served: Any, tmp_path: Path) -> None:
    frame = served[2]
    write(pd.concat([frame] * 3), tmp_path / "in" / "a.csv")
    run(served, tmp_path, "csv")
    document = manifest(tmp_path / "out")
    assert document["drift"]["power"]["psi"] < 0.01
    other = tmp_path / "other"
    write(pd.concat([frame.assign(power=frame["power"] * 2)] * 3), other / "in" / "a.csv")
    told = run(served, other, "csv")
    assert told.feature in ("power", "(prediction)")
    assert told.psi is not None
    assert told.psi > 1
    assert sum(manifest(other / "out")["drift"]["power"]["bins"].values()) == 600


@pytest.mark.parametrize(
    ("content", "columns", "reason", "words"),
    [
        ("power,origin\n1,USA\n", None, "ColumnMissing", "'cylinders'"),
        ("power,power,cylinders,origin\n", None, "DataUnreadable", "more than one column"),
        ("power,cylinders,origin,predict\n1,4,USA,2\n", None, "ColumnTaken", "'predict'"),
        ("power,cylinders,origin\n1,4,USA\n", ("id",), "ColumnMissing", "'id'"),
        ('power,cylinders,origin\n1,4,"USA\n' + "x\n" * 3_000_000, None, "DataUnreadable", "a row has more than"),
        ('power,cylinders,origin\n1,4,"USA\n', (), "DataUnreadable", "unexpected end"),
    ],
)
def test_an_object_that_is_none_ends_the_run_with_words(
    content: str, columns: tuple[str, ...] | None, reason: str, words: str, served: Any, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(content)
    with pytest.raises(StartError) as failed:
        run(served, tmp_path, "csv", columns=columns)
    assert (failed.value.reason, failed.value.final) == (reason, True)
    assert words in failed.value.message
    assert "a.csv" in failed.value.message


def test_nothing_to_score_is_told(served: Any, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="there is no object at") as failed:
        run(served, tmp_path, "csv")
    assert failed.value.reason == "NoObjects"


def test_results_never_lie_in_the_input(served: Any, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="lies in the input"):
        run_here(served[0], BatchSpec("r", tmp_path.as_uri(), (tmp_path / "out").as_uri(), "csv"), 0, tmp_path)


def test_the_folder_of_another_run_is_left_alone(served: Any, tmp_path: Path) -> None:
    write(served[2], tmp_path / "in" / "a.csv")
    run(served, tmp_path, "csv")
    with pytest.raises(StartError, match="is of another run") as failed:
        run(served, tmp_path, "csv", on_bad_row="Skip")
    assert failed.value.reason == "OutputTaken"


def test_marks_of_other_programs_and_empty_objects_are_no_data(served: Any, tmp_path: Path) -> None:
    write(served[2], tmp_path / "in" / "a.csv")
    for name in ("_SUCCESS", "empty.csv", ".hidden/b.csv"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text("" if name != ".hidden/b.csv" else "x")
    assert run(served, tmp_path, "csv").objects == 1
    assert sorted(path.name for path in (tmp_path / "out" / "rows").iterdir()) == ["a.csv"]
