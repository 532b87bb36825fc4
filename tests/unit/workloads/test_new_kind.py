"""A new kind of Job is one function: here one that scores rows, with a second program that copies what it leaves."""

from __future__ import annotations

from typing import Any

from modelmill.api.base import SecretRef, Store
from modelmill.api.pods import PodTemplate, Resources
from modelmill.workloads import jobs
from modelmill.workloads.containers import Container, Image
from modelmill.workloads.jobs import Job, build_job
from modelmill.workloads.pods import Pod
from tests.support import objects as o

STORE = Store(uri="s3://models/prod", secret_ref=SecretRef(name="keys"))


def scoring_job(name: str, image: Image, template: PodTemplate) -> dict[str, Any]:
    """Return the Job that scores: all that a new kind needs to say."""
    score = Container(
        name="score",
        image=image,
        requests={"cpu": "100m", "memory": "256Mi"},
        resources=template.resources,
        args=["score"],
        folders={"rows": "/modelmill/rows"},
    )
    copy = Container(
        name="copy",
        image=image,
        requests={"cpu": "50m", "memory": "128Mi"},
        args=["copy"],
        store=STORE,
        folders={"rows": "/modelmill/rows"},
    )
    return build_job(
        Job(
            name=name,
            namespace="ml",
            labels={"modelmill.dev/model": "cars"},
            pod=Pod(init=[score], containers=[copy], template=template, restart_policy="Never"),
            tries_again=2,
            deadline_seconds=60,
            final_containers=["score", "copy"],
        )
    )


def made() -> dict[str, Any]:
    template = PodTemplate(resources=Resources(limits={"memory": "1Gi"}), node_selector={"disk": "fast"})
    return scoring_job("score-1", Image("tool:1", "Never"), template)


def containers(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    pod = job["spec"]["template"]["spec"]
    return {one["name"]: one for one in [*pod["initContainers"], *pod["containers"]]}


def test_it_has_everything_that_every_pod_has() -> None:
    job = made()
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    for one in containers(job).values():
        assert (one["image"], one["imagePullPolicy"]) == ("tool:1", "Never")
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert one["resources"]["requests"]["cpu"]


def test_only_the_container_that_needs_the_store_has_its_keys() -> None:
    with_keys = [
        name
        for name, one in containers(made()).items()
        if any(e["name"] == "AWS_SECRET_ACCESS_KEY" for e in one["env"])
    ]
    assert with_keys == ["copy"]


def test_its_containers_share_the_named_folder_alone() -> None:
    mounts = {name: {m["name"] for m in one["volumeMounts"]} for name, one in containers(made()).items()}
    assert mounts["score"] & mounts["copy"] == {"rows"}
    volumes = {one["name"] for one in made()["spec"]["template"]["spec"]["volumes"]}
    assert volumes == mounts["score"] | mounts["copy"]


def test_it_is_observed_like_every_job() -> None:
    job = o.job(made())
    pod = o.pod("p", [o.waiting("score", "ErrImagePull", "not found", "tool:1")], [])
    seen = jobs.observe(job, [pod], o.NOW)
    assert isinstance(seen, jobs.Active)
    assert (seen.obstacle, seen.needs_help) == ("ImagePullFailed", True)
