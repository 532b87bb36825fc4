"""Objects of Kubernetes as plain data, and how a kind and an object are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]
"""A Kubernetes object as plain data, as in its JSON form. Never changed in place: it may be shared with the cache."""


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A kind as the API server names it. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """`apiVersion` of the objects of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, of one object, or of its subresource."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace is not None:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """An object of the kind that a controller owns."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def beside_status(obj: Manifest) -> Mapping[str, Any]:
    """Return an object without its status and without what writes of it alone change, to be compared with another state."""
    meta = {name: part for name, part in obj["metadata"].items() if name not in _OF_WRITES}
    return {**obj, "metadata": meta, "status": None}


_OF_WRITES = frozenset({"resourceVersion", "managedFields", "finalizers"})


class ObjectInvalid(ValueError):
    """An object that the schema of another release let through. field: its path, e.g. spec.data.holdout."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
