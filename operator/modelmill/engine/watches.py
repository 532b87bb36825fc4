"""Watch streams by kopf: raw events into the cache, changed keys into the queue.

kopf gives connections, reconnection and bookmarks. Its state-tracking handlers are not used: they write twice per object,
keep annotations and are edge-triggered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import kopf

from modelmill.engine import metrics
from modelmill.engine.client import Client
from modelmill.engine.plan import Manifest, Resource, Watch

OnEvent = Callable[[Resource, str | None, Manifest], None]


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: one malformed last-handled annotation would silence kopf's raw handlers for its object."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Keeps nothing."""

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def build_registry(client: Client, watches: Sequence[Watch], on_event: OnEvent) -> kopf.OperatorRegistry:
    """Return a registry with one raw handler for each kind. Kinds are named in full: their plurals exist elsewhere too."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def _login(**_: Any) -> kopf.AiohttpSession:
        # A session of its own: kopf closes it when it stops, while the last writes still need theirs.
        return kopf.AiohttpSession(server=client.server, aiohttp_session=client.new_session())

    for watch in watches:
        _register(registry, watch.resource, on_event)
    return registry


def _register(registry: kopf.OperatorRegistry, resource: Resource, on_event: OnEvent) -> None:
    types = ("ADDED", "MODIFIED", "DELETED", None)
    counters = {kind: metrics.WATCH_EVENTS.labels(resource.kind, kind or "LISTED") for kind in types}

    async def handle(event: Any, **_: Any) -> None:
        kind = event.get("type")
        if kind in counters:
            counters[kind].inc()
        on_event(resource, kind, event["object"])

    kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=f"watch-{resource.plural}")(
        handle
    )


def build_settings(watches: Sequence[Watch], *, namespaced: bool) -> kopf.OperatorSettings:
    """Return kopf's settings: no writes of its own, selectors sent to the server, workers freed at once."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = namespaced
    settings.watching.chunk_size = 500
    for watch in watches:
        if watch.label_selector:
            one = watch.resource
            settings.watching.label_selectors[one.group, one.version, one.plural] = watch.label_selector
    settings.queueing.idle_timeout = 0.5
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.persistence.finalizer = "modelmill.dev/unused"
    settings.persistence.consistency_timeout = 1.0
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False
    settings.posting.loggers = False
    return settings
