"""Which version should serve, and why not if none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelmill.api.fingerprint import short_hash
from modelmill.api.versions import REJECTED, newest_approved
from modelmill.kube.labels import MODEL_LABEL, RETRY_ANNOTATION
from modelmill.kube.objects import Manifest
from modelmill.serving.view import View


@dataclass(frozen=True, slots=True)
class Target:
    """A version to serve. `revision` changes with anything that makes other pods: version, digest, runtime, image."""

    version: str
    digest: str
    revision: str

    def track(self) -> dict[str, Any]:
        """Return the beginning of a track in the status."""
        return {"version": self.version, "digest": self.digest, "revision": self.revision}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no target: one CamelCase word and a sentence."""

    reason: str
    message: str


def find_target(view: View) -> Target | Problem:
    """Return what should serve: the pinned version, or the newest approved one of the model."""
    model = view.spec.model
    if model.version is not None:
        pinned = view.version(model.version)
        if pinned is None:
            return Problem(
                "VersionNotFound", f"spec.model.version names {model.version}, which is not in this namespace"
            )
        if pinned["spec"]["model"] != model.name:
            text = f"{model.version} is a version of {pinned['spec']['model']}, not of spec.model.name {model.name}"
            return Problem("VersionOfAnotherModel", text)
        if pinned["spec"].get("approval") == REJECTED:
            return Problem("VersionRejected", f"{model.version} is rejected; approve it or name another version")
        return target_of(view, pinned)
    newest = newest_approved(view.versions, model.name)
    if newest is None:
        text = f"no ModelVersion labelled {MODEL_LABEL}={model.name} is approved; approve one, or run its TrainingJob"
        return Problem("NoApprovedVersion", text)
    return target_of(view, newest)


def target_of(view: View, version: Manifest) -> Target:
    """Return the target that serves this version with the spec of now."""
    name, digest = version["metadata"]["name"], version["spec"]["artifact"]["digest"]
    return Target(name, digest, short_hash(name, digest, view.spec.runtime, _drift_features(view), view.server_image))


def may_be_tried(view: View, target: Target) -> bool:
    """Tell whether the target may be rolled out: not when it was taken back, unless a person asks to try again."""
    if view.status.get("failedRevision") != target.revision:
        return True
    token = view.annotations.get(RETRY_ANNOTATION)
    return bool(token) and token != view.status.get("retriedAnnotation")


def _drift_features(view: View) -> int:
    return view.spec.monitoring.drift.features if view.spec.monitoring is not None else 0
