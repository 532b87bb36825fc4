"""Reports of trials with tokens that a real API server makes and reviews."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from modelmill.contracts.names import REPORTS_AUDIENCE
from modelmill.engine.client import Client
from modelmill.engine.login import login
from modelmill.training.search.intake import PATH, ReportIntake
from modelmill.tuning.reports import Reports
from tests.support.light import light_cluster

pytestmark = pytest.mark.integration

POD = {"containers": [{"name": "train", "image": "x"}], "automountServiceAccountToken": False}
Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    with light_cluster("test-report-tokens") as path:
        yield path


@pytest.fixture(scope="module")
def kubectl(kubeconfig: Path) -> Kubectl:
    cache = Path(os.environ.get("MODELMILL_CACHE") or "~/.cache/modelmill").expanduser()

    def run(*arguments: str, given: Any = None) -> str:
        command = [str(cache / "bin" / "kubectl"), f"--kubeconfig={kubeconfig}", "-n", "default", *arguments]
        done = subprocess.run(command, input=json.dumps(given), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="module")
def pods(kubectl: Kubectl) -> dict[str, str]:
    """Pods without a node, and their uids: of a trial, of somebody else, and one that is deleted."""
    kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}})
    made = {}
    for name in ("trial", "other", "gone"):
        spec = {**POD, "serviceAccountName": "trainer"}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        kubectl("apply", "-f", "-", given=body)
        made[name] = kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}")
    return made


def token(kubectl: Kubectl, pods: dict[str, str], pod: str | None, audience: str = REPORTS_AUDIENCE) -> str:
    """Return a token as the kubelet asks for it, for a projected volume."""
    bound = [] if pod is None else ["--bound-object-kind=Pod", f"--bound-object-name={pod}"]
    uid = [] if pod is None else [f"--bound-object-uid={pods[pod]}"]
    return kubectl("create", "token", "trainer", f"--audience={audience}", *bound, *uid)


@pytest.fixture
async def reports(pods: dict[str, str]) -> Reports:
    made = Reports("")
    made.expect("search", [pods["trial"], pods["gone"]])
    return made


@pytest.fixture
async def http(
    kubeconfig: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TestClient[Any, Any]]:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    client = Client(login())
    app = web.Application()
    app.router.add_post(PATH, ReportIntake(client, reports).handle)
    async with TestClient(TestServer(app)) as asking:
        yield asking
    await client.close()


async def post(http: TestClient[Any, Any], given: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {given}"}
    async with http.post(PATH, headers=headers, json={"step": 3, "value": 0.91}) as answer:
        return answer.status, await answer.text()


async def test_a_trial_reports_for_itself(
    http: TestClient[Any, Any], kubectl: Kubectl, pods: dict[str, str], reports: Reports
) -> None:
    assert await post(http, token(kubectl, pods, "trial")) == (204, "")
    assert reports.expect("search", [pods["trial"]]) == {pods["trial"]: {3: 0.91}}


async def test_another_pod_of_the_same_account_reports_for_nobody(
    http: TestClient[Any, Any], kubectl: Kubectl, pods: dict[str, str], reports: Reports
) -> None:
    code, text = await post(http, token(kubectl, pods, "other"))
    assert (code, "pod other is of no running trial" in text) == (403, True)
    assert reports.expect("search", [pods["trial"]]) == {pods["trial"]: {}}


async def test_a_token_of_another_audience_or_of_no_pod_or_of_nobody_is_refused(
    http: TestClient[Any, Any], kubectl: Kubectl, pods: dict[str, str]
) -> None:
    code, text = await post(http, token(kubectl, pods, "trial", "https://kubernetes.default.svc"))
    assert (code, "not good for modelmill-trial-reports" in text) == (401, True)
    code, text = await post(http, token(kubectl, pods, None))
    assert (code, "not bound to a pod" in text) == (403, True)
    good = token(kubectl, pods, "trial")
    assert (await post(http, good[:-8] + "AAAAAAAA"))[0] == 401
    assert (await post(http, "none"))[0] == 401


async def test_a_token_ends_with_its_pod(http: TestClient[Any, Any], kubectl: Kubectl, pods: dict[str, str]) -> None:
    given = token(kubectl, pods, "gone")
    kubectl("delete", "pod", "gone", "--grace-period=0", "--force")
    assert (await post(http, given))[0] == 401


def test_a_token_for_reports_opens_nothing_else(kubectl: Kubectl, pods: dict[str, str], kubeconfig: Path) -> None:
    given = token(kubectl, pods, "trial")
    server = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    asked = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {given}"]
    done = subprocess.run(
        [*asked, f"{server}/api/v1/namespaces/default/pods"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "401"
