"""The guards that are taken out to test the tester are there, and some of them are missed; `make proof` takes out all."""

from __future__ import annotations

import pytest

from tests.crash.guards import GUARDS, Guard, caught, places

SAMPLE = [GUARDS[0], GUARDS[13]]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.what)
def test_each_guard_is_in_its_file_once(guard: Guard) -> None:
    assert places(guard) == 1


@pytest.mark.parametrize("guard", SAMPLE, ids=lambda guard: guard.what)
def test_a_guard_that_is_taken_out_is_missed_by_a_crash_plan(guard: Guard) -> None:
    assert caught(guard, 0.02) is not None
