"""A child process that is watched: what it says, how long each of its steps takes, and how it ended."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import modelmill
import modelmill_trainer

MAX_SAID: Final = 256 << 10  # bytes of what the child prints that are passed on
LOOK_SECONDS: Final = 0.5  # between looks at a child that closed its pipes and goes on
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the child. words: what it does, after "while". seconds: how long it may take."""

    words: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How the child ended. code: of its exit; None when a signal ended it, `signal` is its name then.

    step: the last one that it began. late: it was ended for taking longer than the step may.
    """

    code: int | None
    signal: str
    step: int
    late: bool


def run(
    arguments: Sequence[str],
    told: Callable[[int], bytes],
    environment: Mapping[str, str],
    steps: Sequence[Step],
    say: Callable[[str], None],
) -> Ended:
    """Run a program in a fresh process with this environment and nothing else of ours, and return how it ended.

    told: its standard input, given the descriptor to which it writes a byte, the number of the step, when it begins one.
    say: is given each line that it prints, without characters that steer a terminal, up to `MAX_SAID` bytes.
    Whatever the child does, this returns soon after the time of a step is over.
    """
    said = _Said(say)
    reading, writing = os.pipe()
    try:
        child = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            pass_fds=(writing,),
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with child, os.fdopen(reading, "rb", buffering=0) as progress:
        try:
            assert child.stdin is not None
            # A child that ended before it read what is asked is told by how it ended.
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(told(writing))
                child.stdin.close()
            return _watch(child, progress.fileno(), steps, said)
        finally:
            _end(child)
            said.end()


def python(module: str) -> list[str]:
    """Return the command that runs a module in a fresh interpreter, which imports nothing from the working directory."""
    return [sys.executable, "-P", "-m", module]


def bare_environment(keep: Sequence[str] = ()) -> dict[str, str]:
    """Return an environment without anything of ours but the way to our modules and the variables to `keep`."""
    roots = dict.fromkeys(str(Path(str(package.__file__)).parents[1]) for package in (modelmill, modelmill_trainer))
    made = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(roots),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime else collects events about sessions, and sends them where it can
    }
    return made | {name: os.environ[name] for name in keep if name in os.environ}


def _watch(child: subprocess.Popen[bytes], progress: int, steps: Sequence[Step], said: _Said) -> Ended:
    assert child.stdout is not None
    step, began = 0, time.monotonic()
    with selectors.DefaultSelector() as selector:
        for descriptor in (progress, child.stdout.fileno()):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            left = began + steps[step].seconds - time.monotonic()
            if left <= 0:
                return Ended(None, signal.SIGKILL.name, step, late=True)
            if not selector.get_map():
                try:
                    child.wait(min(left, LOOK_SECONDS))
                except subprocess.TimeoutExpired:
                    continue
            ready = selector.select(min(left, LOOK_SECONDS)) if selector.get_map() else []
            for key, _ in ready:
                content = os.read(key.fd, _CHUNK)
                if not content:
                    selector.unregister(key.fd)
                elif key.fd == progress:
                    # Its steps go forward only, so that none gets its time twice.
                    if step < content[-1] < len(steps):
                        step, began = content[-1], time.monotonic()
                else:
                    said.add(content)
            if not ready and child.poll() is not None:
                code = child.returncode
                return Ended(code, "", step, late=False) if code >= 0 else Ended(None, _name(-code), step, late=False)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and what is of its session."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()
    child.wait()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Said:
    """What the child printed, line by line and bounded."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._kept, self._left, self._dropped = say, b"", MAX_SAID, 0

    def add(self, content: bytes) -> None:
        kept = content[: self._left]
        self._left -= len(kept)
        self._dropped += len(content) - len(kept)
        *lines, self._kept = (self._kept + kept).split(b"\n")
        for line in lines:
            self._say(_plain(line))

    def end(self) -> None:
        if self._kept:
            self._say(_plain(self._kept))
        if self._dropped:
            self._say(f"{self._dropped} bytes more that the evaluation printed are left out")


def _plain(line: bytes) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line.decode(errors="replace"))
