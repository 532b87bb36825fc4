"""The pods of both tracks, and whose the traffic is. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from modelmill.api.inference_service_status import CanaryTrack, StableTrack
from modelmill.engine.interface import Event
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.serving.capacity import FULL, stable_pods
from modelmill.serving.history import MAX_TEXT, with_superseded
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.rollout.position import Position
from modelmill.serving.target import Problem
from modelmill.serving.traffic.gateway import routed_away
from modelmill.serving.traffic.shares import actual_weight, only_revision
from modelmill.serving.view import View

SOON = 0.2
"""Seconds until a plan is made that has to see what this one wrote."""
DRAIN_SECONDS = 30
"""Longest time that a candidate without traffic is kept while the stable track grows back: it may hold the room for that."""


def hold(view: View, stable: StableTrack, problem: Problem | None) -> Decision:
    """Only the stable track."""
    replicas = view.replicas
    status = replace(
        view.status,
        phase="RolledBack" if view.status.failed_revision else "Stable",
        stable=_stable(view, stable, replicas),
        canary=None,
    )
    only = only_revision(view, stable.revision)
    return Decision(status, {stable.revision: replicas}, only, problem=problem)


def drain(
    view: View, stable: StableTrack, candidate: CanaryTrack, problem: Problem | None = None, why: str = ""
) -> Decision:
    """No traffic to the candidate; it goes when the stable track is whole, after DRAIN_SECONDS, or without ready pods.

    Never before the gateways have taken its weight away, however long they need: they may send by what they knew.
    """
    held = hold(view, stable, problem)
    if why and view.status.phase in ("RollingOut", "Paused"):
        text = f"{candidate.version} is taken away, {stable.version} serves: {why}"
        held = replace(held, events=(Event("Normal", "Superseded", text[:MAX_TEXT]),))
    since = candidate.step_time if candidate.weight == 0 else timestamp(view.now)
    left = (parse_timestamp(since) + timedelta(seconds=DRAIN_SECONDS) - view.now).total_seconds()
    if ((view.whole(stable.revision) or left <= 0) and routed_away(view)) or not view.ready(candidate.revision):
        history = with_superseded(view, candidate, why)
        return replace(held, status=replace(held.status, history=history), again=SOON)
    kept = _candidate(view, replace(candidate, step_time=since), 0)
    return replace(
        held,
        status=replace(held.status, phase="RollingBack", canary=kept),
        replicas={**held.replicas, candidate.revision: candidate.replicas},
        again=left if left > 0 else None,
    )


def tracks(view: View, stable: StableTrack, candidate: CanaryTrack, at: Position) -> Decision:
    """Return the pods of both tracks, and whose the traffic is."""
    whole = at.weight == 0 or at.strategy == "BlueGreen"
    keep = stable_pods(view.replicas, at.weight, view.surge, candidate_ready=at.ready, has=stable.replicas)
    keep = view.replicas if whole or view.route is not None else keep
    only = None
    if whole and view.route is None:
        switched = candidate.actual_weight == FULL and at.ready > 0
        mine = at.weight == FULL and (at.ready >= at.wanted or switched)
        only = only_revision(view, candidate.revision if mine else stable.revision)
    elif not at.routed and view.route is None:
        # Not before the stable track has grown: a candidate that is ready sooner would get more than its share.
        only = only_revision(view, stable.revision)
    status = replace(
        view.status,
        phase="Paused" if candidate.paused is not None else "RollingOut",
        stable=_stable(view, stable, keep),
        canary=_candidate(view, replace(candidate, replicas=at.wanted), at.weight, only),
    )
    return Decision(status, {stable.revision: keep, candidate.revision: at.wanted}, only)


def soonest(*seconds: float | None) -> float | None:
    """Return the least of the seconds that are known, not less than SOON."""
    known = [max(one, SOON) for one in seconds if one is not None]
    return min(known) if known else None


def with_weight_now(view: View, candidate: CanaryTrack) -> CanaryTrack:
    """Return the candidate whose greatest weight counts the share that it has now, which no status has said yet."""
    return replace(
        candidate, greatest_weight=max(candidate.greatest_weight, actual_weight(view, candidate, candidate.weight))
    )


def _stable(view: View, stable: StableTrack, replicas: int) -> StableTrack:
    return replace(stable, replicas=replicas, ready=view.ready(stable.revision))


def _candidate(view: View, candidate: CanaryTrack, weight: int, only: str | None = None) -> CanaryTrack:
    ready, actual = view.ready(candidate.revision), actual_weight(view, candidate, weight)
    if only is not None:
        actual = FULL if only == candidate.revision else 0
    whole = candidate.whole_time or timestamp(view.now) if actual == FULL else None
    greatest = max(candidate.greatest_weight, actual)
    return replace(
        candidate, ready=ready, weight=weight, actual_weight=actual, greatest_weight=greatest, whole_time=whole
    )
