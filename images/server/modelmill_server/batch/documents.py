"""What is written beside the results: the plan, what is done, and the manifest that says that all is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from modelmill.contracts.artifact import Profile, canonical
from modelmill.contracts.batch import (
    BATCH_VERSION,
    MAX_DOCUMENT,
    MAX_OBJECTS,
    MAX_TOLD,
    PARTITIONS,
    PLAN_FILE,
    PREDICTION,
    BatchPlan,
    BatchSpec,
    PlannedObject,
    parse_plan,
    partition_file,
)
from modelmill.contracts.data import is_mark
from modelmill.contracts.drift import stability
from modelmill.contracts.names import MANIFEST_FILE
from modelmill.store.errors import OBJECT_NOT_FOUND, StoreError
from modelmill.store.folder import Folder
from modelmill.store.transfer import read_small, repeat
from modelmill_server.failure import StartError

Say = Callable[[str], None]
Document = dict[str, Any]


def planned(source: Folder, run: Folder, spec: BatchSpec, version: str, artifact: str, say: Say) -> BatchPlan:
    """Return the plan of the run: the first pod of a run makes it, the others read it.

    Raises StartError (NoObjects, TooManyObjects, OutputTaken), StoreError.
    """
    known = _plan_in(run, say)
    if known is None:
        entries = [one for one in repeat(source.entries, say) if one.size and not is_mark(one.name)]
        if not entries:
            raise StartError(
                "NoObjects", f"there is no object at {spec.input}: correct input.uri, or bring the data there"
            )
        if len(entries) > MAX_OBJECTS:
            words = f"{spec.input} has {len(entries)} objects, a run scores {MAX_OBJECTS} at most: name a part of it"
            raise StartError("TooManyObjects", words)
        objects = tuple(PlannedObject(one.name, one.size, one.etag) for one in entries)
        made = BatchPlan(spec, version, artifact, objects)
        if repeat(lambda: run.create(PLAN_FILE, made.document()), say):
            return made
        known = _plan_in(run, say)
    if known is None or (known.spec, known.version, known.artifact) != (spec, version, artifact):
        words = f"{run.uri}/{PLAN_FILE} is of another run: name another output.uri, or remove it"
        raise StartError("OutputTaken", words)
    return known


def read_document(folder: Folder, name: str, plan: BatchPlan, say: Say) -> Document:
    """Return what is done. Raises StartError (PlanDiffers) when it was done by another plan, StoreError."""
    content = repeat(lambda: read_small(folder, name, MAX_DOCUMENT), say)
    try:
        document = json.loads(content)
        same = document["plan"] == plan.digest
    except (ValueError, RecursionError, TypeError, KeyError):
        same = False
    if not same:
        # A store without conditional writes, at which two pods began at once while the input changed.
        words = f"{folder.uri}/{name} was not made by this run's plan: remove {folder.uri}, and begin another run"
        raise StartError("PlanDiffers", words)
    return dict(document)


def partition_document(plan: BatchPlan, done: Iterable[Document]) -> Document:
    """Return the sum of what is done: the facts of each object, the counts of all."""
    objects: list[Document] = []
    rejections: list[Document] = []
    bins: dict[str, dict[str, int]] = {}
    for one in done:
        objects += one["objects"]
        rejections += one["rejections"][: max(MAX_TOLD - len(rejections), 0)]
        for feature, counts in one["bins"].items():
            sums = bins.setdefault(feature, {})
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + count
    return {"v": BATCH_VERSION, "plan": plan.digest, "objects": objects, "rejections": rejections, "bins": bins}


def totals(document: Document) -> dict[str, int]:
    """Return rows, scored and rejected of all objects in a document."""
    return {name: sum(one[name] for one in document["objects"]) for name in ("rows", "scored", "rejected")}


def manifest(plan: BatchPlan, whole: Document, profile: Profile) -> Document:
    """Return the manifest: the same bytes, whoever writes it."""
    objects = sorted(whole["objects"], key=lambda one: str(one["name"]))
    return {
        "v": BATCH_VERSION,
        "version": plan.version,
        "artifact": plan.artifact,
        "plan": plan.digest,
        "spec": asdict(plan.spec),
        "objects": objects,
        **totals(whole),
        "rejections": whole["rejections"],
        "drift": _drift(whole["bins"], profile),
    }


def worst(document: Document) -> tuple[str, float | None]:
    """Return the feature of a manifest with the greatest index, and the index."""
    found = [(one["psi"], name) for name, one in document["drift"].items() if one["psi"] is not None]
    index, name = max(found, default=(None, ""))
    return name, index


def committed(run: Folder, plan: BatchPlan, profile: Profile, say: Say) -> Document | None:
    """Write the manifest when every partition is done, and return it; None while some are not."""
    there = {entry.name for entry in repeat(run.entries, say) if entry.name.startswith(f"{PARTITIONS}/")}
    wanted = [partition_file(index) for index in range(plan.spec.partitions)]
    if not there.issuperset(wanted):
        return None
    whole = partition_document(plan, (read_document(run, name, plan, say) for name in wanted))
    document = manifest(plan, whole, profile)
    content = canonical(document)
    if not repeat(lambda: run.create(MANIFEST_FILE, content), say):
        there_already = repeat(lambda: read_small(run, MANIFEST_FILE, MAX_DOCUMENT), say)
        if there_already != content:
            raise StartError("OutputTaken", f"{run.uri}/{MANIFEST_FILE} is of another run: name another output.uri")
    return document


def _drift(bins: Mapping[str, Mapping[str, int]], profile: Profile) -> Document:
    references = {**profile.features, **({PREDICTION: profile.prediction} if profile.prediction else {})}
    return {
        name: {"psi": _index(references[name].bins(), profile.rows, counts), "bins": dict(counts)}
        for name, counts in bins.items()
        if name in references
    }


def _index(shares: Mapping[str, float], rows: int, counts: Mapping[str, int]) -> float | None:
    """Return PSI without what chance adds; None where nothing was counted."""
    found = stability(shares, rows, counts)
    return None if found is None else round(max(found.index, 0.0), 6)


def _plan_in(run: Folder, say: Say) -> BatchPlan | None:
    try:
        return parse_plan(repeat(lambda: read_small(run, PLAN_FILE, MAX_DOCUMENT), say, unless=OBJECT_NOT_FOUND))
    except StoreError as error:
        if error.reason == OBJECT_NOT_FOUND:
            return None
        raise
    except ValueError as error:
        words = f"{run.uri}/{PLAN_FILE} is no plan: {error}: name another output.uri, or remove it"
        raise StartError("OutputTaken", words) from None
