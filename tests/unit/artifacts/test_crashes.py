"""What the checks are for: without them, these files end the process that loads them, or never let it end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.hostile import Hostile, run_unchecked
from tests.unit.artifacts.test_hostile import CASES

# One for each library and kind of end; all of them are run by `make proof`.
SAMPLE = ("skops-tree-child-far", "skops-histogram-child", "xgboost-cycle", "lightgbm-truncated")
CRASHING = [case for case in CASES if case.crashes and (case.name in SAMPLE or "MODELMILL_CRASHES" in os.environ)]


@pytest.mark.parametrize("case", CRASHING, ids=lambda case: case.name)
def test_without_the_check_the_process_is_ended(case: Hostile, tmp_path: Path) -> None:
    assert run_unchecked(case.form, [case.make(tmp_path)], case.width) < 0
