"""What the trials of a search have reported, and which of them are stopped for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from modelmill.api.tuning import Objective, Tuning
from modelmill.contracts.names import STAGE_TRAIN
from modelmill.kube.conditions import timestamp
from modelmill.training.builders.search_jobs import job_of
from modelmill.training.search.trial import TrialSeen
from modelmill.training.view import View
from modelmill.tuning.ledger import RUNNING, SUCCEEDED, Ledger
from modelmill.tuning.pruning import worse
from modelmill.tuning.reports import Reports
from modelmill.workloads.pod_status import ended

LOOK_SECONDS: Final = 5.0
"""A report is no event: a search whose trials report is looked at so often."""
PRUNED_FOR: Final = {"Median": "WorseThanMedian", "Percentile": "WorseThanPercentile"}
REASONS: Final = frozenset(PRUNED_FOR.values())


def with_reports(view: View, reports: Reports) -> View:
    """Return the view with what the pods of running trials have reported; no other pod is heard from now on."""
    run, ledger = view.status.current_run, view.ledger
    pods: list[str] = []
    if looks_at_reports(view) and run is not None and ledger is not None:
        jobs = [job_of(run.job, one) for one in ledger.running() if one.pod is None]
        pods = [pod["metadata"]["uid"] for job in jobs for pod in view.pods.get(job, ())]
    told = reports.expect(view.uid, pods)
    return replace(
        view,
        reports=told,
        report_url=reports.url,
        no_reports=f"nothing is pruned: {reports.problem}" if reports.problem and looks_at_reports(view) else "",
    )


def looks_at_reports(view: View) -> bool:
    """Tell whether trials of the run in progress are stopped by what they report."""
    tuning, run = view.spec.tuning, view.status.current_run
    return tuning is not None and tuning.pruning is not None and run is not None and run.trials is not None


def pruned(
    view: View, tuning: Tuning, aim: Objective, ledger: Ledger, seen: Sequence[TrialSeen]
) -> Sequence[TrialSeen]:
    """Return the trials with what those reported that have ended, and with those stopped that do worse than others."""
    if tuning.pruning is None:
        return seen
    told = [_recorded(view, one) for one in seen]
    after = ledger.changed(*(one.entry for one in told))
    others = [one.curve for one in after.entries if one.state == SUCCEEDED]
    return [_judged(view, tuning, aim, one, others) for one in told]


def _recorded(view: View, seen: TrialSeen) -> TrialSeen:
    curve = _curve(view, seen.job)
    if seen.entry.state == RUNNING or not curve:
        return seen
    return replace(seen, entry=seen.entry.with_reports(curve))


def _judged(
    view: View, tuning: Tuning, aim: Objective, seen: TrialSeen, others: Sequence[Mapping[int, float]]
) -> TrialSeen:
    rule, curve = tuning.pruning, _curve(view, seen.job)
    # What has trained to its end is measured in a moment.
    trained = any(ended(pod, STAGE_TRAIN) is not None for pod in view.pods.get(seen.job, ()))
    if rule is None or seen.active is None or not curve or trained:
        return seen
    why = worse(rule, aim.direction, curve, others)
    if not why:
        return seen
    entry = seen.entry.ended("Pruned", timestamp(view.now), PRUNED_FOR[rule.name], why)
    return replace(seen, entry=entry.with_reports(curve), active=None)


def _curve(view: View, job: str) -> Mapping[int, float]:
    """Return what the pod of a trial's Job has reported: that which has reported most, should there be two."""
    curves = [view.reports.get(pod["metadata"]["uid"], {}) for pod in view.pods.get(job, ())]
    return max(curves, key=len, default={})
