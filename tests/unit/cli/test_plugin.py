"""The kubectl plugin: what it asks kubectl for, and what it makes of the answer."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from tests.support.plugin import load_plugin

HISTORY = [
    {"version": "cars-3", "startTime": "2026-11-18T08:00:00Z", "outcome": "Serving"},
    {
        "version": "cars-2",
        "startTime": "2026-11-17T02:00:00Z",
        "endTime": "2026-11-18T08:00:00Z",
        "outcome": "Replaced",
        "message": "replaced by cars-3",
    },
    {
        "version": "cars-1",
        "startTime": "2026-11-17T02:30:00Z",
        "endTime": "2026-11-17T04:00:00Z",
        "outcome": "RolledBack",
        "weight": 0,
        "message": "Aborted",
    },
]


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the program; kubectl is asked nothing, but what it would be asked is kept in `asked`."""
    module = load_plugin()
    asked: list[tuple[str, ...]] = []

    def kubectl(options: Any, *words: str) -> str:
        asked.append(words)
        return json.dumps({"status": {"history": HISTORY, "phase": "Stable"}}) if words[0] == "get" else "annotated\n"

    monkeypatch.setattr(module, "_kubectl", kubectl)
    module.asked = asked  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("line", "begins"),
    [
        ("pause cars", "modelmill.dev/pause=20"),
        ("resume cars", "modelmill.dev/resume=20"),
        ("promote cars", "modelmill.dev/promote=20"),
        ("promote cars --full", "modelmill.dev/promote-full=20"),
        ("abort cars", "modelmill.dev/abort=20"),
        ("retry cars", "modelmill.dev/retry=20"),
        ("undo cars", "modelmill.dev/rollback=previous 20"),
        ("undo cars --to cars-1", "modelmill.dev/rollback=cars-1 20"),
    ],
)
def test_words_are_annotations_with_a_new_text(plugin: ModuleType, line: str, begins: str) -> None:
    assert plugin.main([*line.split(), "--because", "slow answers"]) == 0
    (asked,) = plugin.asked
    assert asked[:4] == ("annotate", "--overwrite", "inferenceservices.modelmill.dev", "cars")
    assert asked[4].startswith(begins)
    assert asked[4].endswith(" slow answers")


def test_what_served_at_noon_is_answered(plugin: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert plugin.main(["history", "cars", "--at", "2026-11-17T12:00:00+09:00"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[0] == "cars-2"
    assert lines[1].endswith("replaced by cars-3")
    assert plugin.main(["history", "cars", "--at", "2020-01-01T00:00:00Z"]) == 1


@pytest.mark.parametrize("text", ["yesterday", "2999-01-01T00:00:00Z"])
def test_time_that_is_none_or_has_not_come_is_refused(
    plugin: ModuleType, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with pytest.raises(SystemExit):
        plugin.main(["history", "cars", "--at", text])
    assert text in capsys.readouterr().err


def test_status_is_told(plugin: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert plugin.main(["status", "cars"]) == 0
    assert "phase   Stable" in capsys.readouterr().out
