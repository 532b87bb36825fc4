"""Requests to the API server as a proxy sees them: which of them are writes of what, and how one is refused."""

from __future__ import annotations

import json
import re

from aiohttp import web

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    NETWORK_POLICIES,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
)
from tests.crash.faults import REASONS

WRITTEN = (
    TRAINING_JOBS,
    MODEL_VERSIONS,
    INFERENCE_SERVICES,
    JOBS,
    DEPLOYMENTS,
    SERVICES,
    CONFIG_MAPS,
    POD_DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
)
"""Kinds whose writes are known one by one."""
_KINDS = {resource.plural: resource.kind for resource in WRITTEN}
_PATH = re.compile(r"/apis?/.*?/namespaces/[^/]+/([^/]+)(?:/([^/]+)(/status)?)?")
_OF_UID = re.compile(r"-\d+-([0-9a-f]{6})$")
RETRY_AFTER = {429: "1"}


def write_in(method: str, path: str, content_type: str, body: bytes) -> tuple[str, str, str] | None:
    """Return verb, kind and name of a write, in the words of tests.crash.faults; None for any other request.

    A Job's name holds a hash of its owner's uid, which is another in each run; here it is `uid`.
    """
    match = _PATH.fullmatch(path)
    if method == "GET" or match is None or match[1] not in _KINDS:
        return None
    name = match[2] or json.loads(body)["metadata"]["name"]
    return _verb(method, match, content_type), _KINDS[match[1]], without_uid(name)


def without_uid(name: str) -> str:
    """Return the name with `uid` in place of the hash of one."""
    found = _OF_UID.search(name)
    return name if found is None else name[: found.start(1)] + "uid"


def _verb(method: str, match: re.Match[str], content_type: str) -> str:
    if match[3]:
        return "status"
    if method == "PATCH":
        return "apply" if "apply" in content_type else "patch"
    return {"POST": "create", "DELETE": "delete"}.get(method, method.lower())


def refusal(status: int, message: str) -> web.Response:
    """Return an answer of the API server that refuses a request."""
    reason = REASONS.get(status, "Fault")
    body = {"kind": "Status", "apiVersion": "v1", "code": status, "reason": reason, "message": message}
    headers = {"Retry-After": RETRY_AFTER[status]} if status in RETRY_AFTER else {}
    return web.json_response(body, status=status, headers=headers)
