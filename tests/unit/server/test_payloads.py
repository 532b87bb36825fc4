"""The payload log writes what it took, whole and once, stays within its bounds, and counts what it loses."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelmill_server.failure import StartError
from modelmill_server.payloads.log import LogBounds, PayloadLog, Record, memory_of, open_log
from modelmill_server.payloads.targets import FolderTarget, open_target

PATIENCE = 60  # seconds: a limit, not an expectation
KEY = re.compile(r"demo/demo-1/\d{4}/\d\d/\d\d/\d\d/pod-1-\d{8}T\d{6}\.\d{3}-\d{6}\.jsonl\.gz")
SLOW = LogBounds(object_seconds=3600)  # only full files, and the end, are written


class Memory:
    """A store that keeps files, may be held, and may fail some of its first attempts."""

    def __init__(self, failures: int = 0) -> None:
        self.files: dict[str, bytes] = {}
        self.failures = failures
        self.attempts = 0
        self.open = threading.Event()
        self.open.set()
        self.changed = threading.Condition()

    def put(self, key: str, content: bytes) -> None:
        with self.changed:
            self.attempts += 1
            self.changed.notify_all()
        assert self.open.wait(PATIENCE)
        if self.attempts <= self.failures:
            raise OSError("the disk is full")
        with self.changed:
            assert key not in self.files
            self.files[key] = content
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE)

    def records(self) -> list[Any]:
        return [record for key in sorted(self.files) for record in lines(self.files[key])]


def lines(content: bytes) -> list[Any]:
    text = gzip.decompress(content)
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def log_to(target: Any, bounds: LogBounds = SLOW, ratio: float = 1.0) -> PayloadLog:
    return PayloadLog(target, "demo", "demo-1", ratio, "pod-1", bounds)


def record(number: int, **more: Any) -> Callable[[], Record]:
    made = {
        "id": f"id-{number}",
        "protocol": "v2",
        "status": 200,
        "inputs": {"a": [number]},
        "outputs": {"predict": [1.5]},
    }
    return lambda: made | more


def counts(log: PayloadLog) -> dict[str, float]:
    """Return the metrics that are not 0, by reason of the loss or `logged`."""
    found = {}
    for family in log.families():
        for sample in family.samples:
            assert (sample.labels["model_name"], sample.labels["model_version"]) == ("demo", "demo-1")
            found[sample.labels.get("reason", "logged")] = sample.value
    assert set(found) == {"logged", "queue_full", "store_failed", "record_failed", "closed"}
    return {name: value for name, value in found.items() if value}


def test_records_come_back_as_they_were() -> None:
    store = Memory()
    log = log_to(store)
    log.offer(
        lambda: {
            "id": None,
            "protocol": "mlflow",
            "status": 200,
            "inputs": {"n": np.array([1.5, np.nan]), "t": ["é", None], "i": np.array([1, 2]), "f": [1, None]},
            "outputs": {
                "predict": np.array(["yes", "no"], object),
                "predict_proba": np.array([[0.25, 0.75], [0.5, 0.5]], np.float32),
                "number": [np.float64(1.5), np.float32(2.5)],
            },
        }
    )
    assert log.close(PATIENCE)
    (written,) = store.records()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", written.pop("time"))
    assert written == {
        "id": None,
        "model": "demo",
        "version": "demo-1",
        "protocol": "mlflow",
        "status": 200,
        "inputs": {"n": [1.5, None], "t": ["é", None], "i": [1, 2], "f": [1, None]},
        "outputs": {"predict": ["yes", "no"], "predict_proba": [[0.25, 0.75], [0.5, 0.5]], "number": [1.5, 2.5]},
    }
    assert counts(log) == {"logged": 1}


def test_files_are_full_before_the_next_begins() -> None:
    store = Memory()
    log = log_to(store, LogBounds(object_records=10, object_seconds=3600))
    for number in range(25):
        log.offer(record(number))
    assert log.close(PATIENCE)
    assert [len(lines(store.files[key])) for key in sorted(store.files)] == [10, 10, 5]
    assert all(KEY.fullmatch(key) for key in store.files)
    assert [found["id"] for found in store.records()] == [f"id-{number}" for number in range(25)]
    assert counts(log) == {"logged": 25}


def test_file_is_written_when_its_time_has_come() -> None:
    store = Memory()
    log = log_to(store, LogBounds(object_seconds=0.01))
    for number in range(3):
        log.offer(record(number))
        store.wait_for(lambda: f"id-{number}" in [found["id"] for found in store.records()])  # noqa: B023
    assert log.close(PATIENCE)
    assert len(store.records()) == 3


def test_file_is_written_when_it_is_large() -> None:
    store = Memory()
    log = log_to(store, LogBounds(object_bytes=100_000, object_seconds=3600))
    noise = np.random.default_rng(1).normal(size=(20, 2000))
    for number in range(20):
        log.offer(record(number, inputs={"a": noise[number]}))
    assert log.close(PATIENCE)
    assert len(store.files) > 2
    assert max(map(len, store.files.values())) < 200_000  # one record and the buffer of zlib beyond the limit
    assert [found["inputs"]["a"] for found in store.records()] == noise.tolist()


def test_nothing_waits_for_a_store_that_does_not_answer() -> None:
    store = Memory()
    store.open.clear()
    log = log_to(store, LogBounds(queue_records=20, object_records=1, object_seconds=3600))
    log.offer(record(0))
    store.wait_for(lambda: store.attempts == 1)
    for number in range(1, 51):
        log.offer(record(number))
    assert counts(log) == {"queue_full": 30}
    store.open.set()
    assert log.close(PATIENCE)
    assert [found["id"] for found in store.records()] == [f"id-{number}" for number in range(21)]
    assert counts(log) == {"logged": 21, "queue_full": 30}


def test_bytes_that_wait_are_bounded() -> None:
    store = Memory()
    store.open.clear()
    log = log_to(store, LogBounds(queue_bytes=1_000_000, object_records=1, object_seconds=3600))
    log.offer(record(0))
    store.wait_for(lambda: store.attempts == 1)
    for number in range(1, 21):
        log.offer(record(number, inputs={"a": np.zeros(12_500)}))  # 100,000 bytes
    assert counts(log) == {"queue_full": 11}
    log.offer(record(30, inputs={"a": ["x" * 2_000_000]}))
    assert counts(log) == {"queue_full": 12}
    store.open.set()
    assert log.close(PATIENCE)
    assert counts(log) == {"logged": 10, "queue_full": 12}


def test_store_is_asked_again() -> None:
    store = Memory(failures=2)
    log = log_to(store, LogBounds(object_records=2, object_seconds=3600, pauses=(0.0, 0.0)))
    for number in range(4):
        log.offer(record(number))
    store.wait_for(lambda: len(store.files) == 2)
    assert log.close(PATIENCE)
    assert store.attempts == 4
    assert [found["id"] for found in store.records()] == [f"id-{number}" for number in range(4)]
    assert counts(log) == {"logged": 4}


def test_file_is_given_up_and_the_next_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    store = Memory(failures=3)
    log = log_to(store, LogBounds(object_records=2, object_seconds=3600, pauses=(0.0, 0.0)))
    log.offer(record(0))
    log.offer(record(1))
    store.wait_for(lambda: store.attempts == 3)
    log.offer(record(2))
    log.offer(record(3))
    store.wait_for(lambda: len(store.files) == 1)
    assert log.close(PATIENCE)
    assert [found["id"] for found in store.records()] == ["id-2", "id-3"]
    assert counts(log) == {"logged": 2, "store_failed": 2}
    told = [message for message in caplog.messages if "the disk is full" in message]
    assert len(told) == 2
    assert "trying again" in told[0]
    assert "2 records are lost" in told[1]


def test_close_ends_a_long_pause_and_tries_once_more() -> None:
    store = Memory(failures=1)
    log = log_to(store, LogBounds(object_records=1, pauses=(3600.0,)))
    log.offer(record(0))
    store.wait_for(lambda: store.attempts == 1)
    assert log.close(PATIENCE)
    assert counts(log) == {"logged": 1}


def test_close_gives_up_on_a_store_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    store = Memory(failures=10**9)
    log = log_to(store)
    log.offer(record(0))
    assert not log.close(0.5)
    assert "1 records were not stored before the end" in caplog.text


def test_close_does_not_wait_for_a_store_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    store = Memory()
    store.open.clear()
    log = log_to(store, LogBounds(object_records=2))
    for number in range(2):
        log.offer(record(number))
    store.wait_for(lambda: store.attempts == 1)
    log.offer(record(2))
    assert not log.close(0.01)
    assert "3 records were not stored before the end" in caplog.text
    store.open.set()
    assert log.close(PATIENCE)


def test_closed_log_takes_nothing() -> None:
    log = log_to(Memory())
    assert log.close(PATIENCE)
    log.offer(record(0))
    assert log.close(PATIENCE)
    assert counts(log) == {"closed": 1}


def test_records_that_cannot_be_made_or_written_harm_nobody() -> None:
    store = Memory()
    log = log_to(store)

    def broken() -> Record:
        raise KeyError("outputs")

    log.offer(broken)
    log.offer(record(0, inputs={"a": [object()]}))
    log.offer(record(1, inputs={"a": ["\ud800"]}))
    log.offer(record(2))
    assert log.close(PATIENCE)
    assert [found["id"] for found in store.records()] == ["id-2"]
    assert counts(log) == {"logged": 1, "record_failed": 3}


def test_what_is_not_sampled_is_not_made() -> None:
    store = Memory()
    log = log_to(store, LogBounds(queue_records=10_000, object_seconds=3600), ratio=0.25)
    made = []

    def make() -> Record:
        made.append(1)
        return record(0)()

    for _ in range(4000):
        log.offer(make)
    assert log.close(PATIENCE)
    assert 700 < len(made) < 1300  # 1,000 expected; 11 standard deviations
    assert counts(log) == {"logged": len(made)}


def test_records_of_many_threads_are_all_there() -> None:
    store = Memory()
    log = log_to(store, LogBounds(queue_records=10_000, object_records=300, object_seconds=3600))

    def offer(thread: int) -> None:
        for number in range(500):
            log.offer(record(thread * 1000 + number))

    threads = [threading.Thread(target=offer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.close(PATIENCE)
    expected = {f"id-{thread * 1000 + number}" for thread in range(4) for number in range(500)}
    assert {found["id"] for found in store.records()} == expected
    assert counts(log) == {"logged": 2000}


def test_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    log = PayloadLog(FolderTarget(tmp_path / "log"), "..", "a/../b c", 1.0, "x/y")
    log.offer(record(0))
    assert log.close(PATIENCE)
    (file,) = (path.relative_to(tmp_path).parts for path in tmp_path.rglob("*.gz"))
    assert file[:3] == ("log", "__", "a_.._b_c")
    assert file[-1].startswith("x_y-")


def test_folder_has_whole_files_only(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path)
    target.put("a/b.gz", b"1")
    (tmp_path / "c.gz").mkdir()
    (tmp_path / "c.gz" / "x").touch()
    with pytest.raises(OSError, match=r"c\.gz"):
        target.put("c.gz", b"2")
    assert [path.name for path in sorted(tmp_path.rglob("*")) if path.is_file()] == ["b.gz", "x"]
    assert (tmp_path / "a/b.gz").read_bytes() == b"1"


def test_memory_is_not_underestimated() -> None:
    text, count = "x" * 1000, 5000
    assert memory_of({"a": [1.5] * count}) >= 32 * count
    assert memory_of({"a": [None] + [1.5] * count}) >= 32 * count
    assert memory_of({"a": [text] * 10}) >= 10_000
    assert memory_of({"a": np.array([text] * 10, object)}) >= 10_000
    assert memory_of({"a": np.zeros((10, 10))}) >= 800
    assert memory_of({"a": [[1.0] * 10] * 100}) >= 32 * 1000
    assert memory_of({"a": [], "b": [None]}) > 0


def test_environment(tmp_path: Path) -> None:
    assert open_log({}, "demo", "demo-1") is None
    assert open_log({"MODELMILL_PAYLOAD_LOG": str(tmp_path), "MODELMILL_PAYLOAD_SAMPLE_RATIO": "0"}, "m", "v") is None
    for uri in (str(tmp_path / "a b"), f"file://{tmp_path}/a%20b"):
        log = open_log({"MODELMILL_PAYLOAD_LOG": uri, "HOSTNAME": "pod-1"}, "demo", "demo-1")
        assert log is not None
        log.offer(record(0))
        assert log.close(PATIENCE)
    files = list((tmp_path / "a b").rglob("*.gz"))
    assert len(files) == 2
    assert all(KEY.fullmatch(str(path.relative_to(tmp_path / "a b"))) for path in files)


@pytest.mark.parametrize("uri", ["folder", "http://x/y", "s3://", "s3:/x", "file://host/x", "file:x", " /x"])
def test_unusable_address(uri: str) -> None:
    with pytest.raises(StartError, match="MODELMILL_PAYLOAD_LOG") as caught:
        open_target(uri)
    assert caught.value.reason == "ConfigInvalid"


@pytest.mark.parametrize("ratio", ["-0.1", "1.1", "nan", "x", "10%"])
def test_unusable_ratio(ratio: str) -> None:
    with pytest.raises(StartError, match="MODELMILL_PAYLOAD_SAMPLE_RATIO") as caught:
        open_log({"MODELMILL_PAYLOAD_SAMPLE_RATIO": ratio}, "demo", "demo-1")
    assert caught.value.reason == "ConfigInvalid"
