"""The programs that use a store, each in a process of its own that is forked from one where they are imported already.

Their waits are short here, by the modules' own constants, which no person can set: a pod waits as long as the modules say.
"""

from __future__ import annotations

import functools
import json
import logging
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.loaders import JSONFileLoader
from botocore.retries import standard

import modelmill_server.__main__
import modelmill_server.fetch
import modelmill_trainer.dataset
import modelmill_trainer.fetch
import modelmill_trainer.publish
import modelmill_trainer.tables  # noqa: F401 - imported late where it is used
from modelmill.contracts import names, result
from modelmill.contracts.stage import decode
from modelmill.store import s3, transfer
from modelmill.store.folder import Connection, open_folder
from modelmill_server.payloads import log
from modelmill_server.payloads.log import LogBounds, PayloadLog
from modelmill_server.payloads.targets import open_target
from modelmill_trainer import cli, snapshot
from modelmill_trainer.folders import folders

FETCH, TRAIN, EVALUATE, PUBLISH = "fetch", "train", "evaluate", "publish"
SERVER_FETCH, LOG, CARRY, REMOVE = "server-fetch", "payload-log", "carry", "remove"
CARRIED = 128 << 20  # bytes
READ_SECONDS = 0.4
PAUSES = (0.01, 0.02)
LOG_PAUSES = (0.01,) * 6
RECORDS = 5
LIMIT = 90  # seconds; against hanging
CONTEXT = multiprocessing.get_context("forkserver")


@dataclass
class Ended:
    """How a program ended. message: its termination message as it stands."""

    code: int
    message: str
    out: str
    err: str

    @property
    def failure(self) -> result.StageResult:
        """The termination message of a failure. Raises ResultError when it is none."""
        return result.decode(self.message)


@dataclass
class Program:
    """A program with its environment, whose folder has its outputs."""

    name: str
    environment: dict[str, str]
    folder: Path

    def run(self, started: Callable[[int], None] = lambda process: None) -> Ended:
        """Run it to its end. An end by a signal has that as a negative code; one that hangs is ended and fails the test.

        started: is told the process id.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        message = self.folder / "termination"
        message.unlink(missing_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            names.ENV_TERMINATION_PATH: str(message),
            **self.environment,
        }
        process = CONTEXT.Process(target=play, args=(self.name, environment, str(self.folder)))
        process.start()
        assert process.pid is not None
        started(process.pid)
        process.join(LIMIT)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"{self.name} did not end within {LIMIT} s: {(self.folder / 'err').read_text()}")
        told = message.read_text() if message.exists() else ""
        return Ended(process.exitcode, told, (self.folder / "out").read_text(), (self.folder / "err").read_text())


def preload() -> None:
    """Let the process that programs are forked from import this module, before there is one."""
    CONTEXT.set_forkserver_preload([__name__])


def play(name: str, environment: Mapping[str, str], folder: str) -> None:
    """Be the program. Runs in the forked process."""
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin.close()
    for number, file in ((1, "out"), (2, "err")):
        descriptor = os.open(Path(folder, file), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, number)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    _hasten()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = PROGRAMS[name]()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _hasten() -> None:
    """Make the waits short."""
    s3.CONNECT_SECONDS = s3.READ_SECONDS = READ_SECONDS  # type: ignore[assignment]
    log.COLLECT_SECONDS = 0.05
    transfer.repeat.__defaults__ = (PAUSES, time.sleep)
    snapshot.PAUSES = PAUSES  # type: ignore[misc]
    standard.ExponentialBackoff.delay_amount = lambda *_: 0.01  # type: ignore[method-assign]


def _payload_log() -> int:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    target = open_target(os.environ["MODELMILL_PAYLOAD_LOG"])
    bounds = LogBounds(object_seconds=0.05, object_records=3, pauses=LOG_PAUSES)
    written = PayloadLog(target, "demo", "demo-1", 1.0, "pod", bounds)
    for number in range(RECORDS):
        written.offer(lambda number=number: {"id": str(number), "inputs": {"x": [number]}})  # type: ignore[misc]
    written.close(2.0)
    counts = {
        sample.labels.get("reason", "written"): sample.value
        for family in written.families()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    print(json.dumps(counts))
    return 0


def _carry() -> int:
    """Write the file `sparse` to the store and bring it back, and print by how many bytes the peak of the memory grew."""
    folder = open_folder(os.environ[names.ENV_ARTIFACT_URI], Connection())
    place = Path(os.environ["HOME"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    transfer.write_verified(folder, "sparse", place / "sparse")
    transfer.save(folder, "sparse", place / "back", CARRIED, said_by="it was written with")
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
    return 0


def _evaluate() -> int:
    from tests.support.evaluated import evaluate_here

    spec, into = decode(os.environ[names.ENV_STAGE]), Path(os.environ[names.ENV_EVALUATED])
    into.mkdir(parents=True, exist_ok=True)
    evaluate_here(spec, folders(None), into)
    return 0


PROGRAMS: dict[str, Callable[[], int]] = {
    FETCH: lambda: cli.main([FETCH]),
    TRAIN: lambda: cli.main([TRAIN]),
    PUBLISH: lambda: cli.main([PUBLISH]),
    EVALUATE: _evaluate,
    SERVER_FETCH: lambda: modelmill_server.__main__.main(["fetch"]),
    LOG: _payload_log,
    CARRY: _carry,
    REMOVE: lambda: cli.main([REMOVE]),
}

# Each client reads the description of S3 anew, a tenth of a second.
_load_file = functools.cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda _, path: _load_file(path)  # type: ignore[method-assign]
s3.connect(Connection("http://127.0.0.1:1"))
