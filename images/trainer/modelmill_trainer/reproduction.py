"""A version made again from its recipe: the two models, compared."""

from __future__ import annotations

from modelmill.contracts import names, result
from modelmill.contracts.artifact import MODEL_FILES, Manifest, parse_manifest
from modelmill.contracts.stage import Origin, Store
from modelmill_trainer.artifact_folder import MAX_MANIFEST
from modelmill_trainer.failure import StageError
from modelmill_trainer.lineage import LIBRARIES
from modelmill_trainer.stores import open_folder


def origin_manifest(origin: Origin, store: Store) -> Manifest:
    """Return the manifest of the version that is made again, verified. Raises StageError: VersionMissing, VersionCorrupt, …"""
    folder = open_folder(origin.uri, store.endpoint, store.region, "artifact.uri")
    try:
        return parse_manifest(folder.read(names.MANIFEST_FILE, MAX_MANIFEST, origin.digest))
    except StageError as error:
        words = " ".join(error.messages)
        if error.reason == "ObjectNotFound":
            raise StageError("VersionMissing", f"the artifact of {origin.name} is gone: {words}") from None
        if error.reason in ("DataChanged", "ObjectTooLarge"):
            raise StageError("VersionCorrupt", f"the artifact of {origin.name} is damaged: {words}") from None
        raise
    except ValueError as error:
        raise StageError("VersionCorrupt", f"the artifact of {origin.name} at {origin.uri}: {error}") from None


def compare(origin: Origin, store: Store, made: Manifest, ending: result.StageResult) -> result.StageResult:
    """Return how the model that was made again compares with the version's. Raises StageError as `origin_manifest` does."""
    before = origin_manifest(origin, store)
    same = _model(before) == _model(made)
    if before.format == made.format:
        notes = [] if same else [f"the model's file {_model(made)[0]} has other bytes than that of {origin.name}"]
    else:
        notes = [f"{origin.name} is {before.format}, and the model made again {made.format}"]
    notes += _other_libraries(before, made)
    print(f"publish: {origin.name} was made again, {'the same bytes' if same else 'other bytes'}", flush=True)
    return result.StageResult(
        result.REPRODUCED,
        data=ending.data,
        metrics=ending.metrics,
        notes=(*notes, *ending.notes),
        reproduction=result.Reproduction(origin.name, same, before.metrics),
    )


def _model(manifest: Manifest) -> tuple[str, str]:
    """Return name and sha256 of the file that is served; empty where there is none."""
    wanted = MODEL_FILES.get(manifest.format, ())
    found = next((file for file in manifest.files if file.name in wanted), None)
    return (found.name, found.sha256) if found is not None else ("", "")


def _other_libraries(before: Manifest, made: Manifest) -> list[str]:
    changed = [
        f"{name} {before.lineage[name]}, {made.lineage[name]} here"
        for name in ("python", *LIBRARIES)
        if name in before.lineage and name in made.lineage and before.lineage[name] != made.lineage[name]
    ]
    return [f"it was made with other libraries: {'; '.join(changed)}"] if changed else []
