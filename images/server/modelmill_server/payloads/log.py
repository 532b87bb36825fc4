"""The payload log: a sample of requests with their answers, as compressed JSON lines in a folder or an S3 bucket.

    TARGET/MODEL/VERSION/YYYY/MM/DD/HH/HOST-START-NUMBER.jsonl.gz

The hour is that of the file's first record, HOST the pod's name, START the time at which the log was opened, all in UTC.
A line is {"time", "id", "model", "version", "protocol", "status", "inputs": {feature: [values]}, "outputs": {name: [values]}};
`id` is the feedback id, so that labels can be joined later; NaN and infinity are null. What a request waits for is a dictionary
and its place in a bounded queue: one thread does the rest, and what it cannot keep up with is dropped and counted. A process
that is killed loses what it has not written yet.
"""

from __future__ import annotations

import logging
import random
import re
import socket
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from prometheus_client.core import Metric

from modelmill.contracts.names import ENV_PAYLOAD_LOG, ENV_PAYLOAD_SAMPLE_RATIO
from modelmill_server.failure import StartError
from modelmill_server.payloads.targets import Target, open_target
from modelmill_server.telemetry.families import counter

log = logging.getLogger("modelmill_server")

METRIC_LOGGED: Final = "modelmill_payload_logged_total"
METRIC_DROPPED: Final = "modelmill_payload_dropped_total"  # reason

QUEUE_FULL, STORE_FAILED, RECORD_FAILED, CLOSED = "queue_full", "store_failed", "record_failed", "closed"
REASONS: Final = (QUEUE_FULL, STORE_FAILED, RECORD_FAILED, CLOSED)

COLLECT_SECONDS = 1.0  # the writer lets records gather for so long, unless the queue is half full
CLOSING_PAUSE = 0.2  # between two attempts while the server shuts down
# Lines that are compressed in one go, outside the interpreter's lock. A busy event loop seldom gives that lock back to the
# writer, so it must not let go of it often; and it must not hold it for long (this is about a millisecond).
CHUNK_BYTES = 128 * 1024
COMPRESSION_LEVEL = 3
GZIP_WBITS = 31
NUMBER_BYTES = 40  # of a Python number with its place in a list

NUMBERS = frozenset({float, int, bool})

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogBounds:
    """Bounds of the log.

    queue_records, queue_bytes: what waits at most; bytes are those of the values in memory. object_records, object_bytes
    (compressed), object_seconds: a file is written when one of them is reached. pauses: seconds before each repeat after the
    store failed; after the last the file's records are dropped.
    """

    queue_records: int = 1000
    queue_bytes: int = 16 * 1024 * 1024
    object_records: int = 1000
    object_bytes: int = 8 * 1024 * 1024
    object_seconds: float = 10.0
    pauses: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


def open_log(environ: Mapping[str, str], model: str, version: str) -> PayloadLog | None:
    """Return the log that the environment asks for, or None for none. Raises StartError (ConfigInvalid) naming the variable."""
    text = environ.get(ENV_PAYLOAD_SAMPLE_RATIO) or "1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise StartError("ConfigInvalid", f"{ENV_PAYLOAD_SAMPLE_RATIO} is {text!r}: it must be a number from 0 to 1")
    uri = environ.get(ENV_PAYLOAD_LOG)
    if not uri or not ratio:
        return None
    host = environ.get("HOSTNAME") or socket.gethostname()
    return PayloadLog(open_target(uri), model, version, ratio, host)


@dataclass(slots=True)
class _OpenFile:
    """The file that is being filled. begin: Unix time of its first record; due: when it is written, monotonic."""

    begin: float
    due: float
    records: int = 0
    lines: list[bytes] = field(default_factory=list)
    line_bytes: int = 0
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    gzip: Any = field(default_factory=lambda: zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, GZIP_WBITS))

    def add(self, line: bytes) -> None:
        """Add one line."""
        self.records += 1
        self.lines.append(line)
        self.line_bytes += len(line) + 1
        if self.line_bytes >= CHUNK_BYTES:
            self._compress()

    def _compress(self) -> None:
        self.lines.append(b"")
        chunk = self.gzip.compress(b"\n".join(self.lines))
        self.lines.clear()
        self.line_bytes = 0
        self.size += len(chunk)
        self.chunks.append(chunk)

    def content(self) -> bytes:
        """Return the whole file; nothing can be added afterwards."""
        self._compress()
        return b"".join((*self.chunks, self.gzip.flush()))


