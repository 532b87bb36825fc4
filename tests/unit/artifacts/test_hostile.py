"""Hostile artifacts are refused with words, before a library reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelmill.artifacts import ArtifactInvalid, check_model
from tests.support.hostile import Hostile
from tests.unit.artifacts import hostile_boosters, hostile_onnx, hostile_skops

TABLES = (hostile_skops.TABLE, hostile_boosters.XGBOOST, hostile_boosters.LIGHTGBM, hostile_onnx.TABLE)
CASES = [case for table in TABLES for case in table.cases]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_file_is_refused(case: Hostile, tmp_path: Path) -> None:
    path = case.make(tmp_path)
    with pytest.raises(ArtifactInvalid) as refused:
        check_model(path, case.form)
    message = str(refused.value)
    assert case.words in message
    assert path.name in message
    assert message.isprintable()
    assert len(message) <= 300
