"""Finds the ledgers of a TrainingJob's searches: in the cache, and on the API server where the cache lacks what there was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from modelmill.api.training_job_status import CurrentRun, FinishedRun, TrainingJobStatus
from modelmill.engine.errors import NotFound
from modelmill.engine.interface import Reads, World
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import CONFIG_MAPS
from modelmill.training.builders.ledger import ledger_name
from modelmill.training.view import View
from modelmill.tuning.ledger import Ledger, decode


def searched(status: TrainingJobStatus) -> FinishedRun | None:
    """Return the last run that ended and was a search."""
    return next((run for run in status.runs if run.trials is not None), None)


def with_ledgers(view: View, world: World) -> View:
    """Return the view with the ledgers that the cache has."""
    current, earlier = view.status.current_run, searched(view.status)
    found = list(_shards(view, current.job, world)) if current is not None and current.trials is not None else []
    before = list(_shards(view, earlier.job, world)) if earlier is not None else []
    return replace(
        view,
        ledger=_decoded(found),
        earlier=_decoded(before),
        ledgers={one["metadata"]["name"]: _number(one) for one in world.owned(CONFIG_MAPS, view.namespace, view.uid)},
        ledger_versions=_versions([*before, *found]),
    )


def _decoded(shards: Sequence[Manifest]) -> Ledger | None:
    return decode([shard.get("data") or {} for shard in shards])


def _versions(shards: Sequence[Manifest]) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in shards}


def _shards(view: View, run_job: str, world: World) -> Iterator[Manifest]:
    """Yield the ConfigMaps by their names, which have the TrainingJob's uid in them: somebody may have taken the owner away."""
    place = 0
    while (found := world.get(CONFIG_MAPS, view.namespace, ledger_name(run_job, place))) is not None:
        if not _is_ours(found, view):
            return
        yield found
        place += 1


def _is_ours(found: Manifest, view: View) -> bool:
    owners = found["metadata"].get("ownerReferences") or ()
    return not owners or any(one["uid"] == view.uid for one in owners)


def _number(found: Manifest) -> int:
    text = (found["metadata"].get("labels") or {}).get(labels.RUN_LABEL, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def is_behind(run: CurrentRun, ledger: Ledger | None) -> bool:
    """Tell whether the status of the run knows of more trials than its ledger has, or of a damaged one."""
    return begun(run) > (len(ledger.entries) if ledger is not None else 0)


def begun(run: CurrentRun) -> int:
    """Return how many trials the status of the run tells of."""
    trials = run.trials
    return trials.succeeded + trials.failed + trials.pruned + trials.running if trials is not None else 0


async def witnessed_ledger(view: View, reads: Reads) -> View:
    """Return the view with the ledger as the API server has it, when the cache has less than there was, or none.

    A ConfigMap that lost its label is not watched. Raises ApiError when it cannot be read.
    """
    run = view.status.current_run
    if run is None or run.trials is None or not (view.ledger is None or is_behind(run, view.ledger)):
        return view
    return await read_ledger(view, run, reads)


async def read_ledger(view: View, run: CurrentRun, reads: Reads) -> View:
    """Return the view with the ledger of the run as the API server has it. Raises ApiError when it cannot be read."""
    shards: list[Manifest] = []
    while True:
        try:
            found = await reads.get(CONFIG_MAPS, view.namespace, ledger_name(run.job, len(shards)))
        except NotFound:
            break
        if not _is_ours(found, view):
            break
        shards.append(found)
    if not shards and view.ledger is None:
        return view
    versions = {**view.ledger_versions, **_versions(shards)}
    return replace(view, ledger=_decoded(shards), ledger_versions=versions)
