"""One container of a pod, and its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from modelmill.api.base import StoreAccess
from modelmill.api.payloads import SecretKeyRef
from modelmill.api.pods import Resources
from modelmill.workloads.security import container_security
from modelmill.workloads.store_access import of_secret, store_environment

TMP: Final = "/tmp"  # noqa: S108 - a path in the pod
_SERVER_FIELDS: Final = frozenset({"ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle"})


@dataclass(frozen=True, slots=True)
class Image:
    """An image and its pull policy: Always, IfNotPresent or Never; None for what Kubernetes does with its tag."""

    name: str
    pull_policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container.

    requests: what is asked for a resource of which `resources` says nothing, so that no container is without a request.
    env: literal values, in the order in which they may refer to each other.
    secrets: variables whose values are those of keys of Secrets.
    store: whose address and credentials it gets; None for a container that must not have them.
    folders: mount path by name of a volume. Containers of a pod that name the same volume share it; /tmp is each one's own.
    read_only_folders: those of `folders` that it must not write to.
    read_only_root: False for an image that was not made for us and may write where it likes in its own file system.
    server_fields: ports, probes and lifecycle, in manifest form.
    """

    name: str
    image: Image
    requests: Mapping[str, str]
    resources: Resources = field(default_factory=Resources)
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretKeyRef] = field(default_factory=dict)
    store: StoreAccess | None = None
    folders: Mapping[str, str] = field(default_factory=dict)
    read_only_folders: frozenset[str] = frozenset()
    read_only_root: bool = True
    server_fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tmp_volume(self) -> str:
        """Name of the volume at its /tmp."""
        return f"tmp-{self.name}"


def build_container(container: Container) -> dict[str, Any]:
    """Return the manifest. Raises ValueError for a field that the operator decides alone."""
    decided = set(container.server_fields) - _SERVER_FIELDS
    if decided:
        raise ValueError(f"container {container.name}: {', '.join(sorted(decided))} cannot be given")
    env: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in container.env.items()]
    env += [{"name": name, "valueFrom": of_secret(one.name, one.key)} for name, one in container.secrets.items()]
    if container.store is not None:
        env += store_environment(container.store)
    mounts: list[dict[str, Any]] = [
        {"name": volume, "mountPath": path, **({"readOnly": True} if volume in container.read_only_folders else {})}
        for volume, path in container.folders.items()
    ]
    built: dict[str, Any] = {
        "name": container.name,
        "image": container.image.name,
        "env": env,
        "resources": build_resources(container.resources, container.requests),
        "volumeMounts": [*mounts, {"name": container.tmp_volume, "mountPath": TMP}],
        "securityContext": container_security(read_only_root=container.read_only_root),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **container.server_fields,
    }
    if container.image.pull_policy is not None:
        built["imagePullPolicy"] = container.image.pull_policy
    if container.command:
        built["command"] = list(container.command)
    if container.args:
        built["args"] = list(container.args)
    return built


def build_resources(resources: Resources, requests: Mapping[str, str]) -> dict[str, Any]:
    """Return the resources of a container; `requests` fills in what they say nothing about.

    A limit without a request is one: Kubernetes then requests as much as the limit.
    """
    said = resources.requests.keys() | resources.limits.keys()
    filled = {name: amount for name, amount in requests.items() if name not in said}
    built = {"requests": {**filled, **resources.requests}, "limits": dict(resources.limits)}
    return {name: amounts for name, amounts in built.items() if amounts}
