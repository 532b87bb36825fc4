"""The pods of the version before, which are kept for a while after a promotion. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from modelmill.api.inference_service_status import PreviousTrack, StableTrack
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.rollout.strategies import scale_down_delay
from modelmill.serving.view import View


def kept_for_a_while(view: View, stable: StableTrack) -> PreviousTrack | None:
    """Return the record of a track that was just replaced; None when its pods go at once."""
    delay = scale_down_delay(view.spec.rollout)
    if not delay:
        return None
    return PreviousTrack(
        version=stable.version,
        revision=stable.revision,
        server_image=stable.server_image,
        replicas=stable.replicas,
        until=timestamp(view.now + timedelta(seconds=delay)),
    )


def with_previous(view: View, decision: Decision) -> Decision:
    """Return the decision with the pods of the version before, until their time is over or they are wanted as a track."""
    previous = decision.status.previous
    if previous is None:
        return decision
    left = (parse_timestamp(previous.until) - view.now).total_seconds()
    # A record that says more than the spec allows was not made by this function from this spec.
    if left > scale_down_delay(view.spec.rollout) or previous.replicas > view.replicas:
        return replace(decision, status=replace(decision.status, previous=None))
    if left <= 0 or not decision.replicas or previous.revision in decision.replicas:
        return replace(decision, status=replace(decision.status, previous=None))
    again = left if decision.again is None else min(decision.again, left)
    return replace(decision, replicas={**decision.replicas, previous.revision: previous.replicas}, again=again)
