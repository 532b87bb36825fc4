"""Which pods are whose, by their owners."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.engine.interface import World
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import PODS, REPLICA_SETS


def pods_of_deployment(deployment: Manifest, world: World) -> Sequence[Manifest]:
    """Return the pods of the Deployment, by their owners: ReplicaSet, then Deployment.

    Labels prove nothing, since whoever may create pods may put ours on them. A forged owner does not last: the ReplicaSet's
    controller takes such a pod for one of its own or releases it, as that of the Deployment does with a ReplicaSet.
    """
    namespace, uid = deployment["metadata"]["namespace"], deployment["metadata"]["uid"]
    sets = world.owned(REPLICA_SETS, namespace, uid)
    return [pod for one in sets for pod in world.owned(PODS, namespace, one["metadata"]["uid"])]
