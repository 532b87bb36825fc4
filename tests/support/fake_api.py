"""A tiny API server in memory, for tests of what the engine asks for. The real one is used in tests/integration/engine."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from modelmill.engine.client import FIELD_MANAGER
from modelmill.engine.decoding import ListMeta, Page
from modelmill.engine.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from modelmill.engine.interface import Event
from modelmill.kube.objects import Resource


def page_of(objects: Sequence[Mapping[str, Any]], version: str) -> Page:
    """Return the only page of a list."""
    return Page(ListMeta("", version), [msgspec.Raw(msgspec.json.encode(one)) for one in objects])


WIDGETS = Resource("test.dev", "v1", "widgets", "Widget")
Id = tuple[str, str, str]


class FakeApi:
    """Has the methods of `engine.client.Client` that executor, runtime, election and events call."""

    def __init__(self) -> None:
        self.objects: dict[Id, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.before: Callable[[str], ApiError | None] = lambda _: None
        """Asked before each request, with its text; an error it returns is the answer."""
        self.version = 100
        self.listed_at: int | None = None

    @property
    def writes(self) -> list[str]:
        return [one for one in self.requests if not one.startswith(("GET", "LIST"))]

    def put(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        """Store an object as somebody else would, and return it as the API server has it."""
        self.version += 1
        new = copy.deepcopy(dict(body))
        meta = new["metadata"]
        meta.setdefault("namespace", "ml")
        meta.setdefault("uid", f"{resource.plural}-{meta['name']}-{self.version}")
        meta["resourceVersion"] = str(self.version)
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        self.objects[resource.plural, meta["namespace"], meta["name"]] = new
        return copy.deepcopy(new)

    def find(self, resource: Resource, name: str, namespace: str = "ml") -> dict[str, Any]:
        return self.objects[resource.plural, namespace, name]

    async def list(
        self, resource: Resource, namespace: str | None = None, label_selector: str | None = None, *_: Any
    ) -> tuple[list[dict[str, Any]], str]:
        self._request(f"LIST {resource.plural}")
        found = [
            copy.deepcopy(one)
            for (plural, where, _), one in self.objects.items()
            if plural == resource.plural and namespace in (None, where)
        ]
        return found, str(self.listed_at or self.version)

    async def pages(self, resource: Resource, *selected: str | None) -> AsyncIterator[Page]:
        yield page_of(*await self.list(resource, *selected))

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        self._request(f"GET {resource.plural}/{name}")
        return copy.deepcopy(self._stored(resource, namespace, name))

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        meta = body["metadata"]
        self._request(f"POST {resource.plural}/{meta['name']}")
        if (resource.plural, meta["namespace"], meta["name"]) in self.objects:
            raise AlreadyExists(409, "AlreadyExists", meta["name"])
        return self.put(resource, body)

    async def apply(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        meta = body["metadata"]
        self._request(f"APPLY {resource.plural}/{meta['name']}")
        before = self.objects.get((resource.plural, meta["namespace"], meta["name"]), {"metadata": {}})
        check_preconditions(meta, before["metadata"])
        fields = field_set({name: value for name, value in body.items() if name not in ("apiVersion", "kind")})
        new = {
            **before,
            **body,
            "metadata": {
                **before["metadata"],
                **meta,
                "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}],
            },
        }
        return self.put(resource, new)

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        self._request(f"PUT {resource.plural}/{body['metadata']['name']}")
        self._current(resource, body)
        return self.put(resource, body)

    async def replace_status(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        self._request(f"PUT {resource.plural}/{body['metadata']['name']}/status")
        stored = self._current(resource, body)
        return self.put(resource, {**stored, "status": body["status"]})

    async def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._request(f"PATCH {resource.plural}/{name}")
        stored = self._current(resource, {"metadata": {"namespace": namespace, "name": name, **body["metadata"]}})
        finalizers = body["metadata"].get("finalizers", stored["metadata"].get("finalizers", []))
        others = {name: part for name, part in body.items() if name != "metadata"}
        patched = self.put(resource, {**stored, **others, "metadata": {**stored["metadata"], "finalizers": finalizers}})
        if not finalizers and "deletionTimestamp" in stored["metadata"]:
            del self.objects[resource.plural, namespace, name]
        return patched

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "") -> bool:
        self._request(f"DELETE {resource.plural}/{name}")
        stored = self._stored(resource, namespace, name)
        if stored["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "uid")
        if version and stored["metadata"]["resourceVersion"] != version:
            raise Conflict(409, "Conflict", "resourceVersion")
        if stored["metadata"].get("finalizers"):
            self.put(
                resource, {**stored, "metadata": {**stored["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
            )
            return False
        del self.objects[resource.plural, namespace, name]
        return True

    def _request(self, text: str) -> None:
        self.requests.append(text)
        error = self.before(text)
        if error is not None:
            raise error

    def _stored(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        try:
            return self.objects[resource.plural, namespace, name]
        except KeyError:
            raise NotFound(404, "NotFound", name) from None

    def _current(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        meta = body["metadata"]
        stored = self._stored(resource, meta["namespace"], meta["name"])
        if meta["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        return stored


def check_preconditions(sent: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Answer as the real one does; tests/integration/engine/test_preconditions.py compares."""
    if stored and sent.get("resourceVersion", stored["resourceVersion"]) != stored["resourceVersion"]:
        raise Conflict(409, "Conflict", "the object has been modified")
    if not stored and "uid" in sent:
        raise Conflict(409, "Conflict", "uid mismatch")
    if sent.get("uid", stored.get("uid")) != stored.get("uid"):
        raise Invalid(422, "Invalid", "metadata.uid: Invalid value: field is immutable")


def remove(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    """Remove a path from a field set, and the nodes that are empty then: an empty one is owned as a whole."""
    if len(path) > 1:
        remove(fields[path[0]], path[1:])
    if len(path) == 1 or not fields[path[0]]:
        del fields[path[0]]


def field_set(value: Any) -> dict[str, Any]:
    """Return the field set of what was applied; lists are owned as a whole here."""
    if not isinstance(value, Mapping):
        return {}
    return {
        f"f:{name}": field_set(_without_identity(part) if name == "metadata" else part) for name, part in value.items()
    }


def _without_identity(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return metadata without what nobody owns."""
    return {name: part for name, part in metadata.items() if name not in ("name", "namespace")}


def widget(name: str = "w", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ml", "generation": 1}, "spec": {"size": 1}, "status": status}


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, parent: Any, event: Event) -> None:
        self.events.append(event)
