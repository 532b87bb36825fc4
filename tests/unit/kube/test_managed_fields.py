"""Who set a field, by managedFields."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.kube.managed_fields import Writer, item, with_entries_of, writer_of

APPROVAL = ("spec", "approval")


def entry(manager: str, fields: Any, time: str | None = "2026-01-02T00:00:00Z", **more: str) -> dict[str, Any]:
    return {"manager": manager, "fieldsV1": fields, **({"time": time} if time else {}), **more}


def version(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "cars-1", "managedFields": list(entries)}, "spec": {"approval": "Approved"}}


OWNED = {"f:spec": {"f:approval": {}}}


@pytest.mark.parametrize(
    ("entries", "writer"),
    [
        ([], None),
        ([entry("kubectl", OWNED)], Writer("kubectl", "2026-01-02T00:00:00Z")),
        ([entry("kubectl", OWNED, None)], Writer("kubectl")),
        ([entry("kubectl", {"f:spec": {"f:model": {}}})], None),
        ([entry("kubectl", {"f:spec": {}})], None),
        ([entry("kubectl", None), entry("kubectl", "f:spec"), entry("kubectl", {"f:spec": None})], None),
        ([entry("kubectl", OWNED, subresource="status")], None),
        ([entry("b", OWNED, "2026-01-03T00:00:00Z"), entry("a", OWNED)], Writer("a", "2026-01-02T00:00:00Z")),
    ],
)
def test_writer_of_a_field(entries: list[dict[str, Any]], writer: Writer | None) -> None:
    obj = version(*entries)
    assert writer_of(obj, APPROVAL) == writer
    kept = with_entries_of(obj, APPROVAL)
    assert writer_of(kept, APPROVAL) == writer
    assert with_entries_of(kept, APPROVAL) == kept


def test_an_object_without_managed_fields_is_the_same() -> None:
    obj = {"metadata": {"name": "cars-1"}}
    assert writer_of(obj, APPROVAL) is None
    assert with_entries_of(obj, APPROVAL) is obj


def test_the_items_of_a_set_have_writers_of_their_own() -> None:
    def aliases(*values: str) -> dict[str, Any]:
        return {"f:spec": {"f:aliases": {".": {}, **{f'v:"{value}"': {} for value in values}}, "f:model": {}}}

    path = ("spec", "aliases")
    obj = version(
        entry("kubectl", aliases("blue"), "2026-01-02T00:00:00Z"), entry("argo", aliases("champion"), "later")
    )
    for one in (obj, with_entries_of(obj, APPROVAL, path)):
        assert writer_of(one, (*path, item("champion"))) == Writer("argo", "later")
        assert writer_of(one, (*path, item("green"))) is None
    kept = with_entries_of(obj, APPROVAL, path)["metadata"]["managedFields"]
    assert all("f:model" not in one["fieldsV1"]["f:spec"] for one in kept)
