from __future__ import annotations

import os
from pathlib import Path

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


def test_a_file_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    file = settings.write_changed(tmp_path / "config" / "proxy.yaml", "mode: iptables")
    os.utime(file, (1, 1))

    settings.write_changed(file, "mode: iptables")
    assert file.stat().st_mtime == 1

    settings.write_changed(file, "mode: nftables")
    assert file.read_text() == "mode: nftables"
    assert file.stat().st_mode & 0o077 == 0
