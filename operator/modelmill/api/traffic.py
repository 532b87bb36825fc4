"""spec.rollout.traffic of an InferenceService: how a version gets its share of the requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import Name, ObjectName, Part, rules

Hostname = Annotated[
    str,
    Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253),
]
"""A host name, its first label perhaps `*` (Gateway API, Hostname)."""


class HeaderRoute(Part):
    """Requests by a header that they carry."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$", max_length=256)] = Field(
        description="Name of the header, in any case."
    )
    value: Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=1024)] = Field(
        description="Its value, exactly."
    )


class ParentRef(Part):
    """A Gateway, or one of its listeners."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Name | None = Field(default=None, description="Its namespace. Left out: that of the InferenceService.")
    section_name: ObjectName | None = Field(default=None, description="Name of the listener. Left out: all that fit.")
    port: int | None = Field(default=None, ge=1, le=65_535, description="Port of the listener. Left out: all that fit.")


class RouteRef(Part):
    """An HTTPRoute of the same namespace."""

    name: ObjectName = Field(
        description="Name of the HTTPRoute. Its rules name the backends NAME and NAME-canary, NAME being the InferenceService; "
        "their weights are all that is changed in it."
    )


class Traffic(Part):
    """How a version gets its share of the requests."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "self.mode == 'GatewayAPI' || !(has(self.parentRefs) || has(self.hostnames) || has(self.routeRef))",
                "parentRefs, hostnames and routeRef need mode GatewayAPI: set it, or remove them",
            ),
            (
                "self.mode != 'GatewayAPI' || has(self.parentRefs) != has(self.routeRef)",
                "mode GatewayAPI takes either parentRefs, for which a route is made, or routeRef, a route of yours",
            ),
            (
                "self.mode == 'Replicas' || !has(self.minimumSurge)",
                "minimumSurge is for mode Replicas: with GatewayAPI weights are exact; remove it",
            ),
            (
                "!has(self.hostnames) || !has(self.routeRef)",
                "hostnames are those of the route that is made for parentRefs: write them into the route that routeRef names",
            ),
        )
    }
    mode: Literal["Replicas", "GatewayAPI"] = Field(
        default="Replicas",
        description="Replicas: by the numbers of ready pods behind one Service. GatewayAPI: by the weights of an HTTPRoute, "
        "exactly, for requests that come through the gateway; the stable version keeps all its pods meanwhile.",
    )
    minimum_surge: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Most pods that a step may add so that the share of the new version's pods comes near its weight; as few "
        "are as bring it nearest. Left out: 0, and 10 percent of two pods are one of two.",
    )
    parent_refs: list[ParentRef] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description="Gateways of the HTTPRoute that is made, which has the name of the InferenceService.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    hostnames: list[Hostname] | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="Host names of the HTTPRoute that is made. Left out: those of the gateways' listeners.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    route_ref: RouteRef | None = Field(
        default=None, description="An HTTPRoute of yours in the place of one that is made."
    )
