"""A cell of the matrix: one program, one call, one fault, once or always; and what must be true of its end."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from modelmill.contracts import names
from modelmill.contracts.artifact import parse_manifest
from modelmill.contracts.stage import Champion
from modelmill_server.folder import open_folder
from modelmill_trainer.artifact_folder import verified_manifest
from tests.integration.store_faults import programs
from tests.integration.store_faults.programs import Ended, Program
from tests.integration.store_faults.proxy import Proxy, Strike
from tests.support.stages import ACCESS, BUCKET, SECRET, base_spec, car_data, cars, s3_client

MODEL = "fuel-economy"
NAMESPACE = "demo"


@dataclass
class Surroundings:
    """What all cells share: the real store, a folder, and a run that went well, whose artifact is the champion."""

    endpoint: str
    folder: Path
    count: int = 0

    @cached_property
    def client(self) -> Any:
        """A client that goes to the store itself."""
        return s3_client(self.endpoint)

    @cached_property
    def trained(self) -> Trained:
        """A run whose artifact lies in the store under `shared/`, and in a folder as `evaluate` left it."""
        own = "shared/"
        self.put_data(own)
        place = self.folder / "shared"
        work = Work(self, place, own, self.endpoint)
        (place / "output").mkdir(parents=True)
        for name in (programs.FETCH, programs.TRAIN, programs.EVALUATE, programs.PUBLISH):
            ended = work.program(name).run()
            assert ended.code == 0, ended.err
        artifact = ended.failure.artifact
        assert artifact is not None
        return Trained(place, Champion("fuel-1", artifact.uri, artifact.digest))

    def put_data(self, own: str) -> None:
        """Put the objects that a run trains on and measures on."""
        frame = cars()
        for name, rows in {"data/a.csv": frame[:150], "data/b.csv": frame[150:300], "held/c.csv": frame[300:]}.items():
            self.client.put_object(Bucket=BUCKET, Key=own + name, Body=rows.to_csv(index=False).encode())

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Return what lies below a prefix."""
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
        return {
            item["Key"].removeprefix(prefix): self.client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            for item in found
        }


@dataclass(frozen=True)
class Trained:
    """A run that went well."""

    folder: Path
    champion: Champion

    @property
    def artifact(self) -> Path:
        """The files that were published."""
        return self.folder / "evaluated" / "artifact"


@dataclass
class Work:
    """The folders and the environment of one program's run."""

    surroundings: Surroundings
    folder: Path
    own: str
    endpoint: str
    champion: Champion | None = None

    def program(self, name: str) -> Program:
        """Return one of the programs."""
        return Program(name, self._environment(name), self.folder)

    def _environment(self, name: str) -> dict[str, str]:
        keys = {
            names.ENV_ACCESS_KEY: ACCESS,
            names.ENV_SECRET_KEY: SECRET,
            names.ENV_ENDPOINT: self.endpoint,
        }
        if name == programs.LOG:
            return {**keys, "MODELMILL_PAYLOAD_LOG": f"s3://{BUCKET}/{self.own}log"}
        if name == programs.CARRY:
            return {**keys, names.ENV_ARTIFACT_URI: f"s3://{BUCKET}/{self.own}carried"}
        if name in (programs.SERVER_FETCH, programs.REMOVE):
            champion = self.surroundings.trained.champion
            return {
                **keys,
                names.ENV_ARTIFACT_URI: champion.uri.replace("shared/", self.own),
                names.ENV_ARTIFACT_DIGEST: champion.digest,
                names.ENV_MODEL_FOLDER: str(self.folder / "model"),
            }
        # What publish takes from the stages before it is the same in each cell.
        before = self.surroundings.trained.folder if name == programs.PUBLISH and self.own != "shared/" else self.folder
        return {
            **keys,
            names.ENV_STAGE: json.dumps(self._spec()),
            names.ENV_INPUT: str(self.folder / "input"),
            names.ENV_OUTPUT: str(before / "output"),
            names.ENV_HOLDOUT: str(before / "holdout"),
            names.ENV_METRICS: str(before / "output" / "metrics.json"),
            names.ENV_EVALUATED: str(before / "evaluated"),
        }

    def _spec(self) -> dict[str, Any]:
        data = car_data(f"s3://{BUCKET}/{self.own}data/", holdout={"uri": f"s3://{BUCKET}/{self.own}held/"})
        spec = base_spec() | {
            "store": {"uri": f"s3://{BUCKET}/{self.own}models", "endpoint": self.endpoint},
            "data": data,
            "estimator": {"estimator": "sklearn.linear_model.Ridge", "parameters": {}, "preprocessing": "Auto"},
        }
        if self.champion is not None:
            champion = self.champion
            spec["champion"] = {"name": champion.name, "uri": champion.uri, "digest": champion.digest}
        return spec


