"""How far a search has come: its ledger with what its Jobs tell, whether it is over, and how many trials may begin. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelmill.api.training_job_status import CurrentRun
from modelmill.api.tuning import Objective, Tuning
from modelmill.contracts.result import GATE_FAILED, PUBLISHED, DataFacts
from modelmill.kube import labels
from modelmill.kube.conditions import timestamp
from modelmill.training.builders.search_jobs import data_job_name
from modelmill.training.observation import (
    REPLACED,
    RESULT_LOST,
    RunActive,
    RunEnded,
    active,
    failed,
    fetched,
    job_failed,
    observed_job,
)
from modelmill.training.search.curves import pruned
from modelmill.training.search.ledgers import is_behind, searched
from modelmill.training.search.trial import TrialSeen, observe_pod
from modelmill.training.triggers import holds
from modelmill.training.view import View
from modelmill.tuning.ledger import Entry, Header, Ledger
from modelmill.tuning.pods import by_pod, share
from modelmill.tuning.space import seed_trials, space_of
from modelmill.tuning.suggest import Search
from modelmill.tuning.verdict import (
    MAX_TRIALS_REACHED,
    SAMPLER_FAILED,
    Verdict,
    exhausted,
    judge,
    objective,
)
from modelmill.workloads import jobs

LEDGER_LOST = "LedgerLost"


@dataclass(frozen=True, slots=True)
class Advance:
    """How far it is.

    ended: the run is over without a version. data: the Job that copies the data, while it goes on.
    ledger: as it is to be written. trials: how those go on that ran before. room: how many more may begin.
    """

    ended: RunEnded | None = None
    data: RunActive | None = None
    ledger: Ledger | None = None
    trials: Sequence[TrialSeen] = ()
    room: int = 0


def advance(view: View, run: CurrentRun) -> Advance:
    """Return how far the search of the run has come, before new trials begin."""
    tuning = view.spec.tuning
    same = run.trained_hash == view.trained_hash()
    over = view.ledger is not None and bool(view.ledger.header.end) and (same or run.job in view.jobs)
    if not same and not over:
        return _of_another_spec(view)
    if view.ledger is None or view.ledger.damaged or is_behind(run, view.ledger):
        lost = _lost(view, run)
        if lost is not None:
            return Advance(ended=lost)
    if tuning is None or over:
        return Advance(ledger=view.ledger)
    aim = objective(tuning, view.spec.evaluation.primary)
    ledger = view.ledger
    if ledger is None:
        begun = _begun(view, run)
        if not isinstance(begun, Ledger):
            return begun
        ledger = begun
    pods = by_pod(ledger.running())
    looked_at = [one for pod in pods for one in observe_pod(view, run.job, pod, aim.metric)]
    seen = pruned(view, tuning, aim, ledger, looked_at)
    ledger = ledger.changed(*(one.entry for one in seen))
    verdict = judge(tuning, aim, ledger)
    if verdict.end:
        return Advance(ledger=closed(ledger, verdict, view), trials=seen)
    return Advance(ledger=ledger, trials=seen, room=0 if holds.suspended(view) is not None else verdict.room)


def with_suggestions(view: View, far: Advance) -> Advance:
    """Return how far it is with the trials that begin now, or the end that the sampler's answer makes of it."""
    ledger, told = far.ledger, view.suggested
    if ledger is None or not far.room or told is None or told.after != len(ledger.entries):
        return far
    if told.error:
        return replace(far, ledger=closed(ledger, Verdict(SAMPLER_FAILED, told.error), view), room=0)
    start = timestamp(view.now)
    new = [Entry(told.after + place, values, started=start) for place, values in enumerate(told.parameters)]
    ledger = ledger.changed(*share(new, view.spec.tuning.trials_per_pod if view.spec.tuning is not None else 1))
    if len(new) < told.count:
        verdict = exhausted(ledger)
        ledger = closed(ledger, verdict, view) if verdict.end else ledger
    return replace(far, ledger=ledger, room=0)


