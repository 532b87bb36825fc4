"""The children of an InferenceService, from the rollout's decision. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelmill.api.inference_service_status import CanaryTrack, PreviousTrack, StableTrack
from modelmill.engine.interface import Aside, Patch
from modelmill.kube.objects import Resource
from modelmill.kube.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from modelmill.serving.autoscaled import (
    SCALING_ACTIVE,
    autoscalers,
    is_counted,
    left_to_autoscaler,
    outlived,
    owned_by_autoscaler,
)
from modelmill.serving.builders.deployment import (
    Template,
    build_deployment,
    deployment_name,
    recorded_template,
    scaled,
)
from modelmill.serving.builders.peers import build_peers
from modelmill.serving.builders.pod_disruption_budget import build_pod_disruption_budget
from modelmill.serving.builders.shadow import build_shadow
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.target import template_now
from modelmill.serving.traffic.gateway import build_traffic, is_told
from modelmill.serving.traffic.service import build_preview, build_service
from modelmill.serving.view import View


@dataclass(frozen=True, slots=True)
class Children:
    """apply: level children in the order of their writes. keep: Deployments that stay as they are for now, and autoscalers.

    waits: the next plan goes on where this one stops: some of those will go, or the route will give more, once the status is
    written; pods will be counted by the spec again once their autoscaler is gone. patch: the user's HTTPRoute, when its weights
    are others. aside: what gives and takes no traffic.
    """

    apply: Sequence[dict[str, Any]]
    aside: Sequence[Aside]
    patch: Sequence[Patch]
    keep: Sequence[tuple[Resource, str]]
    waits: bool


def children(view: View, decision: Decision) -> Children | None:
    """Return the children; None when nothing is to serve, which leaves everything as it is."""
    if not decision.replicas:
        return None
    around, patch = _traffic(view, decision)
    built = deployments(view, decision)
    keep, waits = _kept(view, decision)
    waits = waits or bool(outlived(view, decision)) or (view.route is not None and not is_told(view, decision))
    scaled_already = [name for name, manifest in built.items() if manifest is None]
    pods = [manifest for manifest in built.values() if manifest is not None]
    # First the Service: on a rollback it takes the traffic away before anything else changes. Without pods there is no traffic,
    # and they are what takes longest.
    apply = [*around, *pods] if view.deployments else [*pods, *around]
    stay = [(DEPLOYMENTS, name) for name in (*scaled_already, *keep)]
    stay += [(HORIZONTAL_POD_AUTOSCALERS, name) for name in keep]
    return Children(apply, _aside(view, decision), patch, stay, waits)


def _aside(view: View, decision: Decision) -> list[Aside]:
    """Return the children that give and take no traffic.

    Nothing is mirrored before the Service that it goes to is ours: another of its name would get people's requests.
    """
    chains = (
        (build_preview(view, decision.status), build_shadow(view, decision.status)),
        (build_pod_disruption_budget(view),),
        (build_peers(view),),
    )
    found = [[one for one in chain if one is not None] for chain in chains]
    counting = [Aside([one], condition=SCALING_ACTIVE) for one in autoscalers(view, decision)]
    return [*(Aside(chain) for chain in found if chain), *counting]


def _traffic(view: View, decision: Decision) -> tuple[list[dict[str, Any]], Sequence[Patch]]:
    if view.route is not None:
        return build_traffic(view, view.route, decision)
    return [build_service(view, decision.only_revision)], ()


def deployments(view: View, decision: Decision) -> dict[str, dict[str, Any] | None]:
    """Return the Deployments of the tracks by name; None for one without a known template that needs no change."""
    status = decision.status
    tracks = [track for track in (status.stable, status.canary, status.previous) if track is not None]
    built: dict[str, dict[str, Any] | None] = {}
    counted = owned_by_autoscaler(view, decision).keys() | outlived(view, decision)
    for track in tracks:
        replicas = decision.replicas[track.revision]
        existing = view.deployments.get(track.revision)
        template = _template(view, track)
        name = deployment_name(view.name, track.revision)
        if template is not None:
            made = build_deployment(view, track.revision, template, replicas)
            built[name] = left_to_autoscaler(view, track.revision, made) if track.revision in counted else made
        elif existing is not None:
            same = existing["spec"].get("replicas") == replicas
            left = same or (track.revision in counted and is_counted(view, track.revision, replicas))
            built[name] = None if left else scaled(existing, replicas)
    return built


def _template(view: View, track: StableTrack | CanaryTrack | PreviousTrack) -> Template | None:
    """Return the template of the track's pods; None when only the Deployment in the cluster knows it.

    It is the one that the revision is the hash of: made anew where that gives the same, else the one that the Deployment
    holds, of an older spec or an older release. A Deployment that somebody deleted is made as well as it can be.
    """
    now = template_now(view, track)
    if now is not None and now.revision == track.revision:
        return now
    existing = view.deployments.get(track.revision)
    if existing is None:
        return now
    return recorded_template(existing, track.revision)


def _kept(view: View, decision: Decision) -> tuple[list[str], bool]:
    """Return the names of Deployments of no track that stay for now, and whether one waits for this plan's status.

    One goes when it is in no track any more, in the status as it is and as it will be, and the stable track has a ready pod:
    while it has none, whatever is ready goes on answering. A plan on an old status is refused before it can remove anything.
    """
    stable = decision.status.stable.revision if decision.status.stable is not None else ""
    recorded = {
        one.revision for one in (view.status.stable, view.status.canary, view.status.previous) if one is not None
    }
    keep, waits = [], False
    for revision in view.deployments:
        if revision in decision.replicas:
            continue
        if revision in recorded:
            waits = True
            keep.append(deployment_name(view.name, revision))
        elif view.replicas and not view.ready(stable) and view.ready(revision):
            keep.append(deployment_name(view.name, revision))
    return keep, waits