@dataclass
class Played:
    """What became of a cell. problems: what should not be so."""

    ended: Ended
    proxy: Proxy
    problems: list[str] = field(default_factory=list)


def play(
    surroundings: Surroundings,
    name: str,
    strike: Strike | None = None,
    started: Callable[[int], None] = lambda process: None,
) -> tuple[Work, Played]:
    """Run a program through a proxy on a part of the bucket of its own. started: is told the process id."""
    surroundings.count += 1
    own = f"cell{surroundings.count:05d}/"
    trained = surroundings.trained
    folder = surroundings.folder / own.rstrip("/")
    artifact = f"models/{NAMESPACE}/{MODEL}/{trained.champion.digest.replace(':', '-')}/"
    if name == programs.FETCH:
        surroundings.put_data(own)
    if name in (programs.FETCH, programs.SERVER_FETCH, programs.REMOVE):
        for path in trained.artifact.iterdir():
            surroundings.client.put_object(Bucket=BUCKET, Key=f"{own}{artifact}{path.name}", Body=path.read_bytes())
    champion = Champion("fuel-1", f"s3://{BUCKET}/{own}{artifact.rstrip('/')}", trained.champion.digest)
    with Proxy(surroundings.endpoint, own, strike) as proxy:
        work = Work(surroundings, folder, own, proxy.endpoint, champion if name == programs.FETCH else None)
        ended = work.program(name).run(started)
    return work, Played(ended, proxy)


def again(work: Work, name: str) -> Ended:
    """Run the program once more on the same part of the bucket, straight to the store."""
    work.endpoint = work.surroundings.endpoint
    return work.program(name).run()


def clear(work: Work) -> None:
    """Remove a cell's folder and objects."""
    shutil.rmtree(work.folder, ignore_errors=True)
    client = work.surroundings.client
    for key in sorted(work.surroundings.objects(work.own), reverse=True):
        client.delete_object(Bucket=BUCKET, Key=work.own + key)


def right_bytes(work: Work, name: str) -> Iterator[str]:
    """Yield what is wrong with what a program has that ended well."""
    if name == programs.FETCH:
        yield from _data(work)
        champion = work.champion
        assert champion is not None
        try:
            verified_manifest(champion, work.folder / "input" / "champion")
        except Exception as error:
            yield f"the champion is not what was asked for: {error!r}"
    elif name == programs.SERVER_FETCH:
        try:
            open_folder(work.folder / "model", work.surroundings.trained.champion.digest)
        except Exception as error:
            yield f"what would be served is not what was asked for: {error!r}"
    elif name == programs.REMOVE:
        if stored := published(work):
            yield f"{sorted(stored)} are left of the artifact"
    elif name == programs.PUBLISH:
        stored = published(work)
        wanted = {path.name: path.read_bytes() for path in work.surroundings.trained.artifact.iterdir()}
        if stored != wanted:
            yield f"the artifact has {sorted(stored)}, some of other content, and should have {sorted(wanted)}"
    else:
        yield from _logged(work)


