"""A model that has taken over the process that runs it: what it does is any Python that a test gives."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from modelmill_trainer import watched
from modelmill_trainer.evaluate import Evaluator
from modelmill_trainer.phases import STEPS, Phase

REAL = """
confine = model_process.confine


def confine_and_plant(limits, parent):
    confine(limits, parent)
    from modelmill_trainer import models

    answer = models.MODEL.outputs

    def outputs(self, frame):
        global calls
        calls += 1
        act()
        return answer(self, frame)

    models.MODEL.outputs = outputs


model_process.confine = confine_and_plant
"""
LIGHT = """
def evaluate_model(spec, folders, into, skipped, begin):
    begin(Phase.LOAD)
    begin(Phase.FIRST)
    try:
        act()
    except MemoryError:
        raise
    except Exception as error:
        raise StageError("ModelInvalid", f"{type(error).__name__}: {error}")


sys.modules["modelmill_trainer.evaluation"] = types.ModuleType("evaluation")
sys.modules["modelmill_trainer.evaluation"].evaluate_model = evaluate_model
"""
PROGRAM = """
import ctypes, os, resource, signal, socket, sys, time, types
from modelmill_trainer import model_process
from modelmill_trainer.failure import StageError
from modelmill_trainer.phases import Phase

calls = 0
asked = []
decode = model_process.Asked.decode
model_process.Asked.decode = lambda content: asked.append(decode(content)) or asked[0]


def act():
CODE

PLANT
raise SystemExit(model_process.main())
"""


def planted(
    folder: Path, code: str, *, model: str | None = None, memory: int = 2 << 30, seconds: Mapping[Phase, float] = {}
) -> Evaluator:
    """Return an evaluator whose model runs `code` when it is asked for predictions; `calls` and `asked[0]` are there.

    model: the class of `modelmill_trainer.models` that does so before it answers; None for a process that does nothing else,
    which begins in a tenth of the time. seconds: how long a phase may take where it is not what it is for everybody.
    """
    path = folder / "planted.py"
    plant = LIGHT if model is None else REAL.replace("MODEL", model)
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    path.write_text(PROGRAM.replace("PLANT", plant).replace("CODE", indented))
    steps = {phase: watched.Step(step.words, seconds.get(phase, step.seconds)) for phase, step in STEPS.items()}
    return Evaluator([sys.executable, "-P", str(path)], steps, memory)
