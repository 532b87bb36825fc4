"""A namespace of a real API server with the methods of tests.crash.memory_api, so that scenarios are played on either.

Scenarios say `ml`, whatever the namespace is called.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from modelmill.api.resources import MODEL_VERSIONS, TRAINING_JOBS
from modelmill.engine.errors import Conflict, NotFound, api_error
from modelmill.engine.login import Login
from modelmill.kube.objects import Resource
from modelmill.kube.resources import PODS
from tests.integration.engine.api_requests import WRITTEN

Object = dict[str, Any]
SHORT = {"pauseSeconds": 1, "intervalSeconds": 1, "cooldownSeconds": 2}
LONG = 3600
"""Times of a spec that are at least this long are meant to outlast the scenario."""


class LiveApi:
    """What people and the kubelet ask of the API server, as an administrator. Waits in specs are made short."""

    def __init__(self, login: Login, namespace: str) -> None:
        self.namespace = namespace
        self._login = login
        self._local = threading.local()
        self._read: dict[str, Object] = {}

    def of(self, resource: Resource, namespace: str = "ml") -> list[Object]:
        """Return the objects of a kind, in the order of their names, without what is in every namespace."""
        items = self.ask("GET", resource.path(self._real(namespace)))["items"]
        named = {"apiVersion": resource.api_version, "kind": resource.kind}
        found = [{**named, **item} for item in items if item["metadata"]["name"] != "kube-root-ca.crt"]
        return sorted(found, key=lambda item: str(item["metadata"]["name"]))

    def every(self) -> Iterator[tuple[Resource, Object]]:
        """Yield the objects of the kinds that operators write."""
        for resource in WRITTEN:
            for obj in self.of(resource):
                yield resource, obj

    def find(self, resource: Resource, name: str, namespace: str = "ml") -> Object | None:
        """Return the object, or None."""
        try:
            return self.get(resource, namespace, name)
        except NotFound:
            return None

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.ask("GET", resource.path(self._real(namespace), name))
        self._read[found["metadata"]["uid"]] = found
        return found

    def create(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """Make an object. TrainingJobs come in different seconds, since the older one of a model goes first."""
        if resource == TRAINING_JOBS:
            time.sleep(1)
        meta = {**body["metadata"], "namespace": self.namespace}
        named = {"apiVersion": resource.api_version, "kind": resource.kind}
        return self.ask("POST", resource.path(self.namespace), {**named, **_shortened(body), "metadata": meta})

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        return self.ask("PATCH", resource.path(self._real(namespace), name), body)

    def replace_status(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """Write what the status has other than it had when the object was read: the rest is the operator's meanwhile."""
        meta = body["metadata"]
        before = (self._read.get(meta["uid"]) or {}).get("status") or {}
        changed = {name: value for name, value in body["status"].items() if value != before.get(name)}
        return self.ask("PATCH", resource.path(self.namespace, meta["name"], "status"), {"status": changed})

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        options = {"propagationPolicy": "Background", **({"gracePeriodSeconds": 0} if resource == PODS else {})}
        self.ask("DELETE", resource.path(self._real(namespace), name), options)

    def drop_namespace(self) -> None:
        """Delete the namespace with all that is in it, if it is there; no operator need be there to let go of versions."""
        with contextlib.suppress(NotFound, Conflict):
            self.ask("DELETE", f"/api/v1/namespaces/{self.namespace}")
            for version in self.of(MODEL_VERSIONS):
                self.patch(MODEL_VERSIONS, "ml", version["metadata"]["name"], {"metadata": {"finalizers": None}})

    def _real(self, namespace: str) -> str:
        return self.namespace if namespace == "ml" else namespace

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request over this thread's connection. Raises one of engine.errors.ApiError."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        text = json.dumps(body) if body is not None else None
        try:
            response = self._send(method, path, text, kind)
        except (http.client.HTTPException, OSError):
            # The server closes connections that were idle for long.
            self._local.connection = None
            response = self._send(method, path, text, kind)
        answer = json.loads(response.read())
        if response.status >= 400:
            raise api_error(response.status, answer.get("reason", ""), answer.get("message", ""))
        return answer

    def _send(self, method: str, path: str, text: str | None, kind: str) -> http.client.HTTPResponse:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            where = urlsplit(self._login.server)
            connection = http.client.HTTPSConnection(
                where.hostname or "", where.port, timeout=30, context=self._login.tls
            )
            self._local.connection = connection
        connection.request(method, path, text, {"Content-Type": kind})
        return connection.getresponse()


def _shortened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: SHORT[name] if name in SHORT and part < LONG else _shortened(part) for name, part in value.items()
        }
    if isinstance(value, list):
        return [_shortened(part) for part in value]
    return value
