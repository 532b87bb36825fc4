from __future__ import annotations

import resource

import pytest

from modelmill.engine.process import _allow_open_files

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "needed", "raised"),
    [
        ((1024, 4096), 800, None),
        ((1024, 4096), 2000, (2000, 4096)),
        ((1024, INFINITY), 9000, (9000, INFINITY)),
        ((INFINITY, INFINITY), 9000, None),
        ((1024, 4096), 9000, (4096, 4096)),
    ],
)
def test_open_files_are_allowed_as_far_as_the_administrator_lets(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], needed: int, raised: tuple[int, int] | None
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: told.append(pair))
    _allow_open_files(needed)
    assert told == ([raised] if raised is not None else [])
