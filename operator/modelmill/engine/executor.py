"""Carries a plan out, and writes nothing without a change: patch, apply, create, delete, finalizer, status, events, aside."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog

from modelmill.engine.aside import Asides, Child, Refused
from modelmill.engine.cache import Cache
from modelmill.engine.children import (
    check_applied,
    check_created,
    kept_for,
    made_for,
    only_as_planned,
    only_existing,
    only_new,
)
from modelmill.engine.client import FIELD_MANAGER
from modelmill.engine.errors import AlreadyExists, Conflict, EngineError, Invalid, NotFound
from modelmill.engine.events import EventRecorder
from modelmill.engine.interface import Delete, Event, Patch, Plan, Requests
from modelmill.engine.ownership import lost_fields
from modelmill.engine.refusals import MENDED_BY_A_PERSON, still_told, told_beside
from modelmill.kube.labels import IN_USE_FINALIZER, SPEC_HASH_ANNOTATION
from modelmill.kube.objects import Key, Manifest, Resource

log = structlog.get_logger(__name__)

OnWritten = Callable[[Resource, Manifest | None, Manifest, Manifest], None]
"""Told of every object that was written: its kind, the object as it was cached and as it is, the parent whose plan it was."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A level child that was as we want it.

    never_ours: paths that the API server dropped even right after our apply. wanted: see `_sketch`.
    """

    version: str
    never_ours: frozenset[tuple[str, ...]]
    wanted: int


class Executor:
    """Carries plans out for parents of any kind. `resources` finds the Resource of a manifest."""

    def __init__(self, client: Requests, cache: Cache, events: EventRecorder, resources: list[Resource]) -> None:
        self.on_written: OnWritten = lambda _resource, _before, _obj, _parent: None
        self._client = client
        self._cache = cache
        self._events = events
        self._resources = {(resource.api_version, resource.kind): resource for resource in resources}
        self._seen: dict[Child, _Seen] = {}
        self._asides = Asides(self._apply, self._create, self.tell, self._child, _sketch)
        self._waiting: dict[Child, set[tuple[Resource, Key]]] = {}

    async def execute(self, resource: Resource, parent: Manifest, plan: Plan, now: datetime) -> Sequence[Refused]:
        """Do what the plan says; return the children aside that are refused.

        Raises ApiError, NameConflict or ChildTerminating; what was done before stays done and is found next time.
        """
        for patch in plan.patch:
            await self._patch(parent, patch)
        for together in self._steps(plan.apply):
            await self._apply_together(parent, together)
        for manifest in plan.create:
            await self._create(parent, manifest)
        for delete in plan.delete:
            await self._delete(delete)
        if plan.finalizer is not None:
            parent = await self._finalizer(resource, parent, wanted=plan.finalizer)
        gone = "deletionTimestamp" in parent["metadata"] and not parent["metadata"].get("finalizers")
        if not gone:
            parent = await self._status(resource, parent, still_told(plan, parent))
        for event in plan.events:
            self.tell(parent, event)
        refused = await self._asides.make(parent, plan.aside if not gone else ())
        told = [(one.aside, one.error) for one in refused]
        if not gone:
            await self._tell_beside(resource, parent, told_beside(plan, parent, told, now))
        return refused

    async def _tell_beside(self, resource: Resource, parent: Manifest, status: Manifest | None) -> None:
        """Write what is refused beside what the plan says; where that is refused itself, the plan's words stay."""
        try:
            await self._status(resource, parent, status)
        except MENDED_BY_A_PERSON as failure:
            log.warning("refusal not told", parent=parent["metadata"]["name"], error=str(failure))

    async def _status(self, resource: Resource, parent: Manifest, status: Manifest | None) -> Manifest:
        if status is None or status == parent.get("status", {}):
            return parent
        written = await self._client.replace_status(resource, {**parent, "status": status})
        self._take(resource, written, parent)
        return written

    def tell(self, parent: Manifest, event: Event) -> None:
        """Post an Event about the parent, in the background."""
        self._events.record(parent, event)

    async def _patch(self, parent: Manifest, patch: Patch) -> None:
        body = {**patch.body, "metadata": {"resourceVersion": patch.version}}
        patched = await self._client.patch(patch.resource, patch.namespace, patch.name, body)
        self._take(patch.resource, patched, parent)

    async def _create(self, parent: Manifest, manifest: Manifest) -> None:
        resource = self._resource(manifest)
        body = made_for(parent, manifest)
        meta = body["metadata"]
        cached = self._cache.get(resource, meta["namespace"], meta["name"])
        if cached is not None:
            self._check(check_created, parent, resource, cached)
            return
        try:
            created = await self._client.create(resource, body)
        except AlreadyExists:
            created = await self._client.get(resource, meta["namespace"], meta["name"])
            self._check(check_created, parent, resource, created)
        self._take(resource, created, parent)

    def _steps(self, manifests: Sequence[Manifest]) -> list[list[Manifest]]:
        """Keep the order of the plan, but make neighbours that do not exist yet in one step.

        The order matters between children that exist: a Service that moves to another revision must come after the Deployment
        that makes its pods, and a change that is refused must keep those behind it from being made. Nothing depends yet on an
        object that does not exist, so that its first write may go out beside its neighbours': a new InferenceService has its
        children after two round trips in place of four. Only neighbours: a missing child after an existing one waits for that.
        "Missing" is what the cache says; an object that it does not know is found by the precondition of its apply.
        """
        steps: list[list[Manifest]] = []
        before = False
        for manifest in manifests:
            meta = manifest["metadata"]
            missing = self._cache.get(self._resource(manifest), meta["namespace"], meta["name"]) is None
            if missing and before:
                steps[-1].append(manifest)
            else:
                steps.append([manifest])
            before = missing
        return steps

    async def _apply_together(self, parent: Manifest, manifests: Sequence[Manifest]) -> None:
        # The first alone: it is what takes longest, and beside others it would wait for an API server that is busy with them.
        outcomes = []
        for together in (manifests[:1], manifests[1:]):
            applies = (self._apply(parent, manifest) for manifest in together)
            outcomes += await asyncio.gather(*applies, return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _apply(self, parent: Manifest, manifest: Manifest) -> None:
        resource = self._resource(manifest)
        child = self._child(manifest)
        wanted = _sketch(manifest)
        cached = self._cache.get(*child)
        if cached is not None:
            self._check(check_applied, parent, resource, cached)
            seen = self._seen.get(child)
            if seen is not None and (seen.version, seen.wanted) == (cached["metadata"]["resourceVersion"], wanted):
                return
        body = kept_for(parent, manifest)
        meta = body["metadata"]
        planned = meta.pop("resourceVersion", None)
        fingerprint = _fingerprint(body)
        meta["annotations"] = {**(meta.get("annotations") or {}), SPEC_HASH_ANNOTATION: fingerprint}
        if cached is not None and self._as_wanted(child, cached, body, fingerprint, wanted):
            return
        try:
            sent = only_new(body) if cached is None else only_existing(body, cached)
            applied = await self._client.apply(resource, only_as_planned(sent, planned))
        except (Conflict, Invalid) as error:
            if isinstance(error, Invalid) and "metadata.uid" not in error.message:
                raise (error if cached is None else _edited(error, cached)) from None
            anew = await self._anew(parent, resource, body, cached)
            if planned is not None:
                raise
            applied = await self._client.apply(resource, anew)
        version = applied["metadata"]["resourceVersion"]
        self._seen[child] = _Seen(version, lost_fields(applied, body, FIELD_MANAGER), wanted)
        self._take(resource, applied, parent)

    async def _anew(self, parent: Manifest, resource: Resource, body: Manifest, cached: Manifest | None) -> Manifest:
        """Return what to apply after a precondition failed: the cache is behind, or does not hold what is there."""
        meta = body["metadata"]
        try:
            actual = await self._client.get(resource, meta["namespace"], meta["name"])
        except NotFound:
            if cached is not None:
                self._cache.drop(resource, cached)
            return only_new(body)
        self._check(check_applied, parent, resource, actual)
        return only_existing(body, actual)

    def _as_wanted(self, child: Child, cached: Manifest, body: Manifest, fingerprint: str, wanted: int) -> bool:
        """Tell whether the child was applied with this body and nobody has changed what we applied."""
        if (cached["metadata"].get("annotations") or {}).get(SPEC_HASH_ANNOTATION) != fingerprint:
            return False
        seen = self._seen.get(child)
        lost = lost_fields(cached, body, FIELD_MANAGER)
        if lost - (seen.never_ours if seen is not None else frozenset()):
            return False
        self._seen[child] = _Seen(cached["metadata"]["resourceVersion"], lost, wanted)
        return True

    def _check(
        self, check: Callable[[Manifest, Manifest], None], parent: Manifest, resource: Resource, child: Manifest
    ) -> None:
        """Raise what the check does when the child is not the parent's, who is then told of the next change of it."""
        try:
            check(parent, child)
        except EngineError:
            place = (resource, child["metadata"]["namespace"], child["metadata"]["name"])
            key = Key(parent["metadata"]["namespace"], parent["metadata"]["name"])
            self._waiting.setdefault(place, set()).add((self._resource(parent), key))
            raise

    def forget(self, resource: Resource, child: Manifest) -> None:
        """Forget a deleted child, or a deleted parent."""
        self._asides.forget_parent(child)
        self._seen.pop((resource, child["metadata"].get("namespace", ""), child["metadata"]["name"]), None)

    def waiting_for(self, resource: Resource, changed: Manifest) -> Iterator[tuple[Resource, Key]]:
        """Yield the parents that could not have the name of an object that has changed, and are to try again."""
        child = (resource, changed["metadata"].get("namespace", ""), changed["metadata"]["name"])
        self._asides.forget(child)
        yield from self._waiting.pop(child, ())

    async def _delete(self, delete: Delete) -> None:
        try:
            gone = await self._client.delete(delete.resource, delete.namespace, delete.name, delete.uid, delete.version)
        except NotFound:
            gone = True
        except Conflict:
            # A namesake is there, or the API server was hindered by a write beside ours.
            if await self._there(delete):
                raise
            gone = True
        if gone:
            # Told to the cache at once: until the watch does, the next plan would delete it again.
            child = {"metadata": {"namespace": delete.namespace, "name": delete.name, "uid": delete.uid}}
            self._cache.drop(delete.resource, child)
        self._seen.pop((delete.resource, delete.namespace, delete.name), None)

    async def _there(self, delete: Delete) -> bool:
        try:
            found = await self._client.get(delete.resource, delete.namespace, delete.name)
        except NotFound:
            return False
        return bool(found["metadata"]["uid"] == delete.uid)

    async def _finalizer(self, resource: Resource, parent: Manifest, *, wanted: bool) -> Manifest:
        meta = parent["metadata"]
        have = list(meta.get("finalizers") or ())
        if (IN_USE_FINALIZER in have) == wanted:
            return parent
        want = [*have, IN_USE_FINALIZER] if wanted else [name for name in have if name != IN_USE_FINALIZER]
        body = {"metadata": {"finalizers": want, "resourceVersion": meta["resourceVersion"]}}
        patched = await self._client.patch(resource, meta["namespace"], meta["name"], body)
        self._take(resource, patched, parent)
        return patched

    def _take(self, resource: Resource, obj: Manifest, parent: Manifest) -> None:
        """Cache our own write. Its watch event will be no news any more, so those whom it concerns are told now."""
        before = self._cache.get(resource, obj["metadata"]["namespace"], obj["metadata"]["name"])
        if self._cache.put(resource, obj):
            self.on_written(resource, before, obj, parent)

    def _resource(self, manifest: Manifest) -> Resource:
        return self._resources[manifest["apiVersion"], manifest["kind"]]

    def _child(self, manifest: Manifest) -> Child:
        return self._resource(manifest), manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _sketch(manifest: Manifest) -> int:
    """Return a hash that lasts as long as the process: what is wanted again as it was costs a tenth of its fingerprint."""
    return hash(msgspec.json.encode(manifest))


def _edited(error: Invalid, child: Manifest) -> Invalid:
    """Return the refusal of a change with what helps when the object is what makes it invalid, not the change."""
    mend = f"if somebody has edited {child['kind']} {child['metadata']['name']}, delete it: it is made anew"
    return Invalid(error.status, error.reason, f"{error.message}; {mend}")


def _fingerprint(body: Manifest) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
