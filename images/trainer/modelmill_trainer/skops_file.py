"""model.skops: written, audited and loaded with the trusted types of the contract only."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import skops.io

from modelmill.contracts.artifact import SKOPS_TRUSTED
from modelmill.contracts.skops import opens_files
from modelmill_trainer.failure import StageError

SCHEMA: Final = "schema.json"


def write(model: Any, path: Path) -> None:
    """Write the fitted model: the same bytes for the same model. Raises StageError (ModelInvalid)."""
    try:
        with TemporaryFile() as stream:
            skops.io.dump(model, stream)
            _write_anew(stream, path)
    except TypeError as error:
        raise StageError(
            "ModelInvalid", f"the model cannot be stored as skops: {error}; use another estimator"
        ) from None
    require_trusted(path)


def _write_anew(stream: IO[bytes], path: Path) -> None:
    """Write an archive of skops with numbers for names, in their order in its schema, and without times.

    skops names files and nodes by where their objects were in memory, which is another place in each process.
    """
    with ZipFile(stream) as given, ZipFile(path, "w", ZIP_DEFLATED) as made:
        schema = json.loads(given.read(SCHEMA))
        files: dict[str, str] = {}
        _renumber(schema, set(given.namelist()), {}, files)
        for name, new in files.items():
            content = given.read(name)
            _add(made, new, _without_gaps(content) if name.endswith(".npy") else content)
        _add(made, SCHEMA, json.dumps(schema, indent=2).encode())


def _without_gaps(content: bytes) -> bytes:
    """Return an array's file with zeros between the fields of its records: a tree's nodes have what was in memory there."""
    found = np.load(BytesIO(content), allow_pickle=False)
    if found.dtype.names is None:
        return content
    made = np.zeros(found.shape, found.dtype)
    for name in found.dtype.names:
        made[name] = found[name]
    stream = BytesIO()
    np.save(stream, made)
    return stream.getvalue()


def _renumber(node: Any, names: set[str], numbers: dict[int, int], files: dict[str, str]) -> None:
    if isinstance(node, list):
        for item in node:
            _renumber(item, names, numbers, files)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        # Under keys of the model's own dictionaries are nodes, neither numbers nor texts.
        if key == "__id__" and isinstance(value, int):
            node[key] = numbers.setdefault(value, len(numbers) + 1)
        elif key == "file" and isinstance(value, str) and value in names:
            node[key] = files.setdefault(value, f"{len(files) + 1}{Path(value).suffix}")
        else:
            _renumber(value, names, numbers, files)


def _add(archive: ZipFile, name: str, content: bytes) -> None:
    info = ZipInfo(name)  # of 1980-01-01
    info.compress_type = ZIP_DEFLATED
    archive.writestr(info, content)


def require_trusted(path: Path) -> None:
    """Raise StageError (ModelInvalid) naming the types that a server would refuse to load."""
    try:
        untrusted = [name for name in skops.io.get_untrusted_types(file=path) if name not in SKOPS_TRUSTED]
    except MemoryError:
        raise
    except Exception as error:  # a broken file breaks its library in any way
        raise StageError("ModelInvalid", f"{path.name} cannot be read: {type(error).__name__}: {error}") from None
    if untrusted:
        raise StageError(
            "ModelInvalid",
            f"{path.name} holds types that are not trusted: {', '.join(untrusted)}; use another estimator, or leave model.onnx",
        )


def load(path: Path) -> Any:
    """Return the model. Raises StageError (ModelInvalid)."""
    require_trusted(path)
    try:
        model = skops.io.load(path, trusted=list(SKOPS_TRUSTED))
        opening = opens_files(model)
    except MemoryError:
        raise
    except Exception as error:
        raise StageError("ModelInvalid", f"{path.name} cannot be loaded: {type(error).__name__}: {error}") from None
    if opening:
        raise StageError(
            "ModelInvalid", f"{path.name} holds a {opening} that opens the files its input names: use input='content'"
        )
    return model
