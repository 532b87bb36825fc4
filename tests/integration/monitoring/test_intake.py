"""Alerts that reach several replicas at once, with the real client on a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from modelmill.api.resources import TRAINING_JOBS
from modelmill.engine.client import Client
from modelmill.engine.login import login
from modelmill.monitoring.intake import AlertIntake
from tests.support.light import ROOT, light_cluster

pytestmark = pytest.mark.integration

JOBS = TRAINING_JOBS
TOKEN = "s3cret"


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    """An API server with the kinds and one TrainingJob that takes alerts."""
    with light_cluster("test-intake") as path:
        cache = Path(os.environ.get("MODELMILL_CACHE") or "~/.cache/modelmill").expanduser()
        kubectl = [str(cache / "bin" / "kubectl"), f"--kubeconfig={path}"]
        subprocess.run([*kubectl, "apply", "-f", str(ROOT / "crds")], check=True, capture_output=True)
        established = ["wait", "--for=condition=Established", "crd", "--all"]
        subprocess.run([*kubectl, *established], check=True, capture_output=True)
        job = str(ROOT / "examples" / "quickstart" / "2-training-job.yaml")
        subprocess.run([*kubectl, "apply", "-n", "default", "-f", job], check=True, capture_output=True)
        yield path


def alert(number: int, status: str = "firing") -> dict[str, Any]:
    labels = {"alertname": "OwnDrift", "namespace": "default", "trainingjob": "fuel-economy", "feature": f"f{number}"}
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": "x", "value": "1"},
        "startsAt": "2026-11-20T20:52:25.912753305Z",
        "fingerprint": f"{number:016x}",
    }


async def deliver(replica: TestClient[Any, Any], alerts: list[dict[str, Any]]) -> int:
    """POST as Alertmanager does: again after a 5xx. Returns how many times it took."""
    for attempt in range(1, 30):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with replica.post("/alerts", data=json.dumps({"alerts": alerts}), headers=headers) as response:
            if response.status == 200:
                return attempt
            assert response.status == 503
    raise AssertionError("never taken")


async def test_two_replicas_lose_nothing_and_double_nothing(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    token = tmp_path / "token"
    token.write_text(TOKEN)
    clients = [Client(login()), Client(login())]
    replicas = []
    for client in clients:
        app = web.Application()
        app.router.add_post("/alerts", AlertIntake(client, token).handle)
        replicas.append(TestClient(TestServer(app)))
        await replicas[-1].start_server()
    try:
        # Each alert by itself, to both replicas, all at once.
        await asyncio.gather(*(deliver(replica, [alert(n)]) for n in range(20) for replica in replicas))
        recorded = (await clients[0].get(JOBS, "default", "fuel-economy"))["status"]["alerts"]
        assert sorted(one["feature"] for one in recorded) == sorted(f"f{n}" for n in range(20))
        assert len({one["id"] for one in recorded}) == 20
        # The same again, and then half of them resolved.
        version = (await clients[0].get(JOBS, "default", "fuel-economy"))["metadata"]["resourceVersion"]
        await asyncio.gather(*(deliver(replica, [alert(n) for n in range(20)]) for replica in replicas))
        current = await clients[0].get(JOBS, "default", "fuel-economy")
        assert current["metadata"]["resourceVersion"] == version
        await asyncio.gather(*(deliver(replica, [alert(n, "resolved")]) for n in range(10) for replica in replicas))
        left = (await clients[0].get(JOBS, "default", "fuel-economy"))["status"]["alerts"]
        assert sorted(one["feature"] for one in left) == sorted(f"f{n}" for n in range(10, 20))
    finally:
        for replica in replicas:
            await replica.close()
        for client in clients:
            await client.close()
