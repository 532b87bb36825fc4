"""The program in which a foreign model is opened: `python -m modelmill_trainer.imports.process`, told by `Asked`.

It bounds itself before it imports what starts threads, and leaves the result beside the artifact.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from modelmill.contracts import names, result
from modelmill_trainer.confinement import Limits, bound_memory, confine
from modelmill_trainer.failure import StageError, explained
from modelmill_trainer.watched import Step

RESULT_FILE: Final = "result.json"
ARTIFACT_FOLDER: Final = "artifact"


class Phase(IntEnum):
    """What is done with the model, in this order."""

    CHECK = 0
    LOAD = 1
    ANSWER = 2


STEPS: Final = {
    Phase.CHECK: Step("its file was checked", 300),
    Phase.LOAD: Step("it was loaded", 90),
    Phase.ANSWER: Step("it answered rows", 60),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the process is to do: `file` of format `form` becomes `into`/ARTIFACT_FOLDER under the name `served`.

    inputs: their names, as MLmodel says them. origin: for the lineage. parent: id of the process that asks.
    progress: descriptor that takes a byte for each phase.
    """

    file: str
    form: str
    served: str
    inputs: tuple[str, ...]
    origin: dict[str, str]
    into: str
    model: str
    version: str
    created: str
    memory: int
    cpu_seconds: int
    parent: int
    progress: int

    def encode(self) -> bytes:
        """Return the JSON that the process reads."""
        return json.dumps(asdict(self)).encode()


def main() -> int:
    """Do what is asked for on the standard input and return the stage's exit code."""
    raw: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    asked = Asked(**{**raw, "inputs": tuple(raw["inputs"])})
    try:
        try:
            confine(Limits(asked.memory, asked.cpu_seconds), asked.parent)
        except OSError as error:
            words = f"the process for the model cannot be bounded: {error.strerror or error}"
            raise StageError("InternalError", words) from None
        ending, code = _import(asked), 0
    except MemoryError:
        words = f"to open the model takes more than the {asked.memory >> 20} MiB that there are"
        failure = StageError("OutOfMemory", words)
        ending, code = failure.result(), failure.exit_code
    except Exception as error:  # a library may raise anything for a file that it cannot read
        failure = _explained(error)
        ending, code = failure.result(), failure.exit_code
    Path(asked.into, RESULT_FILE).write_text(result.encode(ending), encoding="utf-8")
    return code


def _explained(error: Exception) -> StageError:
    if isinstance(error, StageError | OSError):
        return explained(error, names.STAGE_IMPORT)
    text = " ".join(str(error).partition("Stack trace")[0].split())[:400]
    return StageError("ModelInvalid", f"the model cannot be opened: {type(error).__name__}: {text}")


def _import(asked: Asked) -> result.StageResult:
    from modelmill_trainer.models import require_sound

    folder = Path(asked.into, ARTIFACT_FOLDER)
    folder.mkdir()
    file = folder / asked.served
    shutil.copyfile(asked.file, file)
    _begin(asked, Phase.CHECK)
    require_sound(file, asked.form)
    _begin(asked, Phase.LOAD)
    bound_memory(asked.memory)
    from modelmill_trainer.imports.artifact import told, write
    from modelmill_trainer.imports.foreign import open_model

    model, columns = open_model(file, asked.form, asked.inputs)
    _begin(asked, Phase.ANSWER)
    called = (asked.model, asked.version, asked.created)
    signature = write(folder, asked.form, model, columns, asked.origin, called)
    made = result.Artifact("", "", 0, asked.form)
    return result.StageResult(result.IMPORTED, artifact=made, signature=told(signature))


def _begin(asked: Asked, phase: Phase) -> None:
    os.write(asked.progress, bytes([phase]))


if __name__ == "__main__":
    raise SystemExit(main())
