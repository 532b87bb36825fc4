from __future__ import annotations

from typing import Any

import pytest

from modelmill.engine.cache import Cache
from modelmill.engine.packed import ALIKE, PLAIN, Packed
from modelmill.kube.resources import DEPLOYMENTS


def deployment(number: int, version: int = 1) -> dict[str, Any]:
    """Return a Deployment of some 2 kB with texts of many sorts, as the API server sends it."""
    fields = {f"f:{name}{field}": {".": {}, "v:x": {}} for name in "abc" for field in range(20)}
    meta = {
        "name": f"d-{number:04}",
        "namespace": "ml",
        "uid": f"uid-{number}",
        "resourceVersion": str(1000 * version + number),
        "labels": {"app": f"app-{number % 7}", "text": 'Größe \U0001f40d "quoted"\n\x7f'},
        "managedFields": [{"manager": "modelmill", "operation": "Apply", "fieldsV1": fields}],
    }
    return {
        "metadata": meta,
        "spec": {"replicas": number, "odd": [None, True, 0.1, -(2**53), [], {}, ""]},
        "status": {},
    }


def test_objects_come_out_as_they_went_in_and_most_are_packed() -> None:
    packed: Packed[int] = Packed()
    many = 10 * PLAIN
    for number in range(many):
        packed[number] = deployment(number)
    assert len(packed._plain) == PLAIN
    assert sum(map(len, packed._packed.values())) < 200 * many
    for number in (*range(many), 0, many - 1):
        assert packed[number] == packed.get(number) == deployment(number)
    assert len(packed._plain) == PLAIN
    packed[3] = deployment(3, version=2)
    for number in range(many):
        packed.get(number)
    assert packed[3] == deployment(3, version=2)
    packed.pop(3)
    packed.pop(3)
    assert packed.get(3) is None
    with pytest.raises(KeyError):
        packed[3]


def test_what_is_looked_at_stays_plain_and_is_packed_once() -> None:
    packed: Packed[int] = Packed(plain=2)
    for number in range(3):
        packed[number] = deployment(number)
    assert packed[1] is packed[1]
    packed[0]
    assert packed[1] is packed[1]
    text = packed._packed[2]
    assert packed[2] == deployment(2)
    packed[0]
    packed[1]
    assert packed._packed[2] is text


def test_a_huge_object_is_kept_once_and_the_others_are_packed_with_a_part_of_it() -> None:
    packed: Packed[int] = Packed(plain=0)
    packed[0] = {"metadata": {"annotations": {str(number): "x" * 1000 for number in range(1000)}}}
    packed[1] = deployment(1)
    assert len(packed._alike) == ALIKE
    assert packed[1] == deployment(1)


def test_a_cache_finds_and_forgets_packed_objects_by_its_indexes() -> None:
    cache = Cache({DEPLOYMENTS: ["app"]})
    many = 3 * PLAIN
    for number in range(many):
        assert cache.put(DEPLOYMENTS, deployment(number))
    assert not cache.put(DEPLOYMENTS, deployment(0))
    assert cache.put(DEPLOYMENTS, {**deployment(0, version=2), "metadata": deployment(1, version=9)["metadata"]})
    found = cache.labelled(DEPLOYMENTS, "ml", "app", "app-3")
    assert [one["metadata"]["name"] for one in found] == [f"d-{number:04}" for number in range(3, many, 7)]
    alive = {f"uid-{number}" for number in range(many) if number != 10}
    (gone,) = cache.missing_from(DEPLOYMENTS, alive, None, 10**6)
    assert gone == deployment(10)
    assert cache.drop(DEPLOYMENTS, gone)
    assert "d-0010" not in [one["metadata"]["name"] for one in cache.labelled(DEPLOYMENTS, "ml", "app", "app-3")]
    assert len(cache.list(DEPLOYMENTS)) == many - 1
