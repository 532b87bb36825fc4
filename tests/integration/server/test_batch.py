"""`modelmill-server batch` as a process, on folders and on a real store: the keys stay with the process that has no model."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from modelmill.contracts.batch import decode_result
from modelmill.contracts.result import decode
from tests.support import stages
from tests.support.batch_runs import batch, manifest, peak_mib, write
from tests.support.fitted import cars, on_columns

gateway, store = stages.gateway, stages.store


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame, target = cars()
    folder = tmp_path_factory.mktemp("artifact") / "model"
    write_artifact(folder, on_columns(Ridge(), frame).fit(frame, target), frame, "skops")
    return folder


def credentials(store: stages.Store) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": stages.ACCESS,
        "AWS_SECRET_ACCESS_KEY": stages.SECRET,
        "AWS_ENDPOINT_URL_S3": store.endpoint,
    }


def test_a_folder_on_a_laptop(artifact: Path, tmp_path: Path) -> None:
    frame = cars()[0]
    write(frame, tmp_path / "in" / "a.csv")
    uris = ("--input", (tmp_path / "in").as_uri(), "--output", (tmp_path / "out").as_uri())
    ended = batch(artifact, *uris, "--format", "csv")
    assert ended.code == 0, ended.output
    told = decode_result(ended.message)
    assert told is not None
    assert (told.objects, told.rows, told.manifest) == (1, 200, f"{(tmp_path / 'out').as_uri()}/manifest.json")
    assert len(pd.read_csv(tmp_path / "out" / "rows" / "a.csv")) == 200
    assert manifest(tmp_path / "out")["rows"] == 200


def test_a_prefix_of_a_bucket(artifact: Path, store: stages.Store) -> None:
    frame = cars()[0]
    for number in range(3):
        store.put(f"given/{number}.jsonl", frame[number::3].to_json(orient="records", lines=True))
    spec = {"run": "r", "input": "s3://mill/given", "output": "s3://mill/scored/r", "format": "jsonl"}
    ended = batch(artifact, environment={**credentials(store), "MODELMILL_BATCH": json.dumps(spec)})
    assert ended.code == 0, ended.output
    document = json.loads(store.get("s3://mill/scored/r/manifest.json"))
    assert (document["scored"], len(document["objects"])) == (200, 3)
    assert all(one["etag"] for one in document["objects"])
    assert store.keys("scored/r/rows/") == [f"scored/r/rows/{number}.jsonl" for number in range(3)]


def test_an_object_that_is_overwritten_in_the_middle_of_a_run_ends_it(artifact: Path, store: stages.Store) -> None:
    frame = cars()[0]
    for name in ("a", "b"):
        store.put(f"given/{name}.csv", frame.to_csv(index=False))
    spec = {"run": "r", "input": "s3://mill/given", "output": "s3://mill/changed/r", "format": "csv", "partitions": 2}
    environment = {**credentials(store), "MODELMILL_BATCH": json.dumps(spec)}
    assert batch(artifact, environment=environment).code == 0
    store.put("given/b.csv", frame[:9].to_csv(index=False))
    ended = batch(artifact, environment={**environment, "JOB_COMPLETION_INDEX": "1"})
    assert ended.code == 3
    assert decode(ended.message).reason == "ObjectChanged"
    assert "changed/r/manifest.json" not in store.keys("changed/")


def test_the_process_of_the_model_gets_no_keys(artifact: Path, tmp_path: Path) -> None:
    spy = tmp_path / "sitecustomize.py"
    spy.write_text(
        "import os, sys, pathlib\n"
        "if 'modelmill_server.batch.scoring' in sys.orig_argv:\n"
        f"    pathlib.Path({str(tmp_path / 'seen')!r}).write_bytes(pathlib.Path('/proc/self/environ').read_bytes())\n"
    )
    write(cars()[0], tmp_path / "in" / "a.csv")
    uris = ("--input", (tmp_path / "in").as_uri(), "--output", (tmp_path / "out").as_uri())
    path = f"{stages.ROOT}/operator:{stages.ROOT}/images/server:{tmp_path}"
    keys = {"AWS_SECRET_ACCESS_KEY": "tell-nobody", "MODELMILL_FEEDBACK_KEY": "nor-this"}
    environment = {**keys, "PYTHONPATH": path, "TZ": "Asia/Seoul"}
    ended = batch(artifact, *uris, "--format", "csv", environment=environment)
    assert ended.code == 0, ended.output
    seen = (tmp_path / "seen").read_bytes()
    assert b"MODELMILL_BATCH=" in seen
    assert b"TZ=Asia/Seoul" in seen, "spec.runtime.env"
    assert b"tell-nobody" not in seen
    assert b"nor-this" not in seen


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_input(form: str, artifact: Path, tmp_path: Path) -> None:
    """A text of 40 MB, which as a frame with its texts takes several times as much, adds less than its own size."""
    peaks = []
    for name, times in (("small", 1), ("large", 32)):
        frame = pd.concat([cars()[0].assign(id="x" * 200)] * 5 * times, ignore_index=True)
        frame["id"] += frame.index.astype(str)
        write(pd.concat([frame] * 6, ignore_index=True), tmp_path / name / f"a.{form}")
        uris = ("--input", (tmp_path / name).as_uri(), "--output", (tmp_path / f"{name}-out").as_uri())
        peaks.append(peak_mib(artifact, *uris, "--format", form))
    assert peaks[1] - peaks[0] < 40, peaks
