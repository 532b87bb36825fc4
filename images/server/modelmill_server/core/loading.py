"""From an artifact's folder to a model that answers its golden rows."""

from __future__ import annotations

from modelmill.contracts.artifact import Golden
from modelmill_server.core.model import ServedModel
from modelmill_server.folder import open_folder
from modelmill_server.memory import bounded, loading_bytes
from modelmill_server.settings import Settings
from modelmill_server.supervisor import Phase, enter

TOO_SLOW = "ModelTooSlow"


def load_model(settings: Settings) -> tuple[ServedModel, int]:
    """Verify the artifact, load its model, replay its golden rows; return it with their number. Raises StartError."""
    enter(loading(settings))
    artifact = open_folder(settings.folder, settings.digest)
    with bounded(loading_bytes(artifact.model_file.stat().st_size)):
        model = ServedModel(artifact, settings)
        enter(_replaying(settings, artifact.golden))
        rows = model.replay_golden()
    return model, rows


def loading(settings: Settings) -> Phase:
    """Return the phase of loading a model."""
    words = f"loading the model took longer than {settings.load_seconds} s: make it smaller, or give it more CPU"
    return Phase("loading the model", settings.load_seconds, TOO_SLOW, words, final=True)


def _replaying(settings: Settings, golden: Golden) -> Phase:
    rows = max((len(values) for values in golden.inputs.values()), default=1)
    seconds = min(settings.row_seconds * rows, settings.load_seconds)
    took = f"predicting the golden rows, {rows} of them, took longer than {seconds} s"
    words = f"{took}: make the model smaller, or give it more CPU"
    return Phase("predicting the golden rows", seconds, TOO_SLOW, words, final=True)
