"""Going back for an alert, by spec.monitoring.rollback: the version that served before comes back, once. Pure.

It goes the way of the annotation modelmill.dev/rollback. What happened before is read from status.history, so that nothing
comes back twice after a restart either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modelmill.api.base import Alert
from modelmill.api.inference_service_status import InferenceServiceStatus, Served, WentBack
from modelmill.api.monitoring import DATA_QUALITY, RollbackOn
from modelmill.api.tracks import STOPPED
from modelmill.engine.interface import Event
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.labels import PROMOTE_FULL_ANNOTATION, ROLLBACK_ANNOTATION
from modelmill.kube.texts import fitted
from modelmill.serving.history import served, taken_back_whole, was_taken_back_whole
from modelmill.serving.rollout.going_back import Aim, left_by
from modelmill.serving.target import Problem, find_target, may_be_tried, named_target
from modelmill.serving.view import View

FIRED: Final = "AlertFired"
"""First word of why a version is taken back for an alert."""
HELD: Final = "RollbackHeld"
MAX_WORDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Past:
    """What the history says of the version that serves.

    entries: of this version, since it took the place of another one, newest first. before: that other one, None when there is
    none, or the history does not reach so far. since: every entry that is newer than that.
    """

    entries: Sequence[Served]
    before: Served | None
    since: Sequence[Served]


def version_before(status: InferenceServiceStatus) -> str | None:
    """Return the version that served before the stable one, if the history says which."""
    before = _past(status).before
    return before.version if before is not None else None


def alerted(view: View, aim: Aim, *, asked: bool) -> Aim:
    """Return the aim, or the way back, when an alert fires for which the version before is to come back.

    asked: a person says something in this plan, which counts first.
    """
    fires = _fires(view)
    if not fires or asked or aim.accepted or aim.back is not None or aim.events or _hindrance(view):
        return aim
    alert = next((one for one in fires if not _unfit(view, one)), None)
    before, stable = version_before(view.status), view.status.stable
    if alert is None or before is None or stable is None:
        return aim
    words = _words(alert)
    back = WentBack(
        version=before,
        left=left_by(view, aim.target, None, before),
        time=timestamp(view.now),
        alert=words,
        revision=stable.revision,
    )
    told = f"{stable.version} is taken back, {before} is to serve again: {words}"
    event = Event("Warning", "RolledBack", fitted(told, MAX_WORDS))
    return Aim(named_target(view, before, f"status.history names {before}"), back, (event,), accepted=True)


def held(view: View) -> str:
    """Return which alert the version before does not come back for, and why not; empty when there is none to tell of."""
    fires, status = _fires(view), view.status
    if not fires or status.stable is None:
        return ""
    if status.rollback is not None and status.rollback.alert is not None and status.canary is not None:
        return ""
    why = _hindrance(view) or _unfit(view, fires[0])
    before = version_before(status)
    back = f"{before} does not come back" if before else "no version comes back"
    return f"{_words(fires[0])}; {back}: {why}" if why else ""


def held_for_good(view: View) -> tuple[str, ...]:
    """Return the identities of the alerts that fire and for which the version before does not come back.

    What is only in the way for now is waited for: until then a run for such an alert would come too early.
    """
    fires = _fires(view)
    if not fires or view.status.canary is not None:
        return ()
    why = _stopped(view) or _for_good(view)
    if not why and _in_the_way(view):
        return ()
    return tuple(one.id for one in fires if why or _unfit(view, one))


def _fires(view: View) -> list[Alert]:
    """Return the alerts for which the spec has the version before come back, oldest first, those that are none last."""
    wanted, stable = _wanted(view), view.status.stable
    if wanted is None or stable is None:
        return []
    about = [one for one in view.status.alerts if one.kind in wanted.kinds and one.version in (None, stable.version)]
    return sorted(about, key=lambda one: (bool(_unfit(view, one)), one.starts_at, one.id))


def _wanted(view: View) -> RollbackOn | None:
    return view.spec.monitoring.rollback if view.spec.monitoring is not None else None


def _unfit(view: View, alert: Alert) -> str:
    """Return why this alert takes nothing back, whatever else is; empty when it may."""
    wanted, entries = _wanted(view), _past(view.status).entries
    if wanted is None or not entries:
        return ""
    if alert.version is None:
        return "the alert does not name its version, by the label model_version"
    began, promoted = parse_timestamp(alert.starts_at), parse_timestamp(entries[-1].start_time)
    if began < promoted:
        return f"the alert is older than the promotion of {alert.version}"
    if began > promoted + timedelta(seconds=wanted.within_seconds):
        return f"{alert.version} was promoted more than {wanted.within_seconds} s (withinSeconds) before the alert"
    if entries[0].skips_steps == "Person" and began < parse_timestamp(entries[0].start_time):
        return f"a person promoted {alert.version} after the alert had begun, by {PROMOTE_FULL_ANNOTATION}"
    return ""


def _hindrance(view: View) -> str:
    """Return why nothing is taken back, whichever alert fires; empty when something may."""
    return _stopped(view) or _in_the_way(view) or _for_good(view)


def _stopped(view: View) -> str:
    stops = view.status.stable is None or view.status.phase in STOPPED or not view.replicas
    return "the service is stopped" if stops else ""


def _in_the_way(view: View) -> str:
    """Return what passes and keeps a service that runs from taking anything back until then; empty without it."""
    status = view.status
    stable = status.stable.version if status.stable is not None else None
    if status.canary is not None or status.phase not in ("Stable", "RolledBack"):
        return "a rollout is in progress, or pods are started"
    if any(one.kind == DATA_QUALITY and one.version in (None, stable) for one in status.alerts):
        return f"an alert of kind {DATA_QUALITY} fires: what is asked is wrong, look at that first"
    return ""


def _for_good(view: View) -> str:
    """Return why the version before does not come back, also when nothing is in the way any more; empty when it may."""
    status, stable = view.status, view.status.stable
    past, back = _past(status), status.rollback
    if stable is None:
        return ""
    if back is not None or any(one.skips_steps == "Rollback" for one in past.entries):
        by = "an alert" if back is not None and back.alert is not None else f"an alert, or {ROLLBACK_ANNOTATION}"
        return f"{stable.version} is itself what was gone back to, for {by}"
    if was_taken_back_whole(status.history, stable.version):
        return f"{stable.version} was taken back once, and serves again since a person wants it to"
    return _not_to(view, past.before, past.since) or _not_from(view)


def _not_to(view: View, before: Served | None, since: Sequence[Served]) -> str:
    """Return why the version that served before does not come back, as far as that is its own fault."""
    if before is None:
        return "no version is known that served before"
    if was_taken_back_whole(view.status.history, before.version):
        return f"{before.version} was taken back itself"
    if any(one.version == before.version for one in since):
        return f"{before.version} was to come back already, and did not, as status.history tells"
    target, version = named_target(view, before.version, "status.history names it"), view.versions.get(before.version)
    if isinstance(target, Problem) or version is None:
        return target.message if isinstance(target, Problem) else f"{before.version} is not there"
    if version.metadata.deleting:
        return f"{before.version} is being deleted"
    if before.digest and before.digest != target.digest:
        return f"the ModelVersion {before.version} is another one than served before, with other bytes"
    return ""


def _not_from(view: View) -> str:
    """Return why the version that serves is not left, as far as the spec is in the way."""
    wanted, stable, model = find_target(view), view.status.stable, view.spec.model
    if isinstance(wanted, Problem):
        return wanted.message
    if stable is not None and wanted.revision != stable.revision and may_be_tried(view, wanted):
        return f"{wanted.version} is about to be rolled out"
    if view.route is not None and view.route.reason:
        return view.route.message
    if model.follow is None:
        named = "version" if model.version is not None else "alias"
        return f"it would, but spec.model.{named} says what serves; change that, or set {ROLLBACK_ANNOTATION}"
    return ""


def _past(status: InferenceServiceStatus) -> Past:
    """Return what the history says of the version that serves. Its last revisions count as one."""
    entries: list[Served] = []
    stable = status.stable.version if status.stable is not None else None
    for place, entry in enumerate(status.history):
        if not served(entry) and not taken_back_whole(entry):
            continue
        if entry.version != stable:
            return Past(entries, entry if entries else None, status.history[:place])
        entries.append(entry)
    return Past(entries, None, status.history)


def _words(alert: Alert) -> str:
    """Return the alert in words; they do not change while it fires."""
    said = f": {alert.message}" if alert.message else f", {alert.value}" if alert.value else ""
    return fitted(f"{FIRED}: {alert.name} ({alert.kind}) since {alert.starts_at}{said}", MAX_WORDS)
