"""The recipe of a ModelVersion: what its run told its stages, and the images that it ran."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modelmill.api.base import Part
from modelmill.api.training_job import ContainerTrain, ScriptTrain

MAX_STAGE: Final = 65_536
ImageName = Annotated[str, Field(pattern=r"^[^\s]+$", min_length=1, max_length=512)]


class Recipe(Part):
    """What makes the version again from a copy of its data: the annotation modelmill.dev/reproduce of its TrainingJob."""

    stage: Annotated[str, Field(max_length=MAX_STAGE)] = Field(
        description="What the stages of the run were told, as JSON: data, estimator, parameters, seed."
    )
    parameters: Annotated[str, Field(max_length=MAX_STAGE)] | None = Field(
        default=None, description="Hyperparameters that the train container was given, as JSON (MODELMILL_PARAMS)."
    )
    prepare: ContainerTrain | None = Field(
        default=None, description="The prepare container, its image by digest where the node told it. Left out: none."
    )
    image: ImageName = Field(description="Image of the built-in stages, by its digest where the node told it.")
    script: ScriptTrain | None = Field(
        default=None, description="The script that trains; it must be what it was. Left out: none."
    )
    container: ContainerTrain | None = Field(
        default=None, description="The train container, its image by digest where the node told it. Left out: built in."
    )
