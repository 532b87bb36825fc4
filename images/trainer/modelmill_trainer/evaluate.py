"""The evaluate stage: the model is loaded and run in a process of its own, whose end is an outcome whatever it is."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelmill.contracts import names, result
from modelmill.contracts.stage import StageSpec
from modelmill_trainer import watched
from modelmill_trainer.confinement import Limits, available_memory
from modelmill_trainer.failure import StageError
from modelmill_trainer.folders import Folders
from modelmill_trainer.lineage import ENV_GIT_REVISION
from modelmill_trainer.model_process import RAISE_MEMORY
from modelmill_trainer.phases import ARTIFACT_FOLDER, RESULT_FILE, STEPS, Asked, Phase
from modelmill_trainer.plain_files import NotPlain, read_plain

REASON = re.compile(r"[A-Z][A-Za-z]{1,63}")
# Without them there is still something to publish: a version that is not compared, is served as it is, or has a shorter report.
DISPENSABLE = (Phase.CHAMPION, Phase.CONVERSION, Phase.INTERPRETATION)


@dataclass(frozen=True, slots=True)
class Evaluator:
    """The program that evaluates, what it may use and how long each phase may take."""

    command: Sequence[str] = field(default_factory=lambda: watched.python("modelmill_trainer.model_process"))
    steps: Mapping[Phase, watched.Step] = field(default_factory=lambda: STEPS)
    memory: int = field(default_factory=available_memory)

    def limits(self) -> Limits:
        """Return the bounds of the process."""
        seconds = sum(step.seconds for step in self.steps.values())
        return Limits(self.memory, int(seconds) * (os.cpu_count() or 1))


def evaluate(spec: StageSpec, folders: Folders, into: Path, evaluator: Evaluator | None = None) -> result.StageResult:
    """Leave the artifact and its result in a folder, which is emptied before, and return the result; of a trial only that.

    Raises StageError, e.g. ModelInvalid for a model that crashes or takes too long.
    """
    evaluator = evaluator or Evaluator()
    skipped: dict[Phase, str] = {}
    while True:
        _empty(into)
        ended = _run(spec, folders, into, skipped, evaluator)
        problem = _problem(ended, evaluator)
        phase = Phase(ended.step)
        if problem is None:
            return _said(read_result(into), ended)
        if phase not in DISPENSABLE or phase in skipped:
            raise problem
        skipped[phase] = " ".join(problem.messages)
        print(f"evaluate: once more without what failed: {skipped[phase]}", flush=True)


def read_result(folder: Path) -> result.StageResult:
    """Return the result that an evaluation left. Raises StageError (ModelInvalid) when it is none."""
    try:
        return result.decode(read_plain(folder / RESULT_FILE, result.MAX_BYTES).decode())
    except (NotPlain, FileNotFoundError, ValueError) as error:
        raise StageError(
            "ModelInvalid", f"the process that evaluated the model left no valid result: {error}"
        ) from None


def _said(ending: result.StageResult, ended: watched.Ended) -> result.StageResult:
    if ended.code == 0 and (ending.artifact is not None or ending.outcome == result.SCORED):
        return ending
    if REASON.fullmatch(ending.reason) is None:
        raise StageError(
            "ModelInvalid", "the process that evaluated the model left no valid result: it gives no reason"
        )
    rejected = ending.outcome == result.DATA_REJECTED
    raise StageError(ending.reason, *ending.reasons, final=ended.code != names.EXIT_RETRY, rejected=rejected)


def _run(
    spec: StageSpec, folders: Folders, into: Path, skipped: Mapping[Phase, str], evaluator: Evaluator
) -> watched.Ended:
    def told(progress: int) -> bytes:
        return Asked(spec, folders, into, skipped, evaluator.limits(), os.getpid(), progress).encode()

    return watched.run(
        evaluator.command,
        told,
        watched.bare_environment((ENV_GIT_REVISION,)),
        [evaluator.steps[phase] for phase in Phase],
        lambda line: print(line, flush=True),
    )


def _problem(ended: watched.Ended, evaluator: Evaluator) -> StageError | None:
    """Return what is wrong with an end that is not of the program's own will."""
    phase = Phase(ended.step)
    step = evaluator.steps[phase]
    model = "the champion" if phase == Phase.CHAMPION else "the model"
    during = f"while {step.words}"
    if ended.late or ended.signal == "SIGXCPU":
        return StageError("ModelInvalid", f"{model} took longer than {step.seconds:g} s {during}: leave a quicker one")
    if ended.signal == "SIGKILL":
        return StageError(
            "OutOfMemory", f"{model} was killed {during}, as is done when memory runs out: {RAISE_MEMORY}"
        )
    if ended.signal:
        return StageError("ModelInvalid", f"{model} ended its process with {ended.signal} {during}")
    if ended.code in (0, names.EXIT_FINAL, names.EXIT_RETRY):
        return None
    return StageError("ModelInvalid", f"{model} ended its process with exit code {ended.code} {during}")


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RESULT_FILE, ARTIFACT_FOLDER):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
