"""Which of the fields that we applied are still ours: how a change by another hand is noticed without knowing its value.

The API server notes in `metadata.managedFields` who set which field last. Whoever changes a value that we applied, by any
means but our own apply, takes the field out of our entry. So an entry that lacks a field of ours tells of a change, after a
restart as well, and a value that the server writes in another way (cpu "1000m" as "1") tells of none.

Format: https://github.com/kubernetes-sigs/structured-merge-diff, fieldpath/serialize.go: `f:NAME` a field, `k:{…}` a list
item by its keys, `v:…` a value of a set; an empty object is owned as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelmill.kube.objects import Manifest

# Identity is no field that anybody owns.
_UNOWNED = ("apiVersion", "kind")
_UNOWNED_METADATA = ("name", "namespace")

Path = tuple[str, ...]


def lost_fields(actual: Manifest, applied: Manifest, manager: str) -> frozenset[Path]:
    """Return the paths of `applied` that the manager's apply entry in `actual` does not have.

    actual: the object as the API server returned it, with managedFields. applied: the body that was sent.
    """
    entry = _apply_entry(actual, manager)
    ours: Mapping[str, Any] = (entry.get("fieldsV1") or {}) if entry is not None else {}
    wanted = {name: value for name, value in applied.items() if name not in _UNOWNED}
    metadata = {name: value for name, value in applied["metadata"].items() if name not in _UNOWNED_METADATA}
    return frozenset(_lost({**wanted, "metadata": metadata}, ours, ()))


def applied_by(actual: Manifest, manager: str) -> bool:
    """Tell whether the manager has applied the object and still owns a field of it."""
    return _apply_entry(actual, manager) is not None


def _apply_entry(actual: Manifest, manager: str) -> Mapping[str, Any] | None:
    for entry in actual["metadata"].get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return dict(entry)
    return None


def _lost(wanted: Mapping[str, Any], owned: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for name, value in wanted.items():
        if value is None:
            continue
        here = (*path, name)
        fields = owned.get(f"f:{name}")
        if fields is None:
            yield here
        elif not fields:
            continue
        elif isinstance(value, dict):
            yield from _lost(value, fields, here)
        elif isinstance(value, list | tuple):
            yield from _lost_items(value, fields, here)


def _lost_items(wanted: Sequence[Any], owned: Mapping[str, Any], path: Path) -> Iterator[Path]:
    keyed = [(json.loads(name[2:]), fields) for name, fields in owned.items() if name.startswith("k:")]
    for number, item in enumerate(wanted):
        here = (*path, str(number))
        if not isinstance(item, dict):
            if f"v:{json.dumps(item, separators=(',', ':'))}" not in owned:
                yield here
            continue
        # A key that we leave to its default (a port's protocol) is in the list's keys all the same.
        fields = next((fields for keys, fields in keyed if all(item.get(k, v) == v for k, v in keys.items())), None)
        if fields is None:
            yield here
        elif fields:
            yield from _lost(item, fields, here)
