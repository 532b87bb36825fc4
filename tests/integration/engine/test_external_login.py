"""Logins by an exec plugin, as EKS, GKE and AKS have them, on a real API server."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.bench.light import NAMESPACE, USER
from modelmill.engine.client import Client
from modelmill.engine.errors import Unreachable
from modelmill.engine.login import login
from modelmill.kube.objects import Resource
from tests.support.api_server import Cluster

pytestmark = pytest.mark.integration

REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview")


class Answer:
    """What the plugin of the current kubeconfig prints; it fails while that is None."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def say(self, text: str | None) -> None:
        if text is None:
            self._file.unlink()
        else:
            self._file.write_text(text)


@pytest.fixture
def answer(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    file, program = tmp_path / "answer", tmp_path / "plugin"
    program.write_text(f"#!/bin/sh\ncat {file}\n")
    program.chmod(0o700)
    config = yaml.safe_load(cluster.server.admin.read_text())
    for user in config["users"]:
        user["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return Answer(file)


def credential(**status: str) -> str:
    return json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})


def new_token(cluster: Cluster) -> str:
    return cluster.kubectl("-n", NAMESPACE, "create", "token", "modelmill-operator", "--duration=24h").strip()


async def user(client: Client) -> str:
    """Return who the API server thinks that we are."""
    review: dict[str, Any] = {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind}
    told = await client._send("POST", REVIEWS.path(), review)
    return str(told["status"]["userInfo"]["username"])


async def test_a_token_of_a_plugin_is_asked_for_anew_when_it_ends(cluster: Cluster, answer: Answer) -> None:
    answer.say(credential(token=new_token(cluster)))
    client = Client(login())
    try:
        assert await user(client) == USER
        # Refused with 401: asked for again, and the same request goes through.
        client._login.token = "expired"
        assert await user(client) == USER
        # About to expire: asked for before it is refused.
        second = new_token(cluster)
        answer.say(credential(token=second))
        client._login.expires = time.time() + 1
        assert await user(client) == USER
        assert client._login.token == second
        # The session at the issuer has ended: an outage, until somebody logs in again.
        answer.say(None)
        client._login.token = "expired"
        with pytest.raises(Unreachable, match="exec: process returned 1"):
            await user(client)
        answer.say(credential(token=second))
        assert await user(client) == USER
    finally:
        await client.close()


async def test_a_certificate_of_a_plugin(cluster: Cluster, answer: Answer) -> None:
    made = yaml.safe_load(cluster.server.admin.read_text())["users"][0]["user"]
    certificate, key = (_pem(made, name) for name in ("client-certificate", "client-key"))
    answer.say(credential(clientCertificateData=certificate, clientKeyData=key))
    client = Client(login())
    try:
        assert await user(client) not in (USER, "system:anonymous")
    finally:
        await client.close()


def _pem(made: dict[str, Any], name: str) -> str:
    if f"{name}-data" in made:
        return base64.b64decode(made[f"{name}-data"]).decode()
    return Path(made[name]).read_text()
