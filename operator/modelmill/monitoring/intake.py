"""Takes alerts from Alertmanager and keeps them in the status of the object that they name.

An alert is in the API server before Alertmanager hears 200. Any replica may answer: the resourceVersion of the object is the
lock. Alertmanager repeats an answer of 5xx soon, and one of 4xx at every group_interval for ever, so that an alert that
nobody can use is answered 200 too.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog
from aiohttp import web
from prometheus_client import Counter

from modelmill.api.objects import read_inference_service, read_training_job, status_manifest
from modelmill.api.resources import INFERENCE_SERVICES, TRAINING_JOBS
from modelmill.engine.bodies import READ_SECONDS, read_body
from modelmill.engine.errors import ApiError, Conflict, Invalid, NotFound
from modelmill.kube.objects import Manifest, ObjectInvalid, Resource
from modelmill.monitoring.alertmanager import Notice, Notification, NotificationError, is_full, parse

PATH = "/alerts"
MAX_BODY = 1024 * 1024
MAX_NOTICES = 1024
"""Alerts in one notification; each may name another object, which is a request to the API server."""
TRIES = 5
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

TARGETS = {"inferenceservice": INFERENCE_SERVICES, "trainingjob": TRAINING_JOBS}
"""Label of an alert that names its target, and the target's kind."""

ALERTS = Counter("modelmill_alerts_total", "Alerts that Alertmanager delivered, by what became of them.", ["outcome"])
REFUSED = Counter("modelmill_alert_requests_refused_total", "Requests to /alerts that were not answered 200.", ["code"])

log = structlog.get_logger(__name__)

Target = tuple[Resource, str, str]


