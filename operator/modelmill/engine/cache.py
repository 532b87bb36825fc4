"""The objects of the cluster as last seen, with indexes. Implements `interface.World`."""

from __future__ import annotations

import sys
import time
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from modelmill.engine.children import owner_uid
from modelmill.engine.interface import IndexOf
from modelmill.engine.packed import Packed
from modelmill.kube.objects import Manifest, Resource

TOMBSTONE_SECONDS = 300.0
"""How long a deleted uid is remembered, so that a late answer of our own write does not bring it back."""

_Id = tuple[str, str]


class Cache:
    """Objects by kind, namespace and name, mostly packed. The newer resourceVersion wins, whichever way it came.

    resourceVersions are compared as numbers: they are etcd revisions, and Kubernetes 1.35 made the order part of the API.
    Indexes are kept sorted, so that a list costs its length and no more. `clock` gives seconds, for the age of tombstones.
    `indexes`, `unread` and `reduced` say by kind what is found by and what is kept of an object, as in `Watch`; what is not
    kept cannot be indexed.
    """

    def __init__(
        self,
        index_labels: Mapping[Resource, Iterable[str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        unread: Mapping[Resource, Iterable[str]] | None = None,
        indexes: Mapping[Resource, Mapping[str, IndexOf]] | None = None,
        reduced: Mapping[Resource, Callable[[Manifest], Manifest] | None] | None = None,
    ) -> None:
        self._objects: dict[Resource, Packed[_Id]] = defaultdict(Packed)
        # What is asked of all objects of a kind after each list is not packed: uid and resourceVersion.
        self._known: dict[Resource, dict[_Id, tuple[str, int]]] = defaultdict(dict)
        self._newest: dict[Resource, int] = defaultdict(int)
        self._watched: set[tuple[Resource, str | None]] = set()
        self._sorted: dict[tuple[object, ...], list[_Id]] = {}
        self._index_labels = {resource: tuple(labels) for resource, labels in (index_labels or {}).items()}
        self._indexes = dict(indexes or {})
        self._unread = {resource: [path.split(".") for path in paths] for resource, paths in (unread or {}).items()}
        self._reduced = {resource: reduce for resource, reduce in (reduced or {}).items() if reduce is not None}
        self._clock = clock
        # By uid, oldest first: when it was deleted, and at which resourceVersion.
        self._tombstones: dict[str, tuple[float, int]] = {}

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return the object, or None."""
        return self._objects[resource].get((namespace, name))

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Manifest]:
        """Return all objects of the kind, sorted by namespace and name."""
        objects = self._objects[resource]
        return [objects[place] for place in self.places(resource, namespace)]

    def places(self, resource: Resource, namespace: str | None = None) -> Sequence[tuple[str, str]]:
        """Return namespace and name of all objects of the kind, sorted. Those that are packed stay so."""
        return tuple(self._sorted.get((resource,) if namespace is None else (resource, "namespace", namespace), ()))

    def owned(self, resource: Resource, namespace: str, uid: str) -> Sequence[Manifest]:
        """Return the objects of the namespace that are of the owner `uid`, as `owner_uid` says, sorted by name."""
        return self._indexed(resource, (resource, "owner", namespace, uid))

    def labelled(self, resource: Resource, namespace: str, label: str, value: str) -> Sequence[Manifest]:
        """Return the objects with this value of an indexed label. Raises KeyError when the label is not indexed."""
        if label not in self._index_labels.get(resource, ()):
            raise KeyError(f"label {label} of {resource.plural} is not indexed")
        return self._indexed(resource, (resource, "label", namespace, label, value))

    def found_by(self, resource: Resource, namespace: str, index: str, value: str) -> Sequence[Manifest]:
        """Return the objects with this value in an index. Raises KeyError when there is no such index."""
        if index not in self._indexes.get(resource, ()):
            raise KeyError(f"{resource.plural} are not indexed by {index}")
        return self._indexed(resource, (resource, "index", namespace, index, value))

    def watched(self, resource: Resource, namespace: str) -> bool:
        """Tell whether the kind was listed there, and has not been absent since."""
        return not self._watched.isdisjoint({(resource, namespace), (resource, None)})

    def set_watched(self, resource: Resource, namespace: str | None, *, watched: bool) -> bool:
        """Note whether the kind is watched in the namespace (in all when None); tell whether that is new."""
        place = (resource, namespace)
        if (place in self._watched) == watched:
            return False
        self._watched ^= {place}
        return True

    def is_news(self, resource: Resource, obj: Manifest) -> bool:
        """Tell whether `put` would take the object: most of what a list made anew tells is known."""
        meta = obj["metadata"]
        version = version_of(obj)
        _, buried = self._tombstones.get(meta["uid"], (0.0, -1))
        _, known = self._known[resource].get((meta.get("namespace", ""), meta["name"]), ("", -1))
        return version > max(buried, known)

    def put(self, resource: Resource, obj: Manifest) -> bool:
        """Take an object; tell whether it was new or newer than what was there."""
        if not self.is_news(resource, obj):
            return False
        meta, version = obj["metadata"], version_of(obj)
        place = (sys.intern(meta.get("namespace", "")), meta["name"])
        for path in self._unread.get(resource, ()):
            obj = _without(obj, path)
        if resource in self._reduced:
            obj = self._reduced[resource](obj)
        entries = list(self._entries(resource, obj))
        if place in self._known[resource]:
            self._remove(resource, place)
        self._objects[resource][place] = obj
        self._known[resource][place] = (meta["uid"], version)
        self._newest[resource] = max(version, self._newest[resource])
        for index in entries:
            insort(self._sorted.setdefault(index, []), place)
        return True

    def newest(self, resource: Resource) -> int:
        """Return the highest resourceVersion that an object of the kind came with; 0 when none did."""
        return self._newest[resource]

    def drop(self, resource: Resource, obj: Manifest, version: int = 0) -> bool:
        """Forget a deleted object; tell whether it was there. A namesake with another uid stays.

        version: resourceVersion at which it is known to be gone, when `obj` itself is older. An object that comes back newer
        is taken again: for a watch with a selector, one that loses the label and gets it back is deleted and added.
        """
        meta = obj["metadata"]
        place = (meta.get("namespace", ""), meta["name"])
        uid, known = self._known[resource].get(place, ("", 0))
        here: bool = uid == meta["uid"]
        self._bury(meta["uid"], max(version, version_of(obj), known if here else 0))
        if here:
            self._remove(resource, place)
        return here

    def missing_from(
        self, resource: Resource, uids: set[str], namespace: str | None, version: int
    ) -> Sequence[Manifest]:
        """Return the cached objects of the namespace (all when None) that a list of this version should have had."""
        known = self._known[resource]
        missing = [place for place, (uid, seen) in known.items() if uid not in uids and seen <= version]
        return [self._objects[resource][place] for place in sorted(missing) if namespace in (None, place[0])]

    def forget(self, resource: Resource, namespace: str | None) -> Sequence[Manifest]:
        """Remove and return all objects of the kind in the namespace (in all when None); one that comes back is taken again."""
        places = self.places(resource, namespace)
        objects = [self._objects[resource][place] for place in places]
        for place in places:
            self._remove(resource, place)
        return objects

    def _indexed(self, resource: Resource, index: tuple[object, ...]) -> Sequence[Manifest]:
        objects = self._objects[resource]
        return [objects[place] for place in self._sorted.get(index, ())]

    def _remove(self, resource: Resource, place: _Id) -> None:
        obj = self._objects[resource][place]
        self._objects[resource].pop(place)
        del self._known[resource][place]
        for index in self._entries(resource, obj):
            ids = self._sorted[index]
            del ids[bisect_left(ids, place)]
            if not ids:
                del self._sorted[index]

    def _entries(self, resource: Resource, obj: Manifest) -> Iterable[tuple[object, ...]]:
        """Yield the indexes that the object is in, each once."""
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        yield (resource,)
        yield (resource, "namespace", namespace)
        owner = owner_uid(obj)
        if owner is not None:
            yield (resource, "owner", namespace, owner)
        labels: Mapping[str, str] = meta.get("labels") or {}
        for label in self._index_labels.get(resource, ()):
            if label in labels:
                yield (resource, "label", namespace, label, labels[label])
        for index, values_of in self._indexes.get(resource, {}).items():
            for value in set(values_of(obj)):
                yield (resource, "index", namespace, index, value)

    def _bury(self, uid: str, version: int) -> None:
        now = self._clock()
        while self._tombstones:
            oldest = next(iter(self._tombstones))
            if now - self._tombstones[oldest][0] <= TOMBSTONE_SECONDS:
                break
            del self._tombstones[oldest]
        _, before = self._tombstones.pop(uid, (now, 0))
        self._tombstones[uid] = (now, max(version, before))


def _without(obj: Manifest, path: Sequence[str]) -> Manifest:
    name, *rest = path
    if name not in obj:
        return obj
    if rest:
        return {**obj, name: _without(obj[name], rest)}
    return {key: value for key, value in obj.items() if key != name}


def version_of(obj: Mapping[str, Any]) -> int:
    """Return the resourceVersion as a number; 0 when there is none."""
    return version_number(obj["metadata"].get("resourceVersion", ""))


def version_number(text: str) -> int:
    """Return a resourceVersion as a number; 0 when it is none."""
    return int(text) if text.isdigit() else 0
