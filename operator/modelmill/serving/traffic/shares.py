"""Shares of the requests: a Service gives each ready pod that it selects the same, an HTTPRoute what its weights say."""

from __future__ import annotations

from modelmill.api.inference_service_status import CanaryTrack
from modelmill.api.tracks import STOPPED
from modelmill.serving.capacity import FULL
from modelmill.serving.view import View


def actual_weight(view: View, candidate: CanaryTrack, weight: int) -> int:
    """Return the candidate's share in percent; 0 without a weight, whatever is ready."""
    if not weight:
        return 0
    if view.route is not None:
        # While a gateway has not said what it does with a change, what it did before is the best that is known.
        share = view.route.share if view.route.taken else candidate.actual_weight
        return share if view.route.canary == candidate.revision else 0
    stable, candidate_ready = view.status.stable, view.ready(candidate.revision)
    stable_ready = view.ready(stable.revision) if stable is not None else 0
    return round(FULL * candidate_ready / (candidate_ready + stable_ready)) if candidate_ready else 0


def only_revision(view: View, revision: str) -> str | None:
    """Return the revision that gets all the traffic; None for all, when it has no ready pod and another one has.

    Not of a service that is stopped, or was: what may still be ready there are pods of a version that is not to serve.
    """
    stopped = not view.replicas or view.status.phase in (*STOPPED, "Resuming")
    return None if view.answering() and not view.ready(revision) and not stopped else revision
