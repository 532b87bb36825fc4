"""Where the identity comes from, and what is done when it ends. The real API server is asked in tests/integration/engine."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelmill.engine import login as logins
from modelmill.engine.errors import LoginError
from modelmill.engine.external_login import Credentials
from modelmill.engine.login import Login, login

TIMES = "%Y-%m-%dT%H:%M:%SZ"


def credential(**status: Any) -> str:
    """Return what a plugin prints."""
    return json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Return a file whose text the plugin of the kubeconfig prints; it counts its calls in the file `calls`."""
    answer = tmp_path / "answer"
    answer.write_text(credential(token="first"))
    return answer


@pytest.fixture
def kubeconfig(tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "plugin"
    program.write_text(f"#!/bin/sh\necho x >> {tmp_path}/calls\n. {tmp_path}/before\ncat {plugin}\n")
    program.chmod(0o700)
    (tmp_path / "before").write_text("")
    return write(
        tmp_path, monkeypatch, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}}
    )


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any]) -> Path:
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def bearer(found: Login) -> str | None:
    return asyncio.run(found.headers()).get("Authorization")


def test_a_plugin_gives_a_token(kubeconfig: Path, tmp_path: Path) -> None:
    found = login()
    assert bearer(found) == "Bearer first"
    assert bearer(found) == "Bearer first"
    assert calls(tmp_path) == 1


@pytest.mark.parametrize(("seconds", "asked"), [(3600, 1), (5, 2), (-5, 2)])
def test_a_token_is_asked_for_anew_before_it_expires(
    kubeconfig: Path, plugin: Path, tmp_path: Path, seconds: int, asked: int
) -> None:
    until = time.strftime(TIMES, time.gmtime(time.time() + seconds))
    plugin.write_text(credential(token="first", expirationTimestamp=until))
    found = login()
    plugin.write_text(credential(token="second"))
    assert bearer(found) == ("Bearer first" if asked == 1 else "Bearer second")
    assert calls(tmp_path) == asked


def test_many_requests_ask_once(kubeconfig: Path, plugin: Path, tmp_path: Path) -> None:
    found = login()
    found.expires = 0.0
    plugin.write_text(credential(token="second"))

    async def body() -> list[dict[str, str]]:
        return await asyncio.gather(*(found.headers() for _ in range(20)))

    assert {headers["Authorization"] for headers in asyncio.run(body())} == {"Bearer second"}
    assert calls(tmp_path) == 2


def test_a_refused_token_is_asked_for_anew_once(kubeconfig: Path, plugin: Path, tmp_path: Path) -> None:
    found = login()
    plugin.write_text(credential(token="second"))

    async def body() -> None:
        old = await found.headers()
        assert await found.refused(old)
        # Another request that had the old one as well.
        assert await found.refused(old)

    asyncio.run(body())
    assert bearer(found) == "Bearer second"
    assert calls(tmp_path) == 2


def test_a_token_of_a_file_is_read_again_when_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    found = Login("http://127.0.0.1:1", None, token_file=file)

    async def body() -> None:
        old = await found.headers()
        assert old == {"Authorization": "Bearer first"}
        assert not await found.refused(old)
        file.write_text("second\n")
        assert await found.refused(old)

    asyncio.run(body())
    assert bearer(found) == "Bearer second"


def test_a_token_that_nobody_can_renew_stays_refused() -> None:
    found = Login("http://127.0.0.1:1", None, token="fixed")
    assert not asyncio.run(found.refused({"Authorization": "Bearer fixed"}))


@pytest.mark.parametrize(
    ("before", "answer", "told"),
    [
        ("echo no session >&2; exit 1", "", "exec: process returned 1. no session"),
        ("", "certainly", "failed to decode process output"),
        ("", "", "failed to decode process output"),
        ("", "{}", "missing key 'apiVersion'"),
        ("", credential(), "missing token or clientCertificateData"),
        ("", credential(clientCertificateData="x"), "missing clientKeyData"),
    ],
)
def test_what_a_plugin_says_when_it_fails_is_told(
    kubeconfig: Path, plugin: Path, tmp_path: Path, before: str, answer: str, told: str
) -> None:
    (tmp_path / "before").write_text(before)
    plugin.write_text(answer)
    with pytest.raises(LoginError, match=told) as error:
        login()
    assert str(kubeconfig) in str(error.value)


def test_a_plugin_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nowhere/aws"}
    write(tmp_path, monkeypatch, {"exec": missing})
    with pytest.raises(LoginError, match="/nowhere/aws"):
        login()


def test_without_the_package_the_error_says_how_to_get_it(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(LoginError, match="pip install 'kubernetes"):
        login()


def test_the_operator_runs_without_the_package() -> None:
    text = "import sys; sys.modules['kubernetes'] = None; import modelmill.app"
    environment = {**os.environ, "PYTHONPATH": str(Path(logins.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, check=True)


def test_credentials_that_cannot_be_renewed_are_an_error_of_the_request() -> None:
    def fails() -> Credentials:
        raise LoginError("no session")

    found = Login("http://127.0.0.1:1", None, token="old", ask=fails, expires=0.0)
    with pytest.raises(LoginError, match="no session"):
        asyncio.run(found.headers())
