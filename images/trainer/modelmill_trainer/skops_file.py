"""model.skops: written, audited and loaded with the trusted types of the contract only."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import skops.io

from modelmill.contracts.artifact import SKOPS_TRUSTED
from modelmill.contracts.skops import opens_files
from modelmill_trainer.failure import StageError


def write(model: Any, path: Path) -> None:
    """Write the fitted model. Raises StageError (ModelInvalid) when nothing could load it again."""
    try:
        skops.io.dump(model, path, compression=ZIP_DEFLATED)
    except TypeError as error:
        raise StageError(
            "ModelInvalid", f"the model cannot be stored as skops: {error}; use another estimator"
        ) from None
    require_trusted(path)


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
