from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.engine.cache import TOMBSTONE_SECONDS, Cache
from modelmill.kube.resources import JOBS, PODS


def obj(
    name: str, version: int, *, uid: str | None = None, namespace: str = "ml", owner: str | None = None, **labels: str
) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"{namespace}-{name}-uid",
        "resourceVersion": str(version),
        "labels": labels,
    }
    if owner is not None:
        meta["ownerReferences"] = [{"uid": "other"}, {"uid": owner, "controller": True}]
    return {"metadata": meta}


def names(found: Any) -> list[str]:
    return [one["metadata"]["name"] for one in found]


def test_the_newer_version_wins_whichever_way_it_came() -> None:
    cache = Cache()
    assert cache.put(PODS, obj("a", 9))
    assert not cache.put(PODS, obj("a", 9))
    assert cache.put(PODS, obj("a", 10))  # as text "10" < "9"
    assert not cache.put(PODS, obj("a", 8))
    assert cache.get(PODS, "ml", "a") == obj("a", 10)
    assert cache.get(JOBS, "ml", "a") is None


def test_lists_are_sorted_and_follow_every_change() -> None:
    cache = Cache({PODS: ["app"]})
    for name, version in (("c", 1), ("a", 2), ("b", 3)):
        cache.put(PODS, obj(name, version, owner="o1", app="x"))
    cache.put(PODS, obj("a", 4, namespace="other", owner="o1", app="x"))
    assert names(cache.list(PODS, "ml")) == ["a", "b", "c"]
    assert names(cache.list(PODS)) == ["a", "b", "c", "a"]
    assert names(cache.labelled(PODS, "ml", "app", "x")) == ["a", "b", "c"]
    cache.put(PODS, obj("b", 5, owner="o2", app="y"))
    assert names(cache.owned(PODS, "ml", "o2")) == ["b"]
    assert names(cache.labelled(PODS, "ml", "app", "x")) == ["a", "c"]
    cache.drop(PODS, obj("a", 6))
    assert names(cache.list(PODS, "ml")) == ["b", "c"]
    assert names(cache.owned(PODS, "ml", "o1")) == ["c"]
    assert names(cache.owned(PODS, "other", "o1")) == ["a"]
    assert cache.owned(PODS, "ml", "other") == []


def test_a_label_that_is_not_indexed_is_an_error_not_an_empty_list() -> None:
    with pytest.raises(KeyError, match="app of pods is not indexed"):
        Cache().labelled(PODS, "ml", "app", "x")


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    cache = Cache()
    cache.put(PODS, obj("a", 3))
    assert cache.drop(PODS, obj("a", 7))
    assert not cache.put(PODS, obj("a", 5))
    assert cache.get(PODS, "ml", "a") is None


def test_an_older_word_of_a_deletion_does_not_bring_it_back_either() -> None:
    cache = Cache()
    cache.drop(PODS, obj("a", 9))
    cache.drop(PODS, obj("a", 5))
    assert not cache.put(PODS, obj("a", 8))
    assert cache.get(PODS, "ml", "a") is None


def test_a_change_that_cannot_be_reduced_leaves_what_was_there() -> None:
    def reduced(one: Any) -> Any:
        if one["metadata"]["resourceVersion"] == "2":
            raise KeyError("what nobody has thought of")
        return one

    cache = Cache(reduced={PODS: reduced})
    cache.put(PODS, obj("a", 1))
    with pytest.raises(KeyError):
        cache.put(PODS, obj("a", 2))
    assert names(cache.list(PODS, "ml")) == ["a"]
    assert cache.put(PODS, obj("a", 3))


def test_an_object_that_leaves_a_selector_and_returns_is_taken_again() -> None:
    """The watch says DELETED when the label goes and ADDED when it is back; the object has the same uid."""
    cache = Cache()
    cache.put(PODS, obj("a", 3))
    cache.drop(PODS, obj("a", 5))
    assert cache.put(PODS, obj("a", 6))


def test_a_namesake_is_not_dropped_and_not_replaced_by_its_predecessor() -> None:
    cache = Cache()
    cache.put(PODS, obj("a", 8, uid="new"))
    assert not cache.drop(PODS, obj("a", 5, uid="old"))
    assert not cache.put(PODS, obj("a", 4, uid="old"))
    assert cache.get(PODS, "ml", "a") == obj("a", 8, uid="new")


