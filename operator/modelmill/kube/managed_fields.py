"""Who set a field of an object, as the API server notes it in `metadata.managedFields`.

Format: Kubernetes documentation, Server-Side Apply, Field management; `f:NAME` is a field, `v:JSON` an item of a set.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelmill.kube.objects import Manifest


@dataclass(frozen=True, slots=True)
class Writer:
    """A field manager, and when it last changed any of its fields (RFC 3339, empty when that is not noted)."""

    manager: str
    time: str = ""


def writer_of(manifest: Manifest, path: Sequence[str]) -> Writer | None:
    """Return who set the field at this path, e.g. ("spec", "approval"); None when it is not noted.

    The last part may be an `item` of a set. Several may own a field of one value: the earliest of them set it.
    """
    entries = [one for one in _entries(manifest) if _at(one.get("fieldsV1"), path) is not None]
    writers = [Writer(str(one.get("manager", "")), str(one.get("time", ""))) for one in entries]
    return min(writers, key=lambda one: (one.time, one.manager), default=None)


def item(value: str) -> str:
    """Return the part of a path that is an item of a set."""
    return f"v:{json.dumps(value)}"


def with_entries_of(manifest: Manifest, *paths: Sequence[str]) -> Manifest:
    """Return the object with no more of its managedFields than who owns the fields at these paths, and what is in them."""
    meta = manifest["metadata"]
    if "managedFields" not in meta:
        return manifest
    kept = []
    for one in _entries(manifest):
        fields: dict[str, Any] = {}
        for path in paths:
            part = _at(one.get("fieldsV1"), path)
            if part is not None:
                _put(fields, path, part)
        if fields:
            named = {name: one[name] for name in ("manager", "operation", "time") if name in one}
            kept.append(named | {"fieldsV1": _shared(json.dumps(fields, sort_keys=True))})
    return {**manifest, "metadata": {**meta, "managedFields": kept}}


@functools.lru_cache(maxsize=1024)
def _shared(fields: str) -> dict[str, Any]:
    """Return the fieldsV1 that the text says; thousands of objects share it."""
    read: dict[str, Any] = json.loads(fields)
    return read


def _put(fields: dict[str, Any], path: Sequence[str], part: Mapping[str, Any]) -> None:
    *parents, last = map(_key, path)
    for name in parents:
        fields = fields.setdefault(name, {})
    fields[last] = part


def _entries(manifest: Manifest) -> list[Mapping[str, Any]]:
    return [one for one in manifest["metadata"].get("managedFields") or () if not one.get("subresource")]


def _at(fields: Any, path: Sequence[str]) -> Mapping[str, Any] | None:
    """Return what fieldsV1 has at the path; None when nothing."""
    for name in path:
        if not isinstance(fields, Mapping) or _key(name) not in fields:
            return None
        fields = fields[_key(name)]
    return fields if isinstance(fields, Mapping) else {}


def _key(name: str) -> str:
    return name if name.startswith("v:") else f"f:{name}"
