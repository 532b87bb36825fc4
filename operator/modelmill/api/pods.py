"""What a person may say about the pods of an object: resources, environment."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from modelmill.api.base import Part, rules
from modelmill.api.placement import Placement

ImageName = Annotated[str, Field(pattern=r"^[^\s]+$", min_length=1, max_length=512)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=32)]


class Resources(Part):
    """Compute resources of a container."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What the container is guaranteed, e.g. {cpu: 500m, memory: 1Gi}.",
        json_schema_extra={"maxProperties": 8},
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What the container may use at most.",
        json_schema_extra={"maxProperties": 8},
    )


class PodTemplate(Placement):
    """What may be said about the training pod. Everything else of it is decided by the operator."""

    resources: Resources = Field(
        default_factory=Resources,
        description="Resources of each container of the pod; they run one after the other. The built-in "
        "stages compute with as many threads as the limit of cpu, else its request, has CPUs; with one without either.",
    )


class EnvVar(Part):
    """An environment variable with a literal value."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] = Field(
        description="Name of the variable; MODELMILL_ is reserved."
    )
    value: Annotated[str, Field(max_length=4096)] = Field(default="", description="Value, as it is.")


def variables(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return `json_schema_extra` of a list of variables, with more rules from (rule, message) pairs."""
    reserved = ("self.all(e, !e.name.startsWith('MODELMILL_'))", "names that begin with MODELMILL_ are reserved")
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], **rules(reserved, *pairs)}
