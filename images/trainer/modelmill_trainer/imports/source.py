"""Where a foreign model is: its objects listed, chosen and brought, within bounds. Nothing of it is opened but an MLmodel."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from modelmill.artifacts.limits import LIMITS
from modelmill.contracts.imports import MLFLOW, ImportSpec
from modelmill_trainer.confinement import MAX_FILE
from modelmill_trainer.failure import StageError
from modelmill_trainer.stores import Entry, Folder

MAX_OBJECTS: Final = 200
MAX_BYTES: Final = min(MAX_FILE, LIMITS.file)
MAX_MLMODEL: Final = 1 << 20
MLMODEL: Final = "MLmodel"
ENDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "onnx": (".onnx",),
    "skops": (".skops",),
    "xgboost": (".ubj", ".json", ".xgb", ".model"),
    "lightgbm": (".txt", ".lgb", ".model"),
}
FLAVORS: Final = ("onnx", "xgboost", "lightgbm")
"""Those of MLflow that are read, in the order in which one is looked for."""
DEFAULT_DATA: Final = {"onnx": "model.onnx", "xgboost": "model.ubj", "lightgbm": "model.lgb"}
PICKLED: Final = (
    "a pickle, which may run anything when it is opened, and is not read: write the model with skops.io.dump or as ONNX, and "
    "import that"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A model's file on disk. name: what it was called. form: the format that it is served in. sha256: in hex.

    inputs: names that MLmodel says, in the model's order; empty for none.
    """

    path: Path
    name: str
    form: str
    sha256: str
    inputs: tuple[str, ...] = ()


def bring(spec: ImportSpec, folder: Folder, into: Path) -> Found:
    """Bring the model's file and return it.

    Raises StageError: SourceEmpty, SourceAmbiguous, SourceTooLarge, SourceInvalid, SourceDiffers, or whatever the store says.
    """
    entries = [entry for entry in folder.entries() if entry.size]
    if not entries:
        raise StageError("SourceEmpty", f"there is no object with content at {spec.uri}: correct spec.source.uri")
    into.mkdir(parents=True, exist_ok=True)
    if spec.format == MLFLOW:
        entry, form, inputs = _of_mlflow(spec, folder, entries, into)
    else:
        entry, form, inputs = _only(spec, entries), spec.format, ()
    sha256 = _saved(folder, entry, into / "model", MAX_BYTES)
    if spec.digest and spec.digest != f"sha256:{sha256}":
        raise StageError(
            "SourceDiffers",
            f"{_where(folder, entry)} has the digest sha256:{sha256}, spec.source.digest is {spec.digest}",
        )
    name = entry.name or spec.uri.rstrip("/").rsplit("/", 1)[-1]
    require_format(into / "model", form, name)
    return Found(into / "model", name, form, sha256, inputs)


def _only(spec: ImportSpec, entries: Sequence[Entry]) -> Entry:
    """Return the one object that may be the model."""
    if len(entries) == 1 and not entries[0].name:
        return entries[0]
    endings = ENDINGS[spec.format]
    fitting = [entry for entry in entries if entry.name.lower().endswith(endings)]
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(ascii(entry.name)[1:-1] for entry in (fitting or entries)[:5])
    text = (
        f"{len(fitting)} of the {len(entries)} objects at {spec.uri} end in {' or '.join(endings)} ({shown}): name the "
        "model's file in spec.source.uri"
    )
    if fitting:
        raise StageError("SourceAmbiguous", text)
    raise StageError("SourceEmpty", text)


