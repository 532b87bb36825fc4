"""Between the domains and the engine: what a reconciler is given and what it decides, carried out by the executor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from modelmill.engine.decoding import Page
from modelmill.kube.objects import Manifest, Resource


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event about the parent. `type` is Normal or Warning; `reason` is one CamelCase word."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A child to delete, background propagation. `uid` guards against a namesake that is not ours.

    version: its resourceVersion, where it may go only as it was when that was decided; empty for any.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """A JSON merge patch (RFC 7396) of an object of somebody else, which is made only on the object as it was looked at.

    body: what changes, without metadata. version: the resourceVersion that was looked at; a Conflict when it is another one.
    """

    resource: Resource
    namespace: str
    name: str
    version: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Aside:
    """Children on which no traffic, no pod's safety and no decision depends.

    apply, create: as in `Plan`, one after the other: one that is refused keeps those behind it from being made, and no others.
    condition: type of the condition that says whether they work, which is False while one of them is refused; empty for none.
    changing: whether what they hold changes by itself, as counts do: then that alone has no refused one tried sooner.
    """

    apply: Sequence[Manifest] = ()
    create: Sequence[Manifest] = ()
    condition: str = ""
    changing: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one reconciliation wants done, in the order in which the executor does it.

    patch: objects of others of which a part is changed. First: what takes traffic away comes before everything else.
    apply: level children (Deployment, Service, …), sent by server-side apply and skipped while the cached child carries the
        same spec hash. They come before: a NetworkPolicy is there before the Job whose pod it is for.
    create: run-to-completion children (Jobs, ModelVersions), sent by POST under their deterministic name. AlreadyExists with
        our uid as controller owner is success; with another's the executor raises `NameConflict`. An object without an
        ownerReference is compared by its `modelmill.dev/owner-uid` label instead.
    delete: children that must not exist.
    finalizer: True adds the operator's finalizer to the parent, False removes it, None leaves it.
    status: the whole status of the parent, or None to leave it. Written when all of that is done and only when it differs,
        with the resourceVersion that was planned on, so that a stale plan is refused by the API server (409) and made again.
    events: posted after the status was written; an event whose status write was refused is not posted.
    aside: children that come after the status, each by itself. What is refused of them is told in the status beside what the
        plan says, and tried again after a back-off of its own.
    requeue_after: seconds until this key should be looked at again without an event, or None.
    """

    patch: Sequence[Patch] = ()
    apply: Sequence[Manifest] = ()
    create: Sequence[Manifest] = ()
    delete: Sequence[Delete] = ()
    finalizer: bool | None = None
    status: Manifest | None = None
    events: Sequence[Event] = ()
    aside: Sequence[Aside] = ()
    requeue_after: float | None = None

    def with_requeue(self, seconds: float | None) -> Plan:
        """Return this plan, looked at again no later than `seconds` from now."""
        times = [t for t in (self.requeue_after, seconds) if t is not None]
        return replace(self, requeue_after=min(times) if times else None)


IndexOf = Callable[[Manifest], Iterable[str]]
"""From any object of a kind, readable or not, the values by which it is found in one index."""


class World(Protocol):
    """The cached objects of the cluster, as last seen by the watches. Lists are sorted by name."""

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return the object, or None when the cache has none of that name."""

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Manifest]:
        """Return all objects of the kind in the namespace (all namespaces when None)."""

    def owned(self, resource: Resource, namespace: str, uid: str) -> Sequence[Manifest]:
        """Return the objects of the kind in the namespace whose controller ownerReference has this uid.

        Level children that were applied for an object of this uid, and have no controller any more, are among them.
        An owner is of the same namespace. Whoever knows a uid can write it into an object of another one, until the garbage
        collector comes.
        """

    def labelled(self, resource: Resource, namespace: str, label: str, value: str) -> Sequence[Manifest]:
        """Return the objects of the kind in the namespace with this value of an indexed label."""

    def found_by(self, resource: Resource, namespace: str, index: str, value: str) -> Sequence[Manifest]:
        """Return the objects of the kind in the namespace with this value in an index of the kind."""

    def watched(self, resource: Resource, namespace: str) -> bool:
        """Tell whether the kind is installed and may be watched there; an optional one need not be."""


class Reads(Protocol):
    """Reads of the API server itself: of what is not in the cache, and before anything that cannot be taken back."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """Return the object. Raises NotFound, or another ApiError."""

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> tuple[Sequence[Manifest], str]:
        """Return all objects that are selected, and the resourceVersion of the list. Raises ApiError."""


class Pages(Protocol):
    """Lists of the API server, a page at a time."""

    def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> AsyncIterator[Page]:
        """Yield the pages of a list, whose objects are not decoded yet. Raises ApiError; Expired: it must begin anew."""


class Requests(Protocol):
    """Reads and writes of the control loop; every error is an ApiError. `engine.client.Client` says what each one does."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """Return the object. Raises NotFound."""

    async def create(self, resource: Resource, body: Manifest) -> Manifest:
        """POST the object. Raises AlreadyExists."""

    async def apply(self, resource: Resource, body: Manifest) -> Manifest:
        """Server-side apply with force. Raises Conflict, Invalid."""

    async def replace_status(self, resource: Resource, body: Manifest) -> Manifest:
        """PUT the status of the object with its resourceVersion. Raises Conflict."""

    async def patch(self, resource: Resource, namespace: str, name: str, body: Manifest) -> Manifest:
        """JSON merge patch. Raises Conflict."""

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "") -> bool:
        """Delete the object of this uid; return whether it is gone. Raises NotFound, Conflict."""


class Reconciler(Protocol):
    """Decides what one object needs. Called never concurrently with the same key; raising means retry with backoff."""

    async def __call__(self, parent: Manifest, world: World, now: datetime) -> Plan:
        """Return the plan for `parent`, which exists in the cache; `now` is aware UTC with whole seconds."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A kind to keep in the cache.

    label_selector, field_selector: sent to the API server, so that foreign objects never reach the operator.
    index_labels: labels that `World.labelled` may ask for. indexes: by name, those that `World.found_by` may ask for.
    unread: parts that nobody reads, by dotted path (spec, metadata.managedFields): not kept, since memory is mostly these.
    reduced: returns what is kept of an object when no path can say it; the object itself is not changed.
    bookmarks: whether the API server tells how far a stream is while nothing happens: not of core Events, of which it keeps no
        watch cache.
    optional: whether a cluster need not have the kind, nor grant it: plans that look at it are made without.
    """

    resource: Resource
    label_selector: str | None = None
    index_labels: Sequence[str] = ()
    indexes: Mapping[str, IndexOf] = field(default_factory=dict)
    unread: Sequence[str] = ()
    reduced: Callable[[Manifest], Manifest] | None = None
    field_selector: str | None = None
    bookmarks: bool = True
    optional: bool = False
