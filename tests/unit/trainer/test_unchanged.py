"""Fetch ends the run when the data are those of the last version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelmill.contracts import names, result
from modelmill_trainer.cli import main


def fetched(folder: Path, unless: str | None) -> tuple[int, result.StageResult | None, dict[str, Any] | None]:
    """Run fetch; return its exit code, the message that it left and what it found out about the data."""
    data, work, message = folder / "data", folder / "work", folder / "message"
    data.mkdir(exist_ok=True)
    (data / "rows.csv").write_text("x,y\n" + "".join(f"{one},{one * 2}\n" for one in range(40)))
    spec = {
        "model": "m",
        "store": {"uri": f"file://{folder}/store"},
        "data": {"uri": f"file://{data}", "format": "csv", "target": "y", "holdout": {"fraction": 0.25}},
        "unless_digest": unless,
    }
    (folder / "stage.json").write_text(json.dumps(spec))
    code = main(["fetch", "--stage-file", str(folder / "stage.json"), "--work", str(work)])
    left = result.decode(message.read_text()) if code else None
    facts = next(work.rglob(names.DATA_FILE), None)
    return code, left, json.loads(facts.read_bytes()) if facts is not None else None


@pytest.fixture(autouse=True)
def message_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_TERMINATION_PATH, str(tmp_path / "message"))


def test_same_data_end_the_run(tmp_path: Path) -> None:
    code, left, facts = fetched(tmp_path, None)
    assert (code, left) == (0, None)
    assert facts is not None
    told = result.decode_data((tmp_path / "message").read_text())
    assert told == result.DataFacts(facts["digest"], facts["rows"], facts["holdout_rows"])
    code, left, _ = fetched(tmp_path, facts["digest"])
    assert code == names.EXIT_FINAL
    assert left is not None
    assert (left.outcome, left.artifact) == (result.UNCHANGED, None)
    assert left.data is not None
    assert left.data.digest == facts["digest"]


def test_other_data_are_trained_on(tmp_path: Path) -> None:
    code, left, facts = fetched(tmp_path, "sha256:" + "0" * 64)
    assert (code, left) == (0, None)
    assert facts is not None
