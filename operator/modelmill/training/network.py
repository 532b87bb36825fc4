"""The part of a TrainingJob that says what its pods may reach."""

from __future__ import annotations

from datetime import datetime

from modelmill.api.objects import read_training_job
from modelmill.engine.interface import World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.kube.labels import TRAINING_JOB_LABEL
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import NETWORK_POLICIES
from modelmill.workloads.network import Network, build_network_policy


def network_part(network: Network) -> Part:
    """Return the part: pods of runs are reached by nobody, and reach names and the store."""

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        job = read_training_job(parent)
        if job.metadata.deleting:
            return UNCHANGED
        meta = {"name": f"{job.name}-training", "namespace": job.namespace}
        policy = build_network_policy(meta, {TRAINING_JOB_LABEL: job.name}, (), [job.spec.store], network)
        return Contribution(apply=[policy])

    return Part("network", contribute, children=[Child(NETWORK_POLICIES, applied=True)])
