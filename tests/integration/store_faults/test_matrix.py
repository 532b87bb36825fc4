"""Each fault at each call of each program that uses a store.

The calls are learnt from a run without faults, so that a new one is struck by itself. `sample` says which cells are played.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import pytest

from tests.integration.store_faults import programs
from tests.integration.store_faults.cells import Surroundings, again, always, clear, play, right_bytes
from tests.integration.store_faults.expected import WELL, expected
from tests.integration.store_faults.faults import FAULTS, Row
from tests.integration.store_faults.proxy import Call, Strike
from tests.integration.store_faults.sample import ONLY, SEED, SHARE
from tests.support.results import Result, record

PARTS = 4 if SHARE == 1 else 1  # which workers share
PROGRAMS = (programs.FETCH, programs.PUBLISH, programs.SERVER_FETCH, programs.LOG, programs.REMOVE)


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    program: str
    call: Call
    row: Row
    lasting: bool

    def __str__(self) -> str:
        call = str(self.call).split("/")
        short = "/".join(part for part in call if not part.startswith("sha256-"))
        return f"{self.program}: {self.row.name}{' from then on' if self.lasting else ''} at {short}"

    @property
    def scenario(self) -> str:
        """What was going on."""
        return f"{self.program}, {self.row.kind}"

    def problems(self, surroundings: Surroundings) -> list[str]:
        """Play it and return what is wrong."""
        strike = Strike(self.call, self.row.play, self.lasting)
        work, played = play(surroundings, self.program, strike)
        ended = played.ended
        wrong = list(always(work, self.program, played))
        if not strike.count and self.call.always_comes:
            wrong.append("the call never came")
        end = expected(self.program, self.call, self.row, self.lasting) if strike.count else WELL
        reason = ended.failure.reason if ended.code != 0 else ""
        if (ended.code, reason) != (end.code, end.reason):
            wrong.append(f"ended with {ended.code} {reason}, and should with {end.code} {end.reason}")
        if ended.code != 0 and self.row.code and self.row.code not in " ".join(ended.failure.reasons):
            wrong.append("the words do not say what the store answered")
        if ended.code == 0:
            wrong += right_bytes(work, self.program)
        if ended.code != 0:
            after = again(work, self.program)
            if after.code != 0:
                wrong.append(f"the next run ended with {after.code}: {after.err}")
            else:
                wrong += [f"the next run: {problem}" for problem in right_bytes(work, self.program)]
        if wrong:
            wrong.append(ended.err[-1500:])
        clear(work)
        return wrong


def cells(surroundings: Surroundings, program: str) -> list[Cell]:
    """Return every cell of a program."""
    work, played = play(surroundings, program)
    assert played.ended.code == 0, played.ended.err
    assert [*right_bytes(work, program), *always(work, program, played)] == []
    clear(work)
    return [
        Cell(program, call, row, lasting)
        for call, answered in sorted(played.proxy.calls, key=lambda item: str(item[0]))
        for row in FAULTS
        if row.fits(call, answered)
        for lasting in (False, True)
    ]


def chosen(surroundings: Surroundings, program: str, part: int) -> list[Cell]:
    """Return the cells of one part of a program that are played this time."""
    every = cells(surroundings, program)
    if ONLY:
        return [cell for cell in every if ONLY in str(cell)][part::PARTS]
    sample = random.Random(f"{SEED} {program}").sample(range(len(every)), max(1, round(len(every) * SHARE)))
    return [every[number] for number in sorted(sample)[part::PARTS]]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_fault_of_the_store_at_any_call_harms(surroundings: Surroundings, program: str, part: int) -> None:
    wrong, few = [], chosen(surroundings, program, part)
    if not few:
        pytest.skip("no cell of this program is asked for")
    for cell in few:
        begin = time.monotonic()
        problems = cell.problems(surroundings)
        record(Result("store", "F27", cell.scenario, str(cell), round(time.monotonic() - begin, 2), problems))
        wrong += [f"{cell}: {problem}" for problem in problems]
    if wrong:
        pytest.fail("\n".join(wrong))