def test_tombstones_do_not_pile_up() -> None:
    seconds = [0.0]
    cache = Cache(clock=lambda: seconds[0])
    cache.drop(PODS, obj("a", 5))
    assert not cache.put(PODS, obj("a", 4))
    seconds[0] = TOMBSTONE_SECONDS + 1
    cache.drop(PODS, obj("b", 6))
    assert cache.put(PODS, obj("a", 4))


def test_missing_from_a_list_is_only_what_the_list_could_have_had() -> None:
    cache = Cache()
    for name, version in (("kept", 3), ("gone", 4), ("younger", 20)):
        cache.put(PODS, obj(name, version))
    cache.put(PODS, obj("elsewhere", 5, namespace="other"))
    missing = cache.missing_from(PODS, {"ml-kept-uid"}, "ml", version=10)
    assert names(missing) == ["gone"]


@given(st.integers(0, 2**32))
def test_any_order_of_events_and_answers_ends_in_the_last_state(seed: int) -> None:
    """Each object's history arrives as watch events in order; answers of our own writes arrive whenever."""
    chance = random.Random(seed)
    cache = Cache({PODS: ["app"]})
    final: dict[str, dict[str, Any] | None] = {}
    late: list[dict[str, Any]] = []
    for version in range(1, 61):
        name = chance.choice("abc")
        alive = final.get(name)
        if alive is not None and chance.random() < 0.3:
            cache.drop(PODS, {"metadata": {**alive["metadata"], "resourceVersion": str(version)}})
            final[name] = None
        else:
            uid = alive["metadata"]["uid"] if alive is not None else f"{name}{version}"
            new = obj(name, version, uid=uid, owner=chance.choice("op"), app=chance.choice("xy"))
            (late.append if chance.random() < 0.3 else lambda one: None)(new)
            cache.put(PODS, new)
            final[name] = new
        if late and chance.random() < 0.5:
            cache.put(PODS, late.pop(chance.randrange(len(late))))
    expected = [one for _, one in sorted(final.items()) if one is not None]
    assert cache.list(PODS, "ml") == expected
    for owner in "op":
        assert cache.owned(PODS, "ml", owner) == [
            one for one in expected if one["metadata"]["ownerReferences"][1]["uid"] == owner
        ]
    for app in "xy":
        assert cache.labelled(PODS, "ml", "app", app) == [
            one for one in expected if one["metadata"]["labels"]["app"] == app
        ]


def test_parts_that_nobody_reads_are_not_kept() -> None:
    cache = Cache(unread={PODS: ["spec", "metadata.managedFields", "status.none"]})
    given = {**obj("a", 1), "spec": {"x": 1}, "status": {"phase": "Running"}}
    given["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    cache.put(PODS, given)
    assert cache.get(PODS, "ml", "a") == {**obj("a", 1), "status": {"phase": "Running"}}
    assert given["spec"] == {"x": 1}
    assert "managedFields" in given["metadata"]
    cache.put(JOBS, given)
    assert cache.get(JOBS, "ml", "a") == given


def test_parts_that_nobody_reads_are_not_kept_and_the_given_object_is_not_changed() -> None:
    cache = Cache(unread={PODS: ["spec", "metadata.managedFields", "status.absent"]})
    whole = {**obj("a", 1), "spec": {"x": 1}, "status": {"phase": "Running"}}
    whole["metadata"]["managedFields"] = [{"manager": "x"}]
    cache.put(PODS, whole)
    assert cache.get(PODS, "ml", "a") == {**obj("a", 1), "status": {"phase": "Running"}}
    assert whole["spec"] == {"x": 1}
    assert "managedFields" in whole["metadata"]
    cache.put(JOBS, whole)
    assert cache.get(JOBS, "ml", "a") == whole


def test_objects_are_found_by_an_index_as_they_are_now() -> None:
    cache = Cache(indexes={PODS: {"model": lambda one: one["spec"]["models"]}})
    cache.put(PODS, {**obj("a", 1), "spec": {"models": ["cars", "boats", "cars"]}})
    cache.put(PODS, {**obj("b", 1), "spec": {"models": []}})
    for model in ("cars", "boats"):
        assert [one["metadata"]["name"] for one in cache.found_by(PODS, "ml", "model", model)] == ["a"]
    cache.put(PODS, {**obj("a", 2), "spec": {"models": ["boats"]}})
    assert cache.found_by(PODS, "ml", "model", "cars") == []
    assert [one["metadata"]["name"] for one in cache.found_by(PODS, "ml", "model", "boats")] == ["a"]
    with pytest.raises(KeyError, match="are not indexed by other"):
        cache.found_by(PODS, "ml", "other", "cars")
