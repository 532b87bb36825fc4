"""Removes the artifact of a deleted version from its store: the files that its manifest lists, and nothing else."""

from __future__ import annotations

import os

from modelmill.contracts import names
from modelmill.contracts.artifact import parse_manifest
from modelmill_trainer.artifact_folder import MAX_MANIFEST
from modelmill_trainer.environment import required
from modelmill_trainer.failure import StageError
from modelmill_trainer.stores import open_folder


def remove() -> None:
    """Remove the artifact at MODELMILL_ARTIFACT_URI whose manifest has MODELMILL_ARTIFACT_DIGEST. Raises StageError.

    The manifest goes last, so that what was interrupted is found again; without one there is nothing left to do. Where the
    address holds another manifest the bytes are somebody else's, and stay.
    """
    uri, digest = (required(name) for name in (names.ENV_ARTIFACT_URI, names.ENV_ARTIFACT_DIGEST))
    folder = open_folder(
        uri, os.environ.get(names.ENV_ENDPOINT), os.environ.get(names.ENV_REGION), names.ENV_ARTIFACT_URI
    )
    try:
        content = folder.read(names.MANIFEST_FILE, MAX_MANIFEST, digest)
    except StageError as error:
        if error.reason == "ObjectNotFound":
            print(f"remove: nothing is at {uri}", flush=True)
            return
        if error.reason == "DataChanged":
            raise StageError("ArtifactOfAnother", f"{uri} holds another artifact: {error.messages[0]}") from None
        raise
    try:
        listed = [file.name for file in parse_manifest(content).files]
    except ValueError as error:
        raise StageError("ArtifactCorrupt", f"{uri}: {error}; nothing was removed") from None
    nested = [name for name in listed if "/" in name]
    if nested:
        # An artifact is a flat folder: what lies below it may be another's.
        raise StageError("ArtifactCorrupt", f"{uri}: manifest.json names {nested[0]!r}; nothing was removed")
    for name in listed:
        if name != names.MANIFEST_FILE:
            folder.remove(name)
    folder.remove(names.MANIFEST_FILE)
    print(f"remove: {len(listed)} files and the manifest at {uri}", flush=True)
