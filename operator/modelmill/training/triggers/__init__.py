"""What starts a run, and what holds it back: a table of rows, each a small pure check in a file of its own.

A trigger is a function that returns its `Reason`s to run; a hold is a function that returns a `Hold` or None. The rows of
`table.TRIGGERS` say which holds are asked for which trigger, in which order; the first answer counts. `decision.decide`
reads them.

To add a trigger:
- a file here with its KIND and its `reasons(view)`. An identity names an occasion (a planned time, a digest of the data) and
  must be the same each time that it is asked for; `alerts.answered` tells those that a run has already dealt with.
- a field of `spec.triggers` in `api.training_job` that enables it.
- a row in the table. With `unattended=True` the identities are kept in the status of the run that answers them, and cooldown,
  failures in a row and a rollout in progress hold it back.
An occasion that comes with time and not with a change of an object is a Reason that a hold of its own row holds until then.
"""