class Objects(Protocol):
    """What is needed of the API server's client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object. Raises NotFound."""

    async def replace_status(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        """PUT the status of the object with its resourceVersion. Raises Conflict when it is out of date."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends alerts. namespace: the only one whose objects they may name; None for all."""

    namespace: str | None = None


def namespace_token(token: bytes, namespace: str) -> str:
    """Return the token with which only objects of this namespace can be named: NAMESPACE.HEX.

    HEX is HMAC-SHA256 (RFC 2104) of the namespace's name under the operator's token, so that no other Secret is needed, and
    all of them are rotated with that one.
    """
    return f"{namespace}.{hmac.new(token, namespace.encode(errors='surrogateescape'), hashlib.sha256).hexdigest()}"


class AlertIntake:
    """Answers `POST /alerts`.

    token_file: holds the bearer token; read at each request, so that it may be rotated. Missing or empty: nothing is taken.
    From it follows a token for each namespace (`namespace_token`), for an Alertmanager that a tenant configures: with that
    one only objects of that namespace can be named.
    namespaces: those that the operator watches; empty means all. clock: the time, aware UTC.
    """

    def __init__(
        self,
        objects: Objects,
        token_file: Path,
        namespaces: Collection[str] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._objects = objects
        self._token_file = token_file
        self._namespaces = frozenset(namespaces)
        self._clock = clock

    async def handle(self, request: web.Request) -> web.Response:
        """Answer 200 when every alert is recorded or of no use, 503 to be sent it again, 401, 403 and 413 as they say."""
        sender = await self._sender(request)
        if isinstance(sender, web.Response):
            return sender
        try:
            body = await read_body(request, MAX_BODY)
        except TimeoutError:
            return _refuse(503, f"the body did not arrive within {READ_SECONDS:.0f} s")
        if body is None:
            return _refuse(413, f"the body is larger than {MAX_BODY} bytes: set max_alerts of the receiver")
        try:
            notification = parse(body, self._clock())
        except NotificationError as error:
            _ignore("malformed", error=str(error))
            return web.json_response({"error": str(error)[:200]})
        if len(notification.notices) > MAX_NOTICES:
            return _refuse(413, f"more than {MAX_NOTICES} alerts: set max_alerts of the receiver")
        foreign = {notice.labels.get("namespace", "") for notice in notification.notices} - {sender.namespace}
        if sender.namespace is not None and foreign:
            return _refuse(
                403, f"the token is that of namespace {sender.namespace}, and an alert names another one, or none"
            )
        _tell_of(notification)
        failed = False
        for target, notices in self._by_target(notification.notices).items():
            failed |= not await self._record(target, notices)
        return _refuse(503, "not everything could be recorded; send it again") if failed else web.json_response({})

    async def _sender(self, request: web.Request) -> Sender | web.Response:
        """Return who sends by the token of the header, or the refusal. Every comparison takes the same time."""
        try:
            token = (await asyncio.to_thread(self._token_file.read_bytes)).strip()
        except OSError as error:
            log.warning("no alert is taken: the token cannot be read", file=str(self._token_file), error=str(error))
            token = b""
        if not token:
            return _refuse(503, "no alert is taken: the operator has no token")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        presented = given.strip().encode(errors="surrogateescape")
        if scheme.lower() == "bearer" and hmac.compare_digest(presented, token):
            return Sender()
        namespace = given.strip().partition(".")[0]
        expected = namespace_token(token, namespace).encode(errors="surrogateescape")
        if scheme.lower() == "bearer" and _is_name(namespace) and hmac.compare_digest(presented, expected):
            return Sender(namespace)
        return _refuse(401, "a bearer token is needed")

    def _by_target(self, notices: Sequence[Notice]) -> dict[Target, list[Notice]]:
        """Return the usable alerts by the object that they name, in their order."""
        found: dict[Target, list[Notice]] = {}
        for notice in notices:
            labels = notice.labels
            namespace = labels.get("namespace", "")
            named = [(resource, labels[label]) for label, resource in TARGETS.items() if labels.get(label)]
            if not namespace or len(named) != 1 or not all(map(_is_name, (namespace, named[0][1]))):
                _ignore("no_target", alert=labels.get("alertname", ""))
            elif self._namespaces and namespace not in self._namespaces:
                _ignore("unwatched_namespace", namespace=namespace)
            elif notice.kind is None:
                _ignore("unknown_kind", alert=labels.get("alertname", ""))
            else:
                found.setdefault((named[0][0], namespace, named[0][1]), []).append(notice)
        return found

    async def _record(self, target: Target, notices: Sequence[Notice]) -> bool:
        """Make the target's status say which alerts fire. Return False when that has to be tried again later."""
        resource, namespace, name = target
        about = f"{resource.kind} {namespace}/{name}"
        for _ in range(TRIES):
            try:
                current = await self._objects.get(resource, namespace, name)
                alerts, outcomes = merged(resource.kind, current, notices)
                status = current.get("status") or {}
                if alerts != list(status.get("alerts") or ()):
                    await self._objects.replace_status(resource, {**current, "status": {**status, "alerts": alerts}})
            except NotFound:
                _ignore("unknown_target", len(notices), target=about)
                return True
            except Conflict:
                continue
            except Invalid as error:
                _ignore("refused", len(notices), target=about, error=str(error))
                return True
            except ApiError as error:
                log.warning("alert not recorded", target=about, error=str(error))
                return False
            for outcome in outcomes:
                ALERTS.labels(outcome).inc()
            log.info("alerts", target=about, outcomes=outcomes)
            return True
        log.warning("alert not recorded", target=about, error=f"the object changed {TRIES} times meanwhile")
        return False


def merged(kind: str, current: Manifest, notices: Sequence[Notice]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the alerts that the object should record after these notices, and what became of each notice.

    A repeated alert is left as it was recorded first, and so is one of the same labels with another start: Prometheus tells
    the time of its own restart, and an Alertmanager that was restarted as well, or that did not hear of it before, tells that
    one on, while another still tells the first. Outcomes: recorded, repeated, resolved, not_recorded (a resolution of
    what was never recorded), not_enabled, other_version, unreadable, full. Recorded alerts stay in the form that they have in
    `current`: another release may know more of them.
    """
    recorded = (current.get("status") or {}).get("alerts") or ()
    alerts: dict[str, Mapping[str, Any]] = {alert["id"]: alert for alert in recorded}
    takes = _takes(kind, current)
    outcomes = []
    for notice in notices:
        same = [one for one in alerts.values() if _is_of_same(one, notice)]
        if not notice.firing:
            over = {one["id"] for one in same if _is_over(one, notice)}
            alerts = {name: one for name, one in alerts.items() if name not in over}
            outcomes.append("resolved" if over else "not_recorded")
            continue
        refused = takes(notice)
        if same:
            outcomes.append("repeated")
        elif refused is not None:
            outcomes.append(refused)
        elif is_full(alerts):
            outcomes.append("full")
        else:
            alerts[notice.id] = status_manifest(notice.recorded())
            outcomes.append("recorded")
    return list(alerts.values()), outcomes


def _is_of_same(alert: Mapping[str, Any], notice: Notice) -> bool:
    """Tell whether a recorded alert has the labels of a notice; one that an earlier release recorded is known by its start."""
    known = alert.get("fingerprint")
    return alert["id"] == notice.id or (known is not None and known == notice.fingerprint)


def _is_over(alert: Mapping[str, Any], notice: Notice) -> bool:
    """Tell whether a resolution is of the recorded episode, and not a late one of an episode before it."""
    return alert["id"] == notice.id or (notice.ends_at is not None and alert["startsAt"] <= notice.ends_at)


def _takes(kind: str, current: Manifest) -> Callable[[Notice], str | None]:
    """Return what says why the object does not take an alert, or None: it must have opted in."""
    try:
        if kind == TRAINING_JOBS.kind:
            enabled = read_training_job(current).spec.triggers.alerts.enabled
            return lambda _: None if enabled else "not_enabled"
        service = read_inference_service(current)
    except ObjectInvalid:
        return lambda _: "unreadable"
    if service.spec.monitoring is None:
        return lambda _: "not_enabled"
    stable = service.status.stable.version if service.status.stable is not None else None
    return partial(_of_another_version, stable)


def _of_another_version(stable: str | None, notice: Notice) -> str | None:
    """Return the refusal of an alert about a version that does not serve any more."""
    version = notice.labels.get("model_version")
    return "other_version" if version and version != stable else None


def _is_name(text: str) -> bool:
    """Tell whether the text can be an object's name: in a URL path it must not reach anything else."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None


def _tell_of(notification: Notification) -> None:
    """Count and log what a notification has that is not as it should be."""
    if notification.malformed:
        _ignore("malformed", notification.malformed)
    if notification.truncated:
        _ignore("truncated", notification.truncated)
    doubted = [notice for notice in notification.notices if not notice.believed]
    if doubted:
        name = doubted[0].labels.get("alertname", "")
        log.warning("alert has a start that cannot be; it counts from now", count=len(doubted), alert=name)


def _refuse(code: int, why: str) -> web.Response:
    REFUSED.labels(str(code)).inc()
    headers = {"WWW-Authenticate": "Bearer"} if code == 401 else None
    return web.json_response({"error": why}, status=code, headers=headers)


def _ignore(outcome: str, count: int = 1, **about: Any) -> None:
    ALERTS.labels(outcome).inc(count)
    log.warning("alert ignored", outcome=outcome, count=count, **about)
