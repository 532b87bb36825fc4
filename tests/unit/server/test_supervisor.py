"""The supervisor with children that are only a few lines, each in an interpreter of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from modelmill.contracts import result
from tests.support.model_server import server_environment

PROGRAM = """
import os, signal, sys, time
from modelmill_server.supervisor import Phase, enter, supervise

def work():
{work}

sys.exit(supervise(work))
"""


def start(tmp_path: Path, work: str) -> subprocess.Popen[str]:
    lines = "".join(f"    {line}\n" for line in dedent(work).strip().splitlines())
    env = {**server_environment(), "MODELMILL_TERMINATION_PATH": str(tmp_path / "termination")}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=lines)],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(tmp_path: Path, work: str) -> tuple[int, str]:
    """Return exit code and termination message, its reason and its words; empty when there is none."""
    process = start(tmp_path, work)
    process.communicate(timeout=60)
    path = tmp_path / "termination"
    if not path.exists():
        return process.returncode, ""
    message = result.decode(path.read_text())
    return process.returncode, f"{message.reason}: {message.reasons[0]}"


@pytest.mark.parametrize(
    ("work", "code", "message"),
    [
        ("return 0", 0, ""),
        ("return 7", 7, ""),
        ("sys.exit(2)", 2, ""),
        ("raise ValueError('x')", 1, ""),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 1, "Crashed: SIGSEGV ended the process while starting"),
        ("enter(Phase('reading', final=True)); os.abort()", 3, "Crashed: SIGABRT ended the process while reading"),
        ("enter(Phase('telling', told=True)); os.abort()", 1, ""),
        ("enter(Phase('\\x01é' * 9000)); return 0", 0, ""),
        ("enter(Phase('reading', 0.2, 'Late', 'too late')); time.sleep(600)", 1, "Late: too late"),
        ("for _ in range(8): enter(Phase('reading', 1, 'Late', 'too late')); time.sleep(0.2)\nreturn 0", 0, ""),
    ],
)
def test_ends_are_passed_on_and_told(tmp_path: Path, work: str, code: int, message: str) -> None:
    assert run(tmp_path, work) == (code, message)


def test_strays_are_collected_and_the_child_is_waited_for(tmp_path: Path) -> None:
    stray = """
    if os.fork() == 0:
        os._exit(9)
    time.sleep(0.5)
    return 5
    """
    assert run(tmp_path, stray) == (5, "")


def test_term_is_passed_on_and_waited_for(tmp_path: Path) -> None:
    process = start(
        tmp_path,
        """
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        print("begun", flush=True)
        while not asked:
            time.sleep(0.01)
        return 4
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 4
    process.communicate()


def test_child_that_does_not_heed_term_is_ended_after_its_grace(tmp_path: Path) -> None:
    process = start(
        tmp_path,
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        enter(Phase("reading", 30, "Late", "late", grace=0.3))
        print("begun", flush=True)
        time.sleep(600)
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 1
    process.communicate()
    message = result.decode((tmp_path / "termination").read_text())
    assert (message.reason, message.reasons) == ("Stopped", ("SIGTERM came, and reading did not end within 0.3 s",))


def test_time_in_which_nothing_ran_does_not_count(tmp_path: Path) -> None:
    """A container may be paused: supervisor and child then stand still together."""
    process = start(
        tmp_path,
        """
        enter(Phase("reading", 1, "Late", "late"))
        print("begun", os.getpid(), flush=True)
        time.sleep(0.5)
        enter(Phase("reading", 30, "Late", "late"))
        time.sleep(0.5)
        return 0
        """,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline().split()[1])
    for number, pause in ((signal.SIGSTOP, 3.0), (signal.SIGCONT, 0.0)):
        for pid in (child, process.pid):
            subprocess.run(["kill", f"-{number.value}", str(pid)], check=True)
        time.sleep(pause)
    assert process.wait(60) == 0
    process.communicate()
