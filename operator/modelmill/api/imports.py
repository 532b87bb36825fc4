"""A version that is imported: the source in its spec, what the import published in its status, and one place to read both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from modelmill.api.base import Digest, Part, StatusPart, Uri
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import fitted

PUBLISHED_FIELDS = ("artifact", "format", "bytes")
"""What the import finds out of the fields that the spec of another version has."""


class Source(Part):
    """A model that another program made."""

    uri: Uri = Field(
        description="The model's file, or a folder with it: s3://BUCKET/KEY. It is read with the address and the keys of store."
    )
    format: Literal["onnx", "skops", "xgboost", "lightgbm", "mlflow"] = Field(
        description="What it is. mlflow: a model folder of MLflow with the flavor onnx, xgboost or lightgbm. Pickles are not "
        "read."
    )
    digest: Digest | None = Field(
        default=None,
        description="Digest that the model's file must have. Left out: any; manifest.json says which it was.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported(StatusPart):
    """What the import published."""

    uri: Annotated[Uri, Field(description="Folder of the artifact in the store.")]
    digest: Annotated[Digest, Field(description="Digest of its manifest.json.")]
    format: Annotated[Literal["onnx", "skops", "xgboost", "lightgbm"], Field(description="Format that is served.")]
    bytes: Annotated[int, Field(ge=0, le=2**53, description="Size of all files of the artifact.")]
    signature: Annotated[
        Annotated[str, Field(max_length=1024)], Field(description="Inputs and outputs of the model, for people.")
    ] = ""


IMPORT_CONDITION: Final = "Verified"
"""The condition that says whether what is imported was read, checked and published."""
MAX_TOLD: Final = 2000
_IMPORTED = TypeAdapter(Imported)


def imported_from(told: Mapping[str, Any]) -> Imported | None:
    """Return what a program says that it published; None for what the schema of the status would not take."""
    try:
        return _IMPORTED.validate_python(dict(told))
    except ValidationError:
        return None


def published(version: Manifest) -> dict[str, Any]:
    """Return `artifact`, `format` and `bytes` of a ModelVersion, wherever it came from; empty while there is no artifact.

    Those of the spec, or what its import published. Whatever else is in the object, this answers: see `references`.
    """
    spec, status = version.get("spec"), version.get("status")
    if not isinstance(spec, Mapping):
        return {}
    if spec.get("source") is None:
        return {name: spec[name] for name in PUBLISHED_FIELDS if name in spec}
    imported = status.get("imported") if isinstance(status, Mapping) else None
    if not isinstance(imported, Mapping) or not all(imported.get(name) for name in ("uri", "digest", "format")):
        return {}
    artifact = {name: imported[name] for name in ("uri", "digest")}
    return {"artifact": artifact, "format": imported["format"], "bytes": imported.get("bytes", 0)}


def import_told(version: Manifest) -> str | None:
    """Return what is said of the import of a ModelVersion; None for one that has no source, or whose source is imported."""
    spec, status = version.get("spec"), version.get("status")
    if not isinstance(spec, Mapping) or spec.get("source") is None or published(version):
        return None
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    for one in conditions if isinstance(conditions, list) else ():
        if isinstance(one, Mapping) and one.get("type") == IMPORT_CONDITION:
            return f"its source is not imported: {one.get('reason')}: {fitted(str(one.get('message')), MAX_TOLD)}"
    return "its source is not imported yet"


def with_published(version: Manifest) -> Manifest:
    """Return a ModelVersion whose spec has what its import published; any other as it is."""
    spec = version.get("spec")
    if not isinstance(spec, Mapping) or spec.get("source") is None:
        return version
    return {**version, "spec": {**spec, **published(version)}}
