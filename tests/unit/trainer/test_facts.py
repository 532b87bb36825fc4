"""What fetch writes down and the other stages read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelmill.contracts.artifact import canonical
from modelmill_trainer.facts import ObjectFacts, read_facts, read_training_facts, write_facts
from modelmill_trainer.failure import StageError
from tests.unit.trainer.runs import facts_of


def test_facts_come_back(tmp_path: Path) -> None:
    facts = facts_of(holdout_objects=(ObjectFacts("b.csv", 1, "cd"),), notes=("a note",), excluded=("id",))
    write_facts(facts, tmp_path / "data.json")
    assert read_facts(tmp_path / "data.json") == facts
    (tmp_path / "data.json").write_bytes(canonical(facts))
    assert read_facts(tmp_path / "data.json") == facts


def test_names_that_no_file_can_hold_come_back(tmp_path: Path) -> None:
    facts = replace(facts_of(), features=("\ud800",), missing={"\ud800": 0})
    write_facts(facts, tmp_path / "data.json")
    assert read_facts(tmp_path / "data.json") == facts


def test_a_row_is_its_features_and_its_target() -> None:
    facts = facts_of(kinds={"id": "number", "x": "number", "flag": "boolean", "kind": "text", "y": "number"})
    assert facts.row_kinds() == {"x": "number", "flag": "boolean", "kind": "text", "y": "number"}


@pytest.mark.parametrize("read", [read_facts, read_training_facts])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "run the fetch stage first"),
        ("", "is not what the fetch stage wrote"),
        ("[" * 100_000, "is not what the fetch stage wrote"),
        ("[]", "not version 1"),
        ('{"v": 2}', "not version 1"),
        ('{"v": 1}', "is not what the fetch stage wrote"),
        ('{"v": 1, "features": 5, "format": "csv"}', "is not what the fetch stage wrote"),
    ],
)
def test_what_is_not_there_or_strange_is_told(
    tmp_path: Path, read: Callable[[Path], Any], content: str | None, said: str
) -> None:
    path = tmp_path / "facts.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StageError) as caught:
        read(path)
    assert caught.value.reason == "InputMissing"
    assert said in caught.value.line()


def test_training_facts(tmp_path: Path) -> None:
    features = [{"name": "x", "kind": "number"}, {"name": "kind", "kind": "text"}]
    raw = {"v": 1, "format": "csv", "features": features, "target": "y", "target_kind": "boolean", "new": 1}
    (tmp_path / "params.json").write_text(json.dumps(raw))
    found = read_training_facts(tmp_path / "params.json")
    assert found.features == {"x": "number", "kind": "text"}
    assert (found.form, found.target, found.target_kind) == ("csv", "y", "boolean")
