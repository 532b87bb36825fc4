"""The API server and the operator of the engine's tests."""

from tests.integration.engine.conftest import cluster, namespace, numbers, start

__all__ = ["cluster", "namespace", "numbers", "start"]
