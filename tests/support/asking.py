"""Requests to a real API server in the name of any user, by impersonation, over one connection."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import yaml

CONTENT_TYPES = {"PATCH": "application/merge-patch+json"}


@dataclass(frozen=True)
class Subject:
    """Whom the API server takes a request to come from. The empty user is the administrator of the tests."""

    user: str
    groups: tuple[str, ...] = ()


def service_account(namespace: str, name: str) -> Subject:
    """Return the subject that a token of the service account authenticates."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return Subject(f"system:serviceaccount:{namespace}:{name}", groups)


@dataclass(frozen=True)
class Answer:
    """HTTP status, and the message or the whole object."""

    code: int
    body: Mapping[str, Any]

    @property
    def message(self) -> str:
        """What a person reads."""
        return str(self.body.get("message", ""))


class Asking:
    """A connection with an administrator's client certificate."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        place = urlsplit(config["clusters"][0]["cluster"]["server"])
        self._connection = http.client.HTTPSConnection(
            place.hostname or "", place.port, timeout=30, context=_context(config)
        )

    def ask(
        self, subject: Subject, method: str, path: str, body: Mapping[str, Any] | None = None, *, dry: bool = True
    ) -> Answer:
        """Send a request; with `dry` nothing is kept of a write."""
        headers = {"Accept": "application/json", "Content-Type": CONTENT_TYPES.get(method, "application/json")}
        if dry and method != "GET":
            path += ("&" if "?" in path else "?") + "dryRun=All"
        self._connection.putrequest(method, path)
        if subject.user:
            self._connection.putheader("Impersonate-User", subject.user)
        for group in subject.groups:
            self._connection.putheader("Impersonate-Group", group)
        data = json.dumps(body).encode() if body is not None else b""
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self._connection.putheader(name, value)
        self._connection.endheaders(data)
        response = self._connection.getresponse()
        text = response.read()
        try:
            return Answer(response.status, json.loads(text))
        except ValueError:
            return Answer(response.status, {"message": text.decode(errors="replace")})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _context(config: Mapping[str, Any]) -> ssl.SSLContext:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    with TemporaryDirectory() as folder:
        context = ssl.create_default_context(cafile=_file(cluster, "certificate-authority", folder))
        context.load_cert_chain(_file(user, "client-certificate", folder), _file(user, "client-key", folder))
    return context


def _file(section: Mapping[str, Any], name: str, folder: str) -> str:
    if name in section:
        return str(section[name])
    path = Path(folder) / name
    path.write_bytes(base64.b64decode(section[f"{name}-data"]))
    return str(path)
