"""The API server and the operator of the engine's tests."""

from tests.support.api_server import cluster, namespace, numbers, start

__all__ = ["cluster", "namespace", "numbers", "start"]
