"""The part of a TrainingJob that says what its pods may reach."""

from __future__ import annotations

from datetime import datetime

from modelmill.api.objects import read_training_job
from modelmill.contracts.names import HTTP_PORT
from modelmill.engine.interface import World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.kube.labels import TRAINING_JOB_LABEL
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import NETWORK_POLICIES
from modelmill.workloads.network import Network, build_network_policy


def network_part(network: Network, operator_namespace: str = "default") -> Part:
    """Return the part: pods of runs are reached by nobody, and reach names, the store, and the operator when trials report.

    operator_namespace: where the operator's pods are.
    """
    to = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "modelmill-operator"}},
    }
    operator = {"to": [to], "ports": [{"protocol": "TCP", "port": HTTP_PORT}]}

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        job = read_training_job(parent)
        if job.metadata.deleting:
            return UNCHANGED
        meta = {"name": f"{job.name}-training", "namespace": job.namespace}
        reports = job.spec.tuning is not None and job.spec.tuning.pruning is not None
        more = [operator] if reports else []
        policy = build_network_policy(meta, {TRAINING_JOB_LABEL: job.name}, (), [job.spec.store], network, more)
        return Contribution(apply=[policy])

    return Part("network", contribute, children=[Child(NETWORK_POLICIES, applied=True)])
