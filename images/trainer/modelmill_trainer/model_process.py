"""The program in which a model is loaded and run: `python -m modelmill_trainer.model_process`, told by `phases.Asked`.

It bounds itself before it imports what starts threads, and leaves the result beside the artifact.
"""

from __future__ import annotations

import sys

from modelmill.contracts import names, result
from modelmill_trainer.confinement import bound_memory, confine
from modelmill_trainer.failure import StageError, explained
from modelmill_trainer.phases import RESULT_FILE, Asked, Phase

RAISE_MEMORY = "raise podTemplate.resources.limits.memory, or leave a smaller model"


def main() -> int:
    """Evaluate what is asked for on the standard input and return the stage's exit code."""
    asked = Asked.decode(sys.stdin.buffer.read())

    def begin(phase: Phase) -> None:
        asked.begin(phase)
        if phase == Phase.LOAD:
            bound_memory(asked.limits.memory)

    try:
        _confine(asked)
        from modelmill_trainer.evaluation import evaluate_model

        ending, code = evaluate_model(asked.spec, asked.folders, asked.into, asked.skipped, begin), 0
    except MemoryError:
        most = f"the {asked.limits.memory >> 20} MiB that there are"
        failure = StageError("OutOfMemory", f"to evaluate the model takes more than {most}: {RAISE_MEMORY}")
        ending, code = failure.result(), failure.exit_code
    except Exception as error:
        failure = explained(error, names.STAGE_EVALUATE)
        ending, code = failure.result(), failure.exit_code
    (asked.into / RESULT_FILE).write_text(result.encode(ending), encoding="utf-8")
    return code


def _confine(asked: Asked) -> None:
    try:
        confine(asked.limits, asked.parent)
    except OSError as error:
        raise StageError(
            "InternalError", f"the process for the model cannot be bounded: {error.strerror or error}"
        ) from None


if __name__ == "__main__":
    raise SystemExit(main())
