"""The spec of a pod, from its containers and from what a person may say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from modelmill.api.placement import Placement, SpreadConstraint
from modelmill.workloads.containers import Container, build_container
from modelmill.workloads.security import pod_security

TOKEN_SECONDS: Final = 3600
"""Life of a token; the kubelet renews it before."""
OVER_NODES: Final = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod.

    init: containers that run one after the other before `containers`.
    template: what a person said of where it runs.
    service_account: identity of the pod, for a cloud that knows it; None for the namespace's default. No pod gets a token for
    the API server: none speaks to it.
    grace_seconds: time to end in; None for the cluster's default. spread_over: labels of pods to spread, by `spread`, or over
    the nodes as well as it goes; empty for none.
    tokens: by folder, the audience of a token of the pod's service account that is bound to the pod, in the file `token`.
    config_maps: what is in a folder that is not the pod's own: names of ConfigMaps; one that is not there is left out.
    """

    containers: Sequence[Container]
    init: Sequence[Container] = ()
    template: Placement = field(default_factory=Placement)
    service_account: str | None = None
    restart_policy: str = "Always"
    grace_seconds: int | None = None
    spread_over: Mapping[str, str] = field(default_factory=dict)
    spread: Sequence[SpreadConstraint] = ()
    config_maps: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)


def build_pod(pod: Pod) -> dict[str, Any]:
    """Return the spec of the pod: level restricted of the Pod Security Standards, a volume for each folder and each /tmp."""
    built: dict[str, Any] = {
        "restartPolicy": pod.restart_policy,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [build_container(one) for one in pod.containers],
        "volumes": [{"name": name, **_source(pod, name)} for name in _volumes([*pod.init, *pod.containers])],
    }
    if pod.init:
        built["initContainers"] = [build_container(one) for one in pod.init]
    if pod.service_account is not None:
        built["serviceAccountName"] = pod.service_account
    if pod.grace_seconds is not None:
        built["terminationGracePeriodSeconds"] = pod.grace_seconds
    if pod.spread_over:
        selector = {"labelSelector": {"matchLabels": dict(pod.spread_over)}}
        wanted = [one.model_dump(by_alias=True, exclude_none=True) for one in pod.spread] or [OVER_NODES]
        built["topologySpreadConstraints"] = [{**one, **selector} for one in wanted]
    return {**built, **placement(pod.template)}


def placement(template: Placement) -> dict[str, Any]:
    """Return the fields of a pod's spec that a person may decide: nothing else of a template gets into a pod."""
    placed: dict[str, Any] = {}
    if template.node_selector:
        placed["nodeSelector"] = dict(template.node_selector)
    if template.tolerations:
        placed["tolerations"] = [one.model_dump(by_alias=True, exclude_none=True) for one in template.tolerations]
    if template.affinity is not None:
        placed["affinity"] = template.affinity.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    if template.priority_class_name is not None:
        placed["priorityClassName"] = template.priority_class_name
    if template.image_pull_secrets:
        placed["imagePullSecrets"] = [{"name": one.name} for one in template.image_pull_secrets]
    return placed


def _volumes(containers: Sequence[Container]) -> list[str]:
    """Return each volume once, shared folders first."""
    shared = dict.fromkeys(name for container in containers for name in container.folders)
    return [*shared, *(container.tmp_volume for container in containers)]


def _source(pod: Pod, volume: str) -> dict[str, Any]:
    if volume in pod.tokens:
        token = {"audience": pod.tokens[volume], "expirationSeconds": TOKEN_SECONDS, "path": "token"}
        return {"projected": {"sources": [{"serviceAccountToken": token}]}}
    if volume not in pod.config_maps:
        return {"emptyDir": {}}
    named = pod.config_maps[volume]
    return {"projected": {"sources": [{"configMap": {"name": name, "optional": True}} for name in named]}}
