"""Which version should serve, and why not if none."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelmill.api.inference_service_status import CanaryTrack, PreviousTrack, StableTrack
from modelmill.api.objects import ModelVersion
from modelmill.api.versions import REJECTED
from modelmill.kube.labels import MODEL_LABEL, REFRESH_ANNOTATION, RETRY_ANNOTATION
from modelmill.serving.builders.deployment import Template, template_of
from modelmill.serving.builders.inputs import Inputs, inputs_of
from modelmill.serving.builders.pod_template import build_template
from modelmill.serving.view import View


@dataclass(frozen=True, slots=True)
class Target:
    """A version to serve. revision: hash of its pod template. inputs: hash of what the template is made from."""

    version: str
    digest: str
    revision: str
    inputs: str
    server_image: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no target: one CamelCase word and a sentence."""

    reason: str
    message: str


def find_target(view: View) -> Target | Problem:
    """Return what should serve: the pinned version, the one that has the alias, or the newest approved one of the model."""
    model = view.spec.model
    if model.version is not None:
        return named_target(view, model.version, f"spec.model.version names {model.version}")
    if model.alias is not None:
        if view.holder is None:
            text = f"no ModelVersion of {model.name} has the alias {model.alias}; add it to spec.aliases of one"
            return Problem("AliasNotFound", text)
        return named_target(view, view.holder, f"the alias {model.alias} is {view.holder}")
    if view.newest is None:
        if view.awaited is not None:
            text = f"{view.awaited} is the newest approved version of {model.name}: {view.imports[view.awaited]}"
            return Problem("NoApprovedVersion", text)
        text = f"no ModelVersion labelled {MODEL_LABEL}={model.name} is approved; approve one, or run its TrainingJob"
        return Problem("NoApprovedVersion", text)
    return _permitted(view, view.newest)


def named_target(view: View, name: str, named: str) -> Target | Problem:
    """Return the target that is the version of this name. named: who names it."""
    version, model = view.versions.get(name), view.spec.model
    if version is None:
        return Problem("VersionNotFound", f"{named}, which is not in this namespace or cannot be read")
    if version.spec.model != model.name:
        text = f"{name} is a version of {version.spec.model}, not of spec.model.name {model.name}"
        return Problem("VersionOfAnotherModel", text)
    if version.spec.approval == REJECTED:
        mend = "name another version" if model.alias is None else f"give the alias {model.alias} to another version"
        return Problem("VersionRejected", f"{name} is rejected; approve it or {mend}")
    if version.spec.artifact is None:
        return Problem("VersionNotImported", f"{named}: {view.imports.get(name, 'it has no artifact')}")
    return _permitted(view, version)


def _permitted(view: View, version: ModelVersion) -> Target | Problem:
    """Return the target that is this version, unless the spec lets its model run code and no administrator does."""
    asked = model_code(view)
    if not asked or view.model_code:
        return target_of(view, version)
    text = (
        f"{' and '.join(asked)} would let models run code of their own, and modelmill's administrator does not permit that in "
        f"namespace {view.namespace}: have it added to modelCode.namespaces of the chart, or remove the field"
    )
    return Problem("ModelCodeNotPermitted", text)


def model_code(view: View) -> list[str]:
    """Return the fields of the spec by which a model runs code of its own in the server."""
    runtime = view.spec.runtime
    asked = {"spec.runtime.allowPython": runtime.allow_python, "spec.runtime.trustedTypes": bool(runtime.trusted_types)}
    return [field for field, given in asked.items() if given]


def target_of(view: View, version: ModelVersion) -> Target:
    """Return the target that serves this version with the spec of now.

    A track that was made from the same inputs is the target, whatever the server's image and the builder are now: a release
    of the operator changes no pod by itself. So is one whose template would be the same with the image that it has: what
    changed does not reach its pods. Everything else is a new revision, with the image of this release, and so is the stable
    track of another image when it is to be exchanged; a candidate that has begun to do so goes on.
    """
    inputs = inputs_of(view.service, version)
    made_from = inputs.hash()
    fresh = Target(version.name, inputs.artifact_digest, "", made_from, view.image.name)
    tracks = [track for track in (view.status.canary, view.status.stable) if track is not None]
    for track in tracks:
        if track.inputs == made_from:
            same = replace(fresh, revision=track.revision, server_image=track.server_image)
            return _exchanged(view, inputs, fresh, same) if isinstance(track, StableTrack) else same
    for track in tracks:
        if track.version == version.name and _revision(view, inputs, track.server_image) == track.revision:
            return replace(fresh, revision=track.revision, server_image=track.server_image)
    return replace(fresh, revision=_revision(view, inputs, view.image.name))


def _exchanged(view: View, inputs: Inputs, fresh: Target, same: Target) -> Target:
    """Return the target with the image of this release when it is its turn, a person asks, or it was taken back."""
    if same.server_image in ("", view.image.name):
        return same
    exchanged = replace(fresh, revision=_revision(view, inputs, view.image.name))
    wanted = view.turn.has or asks_to_refresh(view) or view.status.failed_revision == exchanged.revision
    return exchanged if wanted else same


def may_be_tried(view: View, target: Target) -> bool:
    """Tell whether the target may be rolled out: not when it was taken back, unless a person asks to try again."""
    status = view.status
    if target.revision != status.failed_revision:
        # What failed with the inputs of the stable track was another image.
        proven = status.stable is not None and status.stable.inputs == target.inputs
        return proven or target.inputs != status.failed_inputs or asks_to_retry(view)
    return asks_to_retry(view) or asks_to_refresh(view)


def retry_text(view: View) -> str | None:
    """Return the text of the annotation by which a person asks to try again, as far as it is remembered; None without one."""
    return (view.service.metadata.annotations.get(RETRY_ANNOTATION) or "")[:256] or None


def asks_to_retry(view: View) -> bool:
    """Tell whether a person asks to try again: the annotation has a new text."""
    text = retry_text(view)
    return text is not None and text != view.status.retried_annotation


def asks_to_refresh(view: View) -> bool:
    """Tell whether a person asks for the server's image of this release: the annotation has a new text."""
    text = refresh_text(view)
    return text is not None and text != view.status.refreshed_annotation


def refresh_text(view: View) -> str | None:
    """Return the text of the annotation, as it is recorded when it is answered."""
    return (view.service.metadata.annotations.get(REFRESH_ANNOTATION) or "").strip()[:256] or None


def template_now(view: View, track: StableTrack | CanaryTrack | PreviousTrack) -> Template | None:
    """Return the template that the track's version gets with the spec of now and the track's own image.

    None where there is no such version, or the spec asks for what no administrator permits.
    """
    version = view.versions.get(track.version)
    if version is None or version.spec.artifact is None or (model_code(view) and not view.model_code):
        return None
    image = track.server_image or view.image.name
    return template_of(build_template(inputs_of(view.service, version), replace(view.image, name=image)))


def _revision(view: View, inputs: Inputs, image: str) -> str:
    return template_of(build_template(inputs, replace(view.image, name=image))).revision
