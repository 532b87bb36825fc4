"""The objects that the benchmark makes, and the pace it makes them at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from modelmill.engine.client import Client
from modelmill.kube.objects import Resource
from modelmill.kube.resources import DEPLOYMENTS

AT_ONCE = 64
STORE = {"uri": "s3://models/prod", "endpoint": "http://s3.store:7070", "secretRef": {"name": "store-credentials"}}


def training_job(namespace: str, name: str) -> dict[str, Any]:
    """Return a TrainingJob with a built-in estimator, two gates and a hold-out."""
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": name,
            "store": STORE,
            "data": {
                "train": {"uri": "s3://data/cars/", "format": "csv"},
                "target": "mpg",
                "holdout": {"fraction": "0.2"},
            },
            "train": {"sklearn": {"estimator": "sklearn.linear_model.Ridge", "parameters": {"alpha": "0.5"}}},
            "evaluation": {
                "primary": {"metric": "r2", "direction": "Maximize"},
                "gates": [{"metric": "r2", "minimum": "0.7"}, {"metric": "mae", "maximum": "3"}],
            },
        },
    }


def model_version(namespace: str, model: str) -> dict[str, Any]:
    """Return an approved first version of the model."""
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"{model}-1", "namespace": namespace, "labels": {"modelmill.dev/model": model}},
        "spec": {
            "model": model,
            "artifact": {"uri": f"s3://models/prod/{model}/sha256-aa/", "digest": "sha256:" + "a" * 64},
            "store": STORE,
            "format": "onnx",
            "bytes": 1000,
            "trained": "2026-01-02T03:04:05Z",
            "primary": {"metric": "r2", "direction": "Maximize"},
            "metrics": {"r2": "0.91"},
            "approval": "Approved",
        },
    }


def inference_service(namespace: str, name: str) -> dict[str, Any]:
    """Return an InferenceService with two replicas, a canary rollout and drift monitoring."""
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"name": name, "follow": "Approved"},
            "replicas": 2,
            "rollout": {
                "strategy": "Canary",
                "steps": [{"weight": 10}, {"pauseSeconds": 60}, {"weight": 100}],
            },
            "monitoring": {"engine": "Prometheus", "drift": {"psiThreshold": "0.2"}},
        },
    }


def pytorch_job(namespace: str, name: str) -> dict[str, Any]:
    """Return a PyTorchJob of one replica for Kubeflow's training operator v1."""
    container = {"name": "pytorch", "image": "localhost/none:1", "env": [{"name": "A", "value": "1"}]}
    master = {"replicas": 1, "restartPolicy": "Never", "template": {"spec": {"containers": [container]}}}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"pytorchReplicaSpecs": {"Master": master}},
    }


def rollout(namespace: str, name: str) -> dict[str, Any]:
    """Return a Rollout for Argo Rollouts with the replicas and steps of our InferenceService."""
    deployment = child(DEPLOYMENTS, namespace, name)
    steps = [{"setWeight": 10}, {"pause": {"duration": 60}}, {"setWeight": 100}]
    spec = deployment["spec"] | {"strategy": {"canary": {"steps": steps}}}
    return deployment | {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": spec}


def child(resource: Resource, namespace: str, name: str) -> dict[str, Any]:
    """Return a Job or Deployment of one container, for requests without an operator."""
    container = {"name": "main", "image": "localhost/none:1", "env": [{"name": "A", "value": "1"}]}
    labels = {"app": name}
    pod: dict[str, Any] = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec: dict[str, Any] = {"template": pod}
    if resource.kind == "Job":
        pod["spec"]["restartPolicy"] = "Never"
    else:
        spec |= {"replicas": 2, "selector": {"matchLabels": labels}}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, "spec": spec}


async def timed(
    send: Callable[[Resource, dict[str, Any]], Awaitable[Any]],
    resource: Resource,
    bodies: Sequence[dict[str, Any]],
    rate: float,
) -> list[float]:
    """Send one request per object at `rate` per second; return the ms that each took."""
    taken: list[float] = []

    async def one(body: dict[str, Any]) -> None:
        began = time.monotonic()
        await send(resource, body)
        taken.append(1000 * (time.monotonic() - began))

    await _paced([partial(one, body) for body in bodies], rate)
    return taken


async def _paced(calls: Sequence[Callable[[], Coroutine[Any, Any, Any]]], rate: float) -> None:
    began = time.monotonic()
    running = []
    for number, call in enumerate(calls):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        running.append(asyncio.create_task(call()))
    await asyncio.gather(*running)


async def create_paced(client: Client, resource: Resource, bodies: Sequence[dict[str, Any]], rate: float) -> None:
    """Create the objects at `rate` per second; a slow answer delays none of the others."""
    await _paced([partial(client.create, resource, body) for body in bodies], rate)


async def create_at_once(client: Client, resource: Resource, bodies: Sequence[dict[str, Any]]) -> None:
    """Create the objects as fast as the API server answers, AT_ONCE requests at a time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(body: dict[str, Any]) -> None:
        async with slots:
            await client.create(resource, body)

    await asyncio.gather(*(one(body) for body in bodies))
