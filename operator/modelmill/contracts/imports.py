"""What the `import` stage is told: where a foreign model is, what it is said to be, and which version it becomes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from modelmill.contracts.documents import read_fields

IMPORT_VERSION: Final = 1
MLFLOW: Final = "mlflow"
IMPORT_FORMATS: Final = ("onnx", "skops", "xgboost", "lightgbm", MLFLOW)


@dataclass(frozen=True, slots=True)
class ImportSpec:
    """One import.

    uri: of the model's file, or of a folder that has it. format: one of IMPORT_FORMATS. digest: `sha256:` + hex that
    the model's file must have; empty for any. store_uri: where artifacts are published. created: RFC 3339 time of the version,
    which the manifest gets: a repeated import of the same file makes the same bytes.
    """

    namespace: str
    model: str
    version: str
    uri: str
    format: str
    store_uri: str
    created: str
    digest: str = ""
    v: int = IMPORT_VERSION


def encode(spec: ImportSpec) -> str:
    """Return the JSON that `decode` reads."""
    return json.dumps(asdict(spec), sort_keys=True)


def decode(text: str) -> ImportSpec:
    """Return the import. Raises ValueError naming what is wrong."""
    raw: Any = json.loads(text)
    if not isinstance(raw, dict) or raw.get("v") != IMPORT_VERSION:
        raise ValueError(f"it is no import of version {IMPORT_VERSION}")
    try:
        spec = read_fields(ImportSpec, raw)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if not all(isinstance(getattr(spec, name), str) for name in ImportSpec.__dataclass_fields__ if name != "v"):
        raise ValueError("every field but v is text")
    return spec
