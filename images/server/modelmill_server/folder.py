"""An artifact folder on disk: read, verified against its own manifest, parsed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from modelmill.artifacts import ArtifactInvalid, check_documents
from modelmill.contracts import names
from modelmill.contracts.artifact import (
    FORMATS,
    MODEL_FILES,
    NUMERIC,
    Golden,
    Manifest,
    Profile,
    Signature,
    digest,
    parse_golden,
    parse_manifest,
    parse_profile,
)
from modelmill_server.failure import StartError

PYTHON_FORMAT = "python"


@dataclass(frozen=True, slots=True)
class ArtifactFolder:
    """A verified artifact. digest: `sha256:` + hex of manifest.json. model_file: the file that is served."""

    path: Path
    digest: str
    manifest: Manifest
    profile: Profile
    golden: Golden
    model_file: Path


def open_folder(path: Path, expected_digest: str | None = None) -> ArtifactFolder:
    """Read and verify the artifact in `path`.

    Raises StartError: ArtifactMissing without a manifest.json, ArtifactCorrupt naming the file when a digest, a size or the
    content of a document is wrong.
    """
    content = _read(path / names.MANIFEST_FILE, "ArtifactMissing")
    manifest_digest = digest(content)
    if expected_digest and manifest_digest != expected_digest:
        raise _corrupt(names.MANIFEST_FILE, f"its digest is {manifest_digest}, expected {expected_digest}")
    try:
        check_documents(path)
        manifest = parse_manifest(content)
    except ArtifactInvalid as error:
        raise StartError("ArtifactCorrupt", str(error)) from None
    except ValueError as error:
        raise _corrupt(names.MANIFEST_FILE, str(error)) from None
    verify_files(path, manifest)
    if manifest.format not in FORMATS:
        raise _corrupt(names.MANIFEST_FILE, f"format {manifest.format!r} is none of {', '.join(FORMATS)}")
    listed = {file.name for file in manifest.files}
    model_file = next((name for name in MODEL_FILES[manifest.format] if name in listed), None)
    if model_file is None:
        wanted = " or ".join(MODEL_FILES[manifest.format])
        raise _corrupt(names.MANIFEST_FILE, f"it does not list {wanted}, the file of format {manifest.format}")
    for needed in (names.PROFILE_FILE, names.GOLDEN_FILE):
        if needed not in listed:
            raise _corrupt(names.MANIFEST_FILE, f"it does not list {needed}")
    if manifest.format == PYTHON_FORMAT:
        _refuse_unlisted(path, listed)
    try:
        profile = parse_profile(_read(path / names.PROFILE_FILE))
        golden = parse_golden(_read(path / names.GOLDEN_FILE))
    except ValueError as error:
        raise StartError("ArtifactCorrupt", str(error)) from None
    _require_profiled(manifest.signature, profile)
    return ArtifactFolder(path, manifest_digest, manifest, profile, golden, path / model_file)


def _require_profiled(signature: Signature, profile: Profile) -> None:
    """Raise StartError (ArtifactCorrupt) for a profile of other features: their drift would never be seen.

    One that knows only some of the inputs, and nothing else, is taken: it contradicts nothing. So is one of no rows, of a model
    whose training data nobody saw.
    """
    if not profile.rows and not profile.features:
        return
    inputs = {tensor.name: tensor for tensor in signature.inputs}
    lacking = [name for name in inputs if name not in profile.features]
    strange = [name for name in profile.features if name not in inputs and name not in signature.ignored]
    if lacking and (strange or len(lacking) == len(inputs)):
        beside = f" and has {strange[0][:100]!r}, which is none" if strange else ""
        raise _corrupt(names.PROFILE_FILE, f"features lacks {lacking[0][:100]!r}, an input of the signature{beside}")
    for name in inputs.keys() & profile.features.keys():
        if inputs[name].datatype == "BYTES" and profile.features[name].kind == NUMERIC:
            raise _corrupt(
                names.PROFILE_FILE, f"features[{name[:100]!r}].kind is {NUMERIC}, the input has datatype BYTES"
            )


def verify_files(path: Path, manifest: Manifest) -> None:
    """Compare every file with its entry in the manifest. Raises StartError (ArtifactCorrupt) naming the first that differs.

    Those that are not served may be missing.
    """
    for file in manifest.files:
        plain_name(file.name)
        if file.name in names.NOT_SERVED and not (path / file.name).exists():
            continue
        problem = mismatch(path / file.name, file.size, file.sha256)
        if problem:
            raise _corrupt(file.name, problem)


def _refuse_unlisted(path: Path, listed: set[str]) -> None:
    """Raise StartError (ArtifactCorrupt) for a file that nobody vouches for: Python would import it by its name."""
    for entry in sorted(path.iterdir()):
        if entry.name not in listed and entry.name != names.MANIFEST_FILE:
            raise _corrupt(
                entry.name, "the manifest does not list it, and beside Python code nothing unverified may lie"
            )


def mismatch(path: Path, size: int, sha256: str) -> str:
    """Return what is wrong with a file, or an empty text."""
    try:
        with path.open("rb") as stream:
            found_size = path.stat().st_size
            if found_size != size:
                return f"it has {found_size} bytes, the manifest says {size}"
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return "" if actual == sha256 else f"its sha256 is {actual}, the manifest says {sha256}"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def plain_name(name: str) -> str:
    """Return `name` when it stays inside its folder. Raises StartError (ArtifactCorrupt) otherwise."""
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise _corrupt(names.MANIFEST_FILE, f"the file name {name!r} is not a plain name")
    return name


def _read(path: Path, reason: str = "ArtifactCorrupt") -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(reason, f"{path} cannot be read: {error.strerror}") from None


def _corrupt(name: str, problem: str) -> StartError:
    return StartError("ArtifactCorrupt", f"{name}: {problem}")
