"""Whether an object of our kinds says only what its CRD knows: the API server would drop the rest without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from modelmill.api.base import API_VERSION
from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.api.model_version import ModelVersionSpec
from modelmill.api.schema import definitions
from modelmill.api.training_job import TrainingJobSpec

SPECS: Mapping[str, type[BaseModel]] = {
    "TrainingJob": TrainingJobSpec,
    "ModelVersion": ModelVersionSpec,
    "InferenceService": InferenceServiceSpec,
}


def validate(obj: Mapping[str, Any]) -> None:
    """Raise when an object of our kinds has an unknown field or a value out of its bounds; other kinds pass."""
    if obj["apiVersion"] != API_VERSION:
        return
    (crd,) = [one for one in definitions() if one["spec"]["names"]["kind"] == obj["kind"]]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    unknown = list(unknown_fields(obj["spec"], schema["properties"]["spec"], "spec"))
    if unknown or "status" in obj:
        raise ValueError(f"{obj['kind']} {obj['metadata']['name']} has unknown fields: {unknown}")
    SPECS[obj["kind"]].model_validate(obj["spec"])


def unknown_fields(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the paths of fields that the structural schema does not name."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner is None:
                yield f"{path}.{name}"
            else:
                yield from unknown_fields(child, inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from unknown_fields(child, schema["items"], f"{path}[{number}]")
