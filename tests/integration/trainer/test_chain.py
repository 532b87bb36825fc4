"""The three stages against a real S3 store and a folder, on real data."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts import names, result
from modelmill.contracts.artifact import Manifest, digest, parse_golden, parse_manifest, parse_profile
from tests.integration.trainer.s3_runs import GATES, MakeRun, put_cars, s3_run
from tests.support.stages import BUCKET, Store, car_data, cars, estimator


def manifest_of(store: Store, ending: result.StageResult) -> Manifest:
    assert ending.artifact is not None
    content = store.get(f"{ending.artifact.uri}/manifest.json")
    assert digest(content) == ending.artifact.digest
    return parse_manifest(content)


def test_a_run_publishes_a_whole_artifact(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    store.put("cars/_SUCCESS", b"mark")
    store.put("cars-old/1969.csv", "another,table\n1,2\n")
    run = s3_run(make_run, store)
    ending = run.all()
    assert (ending.outcome, ending.reason) == (result.PUBLISHED, "")
    artifact, data = ending.artifact, ending.data
    assert artifact is not None
    assert data is not None
    assert artifact.uri == f"s3://{BUCKET}/models/demo/fuel-economy/{artifact.digest.replace(':', '-')}"
    assert (data.rows, data.holdout_rows) == (95, 30)  # about a fifth: rows are held out by their hashes
    assert ending.gates[0].startswith("r2 ")
    assert ending.gates[2] == "there is no champion to compare with"

    manifest = manifest_of(store, ending)
    assert manifest.format == artifact.format == "onnx"
    assert {file.name for file in manifest.files} == {
        "model.onnx", "model.skops", "profile.json", "golden.json", "data.json", "rows.bin", "schema.json",
        "report.html",
    }  # fmt: skip
    total = len(store.get(f"{artifact.uri}/manifest.json"))
    for file in manifest.files:
        content = store.get(f"{artifact.uri}/{file.name}")
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
        total += file.size
    assert artifact.bytes == total
    assert manifest.metrics == ending.metrics
    assert manifest.lineage["run_uid"] == "uid-3"
    assert manifest.lineage["data_digest"] == data.digest
    assert manifest.lineage["estimator"] == "sklearn.ensemble.GradientBoostingRegressor"
    assert "agrees on" in manifest.lineage["serving"]
    assert [tensor.name for tensor in manifest.signature.inputs] == [
        "Cylinders", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration",
    ]  # fmt: skip
    nullable = [tensor.name for tensor in manifest.signature.inputs if tensor.nullable]
    assert nullable == ["Horsepower"]

    profile = parse_profile(store.get(f"{artifact.uri}/profile.json"))
    assert profile.rows == 95
    for feature in (*profile.features.values(), profile.prediction):
        assert sum(feature.bins().values()) == pytest.approx(1.0)
    golden = parse_golden(store.get(f"{artifact.uri}/golden.json"))
    assert 1 <= len(golden.outputs["predict"]) <= 20
    assert None in golden.inputs["Horsepower"]
    snapshot = json.loads(store.get(f"{artifact.uri}/data.json"))
    assert [item["name"] for item in snapshot["objects"]] == ["1970.csv", "1971.csv", "1972.csv", "1973.csv"]
    assert snapshot["dropped_rows"] == 7


def test_the_metrics_are_those_of_the_model_on_the_rows_that_it_has_not_seen(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    run = s3_run(make_run, store)
    ending = run.all()
    train = pd.read_csv(run.input / "train" / "train.csv")
    holdout = pd.read_csv(run.holdout / "holdout.csv")
    features = ["Cylinders", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration"]
    keys = [tuple(row) for row in holdout[features].fillna(-1).to_numpy()]
    assert len(train) + len(holdout) == 125
    assert sum(tuple(row) in keys for row in train[features].fillna(-1).to_numpy()) < 5  # cars of equal build
    columns = [*features, "Miles_per_Gallon"]
    assert not set(map(tuple, train[columns].to_numpy())) & set(map(tuple, holdout[columns].to_numpy()))
    import onnxruntime

    assert ending.artifact is not None
    session = onnxruntime.InferenceSession(store.get(f"{ending.artifact.uri}/model.onnx"))
    feed = {name: holdout[[name]].to_numpy(np.float32) for name in features}
    predicted = session.run(None, feed)[0].ravel()
    actual = holdout["Miles_per_Gallon"].to_numpy()
    assert np.abs(predicted - actual).mean() == pytest.approx(ending.metrics["mae"], rel=1e-4)
    unexplained = ((predicted - actual) ** 2).sum() / ((actual - actual.mean()) ** 2).sum()
    assert 1 - unexplained == pytest.approx(ending.metrics["r2"], rel=1e-4)


def test_publishing_again_changes_nothing(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    run = s3_run(make_run, store)
    first = run.all()
    before = {key: store.get(f"s3://{BUCKET}/{key}") for key in store.keys("models/")}
    again = run.through("publish").result
    assert again is not None
    assert again == first
    assert {key: store.get(f"s3://{BUCKET}/{key}") for key in store.keys("models/")} == before


def test_publishing_completes_what_a_try_before_left_half_done(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    run = s3_run(make_run, store)
    first = run.all()
    keys = store.keys("models/")
    for key in keys:
        if key.endswith(("/manifest.json", "/golden.json")):
            store.client.delete_object(Bucket=BUCKET, Key=key)
    assert run.through("publish").result == first
    assert store.keys("models/") == keys


def test_another_run_on_the_same_data_gives_the_same_model(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    runs = [s3_run(make_run, store) for _ in range(2)]
    endings = [run.all() for run in runs]
    assert endings[0].metrics == endings[1].metrics
    assert endings[0].data == endings[1].data
    files = [{file.name: file.sha256 for file in manifest_of(store, ending).files} for ending in endings]
    for name in ("model.onnx", "profile.json", "golden.json", "data.json", "rows.bin"):
        assert files[0][name] == files[1][name], name


def test_the_data_digest_follows_every_byte_and_nothing_else(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    digests = []
    for change in (None, {"holdout": {"fraction": 0.5}}, "cars/1970.csv"):
        run = s3_run(make_run, store)
        if isinstance(change, dict):
            run.raw["data"] |= change
        elif change is not None:
            store.put(change, store.get(f"s3://{BUCKET}/{change}") + b"x,20,4,1,1,1,1,1970,USA\n")
        run.through("fetch")
        digests.append(json.loads((run.holdout / "data.json").read_text())["digest"])
    assert digests[0] == digests[1] != digests[2]


def champion_of(ending: result.StageResult, name: str) -> dict[str, str]:
    assert ending.artifact is not None
    return {"name": name, "uri": ending.artifact.uri, "digest": ending.artifact.digest}


def test_a_challenger_is_measured_against_the_champion_on_the_same_rows(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    weak = s3_run(make_run, store, estimator=estimator(n_estimators=3)).all()
    better = s3_run(make_run, store, champion=champion_of(weak, "fuel-1")).all()
    assert better.outcome == result.PUBLISHED
    assert better.champion is not None
    assert better.champion.metrics == pytest.approx(weak.metrics, rel=1e-4)
    assert better.metrics["r2"] > weak.metrics["r2"]

    gates = [{"min_improvement": 0.0}]
    worse = s3_run(
        make_run, store, estimator=estimator(n_estimators=2), champion=champion_of(better, "fuel-2"), gates=gates
    ).all()
    assert (worse.outcome, worse.reason) == (result.GATE_FAILED, "GateFailed")
    assert "worse than" in worse.reasons[0]
    assert "fuel-2" in worse.reasons[0]
    assert worse.artifact is not None
    assert manifest_of(store, worse).lineage["champion"].startswith("fuel-2 sha256:")


def test_a_champion_with_other_columns_is_told_and_not_trusted(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    first = s3_run(make_run, store).all()
    frame = cars()
    store.put("new/a.csv", frame[frame["Year"] <= 1973].drop(columns="Displacement").to_csv(index=False))
    data = car_data(f"s3://{BUCKET}/new/", schema={"on_violation": "Warn"})
    run = s3_run(make_run, store, data=data, champion=champion_of(first, "fuel-1"), gates=[{"min_improvement": 0.0}])
    ending = run.all()
    assert ending.champion is not None
    assert ending.champion.metrics == {}
    assert "needs Displacement" in ending.champion.message
    assert ending.outcome == result.GATE_FAILED
    assert "needs Displacement" in ending.reasons[0]
    assert ending.artifact is not None
    assert b"needs Displacement" in store.get(f"{ending.artifact.uri}/report.html")


def test_the_champion_may_need_a_column_that_is_no_feature_any_more(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    latest = {"fraction": 0.2, "strategy": "Latest", "column": "Acceleration"}
    uri = f"s3://{BUCKET}/cars/"
    first = s3_run(make_run, store, data=car_data(uri, exclude=["Name", "Origin"], holdout=latest)).all()
    second = s3_run(
        make_run, store, data=car_data(uri, holdout=latest), champion=champion_of(first, "fuel-1"), gates=[]
    ).all()
    assert second.champion is not None
    assert second.champion.metrics["r2"] > 0.5


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_other_formats_in_a_folder(make_run: MakeRun, tmp_path: Path, form: str) -> None:
    frame = cars()
    frame = frame[frame["Year"] <= 1973]
    (tmp_path / "rows").mkdir()
    if form == "parquet":
        frame.to_parquet(tmp_path / "rows" / "a.parquet")
    else:
        frame.to_json(tmp_path / "rows" / "a.jsonl", orient="records", lines=True)
    run = make_run(
        store={"uri": f"file://{tmp_path}/models"},
        data=car_data(f"file://{tmp_path}/rows/", format=form),
        estimator=estimator(),
        gates=GATES,
    )
    ending = run.all()
    assert ending.outcome == result.PUBLISHED
    assert ending.artifact is not None
    content = (Path(ending.artifact.uri.removeprefix("file://")) / names.MANIFEST_FILE).read_bytes()
    assert digest(content) == ending.artifact.digest


def test_latest_measures_on_the_newest_cars(make_run: MakeRun, store: Store) -> None:
    put_cars(store, 1970, 1982)
    holdout = {"fraction": 0.2, "strategy": "Latest", "column": "Year"}
    run = s3_run(make_run, store, data=car_data(f"s3://{BUCKET}/cars/", holdout=holdout), gates=[])
    ending = run.all()
    held = pd.read_csv(run.holdout / "holdout.csv")
    assert held["Year"].min() >= 1980
    assert ending.metrics["mae"] > 4  # cars have become more economical than their weight says


def test_a_classifier_with_categories_missing_values_and_text_labels(make_run: MakeRun, store: Store) -> None:
    frame = cars()
    frame["Heavy"] = (frame["Weight_in_lbs"] > 3000).astype(object)
    frame.loc[frame.index[::9], "Heavy"] = None
    frame["Maker"] = frame["Name"].str.split().str[0]
    frame.loc[frame.index[::11], "Maker"] = None
    store.put("cars/all.jsonl", frame.drop(columns="Name").to_json(orient="records", lines=True))
    data = car_data(f"s3://{BUCKET}/cars/", format="jsonl", target="Origin", exclude=["Year"])
    run = s3_run(
        make_run,
        store,
        data=data,
        primary_metric="accuracy",
        estimator=estimator("sklearn.linear_model.LogisticRegression", max_iter=2000),
        gates=[{"metric": "accuracy", "minimum": 0.8}],
    )
    ending = run.all()
    assert ending.outcome == result.PUBLISHED
    assert {"accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss"} <= set(ending.metrics)
    manifest = manifest_of(store, ending)
    assert manifest.format == "onnx"
    types = {tensor.name: (tensor.datatype, tensor.kind, tensor.nullable) for tensor in manifest.signature.inputs}
    assert types["Maker"] == ("BYTES", "categorical", True)
    assert types["Heavy"] == ("BOOL", "numeric", True)
    label, chances = manifest.signature.outputs
    assert (label.name, label.datatype, label.classes) == ("predict", "BYTES", ("Europe", "Japan", "USA"))
    assert (chances.name, chances.shape) == ("predict_proba", (-1, 3))
    assert ending.artifact is not None
    golden = parse_golden(store.get(f"{ending.artifact.uri}/golden.json"))
    assert None in golden.inputs["Maker"]
    assert True in golden.inputs["Heavy"]
    assert golden.inputs["Heavy"][0] in (True, False, None)
    assert set(golden.outputs["predict"]) == {"Europe", "Japan", "USA"}


def test_skops_is_served_where_the_conversion_disagrees(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    run = s3_run(make_run, store, estimator=estimator("sklearn.neighbors.KNeighborsRegressor"), gates=[])
    ending = run.all()
    manifest = manifest_of(store, ending)
    assert manifest.format == "skops"
    assert "ONNX conversion" in manifest.lineage["serving"]
    assert "model.onnx" not in {file.name for file in manifest.files}


def test_the_report_is_one_page_that_loads_nothing(make_run: MakeRun, store: Store) -> None:
    frame = cars()
    frame["<b>x & y</b> $"] = frame["Acceleration"]
    store.put("cars/a.csv", frame.to_csv(index=False))
    ending = s3_run(make_run, store).all()
    assert ending.artifact is not None
    page = store.get(f"{ending.artifact.uri}/report.html").decode()
    assert len(page) < 800_000
    assert "<script" not in page
    assert "src=" not in page
    assert "<link" not in page
    assert page.count("<svg") >= 2
    assert "<b>x &" not in page
    assert "&lt;b&gt;x &amp; y&lt;/b&gt; $" in page
    assert page.index("Verdict") < page.index("Quality on the hold-out") < page.index("Lineage")


def test_the_server_answers_the_golden_rows_of_every_format(make_run: MakeRun, tmp_path: Path) -> None:
    from modelmill_server.core.model import ServedModel
    from modelmill_server.folder import open_folder
    from modelmill_server.settings import Settings

    frame = cars()
    frame["Heavy"] = frame["Weight_in_lbs"] > 3000
    (tmp_path / "rows").mkdir()
    frame.to_csv(tmp_path / "rows" / "a.csv", index=False)
    for path, target, form in (
        ("sklearn.ensemble.GradientBoostingRegressor", "Miles_per_Gallon", "onnx"),
        ("sklearn.neighbors.KNeighborsRegressor", "Miles_per_Gallon", "skops"),
        ("sklearn.ensemble.RandomForestClassifier", "Origin", "onnx"),
        ("sklearn.neighbors.KNeighborsClassifier", "Origin", "skops"),
        ("sklearn.ensemble.HistGradientBoostingClassifier", "Origin", "onnx"),
    ):
        run = make_run(
            store={"uri": f"file://{tmp_path}/models"},
            data=car_data(f"file://{tmp_path}/rows/", target=target, exclude=["Name"]),
            estimator=estimator(path),
            primary_metric=None,
        )
        ending = run.all()
        assert ending.artifact is not None
        assert ending.artifact.format == form
        folder = open_folder(Path(ending.artifact.uri.removeprefix("file://")), ending.artifact.digest)
        assert ServedModel(folder, Settings(folder.path)).replay_golden() > 1
