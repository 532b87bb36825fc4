"""Strategy Shadow: the new version answers a sample of the live requests, which the pods that serve mirror to it. Pure."""

from __future__ import annotations

from dataclasses import replace

from modelmill.api.analysis import Analysis, Check
from modelmill.api.inference_service_status import EffectiveRollout
from modelmill.api.rollout import Rollout, Step
from modelmill.api.shadow import Shadow
from modelmill.measuring.samples import COMPARED, DISAGREED
from modelmill.serving.capacity import FULL
from modelmill.serving.rollout.findings import Samples

COMPARING_ANALYSIS = Analysis(
    interval_seconds=30,
    min_requests=100,
    # Who asks for a comparison is not helped by a promotion without one.
    on_insufficient_data="Hold",
    checks=[
        Check(metric="ErrorRatio", maximum="0.01"),
        Check(metric="LatencyP95Seconds", max_ratio_to_stable="3"),
        Check(metric="Disagreement", maximum="0.1"),
    ],
)
UNANSWERED = "599"
"""Code under which a mirrored request counts that got no answer that could be read: as an error of the shadow."""


def effective(rollout: Rollout) -> EffectiveRollout:
    """Return what is done: pods without traffic, time to compare, then all traffic."""
    settings = rollout.shadow or Shadow()
    steps = (
        Step(set_canary_replicas=settings.replicas),
        Step(pause_seconds=settings.seconds),
        Step(weight=FULL),
    )
    return EffectiveRollout(strategy="Shadow", steps=steps, analysis=rollout.analysis or COMPARING_ANALYSIS)


def as_mirrored(samples: Samples, revision: str) -> Samples:
    """Return the samples of a shadow: what came of the requests that the stable pods mirrored, not what it counted itself.

    Who mirrors also knows of requests that were never answered. Durations are those that the shadow measured, as the stable
    pods measure theirs: what lies between the two is not in them.
    """
    told = {what: count for (of, what), count in samples.stable.mirrored.items() if of == revision}
    codes: dict[str, float] = {}
    for result, count in told.items():
        if result in (COMPARED, DISAGREED):
            continue
        code = result.replace("xx", "00") if result.endswith("xx") else UNANSWERED
        codes[code] = codes.get(code, 0.0) + count
    mirrored = {(revision, what): told.get(what, 0.0) for what in (COMPARED, DISAGREED)}
    return replace(samples, candidate=replace(samples.candidate, codes=codes, mirrored=mirrored))
