"""`modelmill-server batch FOLDER --input URI --output URI`: score every object of a prefix, part by part.

This process has the keys of the store and no model. What is done is written object by object, so that whoever is killed is
followed by one that goes on; the result of a killed one that was not told yet is made again.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from modelmill.contracts import names
from modelmill.contracts.artifact import canonical
from modelmill.contracts.batch import (
    BATCH_VERSION,
    FAIL,
    FORMATS,
    OBJECTS,
    ROWS,
    SKIP,
    BatchResult,
    BatchSpec,
    decode_spec,
    encode_result,
    manifest_uri,
    object_file,
    partition_file,
)
from modelmill.store import errors
from modelmill.store.folder import Connection, Folder, open_folder
from modelmill.store.transfer import repeat, save, write_verified
from modelmill.store.uri import FileUri, S3Uri, parse_uri
from modelmill_server import folder as artifacts
from modelmill_server.batch import documents
from modelmill_server.batch.documents import Document
from modelmill_server.batch.process import Scorer
from modelmill_server.failure import StartError, leave_text
from modelmill_server.settings import Settings, from_environment, number
from modelmill_server.supervisor import Phase, enter

ATTEMPTS = 4
SPARE = 64 << 20  # bytes that a volume keeps free

log = logging.getLogger("modelmill_server")


def main(arguments: Sequence[str]) -> int:
    """Run the command and return 0, or raise StartError."""
    options = _parser().parse_args(arguments)
    spec, partition = _spec(options, os.environ), number(os.environ, names.ENV_PARTITION, 0, 0)
    settings = from_environment(os.environ, options.folder, "", 0, 0, options.trusted_type)
    begin = time.monotonic()
    folder = tempfile.TemporaryDirectory(prefix="modelmill-batch-")
    with folder as scratch, closing(Scorer(settings, spec)) as scorer, _told():
        told = Run(settings, spec, partition, Path(scratch), scorer).finish()
    log.info("%s rows scored, %s left out, %.1f s", told.rows, told.rejected, time.monotonic() - begin)
    leave_text(encode_result(told))
    return 0


class ScoresObjects(Protocol):
    """Scores objects on disk, see `process.Scorer`."""

    def score(self, path: Path, result: Path, label: str) -> Document:
        """Return what is to be said of the object in `path`, whose rows are then in `result`. Raises StartError."""


class Run:
    """One partition of a run. Every method raises StartError or StoreError."""

    def __init__(
        self, settings: Settings, spec: BatchSpec, partition: int, scratch: Path, scorer: ScoresObjects
    ) -> None:
        if partition >= spec.partitions:
            raise StartError("ConfigInvalid", f"{names.ENV_PARTITION} is {partition} of {spec.partitions} partitions")
        _require_apart(spec)
        self._spec, self._partition, self._scratch = spec, partition, scratch
        enter(Phase("reading the artifact"))
        self._artifact = artifacts.open_folder(settings.folder, settings.digest)
        self._source = open_folder(spec.input, Connection(attempts=ATTEMPTS))
        self._results = open_folder(spec.output, Connection(attempts=ATTEMPTS))
        version = settings.model_version or self._artifact.manifest.version
        enter(Phase("reading the plan"))
        self.plan = documents.planned(self._source, self._results, spec, version, self._artifact.digest, _say)
        self._scorer = scorer

    def finish(self) -> BatchResult:
        """Score what is not done of this partition; write the manifest when nothing is left of any."""
        enter(Phase("scoring objects"))
        mine = documents.partition_document(self.plan, self._done())
        content = canonical(mine)
        done = partition_file(self._partition)
        repeat(lambda: self._results.create(done, content), _say)
        if repeat(lambda: self._results.size(done), _say) is None:
            # The last partition to be done writes the manifest, and would be none.
            words = f"the store lost {self._results.uri}/{done} after it was written"
            raise errors.StoreError(errors.UPLOAD_FAILED, words, final=False)
        enter(Phase("writing the manifest"))
        whole = documents.committed(self._results, self.plan, self._artifact.profile, _say)
        return self._result(mine if whole is None else whole, "" if whole is None else manifest_uri(self._spec.output))

    def _result(self, document: Document, manifest: str) -> BatchResult:
        sums = documents.totals(document)
        feature, index = documents.worst(document) if manifest else ("", None)
        told = tuple(f"{one['object']}, data row {one['row']}: {one['message']}" for one in document["rejections"][:3])
        objects = len(document["objects"])
        return BatchResult(self._partition, objects, sums["scored"], sums["rejected"], manifest, feature, index, told)

    def _done(self) -> Iterator[Document]:
        """Yield what is done of each object of the partition, which is then done."""
        there = {entry.name for entry in repeat(self._results.entries, _say) if entry.name.startswith(f"{OBJECTS}/")}
        mine = self.plan.partition(self._partition)
        for count, place in enumerate(mine, 1):
            if object_file(place) in there:
                yield documents.read_document(self._results, object_file(place), self.plan, _say)
                continue
            document = self._scored(place)
            content = canonical(document)
            repeat(lambda content=content, place=place: self._results.create(object_file(place), content), _say)  # type: ignore[misc]
            (facts,) = document["objects"]
            log.info("%d of %d: %s, %d rows", count, len(mine), facts["name"], facts["rows"])
            yield document

    def _scored(self, place: int) -> Document:
        """Score one object; its result is then in the store. Return what is to be written of it."""
        one = self.plan.objects[place]
        label = f"{self._spec.input.rstrip('/')}/{one.name}" if one.name else self._spec.input
        given, made = self._scratch / "object", self._scratch / "result"
        made.unlink(missing_ok=True)
        _require_room(self._scratch, one.size, label)
        sha256 = repeat(
            lambda: save(self._source, one.name, given, one.size, etag=one.etag, said_by="the plan says"), _say
        )
        told = self._scorer.score(given, made, label)
        given.unlink()
        name = one.name or _last_part(self._spec.input)
        result = _stored(self._results, f"{ROWS}/{name}", made) if told["result"] else None
        facts = {"name": one.name, "size": one.size, "etag": one.etag, "sha256": sha256, "result": result}
        facts |= {count: told[count] for count in ("rows", "scored", "rejected")}
        rejections = [{"object": one.name, **refusal} for refusal in told["refused"]]
        return {
            "v": BATCH_VERSION,
            "plan": self.plan.digest,
            "objects": [facts],
            "rejections": rejections,
            "bins": told["bins"],
        }


def _stored(folder: Folder, name: str, path: Path) -> Document:
    """Create the object and return its facts; what a pod that was killed has left there of other bytes goes first."""
    try:
        repeat(lambda: write_verified(folder, name, path), _say, unless=errors.UPLOAD_FAILED)
    except errors.StoreError as error:
        if error.reason != errors.UPLOAD_FAILED or error.final:
            raise
        repeat(lambda: folder.remove(name), _say)
        repeat(lambda: write_verified(folder, name, path), _say)
    return {"name": name, "size": path.stat().st_size, "sha256": artifacts.sha256_of(path)}


def _require_apart(spec: BatchSpec) -> None:
    """Raise StartError (ConfigInvalid) for results below the input: the next run would take them for objects."""
    given, made = parse_uri(spec.input), parse_uri(spec.output)
    below = False
    if isinstance(given, S3Uri) and isinstance(made, S3Uri):
        below = given.bucket == made.bucket and f"{made.prefix}/".startswith(f"{given.prefix}/" if given.prefix else "")
    elif isinstance(given, FileUri) and isinstance(made, FileUri):
        below = made.path.is_relative_to(given.path)
    if below:
        words = f"the output {spec.output} lies in the input {spec.input}, whose objects are scored: name another"
        raise StartError("ConfigInvalid", words)


def _require_room(scratch: Path, size: int, label: str) -> None:
    free = shutil.disk_usage(scratch).free
    if size > free - SPARE:
        words = f"{label} has {size} bytes, {max(free - SPARE, 0)} are free at {scratch}"
        raise StartError("DiskFull", f"{words}: divide it into smaller objects, or make room", final=False)


def _last_part(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except errors.StoreError as error:
        # The plan stays as it is: an object that is another one now ends the run the same way again.
        final = error.final or error.reason == errors.OBJECT_CHANGED
        raise StartError(error.reason, error.message, final=final) from None
    except OSError as error:
        words = f"{error.filename or 'the scratch folder'}: {error.strerror}"
        raise StartError(errors.DISK_FAILED, words, final=False) from None


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _spec(options: argparse.Namespace, environ: Mapping[str, str]) -> BatchSpec:
    text = environ.get(names.ENV_BATCH)
    if text:
        try:
            return decode_spec(text)
        except ValueError as error:
            raise StartError("ConfigInvalid", f"{names.ENV_BATCH}: {error}") from None
    if not options.input or not options.output or not options.format:
        raise StartError("ConfigInvalid", f"--input, --output and --format are needed, or {names.ENV_BATCH}")
    columns = None if options.columns is None else tuple(filter(None, options.columns.split(",")))
    return BatchSpec("", options.input, options.output, options.format, columns, options.on_bad_row)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelmill-server batch", description="Score every object of a prefix with one model artifact."
    )
    parser.add_argument("folder", nargs="?", help="artifact folder; default: $MODELMILL_MODEL_FOLDER")
    parser.add_argument("--input", metavar="URI", help="s3://BUCKET/PREFIX or file:///FOLDER")
    parser.add_argument("--output", metavar="URI", help="where rows/ and manifest.json go")
    parser.add_argument("--format", choices=FORMATS, help="of the objects, and of the results")
    parser.add_argument("--columns", help="of the input, in the results, by commas; left out: all")
    parser.add_argument("--on-bad-row", choices=(FAIL, SKIP), default=FAIL, help="what a row that is no input does")
    parser.add_argument("--trusted-type", action="append", default=[], metavar="TYPE", help="as for serve")
    return parser
