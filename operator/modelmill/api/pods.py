"""What a person may say about the pods of an object: resources, placement, environment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import Part

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


class Toleration(Part):
    """A taint that the pod may be scheduled in spite of."""

    key: Annotated[str, Field(max_length=316)] | None = Field(default=None, description="Key of the taint.")
    operator: Literal["Exists", "Equal"] | None = Field(default=None, description="How key and value are compared.")
    value: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint. Left out: every effect."
    )


class PodTemplate(Part):
    """What may be said about the training pod. Everything else of it is decided by the operator."""

    resources: Resources = Field(
        default_factory=Resources,
        description="Resources of each container of the pod; they run one after the other. The built-in "
        "stages compute with as many threads as the limit of cpu, else its request, has CPUs; with one without either.",
    )
    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        default_factory=dict,
        description="Labels that the node must have.",
        json_schema_extra={"maxProperties": 32},
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=32,
        description="Taints that the pod may be scheduled in spite of.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class EnvVar(Part):
    """An environment variable with a literal value."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] = Field(
        description="Name of the variable; MODELMILL_ is reserved."
    )
    value: Annotated[str, Field(max_length=4096)] = Field(default="", description="Value, as it is.")
