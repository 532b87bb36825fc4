"""A run because a person set the annotation modelmill.dev/reproduce to the name of a version: it is made again and compared."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.api.objects import ModelVersion
from modelmill.kube.labels import REPRODUCE_ANNOTATION
from modelmill.training.recipe import gone_start, told_again
from modelmill.training.triggers.reason import Hold, Reason
from modelmill.training.view import View

KIND = "Reproduce"
KEPT = 256
"""How much of the text is kept and compared."""


def reasons(view: View) -> Sequence[Reason]:
    """Return the reason when the annotation has a text that no run has answered."""
    text = asked(view)
    if text is None or text == view.status.handled_reproduction:
        return ()
    return (Reason(KIND, KIND, f"annotation {REPRODUCE_ANNOTATION} is {text[:64]!r}"),)


def asked(view: View) -> str | None:
    """Return the annotation's text, None without one."""
    return view.annotations.get(REPRODUCE_ANNOTATION, "")[:KEPT] or None


def origin(view: View) -> ModelVersion | None:
    """Return the version that the annotation names, None when there is none of the model."""
    name = asked(view)
    return next((one for one in view.versions if one.name == name), None)


def impossible(view: View) -> Hold | None:
    """Only a version of the model that says how it was made, and whose data are kept, can be made again."""
    version = origin(view)
    if version is None:
        return Hold(
            "VersionMissing",
            f"there is no ModelVersion {asked(view)!r} of the model {view.spec.model}: correct the annotation",
        )
    lineage = version.spec.lineage
    if lineage is None or lineage.data_snapshot != "Copy":
        return Hold(
            "NoCopy",
            f"{version.name} has no copy of its data, only their digest: versions of runs with spec.data.snapshot: Copy "
            "can be made again; correct the annotation",
        )
    if version.spec.recipe is None:
        return Hold("NoRecipe", f"{version.name} has no recipe (spec.recipe), which an earlier release did not record")
    gone = gone_start(view, version)
    if gone is not None:
        return Hold("StartMissing", f"{version.name} was trained on from {gone}, which is gone: correct the annotation")
    if told_again(view, version, view.next_number) is None:
        return Hold(
            "RecipeUnreadable",
            f"the recipe of {version.name} (spec.recipe.stage) cannot be read: use the release that wrote it",
        )
    return None
