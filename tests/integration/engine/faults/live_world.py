"""A scenario's world on a real API server: an operator process behind a proxy, a namespace of its own, a stubbed kubelet."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hack.bench.light import ROOT
from hack.bench.operator_process import OperatorProcess
from modelmill.engine.login import Login
from modelmill.kube.objects import Resource
from tests.crash.surroundings import Ending
from tests.integration.engine.fault_proxy import FaultProxy, kubeconfig_through
from tests.integration.engine.faults.kubelet import Kubelet
from tests.integration.engine.faults.live_api import LiveApi, Object

STEP_SECONDS = 0.25
LIMIT_SECONDS = 600
"""Longest wait for what a scenario waits for: for an operator that does not get on, not for a slow one or an outage."""
STILL_SECONDS = 3.0


@dataclass(frozen=True)
class Server:
    """An API server with controllers. admin: who may do everything. kubeconfig: the operator's. port: of stubbed pods."""

    admin: Login
    kubeconfig: Path
    upstream: Login
    port: int


class LiveWorld:
    """What scenarios of tests.crash ask of a world.

    failures: ends of the process that no fault made. break_: prepares the proxy's faults before the operator starts.
    settings: more of the operator's environment, which its next start takes up.
    """

    def __init__(
        self,
        server: Server,
        namespace: str,
        folder: Path,
        endings: Callable[[Object, int], Ending],
        break_: Callable[[FaultProxy], object] = lambda _: None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.api = LiveApi(server.admin, namespace)
        self.surroundings = Kubelet(self.api, endings, server.port)
        self.failures: list[str] = []
        self._killed = False
        self.each_second: Callable[[LiveWorld], None] = lambda _: None
        self.settings = dict(settings or {})
        self._server = server
        self._folder = folder
        _prepare(self.api)
        self.proxy = FaultProxy(server.upstream)
        self.proxy.start()
        self.proxy.kill = self._kill
        break_(self.proxy)
        self._kubeconfig = kubeconfig_through(self.proxy, server.kubeconfig, folder / "kubeconfig")
        self.operator = self.started()

    def clock(self) -> datetime:
        """Return the time of day."""
        return datetime.now(UTC)

    def status(self, resource: Resource, name: str) -> Object:
        found = self.api.find(resource, name)
        return dict((found or {}).get("status") or {})

    async def until(self, condition: Callable[[], Any], what: str, seconds: int = LIMIT_SECONDS) -> None:
        """Let the time pass until the condition holds. Raises AssertionError when it never does."""
        limit = time.monotonic() + min(seconds, LIMIT_SECONDS)
        while not condition():
            last = "; ".join(map(str, self.proxy.log[-8:]))
            assert time.monotonic() < limit, f"never: {what}; the last writes: {last}"
            await self.second()

    async def second(self) -> None:
        """Let everyone take a step. An operator that died is started again."""
        await asyncio.sleep(STEP_SECONDS)
        self.revive()
        self.surroundings.step()
        self.each_second(self)

    def revive(self) -> None:
        """Start the operator again when it died."""
        if not self.operator.alive():
            if not self._killed:
                self.failures.append(f"the process ended with {self.operator.process.returncode}")
            self._killed = False
            self.operator = self.started()

    async def settle(self, seconds: float = LIMIT_SECONDS, still: float = STILL_SECONDS) -> None:
        """Let the time pass until nothing was written, not even in vain, for `still` seconds.

        Raises AssertionError when that never comes.
        """
        limit, before, since = time.monotonic() + seconds, (-1, -1), time.monotonic()
        while time.monotonic() - since < still:
            last = "; ".join(map(str, self.proxy.log[-8:]))
            assert time.monotonic() < limit, f"it never comes to rest; the last writes: {last}"
            await self.second()
            written = (len(self.proxy.log), self.surroundings.writes)
            if written != before:
                before, since = written, time.monotonic()

    def logged(self) -> str:
        """Return what the operator has logged."""
        return (self._folder / "operator.log").read_text()

    def stop(self) -> None:
        self.operator.kill()
        self.proxy.stop()
        self.surroundings.stop()

    def _kill(self) -> None:
        self._killed = True
        self.operator.process.kill()

    def started(self, identity: str = "operator") -> OperatorProcess:
        """Start an operator of this name."""
        settings = {
            "MODELMILL_NAMESPACES": self.api.namespace,
            "MODELMILL_LEASE_NAMESPACE": self.api.namespace,
            "MODELMILL_POD_PORT": str(self._server.port),
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "operator", ROOT))),
            **self.settings,
        }
        log = self._folder / "operator.log"
        return OperatorProcess(
            self._kubeconfig, log, identity, settings=settings, module="tests.support.quick_operator"
        )


def _prepare(api: LiveApi) -> None:
    """Make the namespace, with the permission to hold the operator's lease there."""
    api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": api.namespace}})
    for one in yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text()):
        if one and one["kind"] in ("Role", "RoleBinding"):
            meta = {"name": one["metadata"]["name"], "namespace": api.namespace}
            plural = f"{one['kind'].lower()}s"
            path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{api.namespace}/{plural}"
            api.ask("POST", path, {**one, "metadata": meta})
