"""The Job of a run: pods that fetch the artifact as servers do, and score their partition of the prefix."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from modelmill.api.batch import Batch, BatchRun
from modelmill.api.fingerprint import short_hash
from modelmill.api.objects import InferenceService, ModelVersion
from modelmill.api.placement import Affinity, Placement
from modelmill.api.runtime import Runtime
from modelmill.contracts import names
from modelmill.contracts.batch import BatchSpec, encode_spec
from modelmill.kube import labels
from modelmill.workloads import jobs
from modelmill.workloads.containers import TMP, Container, Image
from modelmill.workloads.pods import Pod
from modelmill.workloads.store_access import verbatim

FETCH: Final = "fetch"
FOLDER: Final = "/modelmill/model"
TRIES_AGAIN: Final = 3
REQUESTS: Final = {"cpu": "500m", "memory": "512Mi"}


def run_name(service: InferenceService, entry: Batch, now: datetime) -> str:
    """Return the name of a run that begins now, and of its Job: 56 characters at most.

    A dash and the index of a pod follow it in the pod's host name, which has 63. Another service has another one: two may have
    the same output.
    """
    return f"{entry.name}-{now:%Y%m%dt%H%M%Sz}-{short_hash(service.uid)[:6]}"


def build_job(
    service: InferenceService, entry: Batch, run: BatchRun, version: ModelVersion, image: Image, *, model_code: bool
) -> dict[str, Any]:
    """Return the Job of a run of this entry with this version, which has an artifact.

    model_code: whether an administrator permits models of this namespace to run code.
    """
    artifact, store = version.spec.artifact, version.spec.store
    assert artifact is not None, "a version that serves has one"
    told = BatchSpec(
        run=run.name,
        input=entry.input.uri,
        output=run.output,
        format=entry.input.format,
        columns=None if entry.output.columns is None else tuple(entry.output.columns),
        on_bad_row=entry.on_bad_row,
        partitions=run.partitions,
    )
    identity = {
        names.ENV_MODEL_NAME: service.spec.model.name,
        names.ENV_MODEL_VERSION: version.name,
        names.ENV_ARTIFACT_DIGEST: artifact.digest,
        names.ENV_MODEL_FOLDER: FOLDER,
    }
    runtime = service.spec.runtime
    times = runtime.timeouts
    fetch = Container(
        name=FETCH,
        image=image,
        requests={"cpu": "50m", "memory": "128Mi"},
        args=["fetch"],
        env={
            **identity,
            names.ENV_ARTIFACT_URI: verbatim(artifact.uri),
            names.ENV_FETCH_SECONDS: str(times.fetch_seconds),
        },
        store=store,
        folders={"model": FOLDER},
    )
    score = Container(
        name=names.STAGE_BATCH,
        image=image,
        requests=REQUESTS,
        resources=entry.resources,
        args=[names.STAGE_BATCH],
        env={
            **_as_served(runtime, model_code=model_code),
            **identity,
            names.ENV_BATCH: verbatim(encode_spec(told)),
            names.ENV_LOAD_SECONDS: str(times.load_seconds),
            names.ENV_ROW_SECONDS: str(times.row_seconds),
            "HOME": TMP,
        },
        store=entry.store,
        folders={"model": FOLDER},
        read_only_folders=frozenset({"model"}),
    )
    return jobs.build_job(
        jobs.Job(
            name=run.name,
            namespace=service.namespace,
            labels={
                labels.BATCH_LABEL: service.name,
                labels.VERSION_LABEL: version.name,
                labels.MODEL_LABEL: service.spec.model.name,
                labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
                "app.kubernetes.io/name": "modelmill-batch",
                "app.kubernetes.io/instance": service.name,
            },
            tries_again=TRIES_AGAIN,
            deadline_seconds=entry.active_deadline_seconds,
            final_containers=[FETCH, names.STAGE_BATCH],
            partitions=run.partitions,
            parallelism=min(entry.parallelism or run.partitions, run.partitions),
            pod=Pod(
                init=[fetch],
                containers=[score],
                template=_placement(runtime),
                service_account=entry.store.service_account_name,
                restart_policy="Never",
            ),
        )
    )


def _as_served(runtime: Runtime, *, model_code: bool) -> dict[str, str]:
    """Return the variables by which the model is the one that answers requests. Those of another image are none of ours."""
    env = {one.name: verbatim(one.value) for one in runtime.env} if runtime.image is None else {}
    if model_code and runtime.trusted_types:
        env[names.ENV_SKOPS_TRUSTED] = ",".join(runtime.trusted_types)
    if model_code and runtime.allow_python:
        env[names.ENV_ALLOW_PYTHON] = "1"
    return env


def _placement(runtime: Runtime) -> Placement:
    """Return where the pods run: on the servers' nodes. What is said about pods and priority is for servers alone.

    Servers that keep away from each other would else keep these pods from every node.
    """
    said = runtime.pod_template
    nodes = said.affinity.node_affinity if said.affinity is not None else None
    return Placement(
        node_selector=said.node_selector,
        tolerations=said.tolerations,
        affinity=Affinity(node_affinity=nodes) if nodes is not None else None,
        image_pull_secrets=said.image_pull_secrets,
    )
