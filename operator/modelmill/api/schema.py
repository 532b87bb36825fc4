"""From pydantic models to structural schemas and CustomResourceDefinitions.

Source: Kubernetes documentation, CustomResourceDefinitions: structural schemas have no $ref, no anyOf with types, no title,
and a type on every node.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from modelmill.api import (
    inference_service,
    inference_service_status,
    model_version,
    model_version_status,
    training_job,
    training_job_status,
)
from modelmill.api.base import VERSION
from modelmill.kube.labels import GROUP

_DROPPED = frozenset({"title", "$defs", "propertyNames", "exclusiveMinimum", "exclusiveMaximum", "const"})


class SchemaError(TypeError):
    """A model uses something that a structural schema cannot say; the text names the path."""


def structural(model: type[Any]) -> dict[str, Any]:
    """Return the structural schema of a model. Raises SchemaError where a description or a type is missing."""
    raw = TypeAdapter(model).json_schema(by_alias=True, mode="validation")
    return _node(raw, raw.get("$defs", {}), model.__name__)


def _node(raw: dict[str, Any], defs: dict[str, Any], path: str) -> dict[str, Any]:
    if "$ref" in raw:
        target = defs[raw["$ref"].removeprefix("#/$defs/")]
        raw = {**target, **{key: value for key, value in raw.items() if key != "$ref"}}
        return _node(raw, defs, path)
    if "anyOf" in raw:
        return _node(_without_union(raw, path), defs, path)
    node = {key: value for key, value in raw.items() if key not in _DROPPED}
    if "const" in raw:
        node["enum"] = [raw["const"]]
    if node.get("default", 0) in (None, [], {}):
        del node["default"]
    node.pop("additionalProperties", None)
    if "x-kubernetes-int-or-string" in node:
        return node
    kind = node.get("type")
    if kind == "object":
        _object(raw, node, defs, path)
    elif kind == "array":
        node["items"] = _node(raw["items"], defs, f"{path}[]")
    elif kind == "integer":
        node.setdefault("format", "int64")
    elif kind not in ("string", "boolean"):
        raise SchemaError(f"{path} has type {kind!r}")
    return node


def _object(raw: dict[str, Any], node: dict[str, Any], defs: dict[str, Any], path: str) -> None:
    if "properties" not in raw:
        node["additionalProperties"] = _node(raw["additionalProperties"], defs, f"{path}.*")
        return
    node["properties"] = {}
    for name, child in raw["properties"].items():
        where = f"{path}.{name}"
        node["properties"][name] = _node(child, defs, where)
        if "description" not in node["properties"][name]:
            raise SchemaError(f"{where} has no description")


def _without_union(raw: dict[str, Any], path: str) -> dict[str, Any]:
    """Resolve `X | None` to X and `int | str` to int-or-string; a structural schema has no other union."""
    options = [option for option in raw["anyOf"] if option.get("type") != "null"]
    rest = {key: value for key, value in raw.items() if key != "anyOf"}
    if len(options) == 1:
        return {**options[0], **rest}
    if [option.get("type") for option in options] == ["integer", "string"]:
        # Bounds of the number do not matter to a text, nor the other way round.
        bounds = {key: value for option in options for key, value in option.items() if key != "type"}
        return {**bounds, **rest, "x-kubernetes-int-or-string": True}
    raise SchemaError(f"{path} is a union")


def _definition(
    kind: str,
    plural: str,
    short: str,
    spec: type[Any],
    status: type[Any],
    columns: list[dict[str, Any]],
    description: str,
    extra: dict[str, Any],
) -> dict[str, Any]:
    schema = {
        "description": description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": kind},
            "metadata": {"type": "object"},
            "spec": structural(spec),
            "status": structural(status),
        },
    }
    if "nameRule" in extra:
        schema["x-kubernetes-validations"] = [extra["nameRule"]]
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, **extra.get("subresources", {})},
        "additionalPrinterColumns": columns,
    }
    if "selectable" in extra:
        version["selectableFields"] = [{"jsonPath": path} for path in extra["selectable"]]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["modelmill"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def definitions() -> list[dict[str, Any]]:
    """Return the three CustomResourceDefinitions."""
    short_name = {
        "rule": "self.metadata.name.size() <= 44",
        "message": "metadata.name may have at most 44 characters: names of pods are made from it",
    }
    return [
        _definition(
            "TrainingJob",
            "trainingjobs",
            "mtj",
            training_job.TrainingJobSpec,
            training_job_status.TrainingJobStatus,
            training_job_status.columns(),
            "A model's training: a long-lived definition whose executions are runs. A run fetches the data, trains in a pod, "
            "measures the result on a hold-out and publishes it as a ModelVersion.",
            {"nameRule": short_name},
        ),
        _definition(
            "ModelVersion",
            "modelversions",
            "mmv",
            model_version.ModelVersionSpec,
            model_version_status.ModelVersionStatus,
            model_version_status.columns(),
            "One immutable result of training: where its bytes are, what it measured, where it comes from, and whether it may "
            "serve.",
            {
                "nameRule": {
                    "rule": f"self.metadata.name.size() <= {model_version.MAX_NAME}",
                    "message": f"metadata.name {model_version.NAME_TOO_LONG}",
                },
                "selectable": [".spec.model", ".spec.approval"],
            },
        ),
        _definition(
            "InferenceService",
            "inferenceservices",
            "mis",
            inference_service.InferenceServiceSpec,
            inference_service_status.InferenceServiceStatus,
            inference_service_status.columns(),
            "A model served over HTTP. A new version is rolled out step by step, measured, and taken back when it is worse.",
            {
                "nameRule": {
                    "rule": "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,42}[a-z0-9])?$')",
                    "message": "metadata.name must be at most 44 characters of a-z, 0-9 and -, beginning with a letter: its "
                    "Service has the same name",
                },
                "subresources": {
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    }
                },
            },
        ),
    ]
