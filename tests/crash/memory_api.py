"""An API server in memory, as far as the operator can tell: versions, generations, finalizers, apply, watches, schemas.

tests/integration/engine compares the engine with the real one; what is said here about preconditions is tested there.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from modelmill.engine.client import FIELD_MANAGER
from modelmill.engine.errors import AlreadyExists, Conflict, NotFound
from modelmill.kube.conditions import timestamp
from modelmill.kube.objects import Resource
from modelmill.kube.resources import DEPLOYMENTS
from tests.crash.admission import admitted
from tests.support.fake_api import check_preconditions, field_set

MAX_LABEL = 63
Object = dict[str, Any]
Place = tuple[Resource, str, str]
OnChange = Callable[[Resource, str, Object], None]
"""Told of every change: kind, ADDED, MODIFIED or DELETED, and the object as it is or was last."""


class MemoryApi:
    """All objects of a cluster, handed out as they are stored: an object is replaced by its next version, never changed.

    history: every change, with its resourceVersion. clock: the server's time of day, for creationTimestamp and
    deletionTimestamp. A uid follows from kind, name and how often that name was made, so that runs of a scenario can be
    compared.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.objects: dict[Resource, dict[tuple[str, str], Object]] = defaultdict(dict)
        self.listeners: list[OnChange] = []
        self.history: list[tuple[int, Resource, str, Object]] = []
        self.version = 100
        self.made: Counter[Place] = Counter()
        self._clock = clock

    def of(self, resource: Resource) -> list[Object]:
        """Return the objects of a kind, in the order of their names."""
        return [obj for _, obj in sorted(self.objects[resource].items())]

    def before(self, resource: Resource, version: int) -> list[Object]:
        """Return the objects of a kind as they were at a resourceVersion, in the order of their names."""
        objects: dict[tuple[str, str], Object] = {}
        for written, kind, change, obj in self.history:
            if kind == resource and written <= version:
                place = _place(kind, obj)[1:]
                objects.pop(place, None)
                if change != "DELETED":
                    objects[place] = obj
        return [obj for _, obj in sorted(objects.items())]

    def every(self) -> Iterator[tuple[Resource, Object]]:
        """Yield all objects with their kinds."""
        for resource, objects in list(self.objects.items()):
            for obj in list(objects.values()):
                yield resource, obj

    def find(self, resource: Resource, name: str, namespace: str = "ml") -> Object | None:
        """Return the object, or None."""
        return self.objects[resource].get((namespace, name))

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return self._stored((resource, namespace, name))

    def create(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        place = _place(resource, body)
        if place[1:] in self.objects[resource]:
            raise AlreadyExists(409, "AlreadyExists", f'{resource.plural} "{place[2]}" already exists')
        new = copied(body)
        self.made[place] += 1
        meta = new["metadata"]
        meta.pop("resourceVersion", None)
        meta |= {
            "uid": _uid(f"{resource.plural}-{place[1]}-{place[2]}-{self.made[place]}"),
            "creationTimestamp": timestamp(self._clock()),
            "generation": 1,
        }
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        if _has_status(resource):
            new.pop("status", None)
        return self._store("ADDED", place, admitted(new))

    def apply(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """Server-side apply by the operator. What was applied before and is left out is dropped, lists are ours as a whole.

        Of what others own only the replicas of a Deployment stay; without an owner they are 1.
        """
        place = _place(resource, body)
        before = self.objects[resource].get(place[1:])
        check_preconditions(body["metadata"], before["metadata"] if before is not None else {})
        owned = field_set({name: part for name, part in body.items() if name not in ("apiVersion", "kind")})
        managed = [{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": owned}]
        if before is None:
            return self.create(resource, {**body, "metadata": {**body["metadata"], "managedFields": managed}})
        kept = {**before["metadata"], **body["metadata"], "managedFields": managed}
        kept["resourceVersion"] = before["metadata"]["resourceVersion"]
        merged = {**before, **copied(body), "metadata": kept}
        if resource == DEPLOYMENTS and "replicas" not in body["spec"]:
            ours = any(
                "f:replicas" in entry["fieldsV1"].get("f:spec", {}) for entry in before["metadata"]["managedFields"]
            )
            merged["spec"] = {**merged["spec"], "replicas": 1 if ours else before["spec"]["replicas"]}
        if merged == before:
            return before
        return self._changed(place, before, merged)

    def replace(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        place = _place(resource, body)
        before = self._current(place, body["metadata"])
        return self._changed(place, before, copied(body))

    def replace_status(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        place = _place(resource, body)
        before = self._current(place, body["metadata"])
        return self._changed(place, before, {**before, "status": copied(body["status"])})

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        """JSON merge patch, which takes what it changes out of our fields. An object that goes does with its last finalizer."""
        place = (resource, namespace, name)
        before = self._current(place, body.get("metadata") or {})
        after = _merged(before, {**body, "metadata": {**body.get("metadata", {}), "resourceVersion": None}})
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
        if "managedFields" in after["metadata"]:
            (entry,) = after["metadata"]["managedFields"]
            after["metadata"]["managedFields"] = [{**entry, "fieldsV1": _left(entry["fieldsV1"], body, before)}]
        if not after["metadata"].get("finalizers"):
            after["metadata"].pop("finalizers", None)
        if "deletionTimestamp" in after["metadata"] and "finalizers" not in after["metadata"]:
            self._remove(place)
            # The object of the request, as the registry's store answers (apiserver, registry/generic/registry/store.go:
            # deleteWithoutFinalizers).
            return after
        return self._changed(place, before, after)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None, version: str = "") -> bool:
        """Delete in the background; tell whether it is gone."""
        place = (resource, namespace, name)
        before = self._stored(place)
        if uid is not None and before["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "the UID in the precondition does not match")
        if version and before["metadata"]["resourceVersion"] != version:
            raise Conflict(409, "Conflict", "the ResourceVersion in the precondition does not match")
        if not before["metadata"].get("finalizers"):
            self._remove(place)
            return True
        if "deletionTimestamp" not in before["metadata"]:
            deleted = {**before["metadata"], "deletionTimestamp": timestamp(self._clock())}
            self._changed(place, before, {**before, "metadata": deleted})
        return False

    def uids(self) -> set[str]:
        return {obj["metadata"]["uid"] for _, obj in self.every()}

    def _changed(self, place: Place, before: Object, after: Object) -> Object:
        after = admitted(after, before)
        generation = before["metadata"]["generation"] + (after.get("spec") != before.get("spec"))
        return self._store("MODIFIED", place, {**after, "metadata": {**after["metadata"], "generation": generation}})

    def _store(self, change: str, place: Place, obj: Object) -> Object:
        stored = self.objects[place[0]][place[1:]] = self._next(obj)
        self._tell(place[0], change, stored)
        return stored

    def _remove(self, place: Place) -> Object:
        gone = self._next(self.objects[place[0]].pop(place[1:]))
        self._tell(place[0], "DELETED", gone)
        return gone

    def _next(self, obj: Object) -> Object:
        self.version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}

    def _tell(self, resource: Resource, change: str, obj: Object) -> None:
        self.history.append((self.version, resource, change, obj))
        for listener in tuple(self.listeners):
            listener(resource, change, obj)

    def _stored(self, place: Place) -> Object:
        try:
            return self.objects[place[0]][place[1:]]
        except KeyError:
            raise NotFound(404, "NotFound", f'{place[0].plural} "{place[2]}" not found') from None

    def _current(self, place: Place, meta: Mapping[str, Any]) -> Object:
        stored = self._stored(place)
        if meta.get("resourceVersion", stored["metadata"]["resourceVersion"]) != stored["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        if meta.get("uid", stored["metadata"]["uid"]) != stored["metadata"]["uid"]:
            raise Conflict(409, "Conflict", "the uid is another")
        return stored


def copied(value: Any) -> Any:
    """Return a deep copy of what JSON can say."""
    if isinstance(value, Mapping):
        return {name: copied(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [copied(part) for part in value]
    return value


def _has_status(resource: Resource) -> bool:
    return resource.group in ("modelmill.dev", "batch", "apps", "gateway.networking.k8s.io") or resource.kind == "Pod"


def _place(resource: Resource, body: Mapping[str, Any]) -> Place:
    return resource, body["metadata"]["namespace"], body["metadata"]["name"]


def _left(owned: Mapping[str, Any], patch: Mapping[str, Any], before: Mapping[str, Any]) -> Object:
    """Return the fields that are still ours after a patch by another: what it leaves as it was stays ours."""
    left = {}
    for name, fields in owned.items():
        key = name.removeprefix("f:")
        if key not in patch or patch[key] == before.get(key):
            left[name] = fields
        elif fields and isinstance(patch[key], Mapping) and isinstance(before.get(key), Mapping):
            inner = _left(fields, patch[key], before[key])
            left |= {name: inner} if inner else {}
    return left


def _merged(before: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return copied(patch)
    merged = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _uid(text: str) -> str:
    """Return a uid that can be the value of a label, as real ones can."""
    return text if len(text) <= MAX_LABEL else str(uuid.uuid5(uuid.NAMESPACE_OID, text))
