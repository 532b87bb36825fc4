"""What an operator under test has done: runs that began, services that serve."""

from __future__ import annotations

from typing import Any

from modelmill.kube.objects import Resource
from tests.support.api_server import Cluster

JOBS = Resource("batch", "v1", "jobs", "Job")


def run_started(cluster: Cluster, namespace: str, name: str = "cars") -> dict[str, Any]:
    """Return the run in progress once the status names its Job."""

    def job() -> Any:
        run = cluster.status("trainingjobs", namespace, name).get("currentRun") or {}
        return run if run.get("job") else None

    found: dict[str, Any] = cluster.eventually(job, "a run in the status")
    return found


def created_jobs(cluster: Cluster) -> list[str]:
    """Return the Jobs that operators created since the mark: who wrote, and the answer."""
    return [
        line for line in cluster.audit.write_lines() if line.startswith("create /apis/batch/v1/") and " 201" in line
    ]


def all_serve(cluster: Cluster, namespace: str, count: int) -> bool:
    """Tell whether every object has its children, and every version says who serves it."""
    versions = cluster.items("modelversions", namespace)
    served = [one for one in versions if (one.get("status") or {}).get("servedBy")]
    return len(served) == count and all(
        len(cluster.items(plural, namespace)) == count for plural in ("jobs", "deployments", "services")
    )
