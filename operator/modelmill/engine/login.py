"""Where the API server is and who we are: in-cluster service account, else a kubeconfig."""

from __future__ import annotations

import asyncio
import base64
import functools
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from modelmill.engine.errors import LoginError
from modelmill.engine.external_login import Credentials, credentials

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EARLY_SECONDS = 60.0
"""Seconds before their end at which credentials are asked for anew."""
TOKEN_MAX_AGE = 60.0
"""Seconds after which a mounted token is read again; the kubelet rotates it."""


@dataclass
class Login:
    """An API server and an identity.

    token_file: read again every minute. ask: blocks, and returns credentials that somebody else makes; they are asked for anew
    before they expire, and when the API server refuses them.
    """

    server: str
    tls: ssl.SSLContext | None
    token: str | None = None
    token_file: Path | None = None
    ask: Callable[[], Credentials] | None = None
    expires: float | None = None
    _read_at: float = field(default=-1e9, init=False)
    _asking: asyncio.Task[None] | None = field(default=None, init=False)

    async def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request. Raises LoginError when there are no new credentials."""
        if self.token_file is not None and time.monotonic() - self._read_at > TOKEN_MAX_AGE:
            self._read()
        if self.expires is not None and time.time() > self.expires - EARLY_SECONDS:
            await self._ask_once()
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def refused(self, sent: Mapping[str, str]) -> bool:
        """Take note that the API server did not accept these headers; tell whether there are others to try."""
        if self.token_file is not None:
            self._read()
        elif self.ask is not None:
            if sent.get("Authorization") == (await self.headers()).get("Authorization"):
                await self._ask_once()
            # A certificate is in no header: the next connection has the new one.
            return True
        return sent.get("Authorization") != (await self.headers()).get("Authorization")

    def take(self, made: Credentials) -> None:
        """Use these credentials from now on; connections that are open keep their certificate."""
        self.token, self.expires = made.token, made.expires
        if self.tls is not None and made.certificate is not None:
            self.tls.load_cert_chain(made.certificate, made.key)

    def _read(self) -> None:
        if self.token_file is not None:
            self.token = self.token_file.read_text().strip()
            self._read_at = time.monotonic()

    async def _ask_once(self) -> None:
        """Ask in a thread; whoever needs an answer meanwhile waits for the same one, and giving up waiting does not end it."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        if self.ask is not None:
            self.take(await asyncio.to_thread(self.ask))


def login() -> Login:
    """Return the login of this process. Raises LoginError when there is none."""
    if "KUBECONFIG" not in os.environ and (SERVICE_ACCOUNT / "token").exists():
        return _in_cluster()
    path = Path(os.environ.get("KUBECONFIG", "").split(":")[0] or Path.home() / ".kube" / "config")
    if not path.exists():
        raise LoginError(f"neither a service account at {SERVICE_ACCOUNT} nor a kubeconfig at {path}: set KUBECONFIG")
    return _from_kubeconfig(path)


def _in_cluster() -> Login:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc"), "443"
    port = os.environ.get("KUBERNETES_SERVICE_PORT", port)
    host = f"[{host}]" if ":" in host else host
    tls = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    return Login(f"https://{host}:{port}", tls, token_file=SERVICE_ACCOUNT / "token")


def _from_kubeconfig(path: Path) -> Login:
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
    except (yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise LoginError(f"kubeconfig {path} has no usable current context: {error!r}") from error
    server = cluster["server"].rstrip("/")
    tls = _tls(cluster, user, path.parent) if server.startswith("https") else None
    token_file = Path(user["tokenFile"]) if "tokenFile" in user else None
    made = Login(server, tls, user.get("token"), token_file)
    if "exec" in user or "auth-provider" in user:
        made.ask = functools.partial(credentials, path)
        made.take(made.ask())
    return made


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _tls(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate, key = (_content(user, name, folder) for name in ("client-certificate", "client-key"))
    if certificate and key:
        # ssl reads client certificates from files only; the folder is private and removed at once.
        with tempfile.TemporaryDirectory() as private:
            both = Path(private) / "client.pem"
            both.touch(mode=0o600)
            both.write_bytes(certificate + b"\n" + key)
            tls.load_cert_chain(str(both))
    return tls


def _content(source: dict[str, Any], name: str, folder: Path) -> bytes | None:
    if f"{name}-data" in source:
        return base64.b64decode(str(source[f"{name}-data"]))
    if name in source:
        return Path(folder, str(source[name])).read_bytes()
    return None
