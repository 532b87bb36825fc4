"""The payload log in a real S3 store: what is written, an outage, refused credentials."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from modelmill.contracts import names
from modelmill_server.failure import StartError
from modelmill_server.payloads.log import LogBounds, PayloadLog, Record, open_log
from modelmill_server.payloads.targets import open_target
from tests.support.model_server import free_port
from tests.support.stages import ACCESS, SECRET, s3_client, versitygw, wait_for

BUCKET = "payloads"
PATIENCE = 60  # seconds: a limit, not an expectation


class Gateway:
    """A store that can be stopped and started again, with its objects kept."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.client = s3_client(self.endpoint)
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir()

    def start(self) -> None:
        address = ["--port", f"127.0.0.1:{self.port}", "posix", str(self.folder / "data")]
        with (self.folder / "log").open("ab") as log:
            command = [versitygw(), "--access", ACCESS, "--secret", SECRET, *address]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        wait_for(self.endpoint, self.process, self.folder / "log")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)
            self.process = None

    def objects(self) -> dict[str, bytes]:
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        keys = [item["Key"] for item in found]
        return {key: self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def records(self) -> list[Any]:
        texts = [gzip.decompress(content) for _, content in sorted(self.objects().items())]
        return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    made = Gateway(tmp_path)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(names.ENV_ENDPOINT, made.endpoint)
    monkeypatch.setenv(names.ENV_ACCESS_KEY, ACCESS)
    monkeypatch.setenv(names.ENV_SECRET_KEY, SECRET)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # has the credentials of the test before
    made.start()
    made.client.create_bucket(Bucket=BUCKET)
    try:
        yield made
    finally:
        made.stop()


def record(number: int) -> Record:
    return {
        "id": f"id-{number}",
        "protocol": "v2",
        "status": 200,
        "inputs": {"weight": [float(number)], "origin": ["USA"]},
        "outputs": {"predict": np.array([number * 0.5])},
    }


def counts(log: PayloadLog) -> dict[str, int]:
    """Return the counters that are not 0, by the reason of the loss or `logged`."""
    samples = [sample for family in log.families() for sample in family.samples]
    return {sample.labels.get("reason", LOGGED): int(sample.value) for sample in samples if sample.value}


LOGGED, QUEUE_FULL, STORE_FAILED = "logged", "queue_full", "store_failed"


def test_requests_are_in_the_bucket(gateway: Gateway) -> None:
    environment = {"MODELMILL_PAYLOAD_LOG": f"s3://{BUCKET}/log/of", "HOSTNAME": "pod-1"}
    log = open_log(environment, "demo", "demo-1")
    assert log is not None
    for number in range(900):
        log.offer(lambda number=number: record(number))
    assert log.close(PATIENCE)
    objects = gateway.objects()
    assert all(key.startswith("log/of/demo/demo-1/20") and key.endswith(".jsonl.gz") for key in objects)
    records = gateway.records()
    assert [(found["id"], found["inputs"], found["outputs"]) for found in records] == [
        (f"id-{number}", {"weight": [number], "origin": ["USA"]}, {"predict": [number * 0.5]}) for number in range(900)
    ]
    assert {(found["model"], found["version"], found["status"]) for found in records} == {("demo", "demo-1", 200)}
    assert counts(log) == {LOGGED: 900}


def test_store_that_is_down_for_a_while(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.stop()
    bounds = LogBounds(queue_records=50, object_records=1, object_seconds=3600, pauses=(0.05,) * 1000)
    log = PayloadLog(open_target(f"s3://{BUCKET}"), "demo", "demo-1", 1.0, "pod-1", bounds)
    for number in range(200):
        log.offer(lambda number=number: record(number))
    dropped = counts(log)[QUEUE_FULL]
    assert dropped >= 149  # 50 wait, and one at most is in the writer's hands
    gateway.start()
    assert log.close(PATIENCE)
    assert counts(log) == {LOGGED: 200 - dropped, QUEUE_FULL: dropped}
    found = [found["id"] for found in gateway.records()]
    assert len(found) == 200 - dropped
    assert found == sorted(set(found), key=lambda name: int(name.removeprefix("id-")))
    assert "trying again" in caplog.text


def test_store_that_never_answers_does_not_keep_the_server(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(names.ENV_ENDPOINT, f"http://127.0.0.1:{silent.getsockname()[1]}")
            log = open_log({"MODELMILL_PAYLOAD_LOG": f"s3://{BUCKET}"}, "demo", "demo-1")
        assert log is not None
        log.offer(lambda: record(0))
        assert not log.close(0.5)
    assert gateway.objects() == {}


@pytest.mark.parametrize(
    ("uri", "secret", "words"),
    [(f"s3://{BUCKET}", "wrong", "SignatureDoesNotMatch"), ("s3://nowhere", SECRET, "NoSuchBucket")],
)
def test_refusal_of_the_store_is_told(
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    uri: str,
    secret: str,
    words: str,
) -> None:
    monkeypatch.setenv(names.ENV_SECRET_KEY, secret)
    log = PayloadLog(open_target(uri), "demo", "demo-1", 1.0, "pod-1", LogBounds(object_records=1, pauses=()))
    log.offer(lambda: record(0))
    deadline = time.monotonic() + PATIENCE
    while not counts(log) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert counts(log) == {STORE_FAILED: 1}
    assert log.close(PATIENCE)
    assert words in caplog.text
    assert secret not in caplog.text
    assert gateway.objects() == {}


def test_endpoint_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_ENDPOINT, "nonsense")
    with pytest.raises(StartError, match="MODELMILL_PAYLOAD_LOG") as caught:
        open_target("s3://bucket/prefix")
    assert caught.value.reason == "ConfigInvalid"
