"""The HTTPRoute that shares the requests out, as it is in the cluster: its weights, and whether its gateways have taken them.

Source: Gateway API v1, HTTPRoute: backendRefs, RouteParentStatus; a condition is about the generation that it observed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from modelmill.api.objects import InferenceService
from modelmill.api.traffic import HeaderRoute
from modelmill.engine.interface import World
from modelmill.kube.conditions import TRUE, find
from modelmill.kube.labels import REVISION_LABEL
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import HTTP_ROUTES, SERVICES
from modelmill.kube.texts import fitted

FULL: Final = 100
_GATEWAY: Final = {"group": HTTP_ROUTES.group, "kind": "Gateway"}
_MAX_WORDS: Final = 500


@dataclass(frozen=True, slots=True)
class Route:
    """What a rollout asks of its HTTPRoute.

    header: by which a rule of a route that was made sends requests to the canary Service alone. weights: those of the stable
    and of the canary Service, in each rule that has both. taken: whether every parent of the route has taken it as it is.
    canary: revision that the canary Service selects, empty when there is none yet.
    silent: parents that have not said yet what they make of it as it is.
    reason, message: what a person must mend before weights can be set, empty when nothing. theirs: the route of the user's.
    """

    weights: Sequence[tuple[int, int]] = ()
    header: HeaderRoute | None = None
    taken: bool = False
    canary: str = ""
    reason: str = ""
    message: str = ""
    silent: Sequence[str] = ()
    theirs: Manifest | None = field(default=None, compare=False)

    @property
    def waits(self) -> str:
        """Which gateways have not answered, as words that follow others; empty when all have."""
        if not self.silent or self.reason:
            return ""
        return f"; {', '.join(self.silent)} has not answered about it yet: does it exist, and does its controller run?"

    @property
    def share(self) -> int:
        """The canary Service's greatest share of the requests of a rule, percent, rounded up."""
        shares = [-(-FULL * canary // (stable + canary)) for stable, canary in self.weights if canary > 0]
        return max(shares, default=0)

    def carries(self, weight: int, revision: str, header: HeaderRoute | None = None) -> bool:
        """Tell whether the gateways give this revision its share, percent, and what has the header; the stable one the rest."""
        idle = weight == 0 and header is None
        exact = bool(self.weights) and all(one == (FULL - weight, weight) for one in self.weights)
        return self.taken and exact and not self.reason and self.header == header and (idle or self.canary == revision)


def canary_service(service: str) -> str:
    """Return the name of the Service that the candidate is reached by, and outside of a rollout the stable version."""
    return f"{service}-canary"


def route_of(service: InferenceService, world: World) -> Route | None:
    """Return the route of an InferenceService of mode GatewayAPI; None of another."""
    traffic = service.spec.rollout.traffic
    if traffic.mode != "GatewayAPI":
        return None
    if not world.watched(HTTP_ROUTES, service.namespace):
        text = (
            f"spec.rollout.traffic.mode is GatewayAPI, and {HTTP_ROUTES.plural}.{HTTP_ROUTES.group}/{HTTP_ROUTES.version} are "
            "not installed or the operator may not watch them; install the Gateway API, or set the mode to Replicas"
        )
        return Route(reason="GatewayAPIMissing", message=text)
    name = traffic.route_ref.name if traffic.route_ref is not None else service.name
    found = world.get(HTTP_ROUTES, service.namespace, name)
    selector = (world.get(SERVICES, service.namespace, canary_service(service.name)) or {}).get("spec", {})
    canary = str(selector.get("selector", {}).get(REVISION_LABEL, ""))
    theirs = found if traffic.route_ref is not None else None
    reason, message = _unfit(service, name, found)
    weights = tuple(pair for _, pair in paired_rules(service.name, found)) if found is not None else ()
    if not reason and found is not None:
        reason, message = _refused(found)
    taken = found is not None and all(_taken(found, one) for one in _parents(found)) and bool(_parents(found))
    return Route(
        weights,
        _header(service.name, found if theirs is None else None),
        taken,
        canary,
        reason,
        message,
        [_named(one) for one in _parents(found) if not _answered(found, one)] if found is not None else (),
        theirs if not message or reason == "RouteNotAccepted" else None,
    )


def paired_rules(service: str, route: Manifest) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield the numbers of the rules that have both Services as backends, with the weights of the stable and of the canary."""
    for number, rule in enumerate(route["spec"].get("rules") or ()):
        weights = {
            name: one.get("weight", 1) for one in rule.get("backendRefs") or () if (name := service_of(one, route))
        }
        if {service, canary_service(service)} <= weights.keys():
            yield number, (weights[service], weights[canary_service(service)])


def _header(service: str, route: Manifest | None) -> HeaderRoute | None:
    """Return the header of the rule that sends requests to the canary Service alone."""
    if route is None:
        return None
    for rule in route["spec"].get("rules") or ():
        if [service_of(one, route) for one in rule.get("backendRefs") or ()] == [canary_service(service)]:
            headers = [header for match in rule.get("matches") or () for header in match.get("headers") or ()]
            return HeaderRoute(name=headers[0]["name"], value=headers[0]["value"]) if len(headers) == 1 else None
    return None


def service_of(backend: Mapping[str, Any], route: Manifest) -> str | None:
    """Return the name of the Service of the route's namespace that a backendRef names; None when it names something else."""
    here = backend.get("namespace", route["metadata"]["namespace"]) == route["metadata"]["namespace"]
    kind = (backend.get("group", ""), backend.get("kind", "Service"))
    return str(backend["name"]) if here and kind == ("", "Service") else None


def _unfit(service: InferenceService, name: str, route: Manifest | None) -> tuple[str, str]:
    """Return reason and message of a route of the user's whose weights are not to be touched; empty when they may."""
    if service.spec.rollout.traffic.route_ref is None:
        return "", ""
    field = "spec.rollout.traffic.routeRef"
    canary = canary_service(service.name)
    if route is None:
        return (
            "RouteNotFound",
            f"{field} names HTTPRoute {name}, which is not in this namespace; make it, or name another",
        )
    owner = next((one for one in route["metadata"].get("ownerReferences") or () if one.get("controller")), None)
    if owner is not None and owner["kind"] == "InferenceService":
        whose = f"HTTPRoute {name} is made for InferenceService {owner['name']}"
        return "RouteOfAnother", f"{whose}; name one of yours in {field}, or set parentRefs in its place"
    numbers = [number for number, _ in paired_rules(service.name, route)]
    if not numbers:
        need = f"no rule of HTTPRoute {name} has both backends {service.name} and {canary}"
        return "BackendsMissing", f"{need}; add both to backendRefs of a rule, with port 80 and any weights"
    for number in numbers:
        backends = route["spec"]["rules"][number]["backendRefs"]
        if [service_of(one, route) for one in backends].count(service.name) + len(backends) != 3:
            others = f"rule {number} of HTTPRoute {name} has other backends than {service.name} and {canary}, each once"
            return (
                "BackendsMixed",
                f"{others}, so that weights of these two are no shares; remove the others from the rule",
            )
    if not _parents(route):
        return "ParentsMissing", f"HTTPRoute {name} has no parentRefs, so that no gateway sends by it; add the Gateway"
    return "", ""


def _refused(route: Manifest) -> tuple[str, str]:
    """Return reason and message of a route that a parent refuses as it is; empty when none does."""
    for parent in (route.get("status") or {}).get("parents") or ():
        for kind in ("Accepted", "ResolvedRefs"):
            said = find(parent, kind)
            if said is not None and said["status"] == "False" and _current(said, route):
                who = f"Gateway {parent['parentRef']['name']} does not take HTTPRoute {route['metadata']['name']}"
                words = fitted(str(said.get("message", "")), _MAX_WORDS)
                mend = "the weights stay as they are until it does: mend the Gateway or the route"
                return "RouteNotAccepted", f"{who}: {kind} is False, {said.get('reason', '')}: {words}; {mend}"
    return "", ""


def _taken(route: Manifest, parent: Mapping[str, Any]) -> bool:
    """Tell whether the parent has accepted the route as it is, and found all its backends."""
    return any(
        _same(one["parentRef"], parent, route)
        and all(
            (said := find(one, kind)) is not None and said["status"] == TRUE and _current(said, route)
            for kind in ("Accepted", "ResolvedRefs")
        )
        for one in (route.get("status") or {}).get("parents") or ()
    )


def _answered(route: Manifest, parent: Mapping[str, Any]) -> bool:
    """Tell whether the parent has said what it makes of the route as it is."""
    return any(
        _same(one["parentRef"], parent, route) and (said := find(one, "Accepted")) is not None and _current(said, route)
        for one in (route.get("status") or {}).get("parents") or ()
    )


def _named(parent: Mapping[str, Any]) -> str:
    where = f"{parent['namespace']}/" if "namespace" in parent else ""
    return f"{parent.get('kind', 'Gateway')} {where}{parent['name']}"


def _parents(route: Manifest) -> Sequence[Mapping[str, Any]]:
    return route["spec"].get("parentRefs") or ()


def _same(one: Mapping[str, Any], other: Mapping[str, Any], route: Manifest) -> bool:
    defaults = {**_GATEWAY, "namespace": route["metadata"]["namespace"], "sectionName": None, "port": None}
    return {**defaults, **one} == {**defaults, **other}


def _current(condition: Mapping[str, Any], route: Manifest) -> bool:
    return bool(condition.get("observedGeneration", 0) >= route["metadata"].get("generation", 1))
