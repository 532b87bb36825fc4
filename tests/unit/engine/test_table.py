"""What follows from the table: the kinds in the cache, and what the operator must be allowed to do."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.engine import access
from modelmill.engine.interface import Watch
from modelmill.engine.parts import Child, Part
from modelmill.engine.table import MANAGED_FIELDS, OURS, Concern, Controller, watches_of
from modelmill.kube.resources import JOBS, PODS, SERVICES
from tests.support.fake_api import WIDGETS


def part(**declared: Any) -> Part:
    return Part("part", None, **declared)  # type: ignore[arg-type]


def table(**declared: Any) -> list[Controller]:
    return [Controller("widget", WIDGETS, [part(**declared)])]


def verbs(controllers: list[Controller], watches: Any = None) -> dict[str, list[str]]:
    rules = access.namespace_rules(controllers, watches_of(controllers) if watches is None else watches)
    return {rule["resources"][0]: rule["verbs"] for rule in rules}


def test_own_kinds_and_children_are_watched_each_with_what_is_read_of_it() -> None:
    children = [Child(JOBS, applied=False), Child(SERVICES, applied=True)]
    assert watches_of(table(children=children)) == [
        Watch(WIDGETS, unread=[MANAGED_FIELDS]),
        Watch(JOBS, OURS, unread=("spec", MANAGED_FIELDS)),
        Watch(SERVICES, OURS, unread=()),
    ]


def test_a_row_of_its_own_counts_more_than_the_rule() -> None:
    own, pods = Watch(WIDGETS, index_labels=["a"]), Watch(PODS, OURS)
    assert watches_of(table(), [own, pods]) == [own, pods]


def test_an_own_kind_that_is_a_child_of_another_is_watched_whole() -> None:
    rows = [*table(children=[Child(JOBS, applied=False)]), Controller("job", JOBS, [part()])]
    assert watches_of(rows)[1] == Watch(JOBS, unread=[MANAGED_FIELDS])


def test_a_mapped_kind_that_nobody_watches_is_a_mistake() -> None:
    rows = [Controller("widget", WIDGETS, [part()], concerns={PODS: Concern(lambda obj, world: [])})]
    with pytest.raises(ValueError, match=r"of concern, but not watched: \['Pod'\]"):
        watches_of(rows)
    assert len(watches_of(rows, [Watch(PODS)])) == 2


def test_the_least_that_a_kind_needs() -> None:
    assert verbs(table()) == {"widgets": ["get", "list", "watch"], "widgets/status": ["update"], "events": ["create"]}


@pytest.mark.parametrize(
    ("child", "wanted"),
    [
        (Child(SERVICES, applied=True), ["get", "list", "watch", "create", "patch", "delete"]),
        (Child(SERVICES, applied=False), ["get", "list", "watch", "create"]),
        (Child(SERVICES, applied=False, deleted=True), ["get", "list", "watch", "create", "delete"]),
    ],
)
def test_children_need_what_is_done_with_them(child: Child, wanted: list[str]) -> None:
    needed = verbs(table(children=[child]))
    assert needed["services"] == wanted
    assert needed["widgets/finalizers"] == ["update"]


def test_what_is_only_watched_is_not_written() -> None:
    rows = table(finalizer=True)
    needed = verbs(rows, [Watch(WIDGETS), Watch(PODS)])
    assert needed["pods"] == ["list", "watch"]
    assert needed["widgets"] == ["get", "list", "watch", "patch"]
