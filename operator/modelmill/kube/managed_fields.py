"""Who set a field of an object, as the API server notes it in `metadata.managedFields`.

Format: Kubernetes documentation, Server-Side Apply, Field management; `f:NAME` is a field.
"""

from __future__ import annotations

import functools
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

    Several may own a field of one value: the earliest of them set it.
    """
    writers = [Writer(str(one.get("manager", "")), str(one.get("time", ""))) for one in _entries(manifest, path)]
    return min(writers, key=lambda one: (one.time, one.manager), default=None)


def with_entries_of(manifest: Manifest, path: Sequence[str]) -> Manifest:
    """Return the object with no more of its managedFields than who owns the field at this path."""
    meta = manifest["metadata"]
    if "managedFields" not in meta:
        return manifest
    fields = _fields(tuple(path))
    kept = [
        {name: one[name] for name in ("manager", "operation", "time") if name in one} | {"fieldsV1": fields}
        for one in _entries(manifest, path)
    ]
    return {**manifest, "metadata": {**meta, "managedFields": kept}}


@functools.cache
def _fields(path: tuple[str, ...]) -> dict[str, Any]:
    """Return the fieldsV1 of one field; thousands of objects share it."""
    return {f"f:{path[0]}": _fields(path[1:])} if path else {}


def _entries(manifest: Manifest, path: Sequence[str]) -> list[Mapping[str, Any]]:
    entries = manifest["metadata"].get("managedFields") or ()
    return [one for one in entries if not one.get("subresource") and _owns(one.get("fieldsV1"), path)]


def _owns(fields: Any, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(fields, Mapping) or f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True
