"""How parts make one plan: what each may write, what is pruned, and what a person sees of an object that cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from modelmill.engine.cache import Cache
from modelmill.engine.interface import Aside, Delete, Event, Patch, Plan, World
from modelmill.engine.parts import UNCHANGED, Child, Composed, Contribution, Part
from modelmill.kube.conditions import Condition
from modelmill.kube.objects import Manifest, ObjectInvalid, Resource
from modelmill.kube.resources import CONFIG_MAPS, JOBS, SERVICES

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW_TEXT, BEFORE_TEXT = "2026-01-02T03:04:05Z", "2026-01-01T00:00:00Z"
LEVEL = (Child(SERVICES, applied=True), Child(CONFIG_MAPS, applied=True))
READY, BUSY = Condition("Ready", "True", "Fine", "all is well"), Condition("Busy", "False", "Idle", "")
JOB = Child(JOBS, applied=False)


def part(name: str = "first", wants: Any = UNCHANGED, **declared: Any) -> Part:
    """Return a part that wants this; a function of the parent it sees, an error, or a contribution."""

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        if isinstance(wants, Exception):
            raise wants
        return wants(parent) if callable(wants) else wants  # type: ignore[no-any-return]

    return Part(name, contribute, **declared)


def manifest(resource: Resource, name: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "ml"}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}


def parent(**status: Any) -> dict[str, Any]:
    meta = {"name": "w", "namespace": "ml", "uid": "w-uid", "generation": 7}
    return {"apiVersion": "test.dev/v1", "kind": "Widget", "metadata": meta, "spec": {}} | (
        {"status": status} if status else {}
    )


def condition(kind: str, status: str = "True", reason: str = "Fine", since: str = BEFORE_TEXT) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "all is well",
        "lastTransitionTime": since,
        "observedGeneration": 7,
    }


def compose(parts: Sequence[Part], obj: Manifest, world: World | None = None) -> Plan:
    return asyncio.run(Composed(parts)(obj, world or Cache(), NOW))


def cached(*children: tuple[Resource, str], owner: str = "w-uid", **meta: Any) -> Cache:
    cache = Cache()
    for number, (resource, name) in enumerate(children):
        body = manifest(resource, name)
        owners = [{"uid": owner, "kind": "Widget", "name": "w", "controller": True}]
        body["metadata"] |= {
            "uid": f"{name}-uid",
            "resourceVersion": str(number + 1),
            "ownerReferences": owners,
            **meta,
        }
        cache.put(resource, body)
    return cache


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"fields": ["phase"]}, "fields are owned twice"),
        ({"conditions": ["Ready"]}, "conditions are owned twice"),
        ({"children": [Child(SERVICES, applied=True)]}, "children are owned twice"),
    ],
)
def test_two_parts_cannot_own_the_same(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Composed([part("a", **declared), part("b", **declared)])


def test_two_parts_own_the_same_kind_under_different_names() -> None:
    services = (Child(SERVICES, applied=True, suffix="-one"), Child(SERVICES, applied=True, suffix="-two"))
    cache = cached((SERVICES, "a-one"), (SERVICES, "b-one"), (SERVICES, "c-two"), (SERVICES, "d-other"))
    one = part("one", children=[services[0]], wants=Contribution(apply=[manifest(SERVICES, "a-one")]))
    plan = compose([one, part("two", children=[services[1]], wants=Contribution())], parent(), cache)
    assert {delete.name for delete in plan.delete} == {"b-one", "c-two"}
    assert [child["metadata"]["name"] for child in plan.apply] == ["a-one"]


@pytest.mark.parametrize("suffix", ["", "-one", "-the-one"])
def test_names_of_two_parts_must_differ(suffix: str) -> None:
    mine = [Child(SERVICES, applied=True, suffix="-one")]
    with pytest.raises(ValueError, match="owned twice"):
        Composed([part("a", children=mine), part("b", children=[Child(SERVICES, applied=True, suffix=suffix)])])


def test_part_that_writes_a_name_of_another_part_is_a_mistake() -> None:
    wants = Contribution(apply=[manifest(SERVICES, "a-two")])
    with pytest.raises(ValueError, match="does not own: Service"):
        compose([part("one", children=[Child(SERVICES, applied=True, suffix="-one")], wants=wants)], parent())


@pytest.mark.parametrize("field", ["conditions", "observedGeneration"])
def test_no_part_owns_what_the_engine_writes(field: str) -> None:
    with pytest.raises(ValueError, match="owned twice"):
        Composed([part(fields=[field])])


@pytest.mark.parametrize(
    ("wants", "named"),
    [
        (Contribution(status={"phase": "x"}), "phase"),
        (Contribution(status={}, conditions=[READY]), "Ready"),
        (Contribution(apply=[manifest(SERVICES, "a")]), "Service"),
        (Contribution(create=[manifest(SERVICES, "a")]), "Service"),
        (Contribution(create=[manifest(JOBS, "a")], apply=[manifest(JOBS, "a")]), "Job"),
        (Contribution(delete=[Delete(JOBS, "ml", "a", "u")]), "Job"),
        (Contribution(patch=[Patch(SERVICES, "ml", "a", "7", {})]), "Service"),
        (Contribution(finalizer=False), "the finalizer"),
        (Contribution(aside=[Aside(apply=[manifest(SERVICES, "a")])]), "Service"),
        (Contribution(aside=[Aside(create=[manifest(SERVICES, "a")])]), "Service"),
        (Contribution(aside=[Aside(condition="Ready")]), "Ready"),
    ],
)
def test_a_part_that_writes_what_it_does_not_own_is_a_mistake(wants: Contribution, named: str) -> None:
    """Its rights, its watches and the pruning are made from what it says that it owns."""
    with pytest.raises(ValueError, match=f"part first writes what it does not own: {named}"):
        compose([part(wants=wants, children=[JOB])], parent())


def test_each_part_sees_what_those_before_it_made_and_changes_its_own_only() -> None:
    seen: list[Any] = []

    def second(given: Manifest) -> Contribution:
        seen.append(given["status"])
        return Contribution(status={"alerts": 2})

    first = part(wants=Contribution(status={"phase": "Running"}), fields=["phase", "runs"])
    plan = compose([first, part("second", second, fields=["alerts"])], parent(phase="Old", runs=3, alerts=1))
    assert seen == [{"phase": "Running", "alerts": 1, "conditions": [], "observedGeneration": 7}]
    assert plan.status == {"phase": "Running", "alerts": 2, "conditions": [], "observedGeneration": 7}


def test_what_no_part_owns_any_more_is_removed() -> None:
    before = parent(phase="x", old=1, conditions=[condition("Gone"), condition("Ready")], observedGeneration=6)
    plan = compose([part(fields=["phase"], conditions=["Ready"])], before)
    assert plan.status == {"phase": "x", "conditions": [condition("Ready")], "observedGeneration": 6}


def test_conditions_keep_their_order_and_their_time_whatever_came_before() -> None:
    parts = [
        part("a", Contribution(status={}, conditions=[READY]), conditions=["Ready"]),
        part("b", Contribution(status={}, conditions=[BUSY]), conditions=["Busy"]),
    ]
    one = condition("Ready")
    two = {**condition("Busy", "False", "Idle"), "message": ""}
    for before in ([one, two], [two, one]):
        plan = compose(parts, parent(conditions=before, observedGeneration=7))
        assert plan.status is not None
        assert plan.status["conditions"] == [one, two]
    again = compose(parts, parent(**plan.status))
    assert again.status == plan.status


def test_a_part_that_leaves_its_status_keeps_its_conditions() -> None:
    before = parent(phase="x", conditions=[condition("Ready")], observedGeneration=6)
    assert compose([part(fields=["phase"], conditions=["Ready"])], before).status == before["status"]
    assert compose([part(fields=["phase"])], parent()).status is None


def test_level_children_that_no_part_wants_are_pruned() -> None:
    world = cached((SERVICES, "a"), (SERVICES, "b"), (CONFIG_MAPS, "a"), (CONFIG_MAPS, "kept"))
    wants = Contribution(apply=[manifest(SERVICES, "a")], keep=[(CONFIG_MAPS, "kept")])
    plan = compose([part(wants=wants, children=LEVEL)], parent(), world)
    assert sorted(plan.delete, key=lambda one: one.resource.kind) == [
        Delete(CONFIG_MAPS, "ml", "a", "a-uid"),
        Delete(SERVICES, "ml", "b", "b-uid"),
    ]


def test_children_aside_are_wanted_like_the_others() -> None:
    world = cached((SERVICES, "a"), (SERVICES, "b"))
    aside = Aside(apply=[manifest(SERVICES, "a")], create=[manifest(JOBS, "j")])
    plan = compose([part(wants=Contribution(aside=[aside]), children=[*LEVEL, JOB])], parent(), world)
    assert (plan.apply, plan.create, plan.aside) == ([], [], [aside])
    assert plan.delete == [Delete(SERVICES, "ml", "b", "b-uid")]


def test_what_is_not_ours_or_going_or_runs_to_completion_is_not_pruned() -> None:
    declared = [*LEVEL, JOB]
    wants = part(wants=Contribution(), children=declared)
    assert compose([wants], parent(), cached((SERVICES, "a"), owner="another")).delete == []
    assert compose([wants], parent(), cached((SERVICES, "a"), deletionTimestamp=NOW_TEXT)).delete == []
    assert compose([wants], parent(), cached((JOBS, "a"))).delete == []


def test_a_part_that_says_nothing_about_its_children_leaves_them() -> None:
    assert compose([part(wants=UNCHANGED, children=LEVEL)], parent(), cached((SERVICES, "a"))).delete == []


def test_an_object_that_cannot_be_read_is_told_and_nothing_else_is_done() -> None:
    good = part(
        "good", Contribution(status={"phase": "x"}, apply=[manifest(SERVICES, "a")]), fields=["phase"], children=LEVEL
    )
    bad = part("bad", ObjectInvalid("spec.data.holdout", "must be below 1"))
    before = parent(phase="Old", conditions=[condition("Other"), condition("Ready")])
    plan = compose([good, bad], before, cached((SERVICES, "b")))
    assert (plan.apply, plan.delete, plan.create) == ((), (), ())
    assert plan.status is not None
    assert plan.status["phase"] == "Old"
    assert plan.status["observedGeneration"] == 7
    told = {one["type"]: (one["status"], one["reason"]) for one in plan.status["conditions"]}
    assert told == {"Other": ("True", "Fine"), "Ready": ("False", "SpecInvalid"), "Stalled": ("True", "SpecInvalid")}
    assert plan.status["conditions"][1]["message"] == (
        "spec.data.holdout: must be below 1; nothing is changed until it is mended"
    )
    assert compose([good, bad], {**before, "status": plan.status}).status == plan.status


def test_what_was_told_of_an_unreadable_object_goes_when_it_is_mended() -> None:
    parts = [part(wants=Contribution(status={}, conditions=[READY]), conditions=["Ready"])]
    stalled = [condition("Ready", "False", "SpecInvalid"), condition("Stalled", "True", "SpecInvalid")]
    plan = compose(parts, parent(conditions=stalled))
    assert plan.status == {"conditions": [condition("Ready", since=NOW_TEXT)], "observedGeneration": 7}


@pytest.mark.parametrize(
    ("waits", "expected"), [([None, None], None), ([30.0, None], 30.0), ([30.0, 0.0], 0.0), ([5.0, 30.0], 5.0)]
)
def test_the_earliest_look_counts(waits: list[float | None], expected: float | None) -> None:
    parts = [part(str(number), Contribution(requeue_after=wait)) for number, wait in enumerate(waits)]
    assert compose(parts, parent()).requeue_after == expected


@pytest.mark.parametrize(
    ("wants", "expected"),
    [
        ([None, None], None),
        ([False, None], False),
        ([False, True], True),
        ([True, None], True),
        ([False, False], False),
    ],
)
def test_one_part_is_enough_to_hold_an_object(wants: list[bool | None], expected: bool | None) -> None:
    parts = [part(str(number), Contribution(finalizer=want), finalizer=True) for number, want in enumerate(wants)]
    assert compose(parts, parent()).finalizer is expected


def test_children_and_events_come_in_the_order_of_the_parts() -> None:
    def of(name: str, child: Child) -> Part:
        wants = Contribution(apply=[manifest(child.resource, name)], events=[Event("Normal", "Made", name)])
        return part(name, wants, children=[child])

    plan = compose([of("a", LEVEL[1]), of("b", LEVEL[0])], parent())
    assert [one["metadata"]["name"] for one in plan.apply] == ["a", "b"]
    assert [event.message for event in plan.events] == ["a", "b"]
