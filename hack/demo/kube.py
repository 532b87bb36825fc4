"""The cluster that the demo and the tests run on: objects by the kubernetes package, helm and kubectl as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kubernetes import config
from kubernetes.client import ApiClient, ApiException, CoreV1Api
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError

ROOT = Path(__file__).resolve().parents[2]
MANAGER = "modelmill-person"
"""Field manager of what a person would have applied."""

API_VERSIONS = {
    "TrainingJob": "modelmill.dev/v1alpha1",
    "ModelVersion": "modelmill.dev/v1alpha1",
    "InferenceService": "modelmill.dev/v1alpha1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}
"""Of the kinds that are not in the core group."""


class CommandFailed(Exception):
    """A command ended with another code than 0; the text has its last lines."""


@dataclass(frozen=True)
class Kube:
    """Where the cluster is: environment for kubectl and helm, and what `hack/cluster status` says."""

    environment: dict[str, str]
    status: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def api(self) -> ApiClient:
        """The client of the kubernetes package for this cluster's kubeconfig."""
        return config.new_client_from_config(config_file=self.environment.get("KUBECONFIG"))

    @cached_property
    def _dynamic(self) -> DynamicClient:
        return DynamicClient(self.api)

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a command and return what it printed. Raises CommandFailed."""
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, env=self.environment, cwd=ROOT, check=False
        )
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()[-8:]
            raise CommandFailed(f"{' '.join(command[:6])}: " + "\n".join(lines))
        return done.stdout

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """Return an object, None when it does not exist."""
        try:
            return dict(self._of(kind).get(name=name, namespace=namespace).to_dict())
        except NotFoundError:
            return None

    def list(self, kind: str, namespace: str | None = None, selector: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind in a namespace (in all when None), by label selector."""
        found = self._of(kind).get(namespace=namespace, label_selector=selector or None)
        return [dict(one) for one in found.to_dict().get("items") or ()]

    def apply(self, objects: Iterable[Mapping[str, Any]], namespace: str) -> None:
        """Apply objects on the server, as `kubectl apply --server-side --force-conflicts` does."""
        for one in objects:
            resource = self._dynamic.resources.get(api_version=one["apiVersion"], kind=one["kind"])
            resource.server_side_apply(
                body=dict(one),
                name=one["metadata"]["name"],
                namespace=namespace,
                field_manager=MANAGER,
                force_conflicts=True,
            )

    def patch(self, kind: str, name: str, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge a patch into an object and return it. Raises kubernetes' ApiException."""
        patched = self._of(kind).patch(
            body=dict(body), name=name, namespace=namespace, content_type="application/merge-patch+json"
        )
        return dict(patched.to_dict())

    def annotate(self, kind: str, name: str, namespace: str, **annotations: str) -> None:
        """Set annotations of ours: `run="two"` is modelmill.dev/run."""
        named = {f"modelmill.dev/{key}": value for key, value in annotations.items()}
        self.patch(kind, name, namespace, {"metadata": {"annotations": named}})

    def delete(self, kind: str, name: str, namespace: str) -> None:
        """Begin to delete an object; one that is not there is no error."""
        try:
            self._of(kind).delete(name=name, namespace=namespace)
        except NotFoundError:
            return

    def make_namespace(self, name: str) -> None:
        """Make a namespace with the strictest Pod Security; one of that name is no error."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        try:
            CoreV1Api(self.api).create_namespace({"metadata": {"name": name, "labels": labels}})
        except ApiException as error:
            if error.status != 409:
                raise

    def events(self, namespace: str) -> Iterator[dict[str, Any]]:
        """Yield the Events of the namespace as they happen, for ever."""
        events = self._dynamic.resources.get(api_version="events.k8s.io/v1", kind="Event")
        while True:  # the API server ends a watch from time to time
            for change in events.watch(namespace=namespace, timeout=300):
                yield change["raw_object"]

    def _of(self, kind: str) -> Any:
        return self._dynamic.resources.get(api_version=API_VERSIONS.get(kind, "v1"), kind=kind)


def connect() -> Kube:
    """Return the cluster of the repository's tool. Raises CommandFailed when it is not up."""
    tool = [os.environ.get("SYSTEM_PYTHON", "python3"), "hack/cluster"]

    def ask(*words: str) -> str:
        done = subprocess.run([*tool, *words], capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            raise CommandFailed(f"hack/cluster {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()

    status = json.loads(ask("status", "--json"))
    environment = {**os.environ, "PATH": f"{ask('bin')}:{os.environ['PATH']}"}
    if status.get("kubeconfig"):
        environment["KUBECONFIG"] = status["kubeconfig"]
    return Kube(environment, status)


def fail(message: str) -> int:
    """Say what went wrong; return the exit code."""
    print(f"\nThe demo stopped: {message}", file=sys.stderr)
    return 1
