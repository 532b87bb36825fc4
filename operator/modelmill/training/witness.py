"""Looks at the API server before a run is recorded as lost: the cache may be behind, and then what it lacks is not gone.

A Job and its pods come by two watches, either of which may be late, and an object that lost our label is in none. What is
recorded of a run stays, and a run that is taken for lost is trained again, so that the API server is the witness.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from modelmill.engine.errors import NotFound
from modelmill.engine.interface import Reads
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import JOBS, PODS
from modelmill.training.observation import LOST, RunEnded, observe
from modelmill.training.view import View

READ_AGAIN_SECONDS: Final = 10.0


async def witnessed(view: View, reads: Reads) -> View:
    """Return the view, with the Job and pods of the run in progress read anew when it would be recorded as lost.

    Raises ApiError when they cannot be read: then nothing is decided.
    """
    run = view.status.current_run
    if run is None:
        return view
    seen = observe(view, run)
    if not isinstance(seen, RunEnded) or seen.cause not in LOST:
        return view
    try:
        job = await reads.get(JOBS, view.namespace, run.job)
    except NotFound:
        return view
    uid = job["metadata"]["uid"]
    if not _is_ours(job, view, run.number):
        return view
    selector = f"{labels.TRAINING_JOB_LABEL}={view.name},{labels.RUN_LABEL}={run.number}"
    found, _ = await reads.list(PODS, view.namespace, label_selector=selector)
    pods = [pod for pod in found if any(one["uid"] == uid for one in pod["metadata"].get("ownerReferences") or ())]
    return replace(view, jobs={**view.jobs, run.job: job}, pods={**view.pods, run.job: pods})


def _is_ours(job: Manifest, view: View, number: int) -> bool:
    """Tell whether the Job of the run's name is the run's: by its owner or, where somebody took that away, by its labels."""
    meta = job["metadata"]
    owners = meta.get("ownerReferences") or ()
    if owners:
        return any(owner["uid"] == view.uid for owner in owners)
    said = meta.get("labels") or {}
    return (said.get(labels.TRAINING_JOB_LABEL), said.get(labels.RUN_LABEL)) == (view.name, str(number))
