"""The import stage: a foreign model is brought, opened in a process without keys, and published. The keys stay here."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelmill.contracts import imports, names, result
from modelmill.contracts.artifact import MODEL_FILES, digest
from modelmill.contracts.stage import Store
from modelmill_trainer import watched
from modelmill_trainer.artifact_folder import publish_artifact, read_artifact
from modelmill_trainer.confinement import available_memory
from modelmill_trainer.failure import StageError
from modelmill_trainer.imports.process import ARTIFACT_FOLDER, RESULT_FILE, STEPS, Asked, Phase
from modelmill_trainer.imports.source import Found, bring, digest_of, is_text
from modelmill_trainer.plain_files import NotPlain, read_plain
from modelmill_trainer.stores import join, open_folder

REASON: Final = re.compile(r"[A-Z][A-Za-z]{1,63}")
DOCUMENTS: Final = frozenset({names.MANIFEST_FILE, names.PROFILE_FILE, names.GOLDEN_FILE})


@dataclass(frozen=True, slots=True)
class Opener:
    """The program that opens a model, what it may use and how long each phase may take."""

    command: Sequence[str] = field(default_factory=lambda: watched.python("modelmill_trainer.imports.process"))
    steps: Mapping[Phase, watched.Step] = field(default_factory=lambda: STEPS)
    memory: int = field(default_factory=available_memory)


def told_spec() -> imports.ImportSpec:
    """Return what the environment asks for. Raises StageError (SpecInvalid)."""
    text = os.environ.get(names.ENV_IMPORT, "")
    if not text:
        raise StageError("SpecInvalid", f"{names.ENV_IMPORT} is not set")
    try:
        spec = imports.decode(text)
    except (ValueError, RecursionError) as error:
        raise StageError("SpecInvalid", f"{names.ENV_IMPORT}: {error}") from None
    if spec.format not in imports.IMPORT_FORMATS:
        known = ", ".join(imports.IMPORT_FORMATS)
        raise StageError("SpecInvalid", f"spec.source.format {spec.format!r} is none of {known}")
    return spec


def import_model(spec: imports.ImportSpec, opener: Opener | None = None) -> result.StageResult:
    """Bring the model, open it, publish it and return the result. Raises StageError."""
    store = Store(spec.store_uri, os.environ.get(names.ENV_ENDPOINT), os.environ.get(names.ENV_REGION))
    open_folder(store.uri, store.endpoint, store.region, "spec.store.uri").check_bucket()
    folder = open_folder(spec.uri, store.endpoint, store.region, "spec.source.uri")
    with tempfile.TemporaryDirectory(prefix="modelmill-") as name:
        work = Path(name)
        found = bring(spec, folder, work / "source")
        print(f"import: {found.name}, {found.form}, sha256 {found.sha256}", flush=True)
        into = work / "opened"
        into.mkdir()
        signature = _opened(spec, found, into, opener or Opener())
        made = _checked(spec, found, into / ARTIFACT_FOLDER)
        uri, _ = publish_artifact(into / ARTIFACT_FOLDER, join(store.uri, spec.namespace, spec.model), store)
    print(f"import: {made.format}, {made.bytes} bytes at {uri}", flush=True)
    artifact = result.Artifact(uri, made.digest, made.bytes, made.format)
    return result.StageResult(result.IMPORTED, artifact=artifact, signature=signature)


def _served(found: Found) -> str:
    """Return the name that the server looks for. Of XGBoost's two the content decides."""
    known = MODEL_FILES[found.form]
    return known[1] if found.form == "xgboost" and is_text(found.path) else known[0]


def _opened(spec: imports.ImportSpec, found: Found, into: Path, opener: Opener) -> str:
    """Let the process write the artifact, and return the signature for people. Raises StageError."""
    origin = {
        "imported_from": spec.uri,
        "imported_file": found.name,
        "imported_as": spec.format,
        "imported_digest": f"sha256:{found.sha256}",
    }
    seconds = int(sum(step.seconds for step in opener.steps.values())) * (os.cpu_count() or 1)

    def told(progress: int) -> bytes:
        return Asked(
            file=str(found.path),
            form=found.form,
            served=_served(found),
            inputs=found.inputs,
            origin=origin,
            into=str(into),
            model=spec.model,
            version=spec.version,
            created=spec.created,
            memory=opener.memory,
            cpu_seconds=seconds,
            parent=os.getpid(),
            progress=progress,
        ).encode()

    ended = watched.run(
        opener.command,
        told,
        watched.bare_environment(),
        [opener.steps[phase] for phase in Phase],
        lambda line: print(line, flush=True),
    )
    _require_own_end(ended, opener)
    try:
        ending = result.decode(read_plain(into / RESULT_FILE, result.MAX_BYTES).decode())
    except (NotPlain, FileNotFoundError, ValueError) as error:
        raise StageError("ModelInvalid", f"the process that opened the model left no valid result: {error}") from None
    if ended.code == 0 and ending.outcome == result.IMPORTED:
        return ending.signature
    reason = ending.reason if REASON.fullmatch(ending.reason) else "ModelInvalid"
    raise StageError(reason, *ending.reasons, final=ended.code != names.EXIT_RETRY)


def _require_own_end(ended: watched.Ended, opener: Opener) -> None:
    """Raise StageError for an end that is not of the program's own will."""
    step = opener.steps[Phase(ended.step)]
    during = f"while {step.words}"
    if ended.late or ended.signal == "SIGXCPU":
        raise StageError("ModelInvalid", f"the model took longer than {step.seconds:g} s {during}")
    if ended.signal == "SIGKILL":
        raise StageError("OutOfMemory", f"the model was killed {during}, as is done when memory runs out")
    if ended.signal:
        raise StageError("ModelInvalid", f"the model ended its process with {ended.signal} {during}")
    if ended.code not in (0, names.EXIT_FINAL, names.EXIT_RETRY):
        raise StageError("ModelInvalid", f"the model ended its process with exit code {ended.code} {during}")


def _checked(spec: imports.ImportSpec, found: Found, folder: Path) -> result.Artifact:
    """Return the artifact when it is what was to be made: the model ran in the process that wrote it.

    Its documents are plain files of an artifact, and the model is the file that was brought, byte by byte. Raises StageError.
    """
    served = _served(found)
    try:
        manifest, content = read_artifact(folder, DOCUMENTS | {served})
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise StageError("ModelInvalid", f"the import of the model left what cannot be published: {error}") from None
    said = (manifest.model, manifest.version, manifest.format, manifest.created)
    wanted = (spec.model, spec.version, found.form, spec.created)
    if said != wanted or manifest.metrics or digest_of(folder / served) != found.sha256:
        raise StageError("ModelInvalid", "the import of the model left an artifact that is not of this model")
    size = sum(path.stat().st_size for path in folder.iterdir())
    return result.Artifact("", digest(content), size, found.form)
