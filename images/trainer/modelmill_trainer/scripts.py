"""A train stage that is a Python file of the user: fetch reads it once, `run_script` runs it, the lineage has its digest.

The ConfigMap that it comes from may change while a run goes on. What fetch has read is what runs and what is recorded.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from modelmill.contracts import names
from modelmill.contracts.artifact import digest
from modelmill.contracts.stage import Script, StageSpec
from modelmill_trainer.failure import StageError
from modelmill_trainer.folders import Folders

FILE: Final = "script.py"
MAX_SCRIPT: Final = 1 << 20
"""Most bytes of a ConfigMap (Kubernetes API, ConfigMap)."""
LAST_LINES: Final = 40
LONGEST_LINE: Final = 64 << 10
LAST_WORDS_SECONDS: Final = 2.0
_MISSING: Final = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")


def fetch_script(spec: StageSpec, folders: Folders) -> str:
    """Put the script where train finds it and return its digest; empty for a run without one.

    Raises StageError: ScriptMissing; ScriptChanged when a version is made again and was made by another one.
    """
    (folders.input / FILE).unlink(missing_ok=True)
    script = spec.script
    if script is None:
        return ""
    if folders.script is None:
        raise StageError("SpecInvalid", f"{names.ENV_SCRIPT} is not set: set it, or give --work FOLDER")
    try:
        with (folders.script / script.key).open("rb") as stream:
            content = stream.read(MAX_SCRIPT + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise StageError(
            "ScriptMissing",
            f"train.script.configMapRef: there is no ConfigMap {script.config_map} with the key {script.key} in the namespace "
            f"{spec.namespace}: make it (kubectl create configmap {script.config_map} --from-file={script.key})",
        ) from None
    if len(content) > MAX_SCRIPT or not content.strip():
        words = "is empty" if not content.strip() else f"has more than {MAX_SCRIPT} bytes"
        raise StageError("ScriptMissing", f"{_named(script)} {words}: put a Python program there")
    found = digest(content)
    if script.digest and found != script.digest:
        raise StageError(
            "ScriptChanged",
            f"{_named(script)} is {found}, and the version was made by {script.digest}: bring that script back",
        )
    (folders.input / FILE).write_bytes(content)
    print(f"fetch: script {script.key} of ConfigMap {script.config_map}, {found[:19]}", flush=True)
    return found


def run_script(spec: StageSpec, folders: Folders, arguments: Sequence[str]) -> None:
    """Run the script to its end with this Python. Raises StageError: MissingLibrary, TrainingFailed."""
    if spec.script is None:
        raise StageError("SpecInvalid", "train.script is not set: this stage runs a script")
    path = folders.input / FILE
    if not path.is_file():
        raise StageError("InputMissing", f"{folders.input} has no {FILE}: run the fetch stage first")
    folders.output.mkdir(parents=True, exist_ok=True)
    env = {name: value for name, value in os.environ.items() if name != names.ENV_STAGE}
    with tempfile.TemporaryDirectory(prefix="modelmill-") as scratch:
        process = subprocess.Popen(
            [sys.executable, str(path), *arguments],
            cwd=scratch,
            env=env,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        # Whoever ends this process ends the script.
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            kept: deque[str] = deque(maxlen=LAST_LINES)
            # A process that the script leaves behind keeps its stderr open; the container ends with this one.
            reading = threading.Thread(target=_pass_on, args=(process, kept), daemon=True)
            reading.start()
            code = process.wait()
            reading.join(LAST_WORDS_SECONDS)
            last = list(kept)
        finally:
            signal.signal(signal.SIGTERM, before)
    if code != 0:
        raise _failure(spec.script, code, last)


def _pass_on(process: subprocess.Popen[bytes], kept: deque[str]) -> None:
    """Pass on what the script says about itself, and keep the last lines of it."""
    if process.stderr is None:
        return
    while line := process.stderr.readline(LONGEST_LINE):
        sys.stderr.write(text := line.decode(errors="replace"))
        sys.stderr.flush()
        if text.strip():
            kept.append(text.strip())


def _failure(script: Script, code: int, last: Sequence[str]) -> StageError:
    missing = _MISSING.match(last[-1]) if last else None
    if missing is not None:
        library = missing[1].partition(".")[0]
        return StageError(
            "MissingLibrary",
            f"{_named(script)} imports {library}, which the image of train.script has not: use train.container with an image "
            "that has it, or leave it out",
        )
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        words = f"{_named(script)} was ended by {name}"
        mend = "; when memory ended, raise podTemplate.resources.limits.memory" if -code == signal.SIGKILL else ""
        return StageError("TrainingFailed", f"{words}{mend}", final=False)
    why = last[-1][:500] if last else "it said nothing"
    return StageError("TrainingFailed", f"{_named(script)} exited with code {code}: {why}", final=False)


def _named(script: Script) -> str:
    return f"the script {script.key} of ConfigMap {script.config_map}"
