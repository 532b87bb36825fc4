"""Looks at the API server before a run is recorded as lost: the cache may be behind, and then what it lacks is not gone.

A Job and its pods come by two watches, either of which may be late, and an object that lost our label is in none. What is
recorded of a run stays, and a run that is taken for lost is trained again, so that the API server is the witness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from modelmill.api.training_job_status import CurrentRun
from modelmill.engine.errors import NotFound
from modelmill.engine.interface import Reads
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import JOBS, PODS
from modelmill.training.builders.search_jobs import data_job_name
from modelmill.training.observation import LOST, RunActive, RunEnded, observe
from modelmill.training.search.advance import advance, unseen
from modelmill.training.search.ledgers import read_ledger, witnessed_ledger
from modelmill.training.view import View

READ_AGAIN_SECONDS: Final = 10.0


async def witnessed(view: View, reads: Reads) -> View:
    """Return the view, with what would be recorded as lost of the run in progress read anew: ledger, Jobs and their pods.

    Raises ApiError when they cannot be read: then nothing is decided.
    """
    run = view.status.current_run
    if run is None:
        return view
    view = await witnessed_ledger(view, reads)
    jobs: dict[str, Manifest] = {}
    doubtful = _doubtful(view, run)
    for name in doubtful:
        with suppress(NotFound):
            job = await reads.get(JOBS, view.namespace, name)
            if _is_ours(job, view, run.number):
                jobs[name] = job
    if view.ledger is not None and not view.ledger.header.end and jobs.keys() < set(doubtful):
        # A Job of a trial may be gone because its end is recorded, which the cache does not know either.
        fresh = await read_ledger(view, run, reads)
        if fresh.ledger != view.ledger:
            return await witnessed(fresh, reads)
    if not jobs:
        return view
    selector = f"{labels.TRAINING_JOB_LABEL}={view.name},{labels.RUN_LABEL}={run.number}"
    found, _ = await reads.list(PODS, view.namespace, label_selector=selector)
    pods = {
        name: [pod for pod in found if job["metadata"]["uid"] in {one["uid"] for one in _owners(pod)}]
        for name, job in jobs.items()
    }
    return replace(view, jobs={**view.jobs, **jobs}, pods={**view.pods, **pods})


def _doubtful(view: View, run: CurrentRun) -> list[str]:
    """Return the Jobs that would be recorded as lost, or as ended by nobody knows what."""
    if run.trials is None:
        return [run.job] if _is_lost(observe(view, run)) else []
    if view.ledger is None:
        data = data_job_name(run.job)
        return [data] if data not in view.jobs or _is_lost(advance(view, run).ended) else []
    if view.ledger.header.end:
        return [run.job] if _is_lost(observe(view, run)) else []
    return unseen(view, advance(view, run))


def _is_lost(seen: RunActive | RunEnded | None) -> bool:
    return isinstance(seen, RunEnded) and seen.cause in LOST


def _owners(obj: Manifest) -> Sequence[Mapping[str, Any]]:
    return obj["metadata"].get("ownerReferences") or ()


def _is_ours(job: Manifest, view: View, number: int) -> bool:
    """Tell whether the Job of the run's name is the run's: by its owner or, where somebody took that away, by its labels."""
    meta = job["metadata"]
    owners = _owners(job)
    if owners:
        return any(owner["uid"] == view.uid for owner in owners)
    said = meta.get("labels") or {}
    return (said.get(labels.TRAINING_JOB_LABEL), said.get(labels.RUN_LABEL)) == (view.name, str(number))
