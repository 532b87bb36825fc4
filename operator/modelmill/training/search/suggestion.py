"""Asks for the parameters of the trials that may begin: the one step of a search that is not pure, before its plan."""

from __future__ import annotations

from dataclasses import replace

from modelmill.training.search.advance import advance, search_of
from modelmill.training.view import Suggested, View
from modelmill.tuning.sampler import Sampler, SamplerError
from modelmill.tuning.verdict import objective


async def suggested(view: View, sampler: Sampler) -> View:
    """Return the view with the parameters of the next trials, when some may begin."""
    run, tuning = view.status.current_run, view.spec.tuning
    if run is None or run.trials is None or tuning is None:
        return view
    far = advance(view, run)
    if far.ledger is None or not far.room:
        return view
    entries = far.ledger.entries
    sklearn = view.spec.train.sklearn
    try:
        search = search_of(
            tuning,
            objective(tuning, view.spec.evaluation.primary),
            sklearn.estimator if sklearn is not None else None,
        )
        parameters = await sampler.suggest(search, entries, far.room)
    except (ValueError, SamplerError) as error:
        return replace(view, suggested=Suggested(len(entries), far.room, error=str(error)))
    return replace(view, suggested=Suggested(len(entries), far.room, parameters))
