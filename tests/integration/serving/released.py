"""Versions of the model that the tests of this folder serve."""

from __future__ import annotations

from hack.bench import load
from tests.support.api_server import Cluster

NAME = "cars"


def release(cluster: Cluster, namespace: str, number: int) -> None:
    """Make a version with a digest of its own."""
    version = load.model_version(namespace, NAME)
    version["metadata"]["name"] = f"{NAME}-{number}"
    version["spec"]["artifact"]["digest"] = "sha256:" + f"{number:x}" * 64
    cluster.apply(version)
