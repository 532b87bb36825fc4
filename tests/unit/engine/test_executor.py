from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from modelmill.engine.aside import Refused
from modelmill.engine.cache import Cache
from modelmill.engine.children import NEVER
from modelmill.engine.errors import (
    ApiError,
    ChildTerminating,
    Conflict,
    Forbidden,
    Invalid,
    NameConflict,
    ServerFailure,
)
from modelmill.engine.executor import Executor
from modelmill.engine.interface import Aside, Delete, Event, Patch, Plan
from modelmill.kube.labels import IN_USE_FINALIZER, SPEC_HASH_ANNOTATION
from modelmill.kube.objects import Key, Resource
from modelmill.kube.resources import CONFIG_MAPS, DEPLOYMENTS, JOBS
from tests.support.fake_api import WIDGETS, FakeApi, Recorder, remove, widget

JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "ml"}, "spec": {}}
ORPHAN = {**JOB, "metadata": {**JOB["metadata"], "ownerReferences": []}}  # type: ignore[dict-item]


def level(name: str = "d", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "ml", "labels": {"app": name}},
        "spec": {"replicas": 1, **spec},
    }


class World:
    """An executor with its surroundings; `parent` is stored and cached."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.cache = Cache()
        self.recorder = Recorder()
        self.parent = self.api.put(WIDGETS, widget())
        self.cache.put(WIDGETS, self.parent)
        self.restart()

    def restart(self) -> None:
        kinds = [WIDGETS, JOBS, DEPLOYMENTS, CONFIG_MAPS]
        self.executor = Executor(self.api, self.cache, self.recorder, kinds)  # type: ignore[arg-type]

    async def execute(self, plan: Plan) -> list[str]:
        """Carry the plan out on the cached parent; return the writes it took."""
        before = len(self.api.writes)
        await self.refused(plan)
        return self.api.writes[before:]

    async def refused(self, plan: Plan) -> Sequence[Refused]:
        """Carry the plan out on the cached parent; return what is refused of its children aside."""
        parent = self.cache.get(WIDGETS, "ml", "w")
        assert parent is not None
        return await self.executor.execute(WIDGETS, parent, plan, datetime(2026, 1, 2, tzinfo=UTC))

    def by_hand(self, resource: Resource, name: str, *, takes: tuple[str, ...], value: Any) -> None:
        """Change a field of a child as somebody else, who becomes its owner; the watch tells of it."""
        changed = copy.deepcopy(self.api.find(resource, name))
        node = changed
        for part in takes[:-1]:
            node = node[part]
        node[takes[-1]] = value
        remove(changed["metadata"]["managedFields"][0]["fieldsV1"], tuple(f"f:{part}" for part in takes))
        self.cache.put(resource, self.api.put(resource, changed))


@pytest.fixture
def world() -> World:
    return World()


async def test_everything_is_done_in_the_order_of_the_plan(world: World) -> None:
    old = world.api.put(CONFIG_MAPS, {"metadata": {"name": "old"}})
    other = world.api.put(CONFIG_MAPS, {"metadata": {"name": "other"}, "data": {"a": "1"}})
    plan = Plan(
        patch=[Patch(CONFIG_MAPS, "ml", "other", other["metadata"]["resourceVersion"], {"data": {"a": "2"}})],
        apply=[level()],
        create=[JOB],
        delete=[Delete(CONFIG_MAPS, "ml", "old", old["metadata"]["uid"])],
        finalizer=True,
        status={"phase": "Running"},
        events=[Event("Normal", "Started", "run 1")],
    )
    assert await world.execute(plan) == [
        "PATCH configmaps/other",
        "APPLY deployments/d",
        "POST jobs/j",
        "DELETE configmaps/old",
        "PATCH widgets/w",
        "PUT widgets/w/status",
    ]
    assert world.recorder.events == list(plan.events)
    stored = world.api.find(WIDGETS, "w")
    assert stored["status"] == {"phase": "Running"}
    assert stored["metadata"]["finalizers"] == [IN_USE_FINALIZER]


async def test_an_object_of_somebody_else_is_patched_only_as_it_was_looked_at(world: World) -> None:
    other = world.api.put(CONFIG_MAPS, {"metadata": {"name": "other"}, "data": {"a": "1"}})
    world.api.put(CONFIG_MAPS, {**other, "data": {"a": "theirs"}})
    patch = Patch(CONFIG_MAPS, "ml", "other", other["metadata"]["resourceVersion"], {"data": {"a": "2"}})
    with pytest.raises(Conflict):
        await world.execute(Plan(patch=[patch], apply=[level()]))
    assert world.api.find(CONFIG_MAPS, "other")["data"] == {"a": "theirs"}
    assert world.api.writes == ["PATCH configmaps/other"]


async def test_the_same_plan_again_writes_nothing_nor_after_a_restart(world: World) -> None:
    plan = Plan(create=[JOB], apply=[level(), level("e")], finalizer=True, status={"phase": "Running"})
    assert len(await world.execute(plan)) == 5
    assert await world.execute(plan) == []
    world.restart()
    assert await world.execute(plan) == []


async def test_children_carry_owner_and_label(world: World) -> None:
    await world.execute(Plan(create=[JOB], apply=[level()]))
    for resource, name in ((JOBS, "j"), (DEPLOYMENTS, "d")):
        meta = world.api.find(resource, name)["metadata"]
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "modelmill"
        owner = {"apiVersion": "test.dev/v1", "kind": "Widget", "name": "w", "uid": world.parent["metadata"]["uid"]}
        assert meta["ownerReferences"] == [{**owner, "controller": True, "blockOwnerDeletion": True}]
    assert world.api.find(DEPLOYMENTS, "d")["metadata"]["labels"]["app"] == "d"


async def test_a_manifest_that_names_no_owner_gets_none(world: World) -> None:
    await world.execute(Plan(create=[ORPHAN]))
    assert world.api.find(JOBS, "j")["metadata"]["ownerReferences"] == []


async def test_a_job_that_we_made_already_is_success(world: World) -> None:
    """The cache does not know it yet: the operator was killed after the write."""
    await world.execute(Plan(create=[JOB]))
    world.cache.drop(JOBS, world.api.find(JOBS, "j"))
    world.cache = Cache()
    world.cache.put(WIDGETS, world.parent)
    world.restart()
    assert await world.execute(Plan(create=[JOB], status={"run": 1})) == ["POST jobs/j", "PUT widgets/w/status"]
    assert world.cache.get(JOBS, "ml", "j") is not None


@pytest.mark.parametrize(
    "taken",
    [
        {"name": "j"},
        {"name": "j", "ownerReferences": [{"uid": "another", "controller": True}]},
        {"name": "j", "labels": {"modelmill.dev/owner-uid": "another"}},
    ],
)
async def test_a_job_of_somebody_else_is_a_conflict_and_the_status_is_not_written(
    world: World, taken: dict[str, Any]
) -> None:
    world.api.put(JOBS, {"metadata": taken})
    with pytest.raises(NameConflict, match="Job ml/j belongs to somebody else"):
        await world.execute(Plan(create=[JOB], status={"run": 1}))
    assert world.api.find(WIDGETS, "w")["status"] == {}


async def test_an_orphan_is_ours_by_its_label(world: World) -> None:
    labels = {"modelmill.dev/owner-uid": world.parent["metadata"]["uid"]}
    world.api.put(JOBS, {"metadata": {"name": "j", "labels": labels}})
    assert await world.execute(Plan(create=[ORPHAN])) == ["POST jobs/j"]


@pytest.mark.parametrize(
    "taken",
    [
        {"name": "d"},
        {"name": "d", "labels": {"app.kubernetes.io/managed-by": "modelmill"}},
        {"name": "d", "ownerReferences": [{"kind": "App", "name": "x", "uid": "another", "controller": True}]},
        {"name": "d", "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {}}]},
    ],
)
@pytest.mark.parametrize("cached", [False, True])
async def test_a_level_child_of_a_stranger_is_not_seized(world: World, taken: dict[str, Any], cached: bool) -> None:
    """The cache does not know one without our label, and the one that it knows may have been replaced meanwhile."""
    stranger = world.api.put(DEPLOYMENTS, {"metadata": taken, "spec": {"selector": {"app": "theirs"}}})
    if cached:
        world.cache.put(DEPLOYMENTS, stranger)
    with pytest.raises(NameConflict, match=r"Deployment ml/d .*delete it, or give this Widget another name"):
        await world.execute(Plan(apply=[level()], status={"phase": "x"}))
    assert world.api.find(DEPLOYMENTS, "d") == stranger
    assert world.api.find(WIDGETS, "w")["status"] == {}


async def test_a_stranger_in_the_place_of_our_child_is_not_seized(world: World) -> None:
    """Ours was deleted and somebody made another, which the watch has not told yet."""
    await world.execute(Plan(apply=[level()]))
    del world.api.objects["deployments", "ml", "d"]
    stranger = world.api.put(DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": {}})
    with pytest.raises(NameConflict):
        await world.execute(Plan(apply=[level(replicas=2)]))
    assert world.api.find(DEPLOYMENTS, "d") == stranger


async def test_a_child_that_is_gone_without_a_word_is_made_anew(world: World) -> None:
    await world.execute(Plan(apply=[level()]))
    del world.api.objects["deployments", "ml", "d"]
    # The first finds nothing to change.
    assert await world.execute(Plan(apply=[level(replicas=2)])) == ["APPLY deployments/d"] * 2
    assert world.api.find(DEPLOYMENTS, "d")["spec"]["replicas"] == 2


async def test_a_child_that_is_not_as_it_was_planned_on_is_left_as_it_is(world: World) -> None:
    def planned(version: str, **spec: Any) -> dict[str, Any]:
        made = level(**spec)
        return {**made, "metadata": {**made["metadata"], "resourceVersion": version}}

    await world.execute(Plan(apply=[planned(NEVER)]))
    first = world.api.find(DEPLOYMENTS, "d")["metadata"]["resourceVersion"]
    await world.execute(Plan(apply=[planned(first, replicas=2)]))
    assert world.api.find(DEPLOYMENTS, "d")["spec"]["replicas"] == 2
    for version in (first, NEVER):
        with pytest.raises(Conflict):
            await world.execute(Plan(apply=[planned(version, replicas=3)], create=[JOB]))
    assert world.api.find(DEPLOYMENTS, "d")["spec"]["replicas"] == 2
    assert ("jobs", "ml", "j") not in world.api.objects, "nothing that was planned with it is done"
    del world.api.objects["deployments", "ml", "d"]
    with pytest.raises(Conflict):
        await world.execute(Plan(apply=[planned(first, replicas=3)]))
    assert world.cache.get(DEPLOYMENTS, "ml", "d") is None, "the next plan knows that it is gone"


async def test_a_first_apply_is_one_request(world: World) -> None:
    await world.execute(Plan(apply=[level()]))
    await world.execute(Plan(apply=[level(replicas=2)]))
    assert world.api.requests == ["APPLY deployments/d"] * 2
    assert "resourceVersion" not in world.api.find(DEPLOYMENTS, "d")["metadata"]["managedFields"][0]["fieldsV1"]


async def test_a_child_of_ours_that_the_cache_does_not_know_is_taken_up(world: World) -> None:
    """Somebody took our label off, so that the watch said it was deleted."""
    await world.execute(Plan(apply=[level()]))
    bare = copy.deepcopy(world.api.find(DEPLOYMENTS, "d"))
    bare["metadata"]["labels"] = {}
    world.cache.drop(DEPLOYMENTS, world.api.put(DEPLOYMENTS, bare))
    await world.execute(Plan(apply=[level()]))
    meta = world.api.find(DEPLOYMENTS, "d")["metadata"]
    assert meta["labels"]["app.kubernetes.io/managed-by"] == "modelmill"
    assert await world.execute(Plan(apply=[level()])) == []


@pytest.mark.parametrize("label", [False, True])
async def test_a_child_of_ours_gets_its_owner_back(world: World, label: bool) -> None:
    """That we applied it is in managedFields; an owner reference taken away by hand is put back like any other field."""
    await world.execute(Plan(apply=[level()]))
    stripped = copy.deepcopy(world.api.find(DEPLOYMENTS, "d"))
    del stripped["metadata"]["ownerReferences"]
    remove(stripped["metadata"]["managedFields"][0]["fieldsV1"], ("f:metadata", "f:ownerReferences"))
    if label:
        world.cache.put(DEPLOYMENTS, world.api.put(DEPLOYMENTS, stripped))
    else:
        stripped["metadata"]["labels"] = {}
        world.cache.drop(DEPLOYMENTS, world.api.put(DEPLOYMENTS, stripped))
    await world.execute(Plan(apply=[level()]))
    (owner,) = world.api.find(DEPLOYMENTS, "d")["metadata"]["ownerReferences"]
    assert owner["uid"] == world.parent["metadata"]["uid"]


@pytest.mark.parametrize(("whose", "found"), [("its parent", True), ("a stranger", False), ("another parent", False)])
async def test_a_child_of_ours_without_an_owner_is_still_found(world: World, whose: str, found: bool) -> None:
    """No plan may want it any more, so that no apply gives it its owner back; what others have made is not deleted."""
    await world.execute(Plan(apply=[level()]))
    stripped = copy.deepcopy(world.api.find(DEPLOYMENTS, "d"))
    (owner,) = stripped["metadata"].pop("ownerReferences")
    remove(stripped["metadata"]["managedFields"][0]["fieldsV1"], ("f:metadata", "f:ownerReferences"))
    if whose == "a stranger":
        stripped["metadata"]["managedFields"][0]["manager"] = "kubectl"
    if whose == "another parent":
        stripped["metadata"]["ownerReferences"] = [{**owner, "uid": "another"}]
    world.cache.put(DEPLOYMENTS, world.api.put(DEPLOYMENTS, stripped))
    names = [one["metadata"]["name"] for one in world.cache.owned(DEPLOYMENTS, "ml", world.parent["metadata"]["uid"])]
    assert names == ["d"] * found


@pytest.mark.parametrize("resource", [JOBS, DEPLOYMENTS])
@pytest.mark.parametrize("cached", [False, True])
async def test_the_child_of_an_earlier_parent_of_this_name_is_waited_for(
    world: World, resource: Resource, cached: bool
) -> None:
    owner = {"apiVersion": "test.dev/v1", "kind": "Widget", "name": "w", "uid": "earlier", "controller": True}
    name = "j" if resource is JOBS else "d"
    old = world.api.put(resource, {"metadata": {"name": name, "ownerReferences": [owner]}})
    if cached:
        world.cache.put(resource, old)
    plan = Plan(create=[JOB]) if resource is JOBS else Plan(apply=[level()])
    with pytest.raises(ChildTerminating, match=f"{resource.kind} ml/{name} of an earlier Widget w"):
        await world.execute(plan)
    assert world.api.find(resource, name) == old
    world.cache.drop(resource, world.api.objects.pop((resource.plural, "ml", name)))
    await world.execute(plan)
    assert world.api.find(resource, name)["metadata"]["ownerReferences"][0]["uid"] == world.parent["metadata"]["uid"]


@pytest.mark.parametrize("cached", [False, True])
async def test_a_child_that_is_being_deleted_is_waited_for(world: World, cached: bool) -> None:
    await world.execute(Plan(apply=[level()]))
    going = copy.deepcopy(world.api.find(DEPLOYMENTS, "d"))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    going = world.api.put(DEPLOYMENTS, going)
    if cached:
        world.cache.put(DEPLOYMENTS, going)
    else:
        world.cache.drop(DEPLOYMENTS, going)
    with pytest.raises(ChildTerminating, match="Deployment ml/d is being deleted"):
        await world.execute(Plan(apply=[level(replicas=2)]))
    assert world.api.find(DEPLOYMENTS, "d") == going


async def test_a_changed_manifest_is_applied(world: World) -> None:
    await world.execute(Plan(apply=[level()]))
    before = world.api.find(DEPLOYMENTS, "d")["metadata"]["annotations"][SPEC_HASH_ANNOTATION]
    assert await world.execute(Plan(apply=[level(replicas=3)])) == ["APPLY deployments/d"]
    after = world.api.find(DEPLOYMENTS, "d")
    assert after["spec"]["replicas"] == 3
    assert after["metadata"]["annotations"][SPEC_HASH_ANNOTATION] != before


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_change_by_hand_is_put_back_once(world: World, restarted: bool) -> None:
    await world.execute(Plan(apply=[level()]))
    world.by_hand(DEPLOYMENTS, "d", takes=("spec", "replicas"), value=7)
    if restarted:
        world.restart()
    assert await world.execute(Plan(apply=[level()])) == ["APPLY deployments/d"]
    assert world.api.find(DEPLOYMENTS, "d")["spec"]["replicas"] == 1
    assert await world.execute(Plan(apply=[level()])) == []


async def test_fields_of_others_are_no_reason_to_apply(world: World) -> None:
    await world.execute(Plan(apply=[level()]))
    changed = copy.deepcopy(world.api.find(DEPLOYMENTS, "d"))
    changed["spec"]["paused"] = True
    changed["status"] = {"replicas": 1}
    world.cache.put(DEPLOYMENTS, world.api.put(DEPLOYMENTS, changed))
    assert await world.execute(Plan(apply=[level()])) == []


async def test_a_field_that_the_server_never_keeps_does_not_make_it_apply_for_ever(world: World) -> None:
    """One apply after a restart is all that such a field costs."""
    apply = world.api.apply

    async def forgetful(resource: Resource, body: Any) -> dict[str, Any]:
        await apply(resource, body)
        stored = copy.deepcopy(world.api.find(resource, body["metadata"]["name"]))
        remove(stored["metadata"]["managedFields"][0]["fieldsV1"], ("f:spec", "f:ignored"))
        return world.api.put(resource, stored)

    world.api.apply = forgetful  # type: ignore[method-assign]
    plan = Plan(apply=[level(ignored=[])])
    assert await world.execute(plan) == ["APPLY deployments/d"]
    world.restart()
    assert await world.execute(plan) == ["APPLY deployments/d"]
    assert await world.execute(plan) == []
    world.by_hand(DEPLOYMENTS, "d", takes=("spec", "replicas"), value=7)
    assert await world.execute(plan) == ["APPLY deployments/d"]


async def test_a_deleted_child_is_made_again(world: World) -> None:
    await world.execute(Plan(apply=[level()]))
    gone = world.api.objects.pop(("deployments", "ml", "d"))
    world.cache.drop(DEPLOYMENTS, gone)
    world.executor.forget(DEPLOYMENTS, gone)
    assert await world.execute(Plan(apply=[level()])) == ["APPLY deployments/d"]


async def test_deleting_what_is_gone_or_a_namesake_is_success(world: World) -> None:
    world.cache.put(CONFIG_MAPS, world.api.put(CONFIG_MAPS, {"metadata": {"name": "a", "uid": "new"}}))
    await world.execute(Plan(delete=[Delete(CONFIG_MAPS, "ml", "a", "old"), Delete(CONFIG_MAPS, "ml", "b", "any")]))
    assert world.api.find(CONFIG_MAPS, "a")["metadata"]["uid"] == "new"
    assert world.cache.get(CONFIG_MAPS, "ml", "a") is not None


async def test_a_deleted_child_is_deleted_once(world: World) -> None:
    """The watch tells of it later: until then the cache must not have it any more."""
    child = world.api.put(CONFIG_MAPS, {"metadata": {"name": "a"}})
    world.cache.put(CONFIG_MAPS, child)
    assert await world.execute(Plan(delete=[Delete(CONFIG_MAPS, "ml", "a", child["metadata"]["uid"])])) == [
        "DELETE configmaps/a"
    ]
    assert world.cache.get(CONFIG_MAPS, "ml", "a") is None


async def test_a_child_that_its_finalizers_hold_is_there_until_it_goes(world: World) -> None:
    child = world.api.put(CONFIG_MAPS, {"metadata": {"name": "a", "finalizers": ["other"]}})
    world.cache.put(CONFIG_MAPS, child)
    await world.execute(Plan(delete=[Delete(CONFIG_MAPS, "ml", "a", child["metadata"]["uid"])]))
    assert world.cache.get(CONFIG_MAPS, "ml", "a") is not None


async def test_a_deletion_that_another_write_hindered_is_tried_again(world: World) -> None:
    child = world.api.put(CONFIG_MAPS, {"metadata": {"name": "a"}})
    world.cache.put(CONFIG_MAPS, child)
    hindered = [Conflict(409, "Conflict", "the object has been modified")]
    world.api.before = lambda text: hindered.pop() if hindered and text.startswith("DELETE") else None
    plan = Plan(delete=[Delete(CONFIG_MAPS, "ml", "a", child["metadata"]["uid"])])
    with pytest.raises(Conflict):
        await world.execute(plan)
    assert world.cache.get(CONFIG_MAPS, "ml", "a") is not None
    await world.execute(plan)
    assert ("configmaps", "ml", "a") not in world.api.objects


async def test_a_stale_status_is_refused_and_its_events_are_not_posted(world: World) -> None:
    world.api.put(WIDGETS, {**world.parent, "spec": {"size": 2}})
    with pytest.raises(Conflict):
        await world.execute(Plan(status={"phase": "Done"}, events=[Event("Normal", "Done", "done")]))
    assert world.api.find(WIDGETS, "w")["status"] == {}
    assert world.recorder.events == []


async def test_a_status_that_is_the_same_is_not_written_but_its_events_are_posted(world: World) -> None:
    await world.execute(Plan(status={"phase": "Done"}))
    assert await world.execute(Plan(status={"phase": "Done"}, events=[Event("Normal", "Seen", "again")])) == []
    assert [one.reason for one in world.recorder.events] == ["Seen"]


async def test_finalizers_of_others_stay(world: World) -> None:
    world.parent["metadata"]["finalizers"] = ["other"]
    world.cache.put(WIDGETS, world.api.put(WIDGETS, world.parent))
    await world.execute(Plan(finalizer=True))
    assert world.api.find(WIDGETS, "w")["metadata"]["finalizers"] == ["other", IN_USE_FINALIZER]
    assert await world.execute(Plan(finalizer=False)) == ["PATCH widgets/w"]
    assert world.api.find(WIDGETS, "w")["metadata"]["finalizers"] == ["other"]


async def test_the_status_of_an_object_that_goes_with_its_finalizer_is_not_written(world: World) -> None:
    meta = {**world.parent["metadata"], "finalizers": [IN_USE_FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    world.cache.put(WIDGETS, world.api.put(WIDGETS, {**world.parent, "metadata": meta}))
    assert await world.execute(Plan(finalizer=False, status={"phase": "Gone"})) == ["PATCH widgets/w"]


async def test_neighbours_are_made_together_but_changed_one_after_the_other(world: World) -> None:
    """One that is refused does not keep the others from being made; the error is told all the same."""
    refused = Invalid(422, "Invalid", "no")
    world.api.before = lambda text: refused if text == "APPLY deployments/a" else None
    with pytest.raises(Invalid):
        await world.execute(Plan(apply=[level("a"), level("b")], status={"phase": "x"}))
    assert world.api.writes == ["APPLY deployments/a", "APPLY deployments/b"]
    world.api.before = lambda _: None
    await world.execute(Plan(apply=[level("a"), level("b")]))
    failure = ServerFailure(500, "InternalError", "no")
    world.api.before = lambda text: failure if text == "APPLY deployments/a" else None
    before = len(world.api.writes)
    with pytest.raises(ServerFailure):
        await world.execute(Plan(apply=[level("a", replicas=2), level("b", replicas=2)]))
    assert world.api.writes[before:] == ["APPLY deployments/a"]


async def test_others_are_told_of_our_own_writes_once(world: World) -> None:
    told: list[str] = []
    world.executor.on_written = lambda resource, _, obj, parent: told.append(
        f"{resource.kind} {obj['metadata']['name']}"
    )
    plan = Plan(apply=[level()], create=[JOB], status={"phase": "x"})
    await world.execute(plan)
    await world.execute(plan)
    assert told == ["Deployment d", "Job j", "Widget w"]


TAKEN = {"name": "d", "labels": {"app": "theirs"}}
REFUSED = {"type": "ChildRefused", "status": "True", "reason": "NameConflict"}


def told(world: World, kind: str = "ChildRefused") -> dict[str, Any] | None:
    status = world.api.find(WIDGETS, "w")["status"]
    return next((one for one in status.get("conditions") or () if one["type"] == kind), None)


async def test_children_aside_come_after_the_status_and_a_taken_name_keeps_no_other_from_being_made(
    world: World,
) -> None:
    world.api.put(DEPLOYMENTS, {"metadata": TAKEN})
    asides = [Aside(apply=[level()]), Aside(apply=[level("e")]), Aside(create=[JOB])]
    made = await world.execute(Plan(apply=[level("a")], status={"phase": "RolledBack"}, aside=asides))
    assert made[:2] == ["APPLY deployments/a", "PUT widgets/w/status"]
    assert sorted(made[2:-1]) == ["APPLY deployments/d", "APPLY deployments/e", "POST jobs/j"]
    assert made[-1] == "PUT widgets/w/status"
    assert world.api.find(WIDGETS, "w")["status"]["phase"] == "RolledBack"
    condition = told(world)
    assert condition is not None
    assert REFUSED.items() <= condition.items()
    assert "Deployment ml/d belongs to somebody else" in condition["message"]
    assert [(one.type, one.reason) for one in world.recorder.events] == [("Warning", "NameConflict")]


async def test_a_stale_plan_makes_nothing_aside(world: World) -> None:
    world.api.put(WIDGETS, {**world.parent, "spec": {"size": 2}})
    with pytest.raises(Conflict):
        await world.execute(Plan(status={"phase": "x"}, aside=[Aside(apply=[level()], create=[JOB])]))
    assert world.api.writes == ["PUT widgets/w/status"]


async def test_a_refusal_that_goes_on_is_told_once_though_the_rest_of_the_status_changes(world: World) -> None:
    world.api.put(DEPLOYMENTS, {"metadata": TAKEN})
    aside = [Aside(apply=[level()])]
    await world.execute(Plan(status={"phase": "x"}, aside=aside))
    first = told(world)
    assert await world.execute(Plan(status={"phase": "x"}, aside=aside)) == []
    assert await world.execute(Plan(status={"phase": "y"}, aside=aside)) == ["PUT widgets/w/status"]
    world.restart()
    assert await world.execute(Plan(status={"phase": "y"}, aside=aside)) == ["APPLY deployments/d"]
    assert told(world) == first


async def test_a_refused_child_is_tried_again_when_it_is_due_or_wanted_in_another_way(world: World) -> None:
    world.api.before = lambda request: Forbidden(403, "Forbidden", "quota") if "deployments" in request else None
    (refused,) = await world.refused(Plan(status={}, aside=[Aside(apply=[level()])]))
    assert refused.tried
    assert 0 < refused.seconds <= 1
    (refused,) = await world.refused(Plan(status={}, aside=[Aside(apply=[level()])]))
    assert not refused.tried
    (refused,) = await world.refused(Plan(status={}, aside=[Aside(apply=[level(replicas=3)])]))
    assert refused.tried
    world.api.before = lambda _: None
    list(world.executor.waiting_for(DEPLOYMENTS, level()))
    assert await world.refused(Plan(status={}, aside=[Aside(apply=[level(replicas=3)])])) == []
    assert told(world) is None


async def test_a_refused_child_whose_content_changes_by_itself_waits_all_the_same_and_is_made_as_it_is_wanted_then(
    world: World,
) -> None:
    world.api.put(DEPLOYMENTS, {"metadata": TAKEN})
    tries = []
    for replicas in range(2, 22):
        (refused,) = await world.refused(Plan(status={}, aside=[Aside([level(replicas=replicas)], changing=True)]))
        tries.append(refused.tried)
    assert tries == [True, *[False] * 19]
    assert [one.reason for one in world.recorder.events] == ["NameConflict"]
    del world.api.objects["deployments", "ml", "d"]
    list(world.executor.waiting_for(DEPLOYMENTS, level()))
    assert await world.refused(Plan(status={}, aside=[Aside([level(replicas=99)], changing=True)])) == []
    assert world.api.find(DEPLOYMENTS, "d")["spec"]["replicas"] == 99


async def test_what_follows_a_refused_child_of_the_same_aside_is_not_made(world: World) -> None:
    world.api.put(DEPLOYMENTS, {"metadata": TAKEN})
    await world.execute(Plan(status={}, aside=[Aside(apply=[level(), level("e")], create=[JOB])]))
    assert set(world.api.objects) == {("widgets", "ml", "w"), ("deployments", "ml", "d")}


async def test_the_condition_of_a_refused_child_says_so_until_it_is_made(world: World) -> None:
    works = {"type": "Works", "status": "True", "reason": "Good", "message": "it is there", "lastTransitionTime": "t"}
    plan = Plan(status={"conditions": [works]}, aside=[Aside(apply=[level()], condition="Works")])
    world.api.put(DEPLOYMENTS, {"metadata": TAKEN})
    await world.execute(plan)
    condition = told(world, "Works")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "NameConflict")
    world.restart()
    assert await world.execute(plan) == ["APPLY deployments/d"]
    del world.api.objects["deployments", "ml", "d"]
    world.restart()
    assert await world.execute(plan) == ["APPLY deployments/d", "PUT widgets/w/status"]
    assert world.api.find(WIDGETS, "w")["status"] == plan.status


async def test_whose_name_is_taken_is_told_when_what_has_it_changes(world: World) -> None:
    stranger = world.api.put(DEPLOYMENTS, {"metadata": TAKEN})
    await world.execute(Plan(status={}, aside=[Aside(apply=[level()])]))
    with pytest.raises(NameConflict):
        await world.execute(Plan(apply=[level()]))
    assert list(world.executor.waiting_for(DEPLOYMENTS, stranger)) == [(WIDGETS, Key("ml", "w"))]
    assert list(world.executor.waiting_for(DEPLOYMENTS, stranger)) == []


async def test_a_parent_that_goes_makes_nothing_aside(world: World) -> None:
    gone = {**world.parent["metadata"], "deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": [IN_USE_FINALIZER]}
    world.cache.put(WIDGETS, world.api.put(WIDGETS, {**world.parent, "metadata": gone}))
    made = await world.execute(Plan(finalizer=False, status={"phase": "x"}, aside=[Aside(create=[JOB])]))
    assert made == ["PATCH widgets/w"]


async def test_an_error_of_ours_at_a_child_aside_is_told_as_its_refusal(world: World) -> None:
    """Told as that of the whole plan, it and the plan's own status would overwrite each other for ever."""
    plan = Plan(
        status={"phase": "x"}, aside=[Aside(apply=[{**level(), "metadata": {**TAKEN, "namespace": "ml", "labels": 7}}])]
    )
    await world.execute(plan)
    condition = told(world)
    assert condition is not None
    assert condition["reason"] == "InternalError"
    assert await world.execute(plan) == []


async def test_a_refusal_that_may_not_be_told_leaves_the_plan_as_it_is_written(world: World) -> None:
    """E.g. by a CustomResourceDefinition of an older release, which takes no more conditions."""
    world.api.put(DEPLOYMENTS, {"metadata": TAKEN})
    puts: list[str] = []

    def second(request: str) -> ApiError | None:
        if request.startswith("PUT"):
            puts.append(request)
        return Invalid(422, "Invalid", "status.conditions: Too many") if len(puts) > 1 else None

    world.api.before = second
    await world.execute(Plan(status={"phase": "x"}, aside=[Aside(apply=[level()])]))
    assert world.api.find(WIDGETS, "w")["status"] == {"phase": "x"}
