"""Which kinds are known, and so which objects can be planned without taking for absent what was only not listed yet."""

from __future__ import annotations

from collections.abc import Sequence, Set

from modelmill.engine.table import Controller
from modelmill.engine.unwatched import Place
from modelmill.kube.objects import Key, Resource


class Known:
    """The places that were listed, or whose kind is not installed so that there is nothing to list.

    An object can be planned when every kind that its plan looks at is known where it is: its own, its children, and those that
    concern it, where these are needed. So a kind that may not be listed stops who would plan without it, and nobody else.
    """

    def __init__(self, controllers: Sequence[Controller], namespaces: Sequence[str]) -> None:
        self._namespaces = tuple(namespaces)
        self._needs = {
            one.resource: {
                one.resource,
                *(child.resource for child in one.children),
                *(kind for kind, concern in one.concerns.items() if concern.needed),
            }
            for one in controllers
        }
        self._known: set[Place] = set()
        self._planned: set[Place] = set()

    @property
    def planned(self) -> Set[Place]:
        """Kinds of controllers, and where their objects can be planned."""
        return self._planned

    def add(self, place: Place) -> Sequence[Place]:
        """Note that a place is known; return where objects can be planned from now on because of that."""
        self._known.add(place)
        _, namespace = place
        new = [
            (kind, namespace)
            for kind, needed in self._needs.items()
            if (kind, namespace) not in self._planned and all((one, namespace) in self._known for one in needed)
        ]
        self._planned.update(new)
        return new

    def plans(self, resource: Resource, key: Key) -> bool:
        """Tell whether the object can be planned."""
        return (resource, key.namespace if self._namespaces else None) in self._planned

    def missing(self) -> Set[Place]:
        """Return the places without which some objects cannot be planned yet."""
        places = {
            (one, where) for needed in self._needs.values() for one in needed for where in self._namespaces or (None,)
        }
        return places - self._known
