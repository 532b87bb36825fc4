"""The ledger of a search as the report reads it: files of an object that others may have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelmill_trainer import trials
from modelmill_trainer.trials import Trial, Trials, ranked, read_trials


def left(folder: Path, index: int, **changes: Any) -> None:
    entry = {"index": index, "state": "Succeeded", "value": 0.5, "parameters": {"alpha": "0.1"}, "attempt": 1} | changes
    (folder / f"{index:05}").write_text(json.dumps(entry))


def test_trials_are_read_with_numbers_for_texts_that_are_numbers(tmp_path: Path) -> None:
    left(tmp_path, 1, parameters={"alpha": "1e-3", "kind": "tree", "on": "true", "n": 5})
    left(tmp_path, 0, state="Pruned", value=None)
    (tmp_path / "search").write_text("{}")
    (tmp_path / "..data").mkdir()  # as a volume of ConfigMaps has it
    assert read_trials(tmp_path) == Trials(
        (
            Trial(0, "Pruned", None, {"alpha": 0.1}),
            Trial(1, "Succeeded", 0.5, {"alpha": 0.001, "kind": "tree", "on": "true", "n": 5.0}),
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{}", "[" * 100_000, '{"index": 0, "state": "Succeeded", "value": NaN, "parameters": {}}',
        '{"index": 1, "state": "Succeeded", "value": 1, "parameters": {}}',
        '{"index": 0, "state": "Succeeded", "value": null, "parameters": {}}',
        '{"index": 0, "state": "Lost", "value": null, "parameters": {}}',
        '{"index": 0, "state": "Succeeded", "value": 1, "parameters": []}',
        '{"index": 0, "state": "Succeeded", "value": 1, "parameters": {}}' + " " * trials.MAX_ENTRY,
    ],
)  # fmt: skip
def test_what_is_no_trial_is_counted(tmp_path: Path, text: str) -> None:
    (tmp_path / "00000").write_text(text)
    left(tmp_path, 7)
    found = read_trials(tmp_path)
    assert [one.index for one in found.trials] == [7]
    assert found.unread == 1


def test_their_number_is_bounded_and_no_folder_is_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MAX_TRIALS", 3)
    for index in range(5):
        left(tmp_path, index)
    found = read_trials(tmp_path)
    assert (len(found.trials), found.unread) == (3, 2)
    assert read_trials(tmp_path / "none") == Trials(())


def test_a_parameter_is_numeric_when_every_trial_that_has_it_has_a_number() -> None:
    found = Trials((Trial(0, "Failed", None, {"a": 1.0, "b": 1.0}), Trial(1, "Failed", None, {"b": "auto"})))
    assert [found.numeric(name) for name in found.names()] == [True, False]


def test_the_best_come_first_and_of_equals_the_earlier() -> None:
    some = [Trial(index, "Succeeded", value, {}) for index, value in enumerate([0.2, 0.9, 0.2])]
    assert [one.index for one in ranked(some, "Maximize")] == [1, 0, 2]
    assert [one.index for one in ranked(some, "Minimize")] == [0, 2, 1]
