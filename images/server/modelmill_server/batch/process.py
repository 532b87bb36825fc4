"""The process that has the model, as the one that has the keys sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from modelmill.contracts import names
from modelmill.contracts.batch import BatchSpec, encode_spec
from modelmill_server.failure import StartError
from modelmill_server.settings import Settings
from modelmill_server.supervisor import CRASHED, OUT_OF_MEMORY, Phase, enter, oom_kills

# What the model's process gets of the environment, beside the settings of the server: nothing of a store, nor keys.
PASSED_ON = frozenset(
    {"PATH", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "HOME", "LANG",
     "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TZ"}
)  # fmt: skip


class Scorer:
    """A model in a process of its own, begun with the first object. Every method raises StartError."""

    def __init__(self, settings: Settings, spec: BatchSpec) -> None:
        self._settings, self._spec = settings, spec
        self._process: subprocess.Popen[bytes] | None = None
        self._oom_kills = oom_kills()
        self._requests: Any = None
        self._answers: Any = None

    def score(self, path: Path, result: Path, label: str) -> dict[str, Any]:
        """Return what `scoring.Scored` says of the object in the file `path`; its rows are then in the file `result`."""
        if self._process is None:
            self._begin()
        document = {"path": str(path), "result": str(result), "label": label}
        try:
            self._requests.write(msgspec.json.encode(document) + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            raise self._died(f"before {label}") from None
        return self._heard(f"at {label}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._requests.close()
            self._process.kill()
            self._process.wait()
            self._answers.close()

    def _begin(self) -> None:
        settings = self._settings
        words = (
            f"loading the model took longer than {2 * settings.load_seconds} s: make it smaller, or give it more CPU"
        )
        enter(Phase("loading the model", 2.0 * settings.load_seconds, "ModelTooSlow", words, final=True))
        asked, requests = os.pipe()
        answers, told = os.pipe()
        command = [sys.executable, "-m", "modelmill_server.batch.scoring", str(asked), str(told)]
        environment = self._environment()
        self._process = subprocess.Popen(command, env=environment, pass_fds=(asked, told), stdin=subprocess.DEVNULL)
        os.close(asked)
        os.close(told)
        self._requests, self._answers = os.fdopen(requests, "wb"), os.fdopen(answers, "rb")
        self._heard("while it loaded the model")
        enter(Phase("scoring objects"))

    def _environment(self) -> dict[str, str]:
        ours = {
            name: value
            for name, value in os.environ.items()
            if name in PASSED_ON or (name.startswith("MODELMILL_") and name != names.ENV_FEEDBACK_KEY)
        }
        settings = self._settings
        return {
            **ours,
            names.ENV_MODEL_FOLDER: str(settings.folder),
            names.ENV_SKOPS_TRUSTED: ",".join(settings.trusted_types),
            names.ENV_BATCH: encode_spec(self._spec),
        }

    def _heard(self, when: str) -> dict[str, Any]:
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            raise self._died(when)
        document: dict[str, Any] = msgspec.json.decode(line)
        if "reason" in document:
            raise StartError(document["reason"], document["message"], final=document["final"])
        return document

    def _died(self, when: str) -> StartError:
        assert self._process is not None
        code = self._process.wait()
        if oom_kills() > self._oom_kills:
            words = f"the kernel ended the model's process for memory {when}: raise resources.limits.memory"
            return StartError(OUT_OF_MEMORY, words, final=False)
        return StartError(CRASHED, f"the model's process ended with code {code} {when}", final=False)
