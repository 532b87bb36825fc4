"""The real operator process on a real API server with etcd: no nodes, no controllers but ours."""

from tests.support.api_server import cluster, namespace, numbers, start

__all__ = ["cluster", "namespace", "numbers", "start"]
