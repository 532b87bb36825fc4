"""Carries a plan out: create, apply, delete, finalizer, status, events, in this order, and nothing that changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modelmill.engine.cache import Cache
from modelmill.engine.client import FIELD_MANAGER, Client
from modelmill.engine.errors import AlreadyExists, Conflict, NameConflict, NotFound
from modelmill.engine.events import EventRecorder
from modelmill.engine.ownership import lost_fields
from modelmill.engine.plan import Delete, Event, Plan
from modelmill.kube.labels import IN_USE_FINALIZER, MANAGED_BY_LABEL, OWNER_UID_LABEL, SPEC_HASH_ANNOTATION
from modelmill.kube.objects import Manifest, Resource

_Child = tuple[Resource, str, str]


OnWritten = Callable[[Resource, Manifest, Manifest], None]
"""Told of every object that was written: its kind, the object, and the parent whose plan it was."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A level child that was as we want it. never_ours: paths that the API server dropped even right after our apply."""

    version: str
    never_ours: frozenset[tuple[str, ...]]


class Executor:
    """Carries plans out for parents of any kind. `resources` finds the Resource of a manifest."""

    def __init__(self, client: Client, cache: Cache, events: EventRecorder, resources: list[Resource]) -> None:
        self.on_written: OnWritten = lambda _resource, _obj, _parent: None
        self._client = client
        self._cache = cache
        self._events = events
        self._resources = {(one.api_version, one.kind): one for one in resources}
        self._seen: dict[_Child, _Seen] = {}

    async def execute(self, resource: Resource, parent: Manifest, plan: Plan) -> None:
        """Do what the plan says. Raises ApiError or NameConflict; what was done before stays done and is found next time."""
        for manifest in plan.create:
            await self._create(parent, manifest)
        for together in self._steps(plan.apply):
            await self._apply_together(parent, together)
        for delete in plan.delete:
            await self._delete(delete)
        if plan.finalizer is not None:
            parent = await self._finalizer(resource, parent, wanted=plan.finalizer)
        gone = "deletionTimestamp" in parent["metadata"] and not parent["metadata"].get("finalizers")
        if plan.status is not None and plan.status != parent.get("status", {}) and not gone:
            written = await self._client.replace_status(resource, {**parent, "status": plan.status})
            self._take(resource, written, parent)
        for event in plan.events:
            self.tell(parent, event)

    def tell(self, parent: Manifest, event: Event) -> None:
        """Post an Event about the parent, in the background."""
        self._events.record(parent, event)

    async def _create(self, parent: Manifest, manifest: Manifest) -> None:
        resource = self._resource(manifest)
        body = _owned(parent, manifest)
        meta = body["metadata"]
        if _is_ours(parent, self._cache.get(resource, meta["namespace"], meta["name"])):
            return
        try:
            created = await self._client.create(resource, body)
        except AlreadyExists:
            created = await self._client.get(resource, meta["namespace"], meta["name"])
            if not _is_ours(parent, created):
                name = f"{resource.kind} {meta['namespace']}/{meta['name']}"
                raise NameConflict(f"{name} belongs to somebody else; rename or delete it") from None
        self._take(resource, created, parent)

    def _steps(self, manifests: Sequence[Manifest]) -> list[list[Manifest]]:
        """Keep the order of the plan, but make neighbours that do not exist yet in one step: nothing depends on them yet."""
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
        if len(manifests) == 1:
            await self._apply(parent, manifests[0])
            return
        outcomes = await asyncio.gather(*(self._apply(parent, one) for one in manifests), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _apply(self, parent: Manifest, manifest: Manifest) -> None:
        resource = self._resource(manifest)
        body = _owned(parent, manifest)
        meta = body["metadata"]
        fingerprint = _fingerprint(body)
        meta["annotations"] = {**(meta.get("annotations") or {}), SPEC_HASH_ANNOTATION: fingerprint}
        child: _Child = (resource, meta["namespace"], meta["name"])
        cached = self._cache.get(*child)
        if cached is not None:
            if not _is_ours(parent, cached):
                raise NameConflict(f"{resource.kind} {meta['namespace']}/{meta['name']} belongs to somebody else")
            if self._as_wanted(child, cached, body, fingerprint):
                return
        applied = await self._client.apply(resource, body)
        version = applied["metadata"]["resourceVersion"]
        self._seen[child] = _Seen(version, lost_fields(applied, body, FIELD_MANAGER))
        self._take(resource, applied, parent)

    def _as_wanted(self, child: _Child, cached: Manifest, body: Manifest, fingerprint: str) -> bool:
        """Tell whether the child was applied with this body and nobody has changed what we applied."""
        if (cached["metadata"].get("annotations") or {}).get(SPEC_HASH_ANNOTATION) != fingerprint:
            return False
        seen = self._seen.get(child)
        if seen is not None and seen.version == cached["metadata"]["resourceVersion"]:
            return True
        lost = lost_fields(cached, body, FIELD_MANAGER)
        if lost - (seen.never_ours if seen is not None else frozenset()):
            return False
        self._seen[child] = _Seen(cached["metadata"]["resourceVersion"], lost)
        return True

    def forget(self, resource: Resource, child: Manifest) -> None:
        """Forget a deleted child."""
        self._seen.pop((resource, child["metadata"].get("namespace", ""), child["metadata"]["name"]), None)

    async def _delete(self, delete: Delete) -> None:
        try:
            await self._client.delete(delete.resource, delete.namespace, delete.name, delete.uid)
        except (NotFound, Conflict):
            # Gone, or a namesake: in both cases what was to be deleted is not there.
            gone = {"metadata": {"namespace": delete.namespace, "name": delete.name, "uid": delete.uid}}
            self._cache.drop(delete.resource, gone)
        self._seen.pop((delete.resource, delete.namespace, delete.name), None)

    async def _finalizer(self, resource: Resource, parent: Manifest, *, wanted: bool) -> Manifest:
        meta = parent["metadata"]
        have = list(meta.get("finalizers") or ())
        if (IN_USE_FINALIZER in have) == wanted:
            return parent
        want = [*have, IN_USE_FINALIZER] if wanted else [one for one in have if one != IN_USE_FINALIZER]
        body = {"metadata": {"finalizers": want, "resourceVersion": meta["resourceVersion"]}}
        patched = await self._client.patch(resource, meta["namespace"], meta["name"], body)
        self._take(resource, patched, parent)
        return patched

    def _take(self, resource: Resource, obj: Manifest, parent: Manifest) -> None:
        """Cache our own write. Its watch event will be no news any more, so those whom it concerns are told now."""
        if self._cache.put(resource, obj):
            self.on_written(resource, obj, parent)

    def _resource(self, manifest: Manifest) -> Resource:
        return self._resources[manifest["apiVersion"], manifest["kind"]]


def _owned(parent: Manifest, manifest: Manifest) -> dict[str, Any]:
    """Return a copy with owner reference and label. A manifest that names its owners, even none, keeps them."""
    meta = dict(manifest["metadata"])
    meta["labels"] = {**(meta.get("labels") or {}), MANAGED_BY_LABEL: FIELD_MANAGER}
    if "ownerReferences" not in meta:
        meta["ownerReferences"] = [
            {
                "apiVersion": parent["apiVersion"],
                "kind": parent["kind"],
                "name": parent["metadata"]["name"],
                "uid": parent["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return {**manifest, "metadata": meta}


def _is_ours(parent: Manifest, child: Manifest | None) -> bool:
    if child is None:
        return False
    uid = parent["metadata"]["uid"]
    owners = child["metadata"].get("ownerReferences") or ()
    if owners:
        return any(owner["uid"] == uid and owner.get("controller") for owner in owners)
    return bool((child["metadata"].get("labels") or {}).get(OWNER_UID_LABEL) == uid)


def _fingerprint(body: Manifest) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
