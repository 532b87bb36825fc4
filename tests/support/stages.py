"""A real S3 store on loopback, and a run of the stages as a pod would do it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from vega_datasets import data as vega

from modelmill.contracts import names, result
from modelmill.contracts.stage import StageSpec, decode
from modelmill_trainer.cli import main
from tests.support.evaluated import evaluate_here

ROOT = Path(__file__).parents[2]
START_SECONDS = 30  # a limit, not an expectation
ACCESS, SECRET = "tester", "tester-secret"
BUCKET = "mill"


@dataclass(frozen=True)
class Store:
    """A running store with one empty bucket."""

    endpoint: str
    client: Any

    def put(self, key: str, content: bytes | str) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def keys(self, prefix: str = "") -> list[str]:
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())]


def versitygw() -> Path:
    """Return the gateway's binary, or skip."""
    found = shutil.which("versitygw")
    if found:
        return Path(found)
    folder = subprocess.run(
        [sys.executable, "hack/cluster", "bin"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    path = Path(folder.stdout.strip()) / "versitygw"
    if not path.is_file():
        pytest.skip("versitygw is not built: `make cluster-up` builds it")
    return path


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the endpoint of a store that keeps its objects in a temporary folder."""
    folder = tmp_path_factory.mktemp("store")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "log").open("wb")
    (folder / "data").mkdir()
    process = subprocess.Popen(
        [versitygw(), "--access", ACCESS, "--secret", SECRET, "--port", f"127.0.0.1:{port}", "posix", folder / "data"],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for(endpoint, process, folder / "log")
        yield endpoint
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def wait_for(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            s3_client(endpoint).list_buckets()
        except BotoCoreError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the store does not start: {log.read_text()}") from None
            time.sleep(0.1)
        else:
            return


def s3_client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )


@pytest.fixture
def store(gateway: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Yield the store with an empty bucket, and give the stages its credentials."""
    client = s3_client(gateway)
    client.create_bucket(Bucket=BUCKET)
    monkeypatch.setenv(names.ENV_ACCESS_KEY, ACCESS)
    monkeypatch.setenv(names.ENV_SECRET_KEY, SECRET)
    yield Store(gateway, client)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=BUCKET)


@dataclass
class Ended:
    """How one stage ended. message: its termination message."""

    code: int
    result: result.StageResult | None
    out: str
    err: str
    message: str = ""


@dataclass
class Run:
    """One run: its folders and what the stages are told."""

    work: Path
    raw: dict[str, Any]
    stage: Callable[[str], Ended]

    @property
    def spec(self) -> StageSpec:
        return decode(json.dumps(self.raw))

    @property
    def input(self) -> Path:
        return self.work / "input"

    @property
    def holdout(self) -> Path:
        return self.work / "holdout"

    @property
    def output(self) -> Path:
        return self.work / "output"

    def through(self, *stages: str) -> Ended:
        """Run stages that must succeed and return the last."""
        for name in stages:
            ended = self.stage(name)
            assert ended.code == 0, ended.err
        return ended

    def all(self) -> result.StageResult:
        """Run the whole chain and return its result."""
        ended = self.through("fetch", "train", "publish")
        assert ended.result is not None
        return ended.result


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Return a function that makes a run from parts of its spec, with the environment of a pod's containers."""
    count = iter(range(100))
    monkeypatch.setattr("modelmill_trainer.publish.evaluate", evaluate_here)

    def make(**parts: Any) -> Run:
        number = next(count)
        work = tmp_path / f"run-{number}"
        (work / "output").mkdir(parents=True)
        raw = base_spec() | parts

        def stage(name: str) -> Ended:
            termination = work / f"termination-{name}"
            termination.unlink(missing_ok=True)
            environment = {
                names.ENV_STAGE: json.dumps(raw),
                names.ENV_INPUT: str(work / "input"),
                names.ENV_OUTPUT: str(work / "output"),
                names.ENV_HOLDOUT: str(work / "holdout"),
                names.ENV_METRICS: str(work / "output" / "metrics.json"),
                names.ENV_TERMINATION_PATH: str(termination),
            }
            for key, value in environment.items():
                monkeypatch.setenv(key, value)
            capfd.readouterr()
            code = main([name])
            out, err = capfd.readouterr()
            message = termination.read_text() if termination.exists() else ""
            told_data = name in (names.STAGE_FETCH, names.STAGE_LOOK) and code == 0
            return Ended(code, result.decode(message) if message and not told_data else None, out, err, message)

        return Run(work, raw, stage)

    return make


def base_spec() -> dict[str, Any]:
    """Return what a run is told, but for data, store and estimator."""
    return {
        "v": 1,
        "namespace": "demo",
        "training_job": "fuel",
        "run": 3,
        "run_uid": "uid-3",
        "model": "fuel-economy",
        "version": "fuel-economy-3",
        "primary_metric": "r2",
        "primary_direction": "Maximize",
        "seed": 1,
    }


def cars() -> pd.DataFrame:
    """Return the cars of 1970-82 with the year as a number."""
    frame = vega.cars()
    frame["Year"] = frame["Year"].dt.year
    return frame


def car_data(uri: str, **changes: Any) -> dict[str, Any]:
    """Return the data of a run on the cars."""
    return {
        "uri": uri,
        "format": "csv",
        "target": "Miles_per_Gallon",
        "exclude": ["Name", "Year", "Origin"],
        "holdout": {"fraction": 0.2, "strategy": "Random"},
    } | changes


def estimator(path: str = "sklearn.ensemble.GradientBoostingRegressor", **parameters: Any) -> dict[str, Any]:
    """Return the estimator of a run."""
    return {"estimator": path, "parameters": parameters, "preprocessing": "Auto"}