class PayloadLog:
    """Takes records from any thread and writes them from one of its own."""

    def __init__(
        self, target: Target, model: str, version: str, ratio: float, host: str, bounds: LogBounds | None = None
    ) -> None:
        """ratio: share of the requests that are logged, more than 0 and at most 1."""
        self._target = target
        self._about = {"model": model, "version": version}
        self._ratio = ratio
        self._bounds = bounds or LogBounds()
        start = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        self._folder, self._file = f"{_plain_name(model)}/{_plain_name(version)}", f"{_plain_name(host)}-{start}"
        self._number = 0
        self._encode = msgspec.json.Encoder(enc_hook=_plain_values).encode
        self._lock = threading.Lock()
        self._queue: deque[tuple[float, Record, int]] = deque()
        # The writer empties the queue without the lock, so that no request waits for it: each side counts its own bytes.
        self._bytes_in = self._bytes_out = 0
        self._idle = True
        self._unstored = 0  # records in the writer's hands
        self._logged = 0
        self._dropped = dict.fromkeys(REASONS, 0)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="payload-log", daemon=True)
        self._thread.start()

    def offer(self, make_record: Callable[[], Record]) -> None:
        """Log one request if it is in the sample. Never blocks, never raises.

        make_record: returns `id`, `protocol`, `status`, `inputs` and `outputs`; it is called at once, and only when sampled.
        Values may be lists or numpy arrays, which must not change afterwards. Time, model and version are added here.
        """
        if self._ratio < 1.0 and random.random() >= self._ratio:  # noqa: S311 - a sample, not a secret
            return
        try:
            record = make_record()
            size = memory_of(record)
        except Exception:
            self._drop(RECORD_FAILED, 1)
            log.exception("payload log: a record cannot be made")
            return
        bounds = self._bounds
        with self._lock:
            waiting, weight = len(self._queue), self._bytes_in - self._bytes_out + size
            if self._closing.is_set():
                self._dropped[CLOSED] += 1
                return
            if waiting >= bounds.queue_records or weight > bounds.queue_bytes:
                self._dropped[QUEUE_FULL] += 1
                return
            self._queue.append((time.time(), record, size))
            self._bytes_in += size
            ring = self._idle or waiting * 2 >= bounds.queue_records or weight * 2 >= bounds.queue_bytes
        if ring and not self._wake.is_set():
            self._wake.set()

    def close(self, timeout: float) -> bool:
        """Take no more records, write what waits within `timeout` seconds, and return whether all of that was stored."""
        self._deadline = time.monotonic() + timeout
        with self._lock:
            self._closing.set()
            before = self._dropped[STORE_FAILED]
        self._wake.set()
        self._thread.join(timeout)
        with self._lock:
            lost = len(self._queue) + self._unstored + self._dropped[STORE_FAILED] - before
        if lost:
            log.warning("payload log: %d records were not stored before the end", lost)
        return not lost

    def families(self) -> Iterable[Metric]:
        """Yield the families of what was written and lost."""
        with self._lock:
            written, dropped = self._logged, list(self._dropped.items())
        labels = list(self._about.values())
        logged = counter(METRIC_LOGGED, "Requests that were written to the payload log.")
        logged.add_metric(labels, written)
        yield logged
        lost = counter(METRIC_DROPPED, "Sampled requests that the payload log lost, by reason.", "reason")
        for reason, count in dropped:
            lost.add_metric([*labels, reason], count)
        yield lost

    def _drop(self, reason: str, records: int) -> None:
        with self._lock:
            self._dropped[reason] += records

    def _run(self) -> None:
        """Write until closed. While nothing comes the thread sleeps; else it wakes about once a second."""
        current: _OpenFile | None = None
        while True:
            closing = self._closing.is_set()
            current = self._drain(current)
            if current is not None and (closing or time.monotonic() >= current.due):
                self._store(current)
                current = None
            if closing:
                return
            with self._lock:
                self._idle = current is None and not self._queue
            pause = None if self._idle else COLLECT_SECONDS
            if current is not None:
                pause = max(0.0, min(COLLECT_SECONDS, current.due - time.monotonic()))
            self._wake.wait(pause)
            self._wake.clear()

    def _drain(self, current: _OpenFile | None) -> _OpenFile | None:
        """Move the queue into files, storing those that are full, and return the one that is not."""
        bounds = self._bounds
        while True:
            if not self._queue:
                return current
            moment, record, size = self._queue.popleft()
            self._bytes_out += size
            try:
                head = {"time": _rfc3339(moment), "id": record.get("id"), **self._about}
                line = self._encode(head | record)
            except Exception:
                self._drop(RECORD_FAILED, 1)
                log.exception("payload log: a record cannot be written as JSON")
                continue
            if current is None:
                current = _OpenFile(moment, time.monotonic() + bounds.object_seconds)
            current.add(line)
            self._unstored = current.records
            if current.records >= bounds.object_records or current.size >= bounds.object_bytes:
                self._store(current)
                current = None

    def _store(self, full: _OpenFile) -> None:
        self._number += 1
        hour = datetime.fromtimestamp(full.begin, UTC).strftime("%Y/%m/%d/%H")
        key = f"{self._folder}/{hour}/{self._file}-{self._number:06d}.jsonl.gz"
        stored = self._put(key, full.content(), full.records)
        with self._lock:
            self._unstored = 0
            if stored:
                self._logged += full.records
            else:
                self._dropped[STORE_FAILED] += full.records

    def _put(self, key: str, content: bytes, records: int) -> bool:
        """Store one file, again after each failure, and return whether that was done before patience or time ended."""
        pauses, told = iter(self._bounds.pauses), False
        while True:
            try:
                self._target.put(key, content)
            except Exception as error:  # clients of stores raise many things, and this thread must live
                pause, closing = next(pauses, None), self._closing.is_set()
                if closing:
                    pause = CLOSING_PAUSE if time.monotonic() + CLOSING_PAUSE < self._deadline else None
                if pause is None:
                    log.warning("payload log: %s: %s; %d records are lost", self._target, _one_line(error), records)
                    return False
                if not told:
                    log.warning("payload log: %s: %s; trying again", self._target, _one_line(error))
                    told = True
                if closing:
                    time.sleep(pause)
                else:
                    self._closing.wait(pause)
            else:
                return True


def memory_of(value: Any) -> int:
    """Return about how many bytes a record's values take in memory; of a list, its first value tells what the others are."""
    kind = type(value)
    if kind is list or kind is tuple:
        first = value[0] if value else None
        if first is None:
            first = next((item for item in value if item is not None), None)
        if type(first) in NUMBERS:
            return 60 + NUMBER_BYTES * len(value)
        return 60 + 8 * len(value) + sum(map(memory_of, value))
    if kind is str:
        return 50 + 4 * len(value)
    if kind is dict:
        return 200 + sum(map(memory_of, value.values()))
    if hasattr(value, "nbytes"):  # numpy
        return memory_of(value.tolist()) if value.dtype.kind == "O" else 120 + int(value.nbytes)
    return sys.getsizeof(value)


def _plain_values(value: Any) -> Any:
    """Return a numpy array or number as Python's own, for the encoder."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"a record cannot hold a {type(value).__name__}")


def _plain_name(text: str) -> str:
    """Return `text` as one part of a path."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", text)
    return name if name.strip(".") else "_" * max(1, len(name))


def _rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
