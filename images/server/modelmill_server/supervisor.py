"""A small parent beside the process that works: it ends what does not end, and tells what could not tell its own end.

The first process of a container forks before anything large is imported. The child does the work and says what it is at; the
parent passes SIGTERM on, ends a child that takes too long, and writes the termination message of one that died by a signal.
Neither C code that keeps the interpreter's lock nor a crash of a library is in its way.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from modelmill.contracts import names
from modelmill_server.failure import StartError, leave_message

CRASHED, STOPPED, OUT_OF_MEMORY = "Crashed", "Stopped", "OutOfMemory"
MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")
PASSED_ON = (signal.SIGTERM, signal.SIGINT)
PACKET = 4096  # bytes of a phase
SHOWN = 600  # characters of its texts
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True, slots=True)
class Phase:
    """What the child is at.

    doing: e.g. "loading the model". seconds: longest time until the next phase, or the same one again; 0 without a bound.
    late, words: reason and words of a child that took longer. grace: seconds from SIGTERM to SIGKILL; SIGTERM alone
    ends a child that does not handle it. final: a repeat will end the same way. told: it leaves its own message, or none.
    """

    doing: str
    seconds: float = 0.0
    late: str = ""
    words: str = ""
    grace: float = 2.0
    final: bool = False
    told: bool = False


class _Line:
    """The child's end of the line to its parent; None where nobody supervises."""

    socket: socket.socket | None = None


def enter(phase: Phase) -> None:
    """Tell the parent, where there is one, what this process is at. May be called on any thread."""
    if _Line.socket is not None:
        said = {name: value[:SHOWN] if isinstance(value, str) else value for name, value in asdict(phase).items()}
        packet = json.dumps(said, ensure_ascii=False).encode(errors="replace")[:PACKET]
        with suppress(OSError):  # the parent is gone, and this process with it, or does not listen for the moment
            _Line.socket.send(packet, socket.MSG_DONTWAIT)


def supervise(work: Callable[[], int]) -> int:
    """Run `work` in a child and return the exit code: the child's, or one for how it ended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    waker, woken = socket.socketpair()
    for end in (waker, woken):
        end.setblocking(False)
    # A signal that comes between fork and the child's own handlers waits, and counts.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    supervisor = _Supervisor(ours, woken, oom_kills())
    handlers = {number: signal.signal(number, supervisor.signalled) for number in (*PASSED_ON, signal.SIGCHLD)}
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        for number in handlers:
            signal.signal(number, signal.SIG_DFL)
        for end in (ours, waker, woken):
            end.close()
        _Line.socket = theirs
        _work(work)
    theirs.close()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    return supervisor.watch(child)


def _work(work: Callable[[], int]) -> None:
    """Do the work and end this process, whatever its threads are at."""
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    code = names.EXIT_RETRY
    try:
        code = work()
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else names.EXIT_RETRY
    except BaseException:
        logging.getLogger("modelmill_server").exception("ended by an error")
    finally:
        enter(Phase("ending", told=True))
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def die_with_parent() -> None:
    """Let the kernel end this process when its parent is ended by force, as it does itself for the first of a container."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class _Supervisor:
    def __init__(self, line: socket.socket, woken: socket.socket, oom_kills: int) -> None:
        self._line: socket.socket | None = line
        self._woken = woken
        self._oom_kills = oom_kills
        self._phase = Phase("starting")
        self._until = float("inf")
        self._asked = False
        self._stopping = False
        self._ended_for = ""  # why this process ended the child by force

    def signalled(self, number: int, _: object) -> None:
        """Take note of a signal."""
        self._asked = self._asked or number in PASSED_ON

    def watch(self, child: int) -> int:
        """Wait for the child and return the exit code."""
        while True:
            heard = [end for end in (self._line, self._woken) if end is not None]
            left = max(self._until - time.monotonic(), 0.0)
            ready, _, _ = select.select(heard, [], [], None if left == float("inf") else left)
            self._listen()
            ended = _reap(child)
            if ended is not None:
                self._listen()
                return self._ending(ended)
            if self._asked and not self._stopping:
                self._stopping = True
                self._until = min(self._until, time.monotonic() + self._phase.grace)
                os.kill(child, signal.SIGTERM)
            elif not ready and time.monotonic() >= self._until:
                self._overdue(child)

    def _listen(self) -> None:
        """Take the signals and phases that have come."""
        with suppress(BlockingIOError):
            while self._woken.recv(PACKET):
                pass
        while self._line is not None:
            try:
                packet = self._line.recv(PACKET, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if not packet:
                self._line = None
                return
            with suppress(ValueError, TypeError):  # what is no phase changes nothing
                self._phase = Phase(**json.loads(packet))
            if not self._stopping:
                self._until = time.monotonic() + (self._phase.seconds or float("inf"))

    def _overdue(self, child: int) -> None:
        if time.monotonic() > self._until + 1 and not self._stopping:
            # This process did not run either: both were frozen.
            self._until = time.monotonic() + self._phase.seconds
            return
        self._until = float("inf")
        self._ended_for = STOPPED if self._stopping else self._phase.late
        os.kill(child, signal.SIGKILL)

    def _ending(self, status: int) -> int:
        """Return the exit code for how the child ended, and tell it where the child did not."""
        phase, code = self._phase, os.waitstatus_to_exitcode(status)
        if phase.told and code >= 0:
            return code
        failure = self._failure(code)
        print(failure.line(), file=sys.stderr)
        if not phase.told:
            leave_message(failure)
        return failure.exit_code

    def _failure(self, code: int) -> StartError:
        phase = self._phase
        if self._ended_for == STOPPED:
            words = f"SIGTERM came, and {phase.doing} did not end within {phase.grace:g} s"
            return StartError(STOPPED, words, final=False)
        if self._ended_for:
            return StartError(self._ended_for, phase.words, final=phase.final)
        if code == -signal.SIGTERM and self._stopping:
            return StartError(STOPPED, f"SIGTERM came while {phase.doing}", final=False)
        if code >= 0:
            words = f"the process ended itself with code {code} while {phase.doing}"
            return StartError(CRASHED, words, final=phase.final)
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            words = f"the kernel ended the process for memory while {phase.doing}: raise resources.limits.memory"
            return StartError(OUT_OF_MEMORY, words, final=False)
        final = phase.final and code != -signal.SIGKILL
        return StartError(CRASHED, f"{name} ended the process while {phase.doing}", final=final)


def _reap(child: int) -> int | None:
    """Collect processes that have ended, strays of the container too; return the child's wait status once it has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == child:
            return status
        if pid == 0:
            return None


def oom_kills() -> int:
    """Return how many processes of this container the kernel has ended for memory. Source: cgroup v2 `memory.events`."""
    try:
        fields = dict(line.split() for line in MEMORY_EVENTS.read_text(encoding="ascii").splitlines())
        return int(fields.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0
