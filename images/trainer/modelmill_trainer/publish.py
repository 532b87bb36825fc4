"""The publish stage: what the evaluation left is checked and stored. No model is loaded here, where the store's keys are."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from modelmill.contracts import names, result
from modelmill.contracts.artifact import MODEL_FILES, digest, parse_manifest
from modelmill.contracts.stage import StageSpec
from modelmill_trainer.artifact_folder import publish_artifact, read_artifact
from modelmill_trainer.evaluate import evaluate, read_result
from modelmill_trainer.facts import Facts, read_facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.folders import Folders
from modelmill_trainer.phases import ARTIFACT_FOLDER
from modelmill_trainer.reproduction import compare
from modelmill_trainer.stores import join

FILES: Final = frozenset(
    {
        names.MANIFEST_FILE, names.PROFILE_FILE, names.GOLDEN_FILE, names.REPORT_FILE, names.DATA_FILE, names.ROWS_FILE,
        names.SCHEMA_FILE, *MODEL_FILES["onnx"], *MODEL_FILES["skops"], *MODEL_FILES["xgboost"], *MODEL_FILES["lightgbm"],
    }
)  # fmt: skip


def publish(spec: StageSpec, folders: Folders) -> result.StageResult:
    """Store what the evaluate stage left, or evaluate before where there was none, and return the result. Raises StageError.

    A run that makes a version again stores nothing: the two are compared.
    """
    if folders.evaluated is not None:
        return _end(spec, folders, folders.evaluated)
    with tempfile.TemporaryDirectory(prefix="modelmill-") as name:
        evaluate(spec, folders, Path(name))
        return _end(spec, folders, Path(name))


def _end(spec: StageSpec, folders: Folders, evaluated: Path) -> result.StageResult:
    begin = time.monotonic()
    source = evaluated / ARTIFACT_FOLDER
    facts = read_facts(folders.snapshot)
    try:
        ending = read_result(evaluated)
        made = _checked(spec, folders, facts, ending, source)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise StageError(
            "ModelInvalid", f"the evaluation of the model left what cannot be published: {error}"
        ) from None
    if spec.reproduces is not None:
        return compare(spec.reproduces, spec.store, parse_manifest((source / names.MANIFEST_FILE).read_bytes()), ending)
    uri, _ = publish_artifact(source, join(spec.store.uri, spec.namespace, spec.model), spec.store)
    print(f"publish: {made.format}, {made.bytes} bytes at {uri}, {time.monotonic() - begin:.2f} s", flush=True)
    ending = replace(ending, artifact=replace(made, uri=uri), drift=facts.drift)
    print(f"publish: {ending.outcome}", flush=True)
    return ending


def _checked(
    spec: StageSpec, folders: Folders, facts: Facts, ending: result.StageResult, folder: Path
) -> result.Artifact:
    """Return the artifact when it is what this run was to make. Raises ValueError, OSError.

    The process that wrote it ran the model, so nothing of it is believed: a plain file for each name that an artifact has, the
    sizes and digests of the manifest, this run's name, data and champion.
    """
    manifest, content = read_artifact(folder, FILES)
    if ending.outcome not in (result.PUBLISHED, result.GATE_FAILED):
        raise ValueError(f"the outcome {ending.outcome!r} is none of a model that was evaluated")
    size = sum(path.stat().st_size for path in folder.iterdir())
    made = result.Artifact("", digest(content), size, manifest.format)
    told = {
        "artifact": (ending.artifact, made),
        "model": (manifest.model, spec.model),
        "version": (manifest.version, spec.version),
        "run": (manifest.lineage.get("run_uid"), spec.run_uid),
        "metrics": (manifest.metrics, ending.metrics),
        "data": (ending.data, facts.told()),
        "schema": (_content(folder / names.SCHEMA_FILE), _content(folders.schema)),
        "warm start": (_begun(ending, spec), spec.warm_start),
        "champion": (ending.champion and ending.champion.name, spec.champion and spec.champion.name),
    }
    for field, (said, wanted) in told.items():
        if said != wanted:
            raise ValueError(f"its {field} is not that of this run")
    if not any((folder / name).exists() for name in MODEL_FILES.get(manifest.format, ())):
        raise ValueError(f"there is no file of the format {manifest.format!r}")
    return made


def _begun(ending: result.StageResult, spec: StageSpec) -> bool:
    """Return whether the result says from what the training began: from this run's champion, or why it began anew."""
    told = ending.warm_start
    champion = spec.champion.name if spec.champion is not None else ""
    return told is not None and bool(told.version == champion if told.version else told.reason)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
