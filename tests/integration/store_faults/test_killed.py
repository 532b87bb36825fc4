"""A program that is killed at any of its calls, before or after the store has done it, and then runs again."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from dataclasses import dataclass

import pytest

from modelmill.contracts import names
from tests.integration.store_faults import programs
from tests.integration.store_faults.cells import Surroundings, Work, again, always, clear, play, published, right_bytes
from tests.integration.store_faults.proxy import Call, Exchange, Strike
from tests.integration.store_faults.sample import ONLY, SEED, SHARE
from tests.support.results import Result, record

SHARE_OF_KILLS = min(1.0, 3 * SHARE)


@dataclass(frozen=True)
class Kill:
    """One end by force. done: the store has done what the call asked for."""

    program: str
    call: Call
    done: bool

    def __str__(self) -> str:
        return f"{self.program}: killed {'after' if self.done else 'before'} {self.call}"

    def problems(self, surroundings: Surroundings) -> list[str]:
        """Play it and return what is wrong."""
        known, process = threading.Event(), [0]

        def started(number: int) -> None:
            process[0] = number
            known.set()

        def strike(exchange: Exchange) -> None:
            if self.done:
                exchange.forward()
            else:
                exchange.body()
            known.wait()
            os.kill(process[0], signal.SIGKILL)
            exchange.hold()

        blow = Strike(self.call, strike, always=False)
        work, played = play(surroundings, self.program, blow, started)
        code = -signal.SIGKILL if blow.count or self.call.always_comes else 0
        wrong = [] if played.ended.code == code else [f"it ended with {played.ended.code}"]
        wrong += absent_or_complete(work)
        after = again(work, self.program)
        if after.code != 0:
            wrong.append(f"the next run ended with {after.code}: {after.err}")
        else:
            wrong += right_bytes(work, self.program)
        wrong += [problem for problem in always(work, self.program, played) if str(work.folder / "tmp") not in problem]
        clear(work)
        return wrong


def absent_or_complete(work: Work) -> list[str]:
    """Return what is wrong with what the store has of the artifact."""
    stored = published(work)
    wanted = {path.name: path.read_bytes() for path in work.surroundings.trained.artifact.iterdir()}
    partial = [name for name, content in stored.items() if wanted.get(name) != content]
    wrong = [f"{name} is there and not whole" for name in partial]
    if names.MANIFEST_FILE in stored and stored != wanted:
        wrong.append("the artifact is visible and not complete")
    return wrong


@pytest.mark.parametrize("program", [programs.PUBLISH, programs.FETCH, programs.SERVER_FETCH])
def test_a_program_that_is_killed_at_a_call(surroundings: Surroundings, program: str) -> None:
    work, played = play(surroundings, program)
    assert played.ended.code == 0, played.ended.err
    clear(work)
    calls = sorted((call for call, _ in played.proxy.calls), key=str)
    every = [Kill(program, call, done) for call in calls for done in (False, True)]
    few = random.Random(f"{SEED} {program}").sample(range(len(every)), max(1, round(len(every) * SHARE_OF_KILLS)))
    wrong, kills = [], [every[number] for number in sorted(few)]
    if ONLY:
        kills = [kill for kill in every if ONLY in str(kill)]
    if not kills:
        pytest.skip("no end of this program is asked for")
    for kill in kills:
        begin = time.monotonic()
        problems, name = kill.problems(surroundings), str(kill)
        record(Result("store", "F28", f"{program}, killed", name, round(time.monotonic() - begin, 2), problems))
        wrong += [f"{name}: {problem}" for problem in problems]
    if wrong:
        pytest.fail("\n".join(wrong))