def _data(work: Work) -> Iterator[str]:
    facts = json.loads((work.folder / "holdout" / names.DATA_FILE).read_text())
    told = {
        f"{place}/{item['name']}": item["sha256"]
        for place, side in (("data", "objects"), ("held", "holdout_objects"))
        for item in facts[side]
    }
    objects = work.surroundings.objects(work.own)
    stored = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in objects.items()
        if name.startswith(("data/", "held/"))
    }
    if told != stored:
        yield f"data.json says {told}, the store has {stored}"


def _logged(work: Work) -> Iterator[str]:
    counts = json.loads((work.folder / "out").read_text())
    lines = [
        json.loads(line)["id"]
        for content in work.surroundings.objects(f"{work.own}log/").values()
        for line in gzip.decompress(content).splitlines()
    ]
    if len(set(lines)) != len(lines):
        yield f"records are stored twice: {lines}"
    told = "were not stored before the end" in (work.folder / "err").read_text()
    if sum(counts.values()) != programs.RECORDS and not told:
        yield f"of {programs.RECORDS} records, {counts} were counted"
    if counts["written"] > len(lines):
        yield f"{counts['written']} records count as written, {len(lines)} are there"


def published(work: Work) -> dict[str, bytes]:
    """Return the files of the artifact in the store."""
    digest = work.surroundings.trained.champion.digest.replace(":", "-")
    return work.surroundings.objects(f"{work.own}models/{NAMESPACE}/{MODEL}/{digest}/")


def always(work: Work, name: str, played: Played) -> Iterator[str]:
    """Yield what is wrong however a program ended."""
    ended, client = played.ended, work.surroundings.client
    text = ended.out + ended.err + ended.message
    for secret in (SECRET, "Signature=", "Traceback", 'File "'):
        if secret in text:
            yield f"the words have {secret!r}"
    if ACCESS in text.replace("XAdminUser", ""):
        yield "the words have the access key"
    if played.proxy.strays:
        yield f"requests went elsewhere: {played.proxy.strays}"
    if left := list((work.folder / "tmp").iterdir()):
        yield f"files are left: {left}"
    if left := list(work.folder.rglob("*.part")):
        yield f"files are left: {left}"
    if uploads := client.list_multipart_uploads(Bucket=BUCKET).get("Uploads"):
        yield f"uploads are left: {uploads}"
    if name == programs.PUBLISH:
        stored = published(work)
        wanted = {path.name: path.read_bytes() for path in work.surroundings.trained.artifact.iterdir()}
        if names.MANIFEST_FILE in stored and stored != wanted:
            yield "a version is visible that is not complete"
        if any(wanted.get(key) != content for key, content in stored.items()):
            yield "an object has other content than the file"
    if name == programs.REMOVE and (stored := published(work)) and names.MANIFEST_FILE not in stored:
        yield f"{sorted(stored)} are left, and nothing says so any more"
    if name == programs.SERVER_FETCH and (work.folder / "model").is_dir():
        manifest = parse_manifest((work.surroundings.trained.artifact / names.MANIFEST_FILE).read_bytes())
        right = {file.name: file.sha256 for file in manifest.files}
        yield from _whole(work.folder / "model", right)
    if name != programs.LOG and ended.code > 0:
        yield from _told(work, ended)


def _whole(folder: Path, right: dict[str, str]) -> Iterator[str]:
    for path in folder.iterdir():
        if path.name != names.MANIFEST_FILE and hashlib.sha256(path.read_bytes()).hexdigest() != right.get(path.name):
            yield f"{path.name} lies in the folder and is not what the manifest says"


def _told(work: Work, ended: Ended) -> Iterator[str]:
    if ended.code not in (names.EXIT_FINAL, names.EXIT_RETRY):
        yield f"the exit code is {ended.code}"
    if len(ended.message.encode()) > 3072:
        yield f"the message has {len(ended.message.encode())} bytes"
    failure = ended.failure
    words = " ".join(failure.reasons)
    if not failure.reason or not words:
        yield "no reason is given"
    if f"s3://{BUCKET}/{work.own}" not in words:
        yield f"the words name no object: {words}"
    if len(ended.err.strip().splitlines()[-1]) > 3072:
        yield "the line is too long"
