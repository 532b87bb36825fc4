from __future__ import annotations

import pytest
import settings


@pytest.mark.parametrize(
    ("wanted", "system", "root", "chosen"),
    [
        ("bare", "Darwin", False, "bare"),
        ("current", "Linux", True, "current"),
        ("", "Linux", True, "bare"),
        ("", "Linux", False, "current"),
        ("", "Darwin", True, "current"),
    ],
)
def test_which_cluster_is_chosen(
    monkeypatch: pytest.MonkeyPatch, wanted: str, system: str, root: bool, chosen: str
) -> None:
    monkeypatch.setenv("CLUSTER", wanted)
    monkeypatch.setattr(settings.platform, "system", lambda: system)
    monkeypatch.setattr(settings, "is_root", lambda: root)

    assert settings.chosen_cluster()[0] == chosen


def test_an_unknown_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "kind")

    with pytest.raises(SystemExit, match="CLUSTER=kind is not known"):
        settings.chosen_cluster()
