"""The table of the operator: its controllers, and what follows from them (the kinds that are kept in the cache)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelmill.engine.interface import Reconciler, Watch, World
from modelmill.engine.parts import Child, Composed, Part
from modelmill.kube import labels
from modelmill.kube.objects import Key, Manifest, Resource

KeysOf = Callable[[Manifest, World], Iterable[Key]]
"""From a changed object of another kind and the cache: the objects of the controller's own kind that it concerns."""

MANAGED_FIELDS = "metadata.managedFields"
OURS = f"{labels.MANAGED_BY_LABEL}={labels.MANAGED_BY}"


@dataclass(frozen=True, slots=True)
class Concern:
    """Which objects of a controller's kind an object of another kind concerns, and by what.

    keys: from the object and the cache. reads: what their plans look at of it, to be compared: a change of the rest wakes
    nobody. Without it two kinds that tell of each other in their statuses wake each other without end: n services of one
    version, each of which changes the version's status, would be n² reconciliations.

    needed: whether no object is planned while objects of the kind may be there that were not listed yet.
    """

    keys: KeysOf
    reads: Callable[[Manifest], object] = lambda obj: obj
    needed: bool = True

    def of_change(self, before: Manifest | None, after: Manifest, world: World) -> Iterable[Key]:
        """Return the keys of the object as it was and as it is, each once; none when they read nothing of what changed."""
        if before is None:
            return dict.fromkeys(self.keys(after, world))
        if self.reads(before) == self.reads(after):
            return ()
        return dict.fromkeys((*self.keys(before, world), *self.keys(after, world)))


@dataclass(frozen=True, slots=True)
class Controller:
    """One kind, the parts that reconcile it, and which other objects concern it.

    name: for logs and metrics. parts: in their order; see `Composed`. concerns: by kind, which keys a changed object wakes.
    Children wake the key of their controller owner without a map.
    """

    name: str
    resource: Resource
    parts: Sequence[Part]
    concerns: Mapping[Resource, Concern] = field(default_factory=dict)

    @property
    def children(self) -> Sequence[Child]:
        """Kinds of children of all parts."""
        return [child for part in self.parts for child in part.children]

    @property
    def finalizer(self) -> bool:
        """Whether a part holds objects by the operator's finalizer."""
        return any(part.finalizer for part in self.parts)

    def reconciler(self) -> Reconciler:
        """Return what plans the objects of this kind. Raises ValueError when two parts own the same thing."""
        return Composed(self.parts)


def watches_of(controllers: Sequence[Controller], others: Sequence[Watch] = ()) -> Sequence[Watch]:
    """Return the kinds that are kept in the cache, in the order of the table: own kinds, children, the rest.

    others: kinds that are neither, and own kinds or children that need more than the rule. The rule: of own kinds everything
    but managedFields; of children those with our label, level ones whole since managedFields tell of changes by another hand,
    those that run to completion without their spec.
    """
    rows = {watch.resource: watch for watch in others}
    kinds: dict[Resource, Watch] = {
        controller.resource: Watch(controller.resource, unread=[MANAGED_FIELDS]) for controller in controllers
    }
    for controller in controllers:
        for child in controller.children:
            unread = () if child.applied else ("spec", MANAGED_FIELDS)
            kinds.setdefault(child.resource, Watch(child.resource, OURS, unread=unread))
    unknown = {kind for controller in controllers for kind in controller.concerns} - set(kinds) - set(rows)
    if unknown:
        raise ValueError(f"of concern, but not watched: {sorted(kind.kind for kind in unknown)}")
    return list((kinds | rows).values())
