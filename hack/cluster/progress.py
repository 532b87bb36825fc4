"""What the user sees while things take long, and the errors they see when things fail."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HEARTBEAT_SECONDS = 15.0


class Failed(Exception):
    """Something the user must know about; the message says what, and what to do or to read."""


def say(text: str) -> None:
    """One line on standard error; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log file, or a note that there is none."""
    if not path.exists():
        return f"(no log at {path})"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        text = file.read().decode(errors="replace").splitlines()
    return "\n".join(text[-lines:]) or f"({path} is empty)"


@contextlib.contextmanager
def step(title: str, log: Path | None = None) -> Iterator[None]:
    """Announce a step, show that it is alive while it lasts, and say how long it took."""
    say(f"==> {title}")
    started = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            last = tail(log, 1)[:100] if log else ""
            say(f"    … {title}: {time.monotonic() - started:.0f} s {last}".rstrip())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    say(f"    {title}: {time.monotonic() - started:.1f} s")


def run(argv: Sequence[str], log: Path, *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a command with its output in a log file.

    Raises:
        Failed: the command ended with another code than 0; the message holds the last lines of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        ended = subprocess.run(
            list(argv),
            check=False,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    if ended.returncode != 0:
        raise Failed(f"`{' '.join(argv)}` ended with {ended.returncode}; the end of {log}:\n{tail(log)}")


def output(argv: Sequence[str], *, env: dict[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a short command and return its standard output.

    Raises:
        Failed: the command ended with another code than 0; the message holds what it printed.
    """
    ended = subprocess.run(
        list(argv), env={**os.environ, **(env or {})}, input=stdin, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise Failed(f"`{' '.join(argv)}` ended with {ended.returncode}:\n{(ended.stderr or ended.stdout).strip()}")
    return ended.stdout


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, so that two commands at the same time do not disturb each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"    waiting for another command that holds {path}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
