"""What the stage and the process that evaluates a model for it tell each other."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Final

from modelmill.contracts import stage
from modelmill_trainer.confinement import Limits
from modelmill_trainer.folders import Folders
from modelmill_trainer.watched import Step

RESULT_FILE: Final = "result.json"
ARTIFACT_FOLDER: Final = "artifact"
FIRST_ROWS: Final = 20


class Phase(IntEnum):
    """What is done with the model, in this order."""

    READ = 0
    LOAD = 1
    FIRST = 2
    HOLDOUT = 3
    CHAMPION = 4
    TRAINED = 5
    GOLDEN = 6
    CONVERSION = 7
    INTERPRETATION = 8
    WRITE = 9


# A server gives 100 s to loading and must answer the golden rows before it is ready; what depends on the data has its time.
STEPS: Final = {
    Phase.READ: Step("the rows were read", 900),
    Phase.LOAD: Step("it was loaded", 90),
    Phase.FIRST: Step(f"it predicted {FIRST_ROWS} rows", 20),
    Phase.HOLDOUT: Step("it predicted the rows to measure on", 3600),
    Phase.CHAMPION: Step("it was scored on the rows that are new to both", 3600),
    Phase.TRAINED: Step("it predicted the rows that it was trained on", 3600),
    Phase.GOLDEN: Step("it predicted the golden rows", 20),
    Phase.CONVERSION: Step("it was converted to ONNX and compared with it", 3600),
    Phase.INTERPRETATION: Step("its answers were interpreted for the report", 900),
    Phase.WRITE: Step("the artifact was written", 900),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the process is to do.

    into: an empty folder for `RESULT_FILE` and `ARTIFACT_FOLDER`. skipped: why a phase is left out, CHAMPION, CONVERSION
    or INTERPRETATION. parent: id of the process that asks. progress: descriptor that takes a byte for each phase.
    """

    spec: stage.StageSpec
    folders: Folders
    into: Path
    skipped: Mapping[Phase, str]
    limits: Limits
    parent: int
    progress: int

    def encode(self) -> bytes:
        """Return the JSON of it, with absolute paths. The store is left out: the process has no business there."""
        raw = {
            "spec": stage.encode(replace(self.spec, store=stage.Store(""))),
            "folders": {name: str(path.absolute()) for name, path in asdict(self.folders).items() if path is not None},
            "into": str(self.into.absolute()),
            "skipped": {str(int(phase)): why for phase, why in self.skipped.items()},
            "limits": asdict(self.limits),
            "parent": self.parent,
            "progress": self.progress,
        }
        return json.dumps(raw).encode()

    @classmethod
    def decode(cls, content: bytes) -> Asked:
        """Return what `encode` wrote."""
        raw = json.loads(content)
        return cls(
            spec=stage.decode(raw["spec"]),
            folders=Folders(**{name: Path(path) for name, path in raw["folders"].items()}),
            into=Path(raw["into"]),
            skipped={Phase(int(number)): why for number, why in raw["skipped"].items()},
            limits=Limits(**raw["limits"]),
            parent=raw["parent"],
            progress=raw["progress"],
        )

    def begin(self, phase: Phase) -> None:
        """Tell the stage that a phase begins."""
        os.write(self.progress, bytes([phase]))