def _of_mlflow(
    spec: ImportSpec, folder: Folder, entries: Sequence[Entry], into: Path
) -> tuple[Entry, str, tuple[str, ...]]:
    """Return the file of the flavor that is served, its format, and the names of its inputs."""
    if len(entries) > MAX_OBJECTS:
        text = f"{spec.uri} has {len(entries)} objects, a model folder has {MAX_OBJECTS} at most: name the folder of one model"
        raise StageError("SourceTooLarge", text)
    by_name = {entry.name: entry for entry in entries}
    if MLMODEL not in by_name:
        shown = ", ".join(ascii(name)[1:-1] for name in list(by_name)[:5])
        raise StageError("SourceInvalid", f"{spec.uri} is no model folder of MLflow: it has no {MLMODEL}, but {shown}")
    _saved(folder, by_name[MLMODEL], into / MLMODEL, MAX_MLMODEL)
    document = _document(into / MLMODEL)
    flavors = document.get("flavors")
    if not isinstance(flavors, dict):
        raise StageError("SourceInvalid", f"{MLMODEL} names no flavors")
    form = next((one for one in FLAVORS if isinstance(flavors.get(one), dict)), None)
    if form is None:
        found = ", ".join(ascii(str(one))[1:-1] for one in list(flavors)[:8]) or "none"
        what = (
            f"the flavor sklearn is {PICKLED}"
            if "sklearn" in flavors
            else "python_function runs code, and is never run"
        )
        text = f"{MLMODEL} has the flavors {found}, and {', '.join(FLAVORS)} are imported; {what}"
        raise StageError("PickleRefused" if "sklearn" in flavors else "SourceInvalid", text)
    data = flavors[form].get("data") or DEFAULT_DATA[form]
    if not isinstance(data, str) or data not in by_name:
        raise StageError(
            "SourceInvalid", f"{MLMODEL} says that the model is {str(data)[:200]!r}, which is not in {spec.uri}"
        )
    return by_name[data], form, _inputs(document)


def _document(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise StageError("SourceInvalid", f"{MLMODEL} is no YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(raw, dict):
        raise StageError("SourceInvalid", f"{MLMODEL} is no document of MLflow")
    return raw


def _inputs(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the inputs in MLmodel's signature; nothing where there is none, or one that says no names."""
    signature = document.get("signature")
    inputs = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        columns = json.loads(inputs) if isinstance(inputs, str) else inputs
    except (ValueError, RecursionError):
        columns = None
    if not isinstance(columns, list) or not all(isinstance(one, dict) for one in columns):
        return ()
    if not all(isinstance(one.get("name"), str) and one["name"] and one.get("type") != "tensor" for one in columns):
        return ()
    names = tuple(one["name"] for one in columns)
    return names if len(set(names)) == len(names) else ()


def _saved(folder: Folder, entry: Entry, path: Path, most: int) -> str:
    if entry.size > most:
        raise StageError(
            "SourceTooLarge", f"{_where(folder, entry)} has {entry.size} bytes: at most {most} are imported"
        )
    return folder.save(entry.name, path, entry.size, etag=entry.etag)


def _where(folder: Folder, entry: Entry) -> str:
    return f"{folder.uri.rstrip('/')}/{entry.name}" if entry.name else folder.uri


def require_format(path: Path, form: str, name: str) -> None:
    """Raise StageError (PickleRefused, FormatDiffers) for a file that begins as one of another format does."""
    with path.open("rb") as stream:
        head = stream.read(64)
    if is_pickle(head):
        raise StageError("PickleRefused", f"{name} is {PICKLED}")
    begins = looks_like(head)
    if begins is not None and begins != form:
        raise StageError("FormatDiffers", f"{name} begins as a model of the format {begins}, and is said to be {form}")


def is_pickle(head: bytes) -> bool:
    """Tell whether a file begins as a pickle of protocol 2 or later, or as what joblib compresses one to."""
    return re.match(rb"\x80[\x02-\x05]", head) is not None or head.startswith((b"\x78\x9c", b"\x78\xda", b"\x78\x01"))


def looks_like(head: bytes) -> str | None:
    """Return the format that a file's first bytes are of, None when they say none."""
    if head.startswith(b"PK\x03\x04"):
        return "skops"
    if head.startswith(b"tree"):
        return "lightgbm"
    if re.match(rb"\{(L[\x00-\xff]{7}|\s*\")", head) is not None:
        return "xgboost"
    return None


def is_text(path: Path) -> bool:
    """Tell whether an XGBoost document is JSON; else it is UBJSON."""
    with path.open("rb") as stream:
        return re.match(rb"\s*\{\s*\"", stream.read(64)) is not None


def digest_of(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