def closed(ledger: Ledger, verdict: Verdict, view: View) -> Ledger:
    """Return the ledger of a search that is over: what still runs is stopped."""
    stopped = [one.ended("Pruned", timestamp(view.now), verdict.end, "the search is over") for one in ledger.running()]
    header = replace(ledger.header, end=verdict.end, message=verdict.message)
    return replace(ledger.changed(*stopped), header=header)


def search_of(tuning: Tuning, aim: Objective, estimator: str | None) -> Search:
    """Return what suggestions follow from. estimator: of the built-in stage. Raises ValueError when there is no such space."""
    space = space_of(tuning, estimator, aim.metric)
    seeds = tuple(seed_trials(tuning, space))
    return Search(space, tuning.algorithm.name, tuning.algorithm.seed, aim.direction, seeds)


def _of_another_spec(view: View) -> Advance:
    """Give the search up when the next run can start: nobody wants to know what it would find."""
    if holds.model_of_another(view) is None and holds.suspended(view) is None:
        text = "the spec was changed while it searched: the next run starts at once"
        return Advance(ended=failed(REPLACED, text, 1, view.now))
    text = "the spec was changed while it searched; the next run starts when it may"
    return Advance(data=RunActive("Searching", 1, text))


def _lost(view: View, run: CurrentRun) -> RunEnded | None:
    """Return the end of a run whose ledger cannot be relied on, unless it has none yet."""
    if view.ledger is None and not is_behind(run, None):
        return None
    why = view.ledger.damaged if view.ledger is not None and view.ledger.damaged else "it was deleted or emptied"
    text = (
        f"the ledger of the search, in ConfigMaps {run.job}-trials-…, is lost: {why}; "
        f"start a run with the annotation {labels.RUN_ANNOTATION}"
    )
    return failed(LEDGER_LOST, text, 1, view.now)


def _begun(view: View, run: CurrentRun) -> Ledger | Advance:
    """Return the ledger of a search whose data are copied, or how its data Job is doing."""
    name = data_job_name(run.job)
    if name not in view.jobs:
        return Advance(data=RunActive("Pending", 1))
    pods = view.pods.get(name, ())
    seen, look_again = observed_job(view, name)
    if isinstance(seen, jobs.Active):
        return Advance(data=active(seen, look_again))
    if isinstance(seen, jobs.Failed):
        return Advance(ended=job_failed(seen, pods))
    data = fetched(pods)
    if data is None:
        text = f"the pod of Job {name} is gone and with it what it told of the data; start it again"
        return Advance(ended=failed(RESULT_LOST, text, seen.attempts, seen.finished))
    return _carried(view, Header(view.trained_hash(), data.digest, data.rows, data.holdout_rows))


def _carried(view: View, header: Header) -> Ledger:
    """Return the ledger to begin with: that of the search before, when it is the same one with room for more trials."""
    before, run, tuning = view.earlier, searched(view.status), view.spec.tuning
    if before is None or run is None or tuning is None or run.outcome not in (PUBLISHED, GATE_FAILED):
        return Ledger(header)
    old = before.header
    same = (old.generation, old.digest, old.end) == (header.generation, header.digest, MAX_TRIALS_REACHED)
    if not same or before.damaged or len(before.entries) >= tuning.max_trials:
        return Ledger(header)
    return Ledger(replace(header, carried=len(before.entries)), before.entries)


def data_facts(ledger: Ledger) -> DataFacts:
    """Return the data that a search is about."""
    header = ledger.header
    return DataFacts(header.digest, header.rows, header.holdout_rows, copied=True)


def unseen(view: View, far: Advance) -> list[str]:
    """Return the Jobs of trials that are not there, or have ended without a pod that tells how."""
    return list(dict.fromkeys(one.job for one in far.trials if one.unseen or one.job not in view.jobs))
