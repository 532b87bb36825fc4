"""How a stage that cannot go on says so: one exception, one termination message, one exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from modelmill.contracts import names, result

DEFAULT_TERMINATION_PATH = "/dev/termination-log"
SHOWN = 12  # how many names a message lists


class StageError(Exception):
    """A stage cannot go on.

    reason: one CamelCase word of docs/reference/reasons-training.md. messages: one sentence for each thing that is wrong, with
    the field and the mend. final: trying again will end the same way. rejected: it is the data that is wrong.
    """

    def __init__(self, reason: str, *messages: str, final: bool = True, rejected: bool = False) -> None:
        super().__init__(*messages)
        self.reason = reason
        self.messages = tuple(" ".join(message.split()) for message in messages)
        self.final = final
        self.rejected = rejected

    @property
    def exit_code(self) -> int:
        """The exit code that says whether trying again may help."""
        return names.EXIT_FINAL if self.final else names.EXIT_RETRY

    def result(self) -> result.StageResult:
        """Return the failure as the stage's result."""
        outcome = result.DATA_REJECTED if self.rejected else result.FAILED
        return result.StageResult(outcome, self.reason, self.messages)

    def line(self) -> str:
        """Return the failure in one line."""
        return f"{self.reason}: {' '.join(self.messages)}"


class Unchanged(StageError):
    """There is nothing to train: the data are those of the last version. digest: of the data."""

    def __init__(self, digest: str) -> None:
        super().__init__("Unchanged", "the data are those that the last version was trained on; nothing was trained.")
        self.digest = digest

    def result(self) -> result.StageResult:
        """Return the ending as the stage's result."""
        facts = result.DataFacts(self.digest, rows=0, holdout_rows=0)
        return result.StageResult(result.UNCHANGED, self.reason, self.messages, data=facts)


def explained(error: Exception, stage: str) -> StageError:
    """Return an error as that of a stage: why it cannot go on, and whether trying again may help."""
    if isinstance(error, StageError):
        return error
    if isinstance(error, result.ResultError):
        return StageError("MetricInvalid", str(error))
    if isinstance(error, MemoryError):
        mend = "raise podTemplate.resources.limits.memory"
        return StageError("OutOfMemory", f"{stage} needs more memory than there is: {mend}")
    if isinstance(error, OSError):
        return StageError("DiskFailed", f"{error.filename or stage}: {error.strerror or error}", final=False)
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return StageError("InternalError", f"{type(error).__name__} at {place}: {error}; run it with --debug for the trace")


def rejected(reason: str, *messages: str) -> StageError:
    """Return the error for data that cannot be trained on."""
    return StageError(reason, *messages, rejected=True)


def leave(message: str) -> None:
    """Write the container's termination message, of `modelmill.contracts.result`, where there is a place for one."""
    path = Path(os.environ.get(names.ENV_TERMINATION_PATH, DEFAULT_TERMINATION_PATH))
    if names.ENV_TERMINATION_PATH not in os.environ and not path.exists():
        return  # outside Kubernetes
    try:
        path.write_text(message, encoding="utf-8")
    except OSError as error:
        print(f"the result could not be written to {path}: {error}", file=sys.stderr)


def meant(name: str, known: Iterable[str]) -> str:
    """Return a clause that says what may have been meant by an unknown name, and what there is."""
    known = list(known)
    by_lower = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), by_lower, n=2, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(by_lower[one] for one in close)}?"
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"there are: {', '.join(known[:SHOWN])}{more}"
