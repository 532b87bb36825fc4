"""Going back: the annotation modelmill.dev/rollback names a version, or says previous; and the record of any way back. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from modelmill.api.inference_service_status import CanaryTrack, InferenceServiceStatus, StableTrack, WentBack
from modelmill.engine.interface import Event
from modelmill.kube.conditions import timestamp
from modelmill.kube.labels import RETRY_ANNOTATION, ROLLBACK_ANNOTATION
from modelmill.serving.history import served
from modelmill.serving.target import Problem, Target, asks_to_retry, find_target, named_target
from modelmill.serving.view import View

PREVIOUS: Final = "previous"
MAX_LEFT: Final = 20


@dataclass(frozen=True, slots=True)
class Aim:
    """What should serve. back: the record of a rollback that is in effect. accepted: it was asked for in this plan."""

    target: Target | Problem
    back: WentBack | None = None
    events: tuple[Event, ...] = ()
    accepted: bool = False


def aim_of(view: View, text: str | None) -> Aim:
    """Return what should serve. text: new text of the annotation, if there is one."""
    wanted, back = find_target(view), view.status.rollback
    if text is not None:
        return _asked(view, wanted, back, text)
    if back is None:
        return Aim(wanted)
    over = _over(view, wanted, back)
    if over:
        return Aim(wanted, None, (Event("Normal", "RollbackOver", over),))
    return Aim(_target(view, back.version), back)


def asked_version(text: str) -> str:
    """Return the first word of the annotation's text: a version, or PREVIOUS. What follows makes the text a new one."""
    return text.split(maxsplit=1)[0]


def served_before(view: View, version: str) -> bool:
    """Tell whether the history says that the version served all the traffic."""
    return any(one.version == version and served(one) for one in view.status.history)


def in_window(view: View, revision: str) -> bool:
    """Tell whether the revision is among the last ones that served before the stable one: spec.rollout.rollbackWindow."""
    window, stable = view.spec.rollout.rollback_window, view.status.stable
    if window is None or stable is None:
        return False
    before = [one.revision for one in view.status.history if served(one) and one.revision != stable.revision]
    return revision in list(dict.fromkeys(before))[: window.revisions]


def stayed(back: WentBack | None, stable: StableTrack, candidate: CanaryTrack) -> WentBack | None:
    """Return the record after a candidate was taken back: of one that was gone back to, that the stable version stays."""
    if back is None or back.version != candidate.version:
        return back
    left = tuple(one for one in back.left if one != stable.version)
    return replace(back, version=stable.version, left=left, revision=None) if left else None


def without_failure(status: InferenceServiceStatus) -> InferenceServiceStatus:
    """Return the status in which no failed revision is remembered."""
    return replace(status, failed_revision=None, failed_inputs=None, failed_message=None)


def at_rest(status: InferenceServiceStatus) -> InferenceServiceStatus:
    """Return the status of a service whose stable version is what should serve.

    What failed on the way there is forgotten. What was taken back for an alert is remembered for as long as it is skipped.
    """
    back, stable = status.rollback, status.stable
    if back is None or back.alert is None or back.revision is None or stable is None or stable.version != back.version:
        return replace(without_failure(status), phase="Stable")
    failed = replace(without_failure(status), failed_revision=back.revision, failed_message=back.alert)
    return replace(failed, phase="RolledBack")


def _target(view: View, version: str) -> Target | Problem:
    return named_target(view, version, f"it names {version}")


def _over(view: View, wanted: Target | Problem, back: WentBack) -> str:
    """Return why the rollback is not in effect any more; empty while it is."""
    if asks_to_retry(view):
        return f"the annotation {RETRY_ANNOTATION} has a new text: what the spec says is to serve again"
    if isinstance(wanted, Target) and wanted.version not in back.left:
        return f"{wanted.version} is to serve, which is none of those that were left: {', '.join(back.left)}"
    return ""


def _asked(view: View, wanted: Target | Problem, back: WentBack | None, text: str) -> Aim:
    """Return the aim after a new text. One that cannot be followed changes nothing and is told."""
    stable = view.status.stable
    kept = Aim(_target(view, back.version), back) if back is not None else Aim(wanted)
    if stable is None:
        return Aim(kept.target, back, (_impossible("nothing serves yet"),))
    named = asked_version(text)
    version = _previous(view) if named == PREVIOUS else named
    if version is None:
        return Aim(kept.target, back, (_impossible("no version that can be served did so before; name one"),))
    target = _target(view, version)
    if isinstance(target, Problem):
        return Aim(kept.target, back, (_impossible(target.message),))
    if isinstance(wanted, Target) and wanted.version == version:
        told = f"{version} is what the spec says: it is to serve"
        return Aim(wanted, None, (Event("Normal", "RollbackRequested", told),), accepted=True)
    left = left_by(view, wanted, back, version)
    record = WentBack(version=version, left=left, time=timestamp(view.now))
    told = (
        f"{version} is to serve again; {', '.join(left)} skipped until another version is to serve, or the annotation "
        f"{RETRY_ANNOTATION} is set to a new text"
    )
    return Aim(target, record, (Event("Normal", "RollbackRequested", told),), accepted=True)


def left_by(view: View, wanted: Target | Problem, back: WentBack | None, version: str) -> tuple[str, ...]:
    """Return the versions that are left for `version`, newest first: what the spec says, what serves, what was left before."""
    tracks = (view.status.canary, view.status.stable)
    named = [wanted.version] if isinstance(wanted, Target) else []
    named += [one.version for one in tracks if one is not None] + list(back.left if back is not None else ())
    return tuple(one for one in dict.fromkeys(named) if one != version)[:MAX_LEFT]


def _previous(view: View) -> str | None:
    """Return the version that served before: during a rollout the stable one, else the last one that can serve."""
    stable, candidate = view.status.stable, view.status.canary
    assert stable is not None
    if candidate is not None and _goes_on(view, candidate) and candidate.version != stable.version:
        return stable.version
    back = view.status.rollback
    passed = {stable.version, *(back.left if back is not None else ())}
    for entry in view.status.history:
        if served(entry) and entry.version not in passed and isinstance(_target(view, entry.version), Target):
            return entry.version
    return None


def _goes_on(view: View, candidate: CanaryTrack) -> bool:
    return view.status.phase in ("RollingOut", "Paused") and view.status.failed_revision != candidate.revision


def _impossible(why: str) -> Event:
    return Event("Warning", "RollbackImpossible", f"{ROLLBACK_ANNOTATION}: {why}; nothing is changed")
