"""Which versions of a TrainingJob are more than it is to keep. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.api.objects import ModelVersion
from modelmill.api.resources import MODEL_VERSIONS
from modelmill.api.versions import APPROVED, version_number
from modelmill.engine.interface import Delete, Event
from modelmill.training.view import View

AT_ONCE = 10
"""How many are deleted by one plan."""


def surplus(view: View) -> list[Delete]:
    """Return the oldest versions beyond spec.versions.historyLimit, as they are now: what changes meanwhile is looked at anew.

    Only what this TrainingJob made counts, by its uid: a namesake inherits nothing. What is approved, has an alias, is served
    or is about to be is kept, and does not count.
    """
    limit = view.spec.versions.history_limit
    if limit is None:
        return []
    loose = [one for one in view.versions if _own(view, one) and not _kept(view, one)]
    newest_first = sorted(
        loose, key=lambda one: (one.metadata.creation_timestamp, version_number(one.name)), reverse=True
    )
    oldest = newest_first[limit:][-AT_ONCE:]
    return [Delete(MODEL_VERSIONS, view.namespace, one.name, one.uid, one.metadata.resource_version) for one in oldest]


def told(view: View, deleted: Sequence[Delete]) -> tuple[Event, ...]:
    """Return the Event that says which versions are deleted, and why."""
    if not deleted:
        return ()
    limit = view.spec.versions.history_limit
    named = ", ".join(one.name for one in deleted)
    text = f"deleting {named}: spec.versions.historyLimit is {limit}, and nothing keeps them"
    return (Event("Normal", "VersionsDeleted", text[:1000]),)


def _own(view: View, version: ModelVersion) -> bool:
    lineage = version.spec.lineage
    return lineage is not None and lineage.run_uid == f"{view.uid}-{lineage.run}" and not version.metadata.deleting


def _kept(view: View, version: ModelVersion) -> bool:
    spec, current = version.spec, view.status.current_run
    compared = current.champion if current is not None else None
    return spec.approval == APPROVED or bool(spec.aliases) or version.name in view.used or version.name == compared
