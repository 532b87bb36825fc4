"""Every way a stage can refuse: the reason, the words, the exit code, and nothing half published."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelmill.contracts import names, result
from tests.support.pages import blocks
from tests.support.stages import BUCKET, ROOT, Ended, Run, Store, car_data, cars, estimator

MakeRun = Callable[..., Run]


def parts(store: Store, /, **changes: Any) -> dict[str, Any]:
    return {
        "store": {"uri": f"s3://{BUCKET}/models", "endpoint": store.endpoint},
        "data": car_data(f"s3://{BUCKET}/cars/"),
        "estimator": estimator(),
    } | changes


def put_cars(store: Store, last: int = 1973) -> None:
    frame = cars()
    store.put("cars/a.csv", frame[frame["Year"] <= last].to_csv(index=False))


def told(ended: Ended, reason: str, outcome: str = result.FAILED, code: int = names.EXIT_FINAL) -> str:
    """Check how a stage ended and return its words."""
    assert ended.result is not None, ended.err
    assert (ended.result.reason, ended.result.outcome, ended.code) == (reason, outcome, code)
    assert "Traceback" not in ended.out + ended.err
    assert len(ended.err.strip().splitlines()) == 1
    text = " ".join(ended.result.reasons)
    assert text in ended.err
    return text


def test_an_empty_prefix(make_run: MakeRun, store: Store) -> None:
    store.put("cars-old/a.csv", "x\n1\n")
    text = told(make_run(**parts(store)).stage("fetch"), "DataEmpty", result.DATA_REJECTED)
    assert "data.train.uri" in text
    assert f"s3://{BUCKET}/cars/" in text


def test_a_bucket_that_is_not_there(make_run: MakeRun, store: Store) -> None:
    text = told(make_run(**parts(store, data=car_data("s3://nowhere/cars/"))).stage("fetch"), "BucketNotFound")
    assert "'nowhere'" in text


def test_a_bucket_to_publish_to_that_is_not_there_is_told_before_the_training(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    run = make_run(**parts(store, store={"uri": "s3://nowhere/models", "endpoint": store.endpoint}))
    text = told(run.stage("fetch"), "BucketNotFound")
    assert "store.uri" in text
    assert "'nowhere'" in text
    assert not run.input.exists()


def test_wrong_credentials(make_run: MakeRun, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_cars(store)
    monkeypatch.setenv(names.ENV_SECRET_KEY, "wrong-secret")
    text = told(make_run(**parts(store)).stage("fetch"), "StoreAuthFailed")
    assert "store.secretRef" in text
    assert "wrong-secret" not in text


def test_a_store_that_does_not_answer_may_be_tried_again(make_run: MakeRun, store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        run = make_run(**parts(store, store={"uri": f"s3://{BUCKET}/models", "endpoint": endpoint}))
        text = told(run.stage("fetch"), "StoreUnreachable", code=names.EXIT_RETRY)
    assert endpoint in text


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"target": "MPG"}, "TargetMissing", "data.target 'MPG'"),
        ({"exclude": ["Nmae"]}, "ColumnMissing", "did you mean Name?"),
        ({"holdout": {"strategy": "Latest", "column": "Yaer"}}, "ColumnMissing", "did you mean Year?"),
        ({"holdout": {"fraction": 0.95}}, "TooFewRows", "data.holdout"),
        ({"format": "jsonl"}, "DataUnreadable", "a.csv"),
    ],
)
def test_data_that_cannot_be_trained_on(
    make_run: MakeRun, store: Store, change: dict[str, Any], reason: str, said: str
) -> None:
    put_cars(store)
    run = make_run(**parts(store, data=car_data(f"s3://{BUCKET}/cars/", **change)))
    assert said in told(run.stage("fetch"), reason, result.DATA_REJECTED)


@pytest.mark.parametrize(
    ("wanted", "reason", "said"),
    [
        (estimator("sklearn.ensemble.GradientBoostingRegresor"), "EstimatorUnknown", "GradientBoostingRegressor?"),
        (estimator(learning_rat=1), "ParameterInvalid", "learning_rate?"),
        (estimator(learning_rate="fast"), "ParameterInvalid", "'learning_rate'"),
        (estimator("sklearn.linear_model.RidgeClassifier"), "TrainingFailed", "Unknown label type"),
        (
            estimator("sklearn.ensemble.HistGradientBoostingRegressor", categorical_features=[0]),
            "ModelInvalid",
            "not trusted",
        ),
    ],
)
def test_an_estimator_that_does_not_work(
    make_run: MakeRun, store: Store, wanted: dict[str, Any], reason: str, said: str
) -> None:
    put_cars(store, last=1982)
    run = make_run(**parts(store, estimator=wanted, primary_metric=None))
    run.through("fetch")
    assert said in told(run.stage("train"), reason)


def test_raw_columns_with_missing_values(make_run: MakeRun, store: Store) -> None:
    put_cars(store, last=1982)
    run = make_run(**parts(store, estimator=estimator() | {"preprocessing": "None"}))
    run.through("fetch")
    assert "NaN" in told(run.stage("train"), "TrainingFailed")


def test_labels_for_a_regressor(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    run = make_run(**parts(store, data=car_data(f"s3://{BUCKET}/cars/", target="Origin", exclude=["Name"])))
    assert "'Origin'" in told(run.stage("fetch"), "TargetInvalid", result.DATA_REJECTED)


def fetched(make_run: MakeRun, store: Store, **changes: Any) -> Run:
    put_cars(store)
    run = make_run(**parts(store, **changes))
    run.through("fetch")
    return run


def test_no_model(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store)
    (run.output / "weights.bin").write_bytes(b"1")
    text = told(run.stage("publish"), "ModelMissing")
    assert "weights.bin" in text
    assert store.keys("models/") == []


@pytest.mark.parametrize("name", ["model.skops", "model.onnx", "model.json"])
def test_a_broken_model(make_run: MakeRun, store: Store, name: str) -> None:
    run = fetched(make_run, store)
    (run.output / name).write_bytes(b"not a model")
    assert name in told(run.stage("publish"), "ModelInvalid") or name == "model.onnx"
    assert store.keys("models/") == []


def test_a_pickle_within_skops_is_not_loaded(make_run: MakeRun, store: Store) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    run = fetched(make_run, store)
    skops.io.dump(FunctionTransformer(subprocess.run), run.output / "model.skops")
    assert "subprocess.run" in told(run.stage("publish"), "ModelInvalid")


def test_a_link_to_a_file_of_the_publish_container(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store)
    (run.output / "model.onnx").symlink_to("/proc/self/environ")
    assert "is a link" in told(run.stage("publish"), "ModelInvalid")


def test_a_model_file_outside_its_folder(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store)
    (run.output / "model.json").write_text(json.dumps({"format": "onnx", "file": "../holdout/holdout.csv"}))
    told(run.stage("publish"), "ModelInvalid")


def test_a_metric_that_is_not_measured(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store, gates=[{"metric": "acuracy", "minimum": 0.5}])
    assert "evaluation.gates[0].metric is 'acuracy'" in told(run.stage("train"), "MetricInvalid")
    run.raw["gates"] = []
    run.through("train")
    run.raw["gates"] = [{"metric": "loss", "minimum": 0.5}]
    assert "evaluation.gates[0].metric is 'loss'" in told(run.stage("publish"), "MetricInvalid")
    assert store.keys("models/") == []


def test_a_train_stage_that_changes_its_input(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store)
    run.through("train")
    with (run.input / "train" / "train.csv").open("a") as stream:
        stream.write("1,1,1,1,1,1\n")
    told(run.stage("publish"), "InputChanged")


def published(run: Run) -> dict[str, str]:
    ending = run.through("train", "publish").result
    assert ending is not None
    assert ending.artifact is not None
    return {"name": "fuel-1", "uri": ending.artifact.uri, "digest": ending.artifact.digest}


def test_a_champion_that_is_not_what_its_version_says(make_run: MakeRun, store: Store) -> None:
    champion = published(fetched(make_run, store))
    wrong = make_run(**parts(store, champion=champion | {"digest": "sha256:" + "0" * 64}))
    assert "fuel-1" in told(wrong.stage("fetch"), "ChampionCorrupt")
    key = champion["uri"].removeprefix(f"s3://{BUCKET}/")
    store.put(f"{key}/model.onnx", b"forged")
    assert "model.onnx" in told(make_run(**parts(store, champion=champion)).stage("fetch"), "ChampionCorrupt")
    store.client.delete_object(Bucket=BUCKET, Key=f"{key}/manifest.json")
    assert "fuel-1" in told(make_run(**parts(store, champion=champion)).stage("fetch"), "ChampionMissing")


def test_an_object_that_is_there_with_other_content(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store)
    champion = published(run)
    key = champion["uri"].removeprefix(f"s3://{BUCKET}/")
    store.put(f"{key}/profile.json", b"something else")
    text = told(run.stage("publish"), "UploadFailed", code=names.EXIT_RETRY)
    assert "profile.json" in text
    assert store.get(f"{champion['uri']}/profile.json") == b"something else"


def test_a_store_that_goes_away_before_the_upload_leaves_no_commit_mark(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store)
    run.through("train")
    run.raw["store"] = {"uri": "s3://nowhere/models", "endpoint": store.endpoint}
    told(run.stage("publish"), "BucketNotFound")
    assert store.keys("models/") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not set"),
        ("{", "MODELMILL_STAGE"),
        ('{"v": 1}', "'data'"),
        ('{"v": 9}', "not version 1"),
        ("[]", "not version 1"),
    ],
)
def test_a_stage_that_is_told_nonsense(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    from modelmill_trainer.cli import main

    monkeypatch.setenv(names.ENV_STAGE, text)
    monkeypatch.setenv(names.ENV_TERMINATION_PATH, str(tmp_path / "message"))
    assert main(["fetch", "--work", str(tmp_path)]) == names.EXIT_FINAL
    found = result.decode((tmp_path / "message").read_text())
    assert found.reason == "SpecInvalid"
    assert said in found.reasons[0]
    assert said in capfd.readouterr().err


def test_a_person_runs_it_with_a_file_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    cars().to_csv(tmp_path / "rows" / "a.csv", index=False)
    spec = {
        "model": "fuel",
        "store": {"uri": f"file://{tmp_path}/models"},
        "data": car_data(f"file://{tmp_path}/rows"),
        "estimator": estimator("sklearn.linear_model.Ridge"),
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "modelmill_trainer", "run", "--stage-file", "spec.json", "--work", "work"]
    path = f"{ROOT / 'operator'}:{ROOT / 'images' / 'trainer'}"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert "publish: Published" in done.stdout
    assert len(list((tmp_path / "models" / "local" / "fuel").glob("sha256-*/manifest.json"))) == 1


def test_own_metrics_count_for_gates_and_must_be_numbers(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store)
    run.through("train")
    run.raw["gates"] = [{"metric": "loss", "maximum": 1}]
    (run.output / "metrics.json").write_text('{"metrics": {"loss": 0.5}}')
    ending = run.through("publish").result
    assert ending is not None
    assert ending.gates == ("loss 0.5 <= 1",)
    (run.output / "metrics.json").write_text('{"metrics": {"loss": NaN}}')
    assert "loss is nan" in told(run.stage("publish"), "MetricInvalid")


def test_a_result_that_is_too_long_is_refused_before_anything_is_stored(make_run: MakeRun, store: Store) -> None:
    run = fetched(make_run, store)
    run.through("train")
    many = {f"m{place:02d}-{'long' * 31}": 0.5 for place in range(32)}
    (run.output / "metrics.json").write_text(json.dumps({"metrics": many}))
    assert "report fewer metrics" in told(run.stage("publish"), "MetricInvalid")
    assert store.keys("models/") == []


def test_an_onnx_model_of_another_image(make_run: MakeRun, store: Store) -> None:
    import pandas as pd
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    run = fetched(make_run, store)
    params = json.loads((run.input / "params.json").read_text())
    frame = pd.read_csv(run.input / params["train"]).dropna()
    x = frame[[item["name"] for item in params["features"]]].to_numpy(np.float32)
    model = LinearRegression().fit(x, frame[params["target"]])
    (run.output / "model.onnx").write_bytes(to_onnx(model, x[:1], target_opset=17).SerializeToString())
    del run.raw["estimator"]
    failed = run.stage("publish")
    # It has no answer for the car without horsepower, and says so.
    assert "NaN" in told(failed, "ModelInvalid")

    columns = {"exclude": ["Name", "Year", "Origin", "Horsepower"]}
    run = fetched(make_run, store, data=car_data(f"s3://{BUCKET}/cars/", **columns))
    x = frame[["Cylinders", "Displacement", "Weight_in_lbs", "Acceleration"]].to_numpy(np.float32)
    model = LinearRegression().fit(x, frame["Miles_per_Gallon"])
    (run.output / "model.onnx").write_bytes(to_onnx(model, x[:1], target_opset=17).SerializeToString())
    ending = run.through("publish").result
    assert ending is not None
    assert ending.artifact is not None
    assert ending.artifact.format == "onnx"
    assert ending.metrics["r2"] > 0.5


def test_the_example_of_the_how_to_trains(make_run: MakeRun, store: Store, tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "train-your-own-image.md"
    (code,) = (block for block in blocks(page) if block.startswith("import "))
    (tmp_path / "train.py").write_text(code)
    run = fetched(make_run, store)
    environment = {"MODELMILL_INPUT": str(run.input), "MODELMILL_OUTPUT": str(run.output)}
    subprocess.run([sys.executable, tmp_path / "train.py"], check=True, env=environment)
    del run.raw["estimator"]
    ending = run.through("publish").result
    assert ending is not None
    assert ending.outcome == result.PUBLISHED
    assert ending.artifact is not None
    assert ending.artifact.format == "onnx"
