"""Aliases: the newest claim wins, whatever the order in which claims are seen, and the loser is told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from modelmill.api.claims import claims_of, holder, recorded_claims
from modelmill.api.references import OF_SERVICES, OF_VERSIONS
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.app import NothingThere
from modelmill.engine.cache import Cache
from modelmill.engine.interface import Event
from modelmill.engine.parts import Composed
from modelmill.kube.conditions import find, timestamp
from modelmill.kube.objects import Key
from modelmill.registry.part import CLAIMS, reduced, registry_part
from modelmill.workloads.containers import Image
from tests.support import objects as o

Version = dict[str, Any]
PART = registry_part(Image("trainer:1"), None, NothingThere())


def version(name: str, *aliases: str, by: str = "kubectl-patch", at: str | None = None, **meta: Any) -> Version:
    """Return a version with aliases. at: when its manager wrote them; None when the API server did not note that."""
    made = o.model_version(name)
    made["spec"]["aliases"] = list(aliases)
    made["metadata"] |= meta
    if at is not None:
        owned = {"f:spec": {"f:aliases": {".": {}, **{f'v:"{alias}"': {} for alias in aliases}}}}
        made["metadata"]["managedFields"] = [{"manager": by, "operation": "Update", "time": at, "fieldsV1": owned}]
    return made


class Registry:
    """The versions of a namespace, with a clock. events: those of each version that were told."""

    def __init__(self, *versions: Version) -> None:
        self.versions = {one["metadata"]["name"]: dict(reduced(one)) for one in versions}
        self.time = 0.0
        self.events: dict[str, list[Event]] = {}

    def plan(self, *names: str) -> Registry:
        """Plan these versions, one after the other; all when none is named."""
        for name in names or sorted(self.versions):
            cache = Cache(indexes={INFERENCE_SERVICES: OF_SERVICES, MODEL_VERSIONS: OF_VERSIONS})
            for one in self.versions.values():
                cache.put(MODEL_VERSIONS, one)
            made = asyncio.run(
                Composed([registry_part(Image("trainer:1"), None, NothingThere())])(
                    self.versions[name], cache, o.later(self.time)
                )
            )
            self.versions[name] = {**self.versions[name], "status": made.status}
            self.events.setdefault(name, []).extend(made.events)
        return self

    def edit(self, name: str, *aliases: str) -> Registry:
        one = self.versions[name]
        self.versions[name] = {**one, "spec": {**one["spec"], "aliases": list(aliases)}}
        return self

    def has(self, alias: str) -> str | None:
        return holder(self.versions.values(), alias)

    def held(self, name: str) -> tuple[str, str]:
        found = find(self.versions[name]["status"], "AliasesHeld")
        return (found["status"], found["message"]) if found is not None else ("", "")


def test_the_newest_claim_wins_and_the_loser_is_told_once() -> None:
    registry = Registry(version("cars-1", "champion"), version("cars-2")).plan()
    assert registry.has("champion") == "cars-1"
    assert registry.versions["cars-1"]["status"]["aliases"] == "champion"
    registry.time = 60
    registry.edit("cars-2", "champion").plan("cars-2", "cars-1", "cars-1")
    assert registry.has("champion") == "cars-2"
    assert registry.held("cars-2") == ("True", "this version is champion")
    word, message = registry.held("cars-1")
    assert (word, "champion is cars-2" in message) == ("False", True)
    assert [one.reason for one in registry.events["cars-1"]] == ["AliasMoved"]
    assert "aliases" not in registry.versions["cars-1"]["status"]
    assert registry.events["cars-2"] == []


def test_the_alias_goes_back_when_the_newer_claim_is_taken_away() -> None:
    registry = Registry(version("cars-1", "champion"), version("cars-2")).plan()
    registry.time = 60
    registry.edit("cars-2", "champion").plan().edit("cars-2")
    assert registry.has("champion") == "cars-1", "a claim that is in no spec any more does not count, planned or not"
    registry.plan()
    assert registry.held("cars-1") == ("True", "this version is champion")
    assert registry.held("cars-2") == ("", "")


@pytest.mark.parametrize("order", list(itertools.permutations(("cars-1", "cars-2", "cars-3"))))
def test_claims_made_while_nobody_looked_are_told_apart_by_when_they_were_written(order: Sequence[str]) -> None:
    registry = Registry(
        version("cars-1", "champion", at="2026-01-02T03:01:00Z"),
        version("cars-2", "champion", at="2026-01-02T03:03:00Z"),
        version("cars-3", "champion", at="2026-01-02T03:02:00Z"),
    )
    registry.plan(*order, *order)
    assert registry.has("champion") == "cars-2"
    assert [registry.held(name)[0] for name in sorted(order)] == ["False", "True", "False"]


@pytest.mark.parametrize("order", list(itertools.permutations(("cars-2", "cars-10", "other"))))
def test_of_claims_of_the_same_second_the_one_that_was_seen_last_counts(order: Sequence[str]) -> None:
    registry = Registry(*(version(name, "champion") for name in order))
    registry.plan(*order, *order)
    assert registry.has("champion") == order[-1]
    assert [registry.held(name)[0] for name in order] == ["False", "False", "True"]


def test_of_claims_of_the_same_second_on_record_that_of_the_newer_version_counts() -> None:
    """Two workers may plan two versions at once, of which neither sees the claim of the other."""
    apart = [Registry(version(name, "champion")).plan().versions[name] for name in ("cars-10", "cars-2")]
    assert holder(apart, "champion") == "cars-10"
    registry = Registry(*apart).plan()
    assert (registry.held("cars-10")[0], registry.held("cars-2")[0]) == ("True", "False")


def test_another_write_of_the_same_manager_claims_nothing() -> None:
    """The time of a manager moves with all that it writes: an approval is no new claim."""
    registry = Registry(version("cars-1", "champion", at="2026-01-02T03:01:00Z"), version("cars-2")).plan()
    registry.time = 60
    registry.edit("cars-2", "champion").plan()
    later = version("cars-1", "champion", at=timestamp(o.later(3600)))
    registry.versions["cars-1"] = {**reduced(later), "status": registry.versions["cars-1"]["status"]}
    registry.time = 7200
    assert registry.plan().has("champion") == "cars-2"


def test_a_claim_is_newer_than_one_that_a_clock_of_before_set_in_the_future() -> None:
    registry = Registry(version("cars-9", "champion"), version("cars-2"))
    registry.time = 86_400
    registry.plan()
    registry.time = 0
    assert registry.edit("cars-2", "champion").plan().has("champion") == "cars-2"


def test_what_is_being_deleted_has_no_alias() -> None:
    gone = version("cars-2", "champion", deletionTimestamp="2026-01-02T03:00:00Z", finalizers=["x/y"])
    registry = Registry(version("cars-1", "champion"), gone).plan()
    assert registry.has("champion") == "cars-1"
    assert registry.held("cars-2") == ("", "")


def test_models_and_their_aliases_do_not_mix() -> None:
    truck = version("trucks-7", "champion")
    truck["spec"]["model"] = "trucks"
    registry = Registry(version("cars-1", "champion", "blue"), truck).plan()
    assert registry.held("cars-1") == ("True", "this version is blue, champion")
    assert registry.held("trucks-7") == ("True", "this version is champion")


def test_the_other_claimants_are_looked_at_when_a_claim_changes() -> None:
    before, unclaimed = version("cars-2", "champion"), version("cars-2")
    cache = Cache(indexes={MODEL_VERSIONS: OF_VERSIONS})
    for one in (version("cars-1", "champion"), version("cars-3", "blue"), before):
        cache.put(MODEL_VERSIONS, one)
    assert list(CLAIMS.of_change(before, unclaimed, cache)) == [Key("ml", "cars-1")]
    assert list(CLAIMS.of_change(before, {**before, "status": {"stage": "Serving"}}, cache)) == []


@pytest.mark.parametrize(
    "claims",
    [None, "champion", [None], [{"alias": 5}], [{"alias": "champion"}], [{"alias": "champion", "since": "yesterday"}]],
)
def test_a_status_of_anybody_is_read(claims: Any) -> None:
    odd = {**version("cars-1", "champion"), "status": {"claims": claims}}
    assert set(recorded_claims(odd)) <= {"champion"}
    assert holder([odd], "champion") in (None, "cars-1")
    assert claims_of(odd)
