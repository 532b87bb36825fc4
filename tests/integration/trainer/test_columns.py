"""What becomes of each column: of true and false, dates, free text and gaps, from the data to the server's answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts import names, result
from modelmill.contracts.artifact import Golden, Manifest, Profile, parse_golden, parse_manifest, parse_profile
from modelmill_server.core.model import ServedModel
from modelmill_server.folder import open_folder
from modelmill_server.settings import Settings
from tests.support.stages import Run, estimator

MakeRun = Callable[..., Run]
FORMATS = ("csv", "jsonl", "parquet")
CLASSIFIERS = {
    "onnx": "sklearn.linear_model.LogisticRegression",
    "skops": "sklearn.neighbors.KNeighborsClassifier",
}


def customers(count: int = 160) -> pd.DataFrame:
    random = np.random.default_rng(3)
    spent = random.normal(size=count)
    frame = pd.DataFrame(
        {
            "spent": spent,
            "visits": random.integers(0, 9, count).astype(float),
            "member": (random.random(count) < 0.5).astype(object),
            "plan": random.choice(["basic", "plus"], count),
            "signup": [f"2025-{1 + place % 12:02d}-{1 + place % 28:02d}" for place in range(count)],
            "comment": [f"customer {place} said {place * 7}" for place in range(count)],
            "id": np.arange(count),
            "churned": (spent + 0.3 * random.normal(size=count) < 0).astype(object),
        }
    )
    frame.loc[::9, "visits"] = np.nan
    frame.loc[::7, "member"] = None
    frame.loc[::11, "plan"] = None
    frame.loc[5, "churned"] = None
    return frame


def write(frame: pd.DataFrame, folder: Path, form: str) -> None:
    folder.mkdir(exist_ok=True)
    if form == "csv":
        frame.to_csv(folder / "a.csv", index=False)
    elif form == "jsonl":
        frame.to_json(folder / "a.jsonl", orient="records", lines=True)
    else:
        frame.assign(signup=pd.to_datetime(frame["signup"])).to_parquet(folder / "a.parquet")


def artifact(ending: result.StageResult) -> tuple[Path, Manifest, Profile, Golden]:
    assert ending.artifact is not None
    folder = Path(ending.artifact.uri.removeprefix("file://"))
    return (
        folder,
        parse_manifest((folder / names.MANIFEST_FILE).read_bytes()),
        parse_profile((folder / names.PROFILE_FILE).read_bytes()),
        parse_golden((folder / names.GOLDEN_FILE).read_bytes()),
    )


def run_on(make_run: MakeRun, folder: Path, form: str, path: str, **data: Any) -> Run:
    told = {"uri": f"file://{folder}/rows/", "format": form, "target": "churned", "exclude": ["id"]} | data
    return make_run(
        store={"uri": f"file://{folder}/models"}, data=told, estimator=estimator(path), primary_metric=None, gates=[]
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("served", CLASSIFIERS)
def test_a_target_of_true_and_false_stays_so(make_run: MakeRun, tmp_path: Path, form: str, served: str) -> None:
    write(customers(), tmp_path / "rows", form)
    run = run_on(make_run, tmp_path, form, CLASSIFIERS[served])
    ending = run.all()
    folder, manifest, profile, golden = artifact(ending)
    assert ending.artifact is not None
    assert ending.artifact.format == served
    assert ending.metrics["accuracy"] > 0.7
    assert {"roc_auc", "log_loss"} <= set(ending.metrics)
    label, chances = manifest.signature.outputs
    assert (label.datatype, label.kind, label.classes) == ("BOOL", "categorical", (False, True))
    assert all(one in (False, True) and isinstance(one, bool) for one in label.classes)
    assert chances.classes == (False, True)
    assert all(isinstance(value, bool) for value in golden.outputs["predict"])
    assert set(golden.outputs["predict"]) == {False, True}
    assert profile.prediction is not None
    assert set(profile.prediction.categories) == {"false", "true"}
    assert profile.prediction.bins()["true"] == pytest.approx(0.5, abs=0.2)
    model = ServedModel(open_folder(folder, ending.artifact.digest), Settings(folder))
    assert model.replay_golden() > 1


def test_a_champion_of_true_and_false_is_compared(make_run: MakeRun, tmp_path: Path) -> None:
    write(customers(), tmp_path / "rows", "csv")
    first = run_on(make_run, tmp_path, "csv", CLASSIFIERS["onnx"]).all()
    assert first.artifact is not None
    second = run_on(make_run, tmp_path, "csv", CLASSIFIERS["skops"])
    second.raw["champion"] = {"name": "c-1", "uri": first.artifact.uri, "digest": first.artifact.digest}
    ending = second.all()
    assert ending.champion is not None
    assert ending.champion.metrics == pytest.approx(first.metrics)


def test_a_regressor_of_true_and_false_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    write(customers(), tmp_path / "rows", "csv")
    run = run_on(make_run, tmp_path, "csv", "sklearn.linear_model.Ridge")
    ended = run.stage("fetch")
    assert ended.result is not None
    assert ended.result.reason == "TargetInvalid"
    assert "has true and false" in ended.result.reasons[0]


def test_an_onnx_model_of_another_image_has_labels_of_true_and_false(make_run: MakeRun, tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    write(customers(), tmp_path / "rows", "csv")
    run = run_on(make_run, tmp_path, "csv", CLASSIFIERS["onnx"], exclude=["id", "visits", "member", "plan"])
    run.through("fetch")
    rows = pd.read_csv(run.input / "train" / "train.csv")
    x = rows[["spent"]].to_numpy(np.float32)
    made = LogisticRegression().fit(x, rows["churned"].astype(int))
    graph = to_onnx(made, x[:1], target_opset=17, options={"zipmap": False})
    (run.output / "model.onnx").write_bytes(graph.SerializeToString())
    (run.output / "model.json").write_text(json.dumps({"format": "onnx", "features": ["spent"]}))
    ending = run.through("publish").result
    assert ending is not None
    _, manifest, _, golden = artifact(ending)
    assert manifest.signature.outputs[0].classes == (False, True)
    assert set(map(type, golden.outputs["predict"])) == {bool}
    assert ending.metrics["accuracy"] > 0.7


@pytest.mark.parametrize("form", FORMATS)
def test_columns_that_are_left_out_are_named(make_run: MakeRun, tmp_path: Path, form: str) -> None:
    write(customers().assign(nothing=None), tmp_path / "rows", form)
    run = run_on(make_run, tmp_path, form, CLASSIFIERS["onnx"])
    ending = run.all()
    folder, manifest, _, golden = artifact(ending)
    assert ending.notes[0] == "columns left out: signup (dates), comment (texts that are all different)"
    assert "column 'nothing' has no value in any row and is left out" in ending.notes
    assert "1 rows without a value of 'churned' are left out" in ending.notes
    assert sorted(manifest.signature.ignored) == ["churned", "comment", "id", "nothing", "signup"]
    taken = [tensor.name for tensor in manifest.signature.inputs]
    assert taken == ["spent", "visits", "member", "plan"]
    assert set(golden.inputs) == set(taken)
    assert "columns left out: signup (dates)" in (folder / "report.html").read_text()


def test_a_column_that_numbers_the_rows_is_told_and_stays_a_feature(make_run: MakeRun, tmp_path: Path) -> None:
    write(customers(), tmp_path / "rows", "csv")
    ending = run_on(make_run, tmp_path, "csv", CLASSIFIERS["onnx"], exclude=[]).all()
    folder, manifest, _, _ = artifact(ending)
    told = "columns that may be identifiers: id; leave them out by spec.data.features.exclude"
    assert told in ending.notes
    assert "id" in [tensor.name for tensor in manifest.signature.inputs]
    assert told in (folder / "report.html").read_text()


def test_inputs_with_gaps_are_nullable_and_others_are_not(make_run: MakeRun, tmp_path: Path) -> None:
    write(customers(), tmp_path / "rows", "csv")
    _, manifest, _, _ = artifact(run_on(make_run, tmp_path, "csv", CLASSIFIERS["onnx"]).all())
    assert {tensor.name: tensor.nullable for tensor in manifest.signature.inputs} == {
        "spent": False, "visits": True, "member": True, "plan": True,
    }  # fmt: skip


def test_columns_that_another_image_does_not_take_are_named(make_run: MakeRun, tmp_path: Path) -> None:
    import skops.io
    from sklearn.linear_model import LogisticRegression

    write(customers(), tmp_path / "rows", "csv")
    run = run_on(make_run, tmp_path, "csv", CLASSIFIERS["onnx"])
    run.through("fetch")
    rows = pd.read_csv(run.input / "train" / "train.csv")
    skops.io.dump(LogisticRegression().fit(rows[["spent"]], rows["churned"]), run.output / "model.skops")
    ending = run.through("publish").result
    assert ending is not None
    assert (
        ending.notes[0]
        == "columns left out: visits, member, plan, signup (dates), comment (texts that are all different)"
    )
