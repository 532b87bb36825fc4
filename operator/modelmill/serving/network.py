"""The part of an InferenceService that says who reaches its pods, and what they may reach."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from modelmill.api.base import Store
from modelmill.api.objects import InferenceService, read_inference_service, readable_model_versions
from modelmill.api.resources import MODEL_VERSIONS
from modelmill.contracts import names
from modelmill.engine.interface import World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.kube.labels import BATCH_LABEL, REPORT_LABEL, SERVICE_LABEL
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import DEPLOYMENTS, NETWORK_POLICIES
from modelmill.serving.traffic.ports import speaks_grpc
from modelmill.workloads.network import Network, build_network_policy


def network_part(network: Network) -> Part:
    """Return the part: servers are reached on their ports, and reach names and the stores of the versions in the status.

    Pods of batch runs are reached by nobody, and reach what they read and write besides. So are those of drift reports.
    """

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        service = read_inference_service(parent)
        if service.metadata.deleting:
            return UNCHANGED
        meta = {"name": f"{service.name}-serving", "namespace": service.namespace}
        selector = {SERVICE_LABEL: service.name}
        stores = list(_stores(service, world))
        deployments = world.owned(DEPLOYMENTS, service.namespace, service.uid)
        ports = [names.HTTP_PORT, *([names.GRPC_PORT] if speaks_grpc(service.spec, deployments) else [])]
        policies = [build_network_policy(meta, selector, ports, stores, network, _to_each_other(service))]
        if service.spec.batch:
            meta, selector = {**meta, "name": f"{service.name}-batch"}, {BATCH_LABEL: service.name}
            scored = [one for entry in service.spec.batch for one in entry.stores()]
            pinned = {run.version for one in service.status.batch if (run := one.running) is not None}
            artifacts = _of_versions(service, world, *sorted(pinned))
            policies.append(build_network_policy(meta, selector, (), [*stores, *artifacts, *scored], network))
        report = service.status.report
        if report is not None and report.job is not None and not report.job.over:
            meta, selector = {**meta, "name": f"{service.name}-report"}, {REPORT_LABEL: service.name}
            policies.append(
                build_network_policy(meta, selector, (), _of_versions(service, world, report.job.version), network)
            )
        return Contribution(apply=policies)

    return Part("network", contribute, children=[Child(NETWORK_POLICIES, applied=True)])


def _to_each_other(service: InferenceService) -> list[dict[str, Any]]:
    """Return the rule by which pods reach others of their service: those that mirror and those that share labels."""
    if service.spec.rollout.strategy != "Shadow" and service.spec.feedback is None:
        return []
    to = [{"podSelector": {"matchLabels": {SERVICE_LABEL: service.name}}}]
    return [{"to": to, "ports": [{"protocol": "TCP", "port": names.HTTP_PORT}]}]


def _stores(service: InferenceService, world: World) -> Iterator[Store]:
    """Yield the stores of what is served, and of the payload log.

    Of a version that cannot be read its own condition tells; its pods stay.
    """
    if service.spec.payload_log is not None:
        yield service.spec.payload_log.store()
    tracks = (service.status.stable, service.status.canary)
    yield from _of_versions(service, world, *(track.version for track in tracks if track is not None))


def _of_versions(service: InferenceService, world: World, *names: str) -> Iterator[Store]:
    """Yield the stores of the versions of these names that can be read."""
    found = (world.get(MODEL_VERSIONS, service.namespace, name) for name in names)
    for readable in readable_model_versions(one for one in found if one is not None):
        yield readable.spec.store
