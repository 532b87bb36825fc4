"""The guards that are taken out to test the tester are there, and plans catch that some are; `make proof` takes out all."""

from __future__ import annotations

import pytest

from tests.crash.guards import GUARDS, Guard, caught, places

SAMPLE = ("a later look that a plan asks for comes", "an older event does not replace a newer object")


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.what)
def test_each_guard_is_in_its_file_once(guard: Guard) -> None:
    assert places(guard) == 1


@pytest.mark.parametrize("guard", [guard for guard in GUARDS if guard.what in SAMPLE], ids=lambda guard: guard.what)
def test_a_crash_plan_catches_that_a_guard_is_taken_out(guard: Guard) -> None:
    assert caught(guard, 0.02) is not None
