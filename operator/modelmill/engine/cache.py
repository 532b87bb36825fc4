"""The objects of the cluster as last seen, with indexes. Implements `plan.World`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelmill.engine.plan import Manifest, Resource

TOMBSTONE_SECONDS = 300.0
"""How long a deleted uid is remembered, so that a late answer of our own write does not bring it back."""

_Id = tuple[str, str]


class Cache:
    """Objects by kind, namespace and name. The newer resourceVersion wins, whichever way it came.

    resourceVersions are compared as numbers: they are etcd revisions, and Kubernetes 1.35 made the order part of the API.
    """

    def __init__(self, index_labels: Mapping[Resource, Iterable[str]] | None = None) -> None:
        self._objects: dict[Resource, dict[_Id, Manifest]] = defaultdict(dict)
        self._owned: dict[tuple[Resource, str], set[_Id]] = defaultdict(set)
        self._labelled: dict[tuple[Resource, str, str, str], set[_Id]] = defaultdict(set)
        self._namespaces: dict[tuple[Resource, str], set[_Id]] = defaultdict(set)
        self._index_labels = {resource: tuple(labels) for resource, labels in (index_labels or {}).items()}
        self._tombstones: dict[str, float] = {}

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return the object, or None."""
        return self._objects[resource].get((namespace, name))

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Manifest]:
        """Return all objects of the kind, sorted by name."""
        objects = self._objects[resource]
        ids = objects.keys() if namespace is None else self._namespaces.get((resource, namespace), ())
        return [objects[one] for one in sorted(ids)]

    def owned(self, resource: Resource, uid: str) -> Sequence[Manifest]:
        """Return the objects whose controller is `uid`, sorted by name."""
        return [self._objects[resource][one] for one in sorted(self._owned.get((resource, uid), ()))]

    def labelled(self, resource: Resource, namespace: str, label: str, value: str) -> Sequence[Manifest]:
        """Return the objects with this value of an indexed label. Raises KeyError when the label is not indexed."""
        if label not in self._index_labels.get(resource, ()):
            raise KeyError(f"label {label} of {resource.plural} is not indexed")
        ids = self._labelled.get((resource, namespace, label, value), ())
        return [self._objects[resource][one] for one in sorted(ids)]

    def put(self, resource: Resource, obj: Manifest) -> bool:
        """Take an object; tell whether it was new or newer than what was there."""
        meta = obj["metadata"]
        one = (meta.get("namespace", ""), meta["name"])
        if meta["uid"] in self._tombstones:
            return False
        before = self._objects[resource].get(one)
        if before is not None:
            same = before["metadata"]["uid"] == meta["uid"]
            if same and _version(obj) <= _version(before):
                return False
            self._remove(resource, one)
        self._objects[resource][one] = obj
        for index in self._entries(resource, obj):
            index.add(one)
        return True

    def drop(self, resource: Resource, obj: Manifest) -> bool:
        """Forget a deleted object; tell whether it was there. A namesake with another uid stays."""
        meta = obj["metadata"]
        one = (meta.get("namespace", ""), meta["name"])
        self._bury(meta["uid"])
        before = self._objects[resource].get(one)
        if before is None or before["metadata"]["uid"] != meta["uid"]:
            return False
        self._remove(resource, one)
        return True

    def replace(
        self, resource: Resource, objects: Sequence[Manifest], namespaces: Sequence[str] | None
    ) -> Sequence[Manifest]:
        """Take a whole list; return the cached objects of these namespaces that are not in it.

        They stay in the cache: one that was created after the list was read is among them, so the caller drops only those
        that are older than the list.
        """
        listed = {obj["metadata"]["uid"] for obj in objects}
        gone = [
            obj
            for obj in self._objects[resource].values()
            if obj["metadata"]["uid"] not in listed
            and (namespaces is None or obj["metadata"].get("namespace", "") in namespaces)
        ]
        for obj in objects:
            self.put(resource, obj)
        return gone

    def _remove(self, resource: Resource, one: _Id) -> None:
        obj = self._objects[resource].pop(one)
        for index in self._entries(resource, obj):
            index.discard(one)

    def _entries(self, resource: Resource, obj: Manifest) -> Iterable[set[_Id]]:
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        yield self._namespaces[resource, namespace]
        for owner in meta.get("ownerReferences") or ():
            if owner.get("controller"):
                yield self._owned[resource, owner["uid"]]
        labels: Mapping[str, str] = meta.get("labels") or {}
        for label in self._index_labels.get(resource, ()):
            if label in labels:
                yield self._labelled[resource, namespace, label, labels[label]]

    def _bury(self, uid: str) -> None:
        now = time.monotonic()
        for old in [one for one, since in self._tombstones.items() if now - since > TOMBSTONE_SECONDS]:
            del self._tombstones[old]
        self._tombstones[uid] = now


def _version(obj: Mapping[str, Any]) -> int:
    text = obj["metadata"].get("resourceVersion", "0")
    return int(text) if text.isdigit() else 0
