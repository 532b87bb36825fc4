"""Batch prediction: what the operator tells a pod that scores, the documents beside the results, what the pod tells.

    OUTPUT/RUN/plan.json                the objects that are scored, as they were listed when the run began
    OUTPUT/RUN/rows/NAME                the rows of the input object NAME with what the model answers
    OUTPUT/RUN/objects/NNNNNN.json      that object NNNNNN of the plan is done: rows, digests, counts of drift
    OUTPUT/RUN/partitions/NNNN.json     the same of all objects of a partition
    OUTPUT/RUN/manifest.json            the same of all partitions; written last, it is the commit mark

Every one is created once and never changed, so that a pod that takes the place of another goes on with what is not there.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from modelmill.contracts.artifact import canonical, digest
from modelmill.contracts.documents import reading, shown
from modelmill.contracts.names import MANIFEST_FILE
from modelmill.contracts.result import MAX_BYTES

BATCH_VERSION: Final = 1
FORMATS: Final = ("csv", "parquet", "jsonl")
FAIL: Final = "Fail"
SKIP: Final = "Skip"
"""What a row that the model cannot take does: it ends the run, or it is counted, told and left out."""
MAX_OBJECTS: Final = 20_000
"""Of a run: its plan and its manifest are read whole."""
MAX_PARTITIONS: Final = 1000
MAX_DOCUMENT: Final = 64 << 20
MAX_TOLD: Final = 100
"""Rows of a run that are told one by one; all are counted."""

PREDICTION: Final = "(prediction)"
"""What stands for the prediction among the features whose bins are counted."""

PLAN_FILE: Final = "plan.json"
ROWS: Final = "rows"
OBJECTS: Final = "objects"
PARTITIONS: Final = "partitions"


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """One run.

    run: its name. input: s3://BUCKET/PREFIX or file:///FOLDER, of which every object has rows in `format`. output: the folder
    of the run itself. columns: of the input, that the results have beside the answers; None for all. on_bad_row: FAIL or
    SKIP. partitions: pods among which the objects are shared out.
    """

    run: str
    input: str
    output: str
    format: str
    columns: tuple[str, ...] | None = None
    on_bad_row: str = FAIL
    partitions: int = 1


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """An object of the input. name: relative to its address, empty where that is the object's own. size: in bytes."""

    name: str
    size: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What a run scores, and with what. version: of the model; artifact: its digest."""

    spec: BatchSpec
    version: str
    artifact: str
    objects: tuple[PlannedObject, ...]

    def document(self) -> bytes:
        """Return the bytes of plan.json."""
        return canonical({"v": BATCH_VERSION, **asdict(self)})

    @property
    def digest(self) -> str:
        """The digest of the document."""
        return digest(self.document())

    def partition(self, index: int) -> list[int]:
        """Return the places of the objects of one partition, in order: the largest ones are shared out first."""
        loads = [(0, place) for place in range(self.spec.partitions)]
        mine = []
        for place in sorted(range(len(self.objects)), key=lambda place: (-self.objects[place].size, place)):
            load, lightest = loads[0]
            heapq.heapreplace(loads, (load + self.objects[place].size + 1, lightest))
            if lightest == index:
                mine.append(place)
        return sorted(mine)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was left out. row: data row of its object, from 1. column: empty where it is not about one."""

    object: str
    row: int
    column: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a pod tells when its partition is done.

    manifest: address of the manifest, where all partitions are done; empty before. objects, rows, rejected: of the whole run
    then, else of the partition. rows: that were scored. psi: of the feature that drifted most, None where nothing was counted.
    rejections: the first rows that were left out, in words.
    """

    partition: int
    objects: int
    rows: int
    rejected: int
    manifest: str = ""
    feature: str = ""
    psi: float | None = None
    rejections: tuple[str, ...] = ()


def object_file(place: int) -> str:
    """Return where it is written that an object of the plan is done."""
    return f"{OBJECTS}/{place:06}.json"


def partition_file(index: int) -> str:
    """Return where it is written that a partition is done."""
    return f"{PARTITIONS}/{index:04}.json"


def manifest_uri(output: str) -> str:
    """Return the address of the manifest of a run."""
    return f"{output.rstrip('/')}/{MANIFEST_FILE}"


def encode_spec(spec: BatchSpec) -> str:
    """Return the value of the environment variable."""
    return json.dumps(asdict(spec), separators=(",", ":"), ensure_ascii=False)


def decode_spec(text: str) -> BatchSpec:
    """Return the spec. Raises ValueError naming what is wrong."""
    with reading():
        return _spec(json.loads(text))


def parse_plan(content: bytes) -> BatchPlan:
    """Return the plan in a document. Raises ValueError when it is none."""
    with reading():
        raw = json.loads(content)
        if raw["v"] != BATCH_VERSION:
            raise ValueError(f"it is not of version {BATCH_VERSION}")
        objects = tuple(PlannedObject(str(one["name"]), int(one["size"]), str(one["etag"])) for one in raw["objects"])
        return BatchPlan(_spec(raw["spec"]), str(raw["version"]), str(raw["artifact"]), objects)


def encode_result(told: BatchResult) -> str:
    """Return the termination message of a pod whose partition is done, MAX_BYTES at most: long texts are cut."""
    text = ""
    for keep in (300, 100, 0):
        shorter = {
            "manifest": shown(told.manifest, 1024),
            "feature": shown(told.feature, 128),
            "rejections": [shown(one, keep) for one in told.rejections[:3]] if keep else [],
        }
        text = json.dumps(
            {"v": BATCH_VERSION, "batch": {**asdict(told), **shorter}}, separators=(",", ":"), ensure_ascii=False
        )
        if len(text.encode()) <= MAX_BYTES:
            break
    return text


def decode_result(text: str) -> BatchResult | None:
    """Return what a termination message of `encode_result` tells; None when it is another message."""
    try:
        document = json.loads(text)
        raw = document["batch"] if document["v"] == BATCH_VERSION else {}
        told = BatchResult(
            partition=raw["partition"],
            objects=raw["objects"],
            rows=raw["rows"],
            rejected=raw["rejected"],
            manifest=raw.get("manifest") or "",
            feature=raw.get("feature") or "",
            psi=raw.get("psi"),
            rejections=tuple(raw.get("rejections") or ()),
        )
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    counts = (told.partition, told.objects, told.rows, told.rejected)
    counted = all(type(count) is int and 0 <= count < 1 << 53 for count in counts)
    worded = all(isinstance(word, str) for word in (told.manifest, told.feature, *told.rejections))
    measured = told.psi is None or (type(told.psi) in (int, float) and 0 <= told.psi < float("inf"))
    return told if counted and worded and measured else None


def _spec(raw: dict[str, Any]) -> BatchSpec:
    columns = raw.get("columns")
    spec = BatchSpec(
        run=str(raw["run"]),
        input=str(raw["input"]),
        output=str(raw["output"]),
        format=str(raw["format"]),
        columns=None if columns is None else tuple(str(name) for name in columns),
        on_bad_row=str(raw.get("on_bad_row", FAIL)),
        partitions=int(raw.get("partitions", 1)),
    )
    if spec.format not in FORMATS:
        raise ValueError(f"format {spec.format!r} is none of {', '.join(FORMATS)}")
    if spec.on_bad_row not in (FAIL, SKIP):
        raise ValueError(f"on_bad_row {spec.on_bad_row!r} is none of {FAIL}, {SKIP}")
    if not 1 <= spec.partitions <= MAX_PARTITIONS:
        raise ValueError(f"partitions is {spec.partitions}: it must be from 1 to {MAX_PARTITIONS}")
    return spec
