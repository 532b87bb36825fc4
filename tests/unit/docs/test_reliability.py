from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.findings import Finding
from tests.crash.table import page
from tests.support.results import VARIABLE, Result, read, record

RESULTS = [
    Result("0", "F1", "a run", "a run: create Job #1: killed after", 0.1, []),
    Result("0", "F1", "a run", "a run: create Job #2: killed after", 0.1, ["two Jobs"]),
    Result("0", "F11", "a canary", "a canary: the leader is stopped", 0.1, []),
    Result("seeds", "", "sequences", "python -m tests.crash.sequences 3", 0.1, []),
    Result("store", "F27", "fetch", "fetch: GET #1: cut", 0.5, []),
]


def test_what_is_recorded_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results"
    monkeypatch.setenv(VARIABLE, str(path))
    for result in RESULTS:
        record(result)
    assert read(path) == RESULTS


def test_nothing_is_recorded_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    record(RESULTS[0])
    assert not list(tmp_path.iterdir())


def test_the_page_counts_by_fault_and_scenario() -> None:
    lines = page(RESULTS, "Made today.", [Finding("a run: x", "two of them")]).splitlines()
    assert any(line.startswith("5 plans played, 1 failed.") for line in lines)
    assert "| a run | 2, **1 failed** |  | 2, **1 failed** |" in lines
    assert "| a canary |  | 1 | 1 |" in lines
    assert "- `a run: create Job #2: killed after`: two Jobs" in lines
    assert "| fetch | 1 | 1 |" in lines
    assert "| sequences | 1 |" in lines
    assert "Not played for this page." in lines
    assert "| `a run: x` | two of them |" in lines
