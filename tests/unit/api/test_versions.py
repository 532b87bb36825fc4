"""Which version is newest, and what a service sends traffic to."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.api.tracks import read_tracks
from modelmill.api.versions import newest_approved, version_number
from tests.support import objects as o


@pytest.mark.parametrize(
    ("name", "number"),
    [("cars-12", 12), ("cars", 0), ("cars-", 0), ("cars-1-a", 0), ("a-1-2", 2), ("c-1234567890", 0), ("cars-007", 7)],
)
def test_number_of_a_version(name: str, number: int) -> None:
    assert version_number(name) == number


def test_the_newest_approved_version_is_the_one_made_last() -> None:
    early, late = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    versions = [
        o.model_version("cars-9", created=early),
        o.model_version("cars-3", created=late),
        o.model_version("cars-10", "Rejected", created=late),
        o.model_version("cars-2", created=late),
    ]
    newest = newest_approved(versions, "cars")
    assert newest is not None
    assert newest["metadata"]["name"] == "cars-3"
    assert newest_approved(versions, "trucks") is None


def service(status: Any) -> dict[str, Any]:
    return {**o.inference_service(), "status": status}


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        "lost",
        {"stable": "cars-1", "canary": ["cars-2"], "history": "cars-3"},
        {"stable": {"version": 1}, "canary": {"version": "", "actualWeight": "ten"}, "history": [None, {}]},
    ],
)
def test_a_status_of_any_form_has_tracks(status: Any) -> None:
    tracks = read_tracks(service(status))
    assert (tracks.service, tracks.stable, tracks.canary, tracks.canary_percent) == ("cars", None, None, 0)
    assert read_tracks(service(status)).versions == set()
    assert not tracks.wants("cars-1")


@pytest.mark.parametrize(("weight", "percent"), [(0, 0), (25, 25), (100, 100), (-5, 0), (1000, 100), (None, 0)])
def test_shares_of_the_tracks(weight: Any, percent: int) -> None:
    status = {
        "stable": {"version": "cars-1", "ready": 2},
        "canary": {"version": "cars-2", "ready": 1, "actualWeight": weight},
    }
    tracks = read_tracks(service(status))
    assert (tracks.share("cars-1"), tracks.share("cars-2"), tracks.share("cars-3")) == (100 - percent, percent, 0)
    assert tracks.wants("cars-2")
    assert not tracks.wants("cars-3")
