"""The recipe of a version: carried by the Job that made it, and told to the stages of a run that makes it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from modelmill.api.objects import ModelVersion
from modelmill.api.recipe import MAX_STAGE, Recipe
from modelmill.api.training_job import ContainerTrain, Prepare, Train
from modelmill.contracts import names, stage
from modelmill.kube import labels
from modelmill.training.view import View
from modelmill.workloads.jobs import newest_first
from modelmill.workloads.pod_status import container_statuses, ended

RECIPE_ANNOTATION: Final = f"{labels.GROUP}/recipe"
MAX_RECIPE: Final = 128 << 10
"""Bytes: an object's annotations have 256 KiB at most (apimachinery, TotalAnnotationSizeLimitB)."""
_MALFORMED: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def written(
    told: stage.StageSpec,
    image: str,
    train: Train,
    parameters: Mapping[str, Any] | None,
    prepare: ContainerTrain | None = None,
) -> str | None:
    """Return the recipe of a run as its Job carries it; None for one that is larger than a version has room for.

    image: of the built-in stages. train: how it trains. parameters: that a train container is given.
    prepare: the prepare container, None without one.
    """
    text, container = stage.encode(_lasting(told)), train.container
    given = json.dumps(dict(parameters), sort_keys=True) if parameters is not None and container is not None else None
    if len(text) > MAX_STAGE or len(given or "") > MAX_STAGE:
        return None
    recipe = Recipe(
        stage=text, image=image, container=container, parameters=given, prepare=prepare, script=train.script
    )
    found = recipe.model_dump_json(by_alias=True, exclude_none=True)
    return found if len(found) <= MAX_RECIPE else None


def recipe_of(view: View, job: str) -> dict[str, Any] | None:
    """Return how the Job's run was made, as a ModelVersion says it; None when its Job does not tell."""
    made = view.jobs.get(job)
    annotations = (made["metadata"].get("annotations") or {}) if made is not None else {}
    try:
        recipe = Recipe.model_validate_json(annotations.get(RECIPE_ANNOTATION, ""))
    except ValidationError:
        return None
    images = _images(view, job)
    made_by = {
        "container": _by_digest(recipe.container, images.get(names.STAGE_TRAIN, "")),
        "prepare": _by_digest(recipe.prepare, images.get(names.STAGE_PREPARE, "")),
        "image": _pinned(recipe.image, images.get(names.STAGE_PUBLISH, "")),
    }
    return recipe.model_copy(update=made_by).model_dump(by_alias=True, exclude_none=True)


def _by_digest(container: ContainerTrain | None, image_id: str) -> ContainerTrain | None:
    if container is None:
        return None
    return container.model_copy(update={"image": _pinned(container.image, image_id)})


def parameters_of(recipe: Recipe) -> dict[str, Any] | None:
    """Return the hyperparameters of the train container, None where it was given none. Raises ValueError for no JSON object."""
    found = json.loads(recipe.parameters) if recipe.parameters else None
    if found is not None and not isinstance(found, dict):
        raise ValueError("spec.recipe.parameters is no JSON object")
    return found


def told_again(view: View, version: ModelVersion, number: int) -> stage.StageSpec | None:
    """Return what run `number` tells its stages to make the version again; None when its recipe cannot be read, or what it
    was trained on from is gone.

    The recipe is an object's text, which anybody may write who may make versions: where to read, and for whom, is ours to say.
    """
    told, lineage, store = _decoded(version), version.spec.lineage, version.spec.store
    artifact = version.spec.artifact
    if told is None or lineage is None or artifact is None:
        return None
    if gone_start(view, version) is not None:
        return None
    return replace(
        _lasting(told),
        champion=_start(view, version, told),
        namespace=view.namespace,
        training_job=view.name,
        run=number,
        run_uid=f"{view.uid}-{number}",
        model=view.spec.model,
        version=version.name,
        store=stage.Store(store.uri, store.endpoint, store.region),
        data=replace(told.data, copy=False, snapshot=lineage.data_digest),
        script=replace(told.script, digest=lineage.script_digest or "") if told.script is not None else None,
        reproduces=stage.Origin(version.name, artifact.uri, artifact.digest),
    )


def gone_start(view: View, version: ModelVersion) -> str | None:
    """Return the name of the version that this one was trained on from, when it is not there any more; else None."""
    told, name = _decoded(version), _began_from(version)
    return name if name is not None and told is not None and _start(view, version, told) is None else None


def _decoded(version: ModelVersion) -> stage.StageSpec | None:
    recipe = version.spec.recipe
    if recipe is None:
        return None
    try:
        parameters_of(recipe)
        return stage.decode(recipe.stage)
    except _MALFORMED:
        return None


def _began_from(version: ModelVersion) -> str | None:
    lineage = version.spec.lineage
    return lineage.warm_start.version if lineage is not None and lineage.warm_start is not None else None


def _start(view: View, version: ModelVersion, told: stage.StageSpec) -> stage.Champion | None:
    """Return the version that it was trained on from, where it is the one of the recipe still."""
    found = next((one.spec.artifact for one in view.versions if one.name == _began_from(version)), None)
    wanted = told.champion
    if found is None or wanted is None or found.digest != wanted.digest:
        return None
    return stage.Champion(str(_began_from(version)), found.uri, found.digest)


def as_made(view: View, version: ModelVersion, recipe: Recipe) -> View:
    """Return the view with the version's store, prepare and train containers in place of those of the spec."""
    train = view.spec.train.model_copy(update={"container": recipe.container, "script": recipe.script})
    if recipe.container is not None or recipe.script is not None:
        train = train.model_copy(update={"sklearn": None})
    prepare = Prepare(container=recipe.prepare) if recipe.prepare is not None else None
    spec = view.spec.model_copy(update={"store": version.spec.store, "train": train, "prepare": prepare})
    return replace(view, training_job=replace(view.training_job, spec=spec))


def _lasting(told: stage.StageSpec) -> stage.StageSpec:
    """Return what decides about the model's bytes and metrics."""
    return replace(
        told,
        data=replace(told.data, schema=None),
        # With a warm start the model is made of it; else it is only what the model is compared with.
        champion=told.champion if told.warm_start else None,
        gates=(),
        search=None,
        trial=None,
        unless_digest=None,
        description="",
    )


def _images(view: View, job: str) -> dict[str, str]:
    """Return, by container, the id of the image that ran in the pod that published."""
    for pod in newest_first(view.pods.get(job, ())):
        end = ended(pod, names.STAGE_PUBLISH)
        if end is not None and end.exit_code == 0:
            return {one["name"]: str(one.get("imageID") or "") for one in container_statuses(pod)}
    return {}


def _pinned(image: str, image_id: str) -> str:
    """Return the image by the digest that the node told, when that is a name by which it can be pulled; else as it was named.

    Images that were loaded into a node have an id without a repository, or of a repository that there is not.
    """
    told = image_id.removeprefix("docker-pullable://")
    repository, separator, _ = told.partition("@sha256:")
    return told if separator and repository == _repository(image) else image


def _repository(image: str) -> str:
    """Return the full name of an image's repository (Docker's reference grammar, distribution/reference)."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.partition(':')[0]}"
    first = name.partition("/")[0]
    if "/" in name and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"
