"""What an artifact's files may hold: checked in the file, before anything is unpacked, constructed or evaluated.

Whoever writes an artifact writes it by hand. Libraries take what they wrote themselves for granted: an index beyond the end is
read, a cycle is walked for ever, a size is allocated. Here sizes are compared with limits and with the file, indices with what
they point to, and trees are followed to be trees. `docs/reference/artifacts.md` says what remains possible.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelmill.artifacts.documents import check_json
from modelmill.artifacts.lightgbm import check_lightgbm
from modelmill.artifacts.limits import LIMITS, ArtifactInvalid, Limits
from modelmill.artifacts.onnx import check_onnx
from modelmill.artifacts.skops import check_skops
from modelmill.artifacts.xgboost import check_xgboost
from modelmill.contracts import names

__all__ = [
    "LIMITS",
    "ArtifactInvalid",
    "Limits",
    "check_artifact",
    "check_documents",
    "check_json",
    "check_lightgbm",
    "check_model",
    "check_onnx",
    "check_skops",
    "check_xgboost",
]

DOCUMENTS = (names.MANIFEST_FILE, names.PROFILE_FILE, names.GOLDEN_FILE)


def check_artifact(folder: Path, format_: str, model_file: Path, limits: Limits = LIMITS) -> None:
    """Raise ArtifactInvalid for the first file of an artifact that may hurt what loads it.

    format_: the manifest's; model_file: the file that is served.
    """
    check_documents(folder, limits)
    check_model(model_file, format_, limits)


def check_documents(folder: Path, limits: Limits = LIMITS) -> None:
    """Raise ArtifactInvalid for the first of DOCUMENTS that is there and is no bounded JSON object."""
    for name in DOCUMENTS:
        if (folder / name).exists():
            check_json(folder / name, limits)


def check_model(path: Path, format_: str, limits: Limits = LIMITS) -> None:
    """Raise ArtifactInvalid for a model file that may hurt what loads it. Code of the format `python` is not looked at."""
    check = _CHECKS.get(format_)
    if check is not None:
        check(path, limits)


_CHECKS: dict[str, Callable[[Path, Limits], None]] = {
    "skops": check_skops,
    "xgboost": check_xgboost,
    "lightgbm": check_lightgbm,
    "onnx": check_onnx,
}
