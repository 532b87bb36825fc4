"""Writes a page about what a served version was asked: from the artifact's profile and what the operator counted."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from modelmill.contracts import names
from modelmill.contracts.artifact import Profile, parse_manifest, parse_profile
from modelmill.contracts.counts import COUNTS_KEY, History
from modelmill.contracts.counts import decode as decode_counts
from modelmill.contracts.drift_report import ReportSpec, decode
from modelmill_trainer.artifact_folder import MAX_MANIFEST
from modelmill_trainer.environment import required
from modelmill_trainer.failure import StageError
from modelmill_trainer.report.drift_page import render
from modelmill_trainer.stores import open_folder

MAX_PROFILE = 16 << 20
MAX_COUNTS = 4 << 20
"""Most bytes of the counts: a ConfigMap has one MiB at most."""
UNKNOWN = ("ObjectNotFound", "ObjectTooLarge", "DataChanged")
"""Reasons for which the page is made without the profile."""


def told_spec() -> ReportSpec:
    """Return the task that the environment tells. Raises StageError (SpecInvalid)."""
    try:
        return decode(required(names.ENV_REPORT))
    except ValueError as error:
        raise StageError("SpecInvalid", f"{names.ENV_REPORT}: {error}") from None


def drift_report(spec: ReportSpec) -> None:
    """Write the page, unless it is there: another try has written it. Raises StageError for what the store refuses."""
    parent, _, name = spec.uri.rpartition("/")
    endpoint, region = os.environ.get(names.ENV_ENDPOINT), os.environ.get(names.ENV_REGION)
    target = open_folder(parent, endpoint, region, names.ENV_REPORT)
    if target.size(name) is not None:
        print(f"drift-report: {spec.uri} is there", flush=True)
        return
    notes: list[str] = []
    history = _history(notes, spec.version)
    page = render(spec, history, _profile(notes), notes)
    with tempfile.TemporaryDirectory(prefix="modelmill-") as scratch:
        path = Path(scratch) / "page.html"
        path.write_text(page, encoding="utf-8", errors="replace")
        target.write(name, path)
    print(f"drift-report: {spec.uri} is written", flush=True)


def _history(notes: list[str], version: str) -> History | None:
    """Return what the operator counted of the version; None where it has left nothing about it, which is noted."""
    path = Path(required(names.ENV_COUNTS)) / COUNTS_KEY
    try:
        with path.open(encoding="utf-8") as stream:
            history = decode_counts(stream.read(MAX_COUNTS))
    except FileNotFoundError:
        notes.append("The operator has counted nothing yet.")
        return None
    except ValueError as error:
        notes.append(f"What the operator counted cannot be read: {error}.")
        return None
    if history.version != version:
        notes.append(f"What was counted is of {history.version}, and nothing of {version} yet.")
        return None
    return history


def _profile(notes: list[str]) -> Profile | None:
    """Return the artifact's profile; None where it has none that can be read, which is noted."""
    uri, digest = (required(name) for name in (names.ENV_ARTIFACT_URI, names.ENV_ARTIFACT_DIGEST))
    endpoint, region = os.environ.get(names.ENV_ENDPOINT), os.environ.get(names.ENV_REGION)
    folder = open_folder(uri, endpoint, region, names.ENV_ARTIFACT_URI)
    try:
        manifest = parse_manifest(folder.read(names.MANIFEST_FILE, MAX_MANIFEST, digest))
        listed = {file.name: file.sha256 for file in manifest.files}
        if names.PROFILE_FILE in listed:
            return parse_profile(folder.read(names.PROFILE_FILE, MAX_PROFILE, f"sha256:{listed[names.PROFILE_FILE]}"))
        why = f"its manifest names no {names.PROFILE_FILE}"
    except StageError as error:
        if error.reason not in UNKNOWN:
            raise
        why = " ".join(error.messages)
    except ValueError as error:
        why = str(error)
    notes.append(f"Bins have no words, since the profile of the artifact is not to be had: {why}.")
    return None
