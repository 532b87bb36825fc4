"""Traffic by an HTTPRoute: who gets which share, and the objects that say so. Pure.

The Service of the InferenceService's own name is the stable version, the one of `route.canary_service` the candidate. Outside
of a rollout both select the stable version, so that weights that a gateway has not taken yet, or never takes, do no harm: what
gives and takes traffic are two things, the weights and the selector, and either of them alone keeps it from the candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelmill.api.base import Part
from modelmill.api.traffic import HeaderRoute
from modelmill.engine.interface import Patch
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import HTTP_ROUTES
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.rollout.position import header_at
from modelmill.serving.rollout.strategies import effective
from modelmill.serving.target import Problem
from modelmill.serving.traffic.route import FULL, Route, canary_service, paired_rules, service_of
from modelmill.serving.traffic.service import PORT, build_service
from modelmill.serving.traffic.shares import only_revision
from modelmill.serving.view import View


@dataclass(frozen=True, slots=True)
class Routing:
    """weight: the canary Service's share of the requests, percent. canary: the revision that it selects.

    header: requests that carry it go to the canary Service.
    """

    weight: int
    canary: str
    header: HeaderRoute | None = None


def routing(view: View, route: Route, decision: Decision) -> Routing:
    """Return what the decision means for the route.

    The canary Service moves to the candidate only when all pods that the step wants are ready and the gateways give it no more
    than the step does, and the weight grows no sooner. Nor does it before the status in the cluster says the step: else, while
    the status cannot be written, each plan from the step before would take back what the last one gave. After a promotion the
    weights stay until only the new version has ready pods: both Services select it, and gateways get the time to learn that.
    """
    status = decision.status
    stable, candidate = status.stable, status.canary
    assert stable is not None, "without a stable track there are no children"
    if candidate is None:
        others = view.answering() > view.ready(stable.revision)
        return Routing(route.share if others else 0, stable.revision)
    if status.phase == "RollingBack" or not candidate.ready:
        return Routing(0, stable.revision)
    there = route.canary == candidate.revision
    if not is_told(view, decision):
        return Routing(
            min(candidate.weight, route.share), candidate.revision if there else stable.revision, route.header
        )
    header = None
    if candidate.skips_steps is None:
        header = header_at(effective(view.spec.rollout).steps, candidate.step)
    if candidate.ready >= candidate.replicas:
        may = there or (route.taken and route.share <= candidate.weight)
        return Routing(candidate.weight, candidate.revision if may else stable.revision, header)
    return Routing(min(candidate.weight, route.share), candidate.revision if there else stable.revision, header)


def is_told(view: View, decision: Decision) -> bool:
    """Tell whether the status in the cluster says where the candidate of the decision is, if there is one."""
    told, candidate = view.status.canary, decision.status.canary
    if candidate is None:
        return True
    here = (candidate.revision, candidate.step, candidate.weight)
    return told is not None and (told.revision, told.step, told.weight) == here


def build_traffic(view: View, route: Route, decision: Decision) -> tuple[list[dict[str, Any]], Sequence[Patch]]:
    """Return the Services and the route of our own, or the patch of the user's route that its weights need."""
    assert decision.status.stable is not None, "without a stable track there are no children"
    wanted = routing(view, route, decision)
    stable = build_service(view, only_revision(view, decision.status.stable.revision))
    canary = build_service(view, only_revision(view, wanted.canary), canary_service(view.name))
    traffic = view.spec.rollout.traffic
    if route.theirs is not None:
        return [stable, canary], _patches(view.name, route.theirs, wanted.weight)
    if traffic.parent_refs is None or route.reason == "GatewayAPIMissing":
        return [stable, canary], ()
    spec = {
        "parentRefs": [_plain(one) for one in traffic.parent_refs],
        **({"hostnames": traffic.hostnames} if traffic.hostnames is not None else {}),
        "rules": [*_by_header(view.name, wanted.header), {"backendRefs": _backends(view.name, wanted.weight)}],
    }
    made = {
        "apiVersion": HTTP_ROUTES.api_version,
        "kind": HTTP_ROUTES.kind,
        "metadata": {"name": view.name, "namespace": view.namespace, "labels": {labels.SERVICE_LABEL: view.name}},
        "spec": spec,
    }
    return [stable, canary, made], ()


def with_problem(view: View, decision: Decision) -> Decision:
    """Return the decision with what is wrong with the route, where nothing else is wrong."""
    if view.route is None or not view.route.reason or decision.problem is not None:
        return decision
    return replace(decision, problem=Problem(view.route.reason, view.route.message))


def routed_away(view: View) -> bool:
    """Tell whether nothing reaches the candidate any more, as far as the gateways say; they are not waited for when nothing
    can be set."""
    return view.route is None or bool(view.route.reason) or view.route.carries(0, "")


def _by_header(service: str, header: HeaderRoute | None) -> list[dict[str, Any]]:
    if header is None:
        return []
    match = {"headers": [{"type": "Exact", "name": header.name, "value": header.value}]}
    return [{"matches": [match], "backendRefs": [{"name": canary_service(service), "port": PORT}]}]


def _backends(service: str, weight: int) -> list[dict[str, Any]]:
    shares = {service: FULL - weight, canary_service(service): weight}
    return [{"name": name, "port": PORT, "weight": share} for name, share in shares.items()]


def _patches(service: str, route: Manifest, weight: int) -> Sequence[Patch]:
    """Return the patch that gives the two backends their weights; none when they have them.

    A list of a merge patch is a whole list: the rules as they were looked at, in which nothing else differs.
    """
    shares = {service: FULL - weight, canary_service(service): weight}
    rules = [*route["spec"]["rules"]]
    for number, pair in paired_rules(service, route):
        if pair != tuple(shares.values()):
            backends = rules[number]["backendRefs"]
            weighed = [{**one, "weight": shares[str(service_of(one, route))]} for one in backends]
            rules[number] = {**rules[number], "backendRefs": weighed}
    if rules == route["spec"]["rules"]:
        return ()
    meta = route["metadata"]
    return [Patch(HTTP_ROUTES, meta["namespace"], meta["name"], meta["resourceVersion"], {"spec": {"rules": rules}})]


def _plain(part: Part) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)
