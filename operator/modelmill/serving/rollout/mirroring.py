"""Before a version can be compared by strategy Shadow, the pods that serve must be such that can mirror. Pure."""

from __future__ import annotations

from modelmill.api.inference_service_status import StableTrack
from modelmill.serving.builders.shadow import mirrors
from modelmill.serving.history import was_whole
from modelmill.serving.rollout.going_back import Aim, in_window
from modelmill.serving.target import Problem, Target, may_be_tried, target_of
from modelmill.serving.view import View


def mirrored_first(view: View, aim: Aim) -> Target | Problem:
    """Return what should serve next on the way to what is aimed at.

    Pods that were made under another strategy cannot mirror. The version that serves gets new ones before another version
    comes: that one is then compared, and not promoted without. Nothing waits for that which needs no comparison (it is gone
    back, a version inside the rollback window), which is on its way, or was taken back; nor when such pods failed to come up.
    """
    stable, candidate, target = view.status.stable, view.status.canary, aim.target
    if isinstance(target, Problem) or stable is None or target.version == stable.version:
        return target
    if not _lack_mirror(view, stable) or not was_whole(view, stable) or aim.back is not None or aim.accepted:
        return target
    version = view.versions.get(stable.version)
    if version is None or version.spec.artifact is None:
        return target
    on_its_way = candidate is not None and candidate.revision == target.revision
    if on_its_way or in_window(view, target.revision) or not may_be_tried(view, target):
        return target
    prepared = target_of(view, version)
    return prepared if may_be_tried(view, prepared) else target


def makes_mirror(view: View, stable: StableTrack, target: Target) -> bool:
    """Tell whether the target is the version that serves, with pods that can mirror in the place of such that cannot."""
    return target.version == stable.version and _lack_mirror(view, stable)


def _lack_mirror(view: View, stable: StableTrack) -> bool:
    deployment = view.deployments.get(stable.revision)
    return view.spec.rollout.strategy == "Shadow" and deployment is not None and not mirrors(deployment)
