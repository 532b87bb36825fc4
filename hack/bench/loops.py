"""The control loops that are measured beside each other, ours and its peers, and the objects that each is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hack.bench import load, peers
from hack.bench.go_program import GoProgram
from hack.bench.light import USER, LightServer
from hack.bench.operator_process import OperatorProcess
from hack.bench.program import Program
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.kube.objects import Resource
from modelmill.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
)

Body = dict[str, Any]
PYTORCH_JOBS = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob")
ROLLOUTS = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout")
SHARED_MODEL = "shared"


@dataclass(frozen=True)
class Loop:
    """One control loop: a parent that it watches and the child that it makes for it.

    key: how the command line calls it. start: brings its program up with an identity of its own, which the audit log shows as
    `user`. body: parent of a namespace and name. needs: what a series of these names needs to be there before. leftovers: kinds
    to be deleted after a round beside parent and child. source: where a peer's program comes from.
    """

    key: str
    title: str
    user: str
    parent: Resource
    child: Resource
    start: Callable[[LightServer, Path], Program]
    body: Callable[[str, str], Body]
    needs: Callable[[str, list[str]], list[Body]] = lambda namespace, names: []
    leftovers: tuple[Resource, ...] = ()
    source: GoProgram | None = field(default=None)


def start_ours(server: LightServer, folder: Path) -> OperatorProcess:
    """Start our operator and wait until it leads."""
    operator = OperatorProcess(folder / "operator.kubeconfig", folder / "operator.log")
    operator.wait_leading(60)
    return operator


def _own_versions(namespace: str, names: list[str]) -> list[Body]:
    return [load.model_version(namespace, name) for name in names]


def _shared_version(namespace: str, names: list[str]) -> list[Body]:
    return [load.model_version(namespace, SHARED_MODEL)]


def _of_shared_model(namespace: str, name: str) -> Body:
    body = load.inference_service(namespace, name)
    body["spec"]["model"]["name"] = SHARED_MODEL
    return body


SERVING_LEFTOVERS = (MODEL_VERSIONS, SERVICES, CONFIG_MAPS, POD_DISRUPTION_BUDGETS)
LOOPS = (
    Loop(
        "job",
        "Job controller alone: Job → Pod",
        peers.user("job-controller"),
        JOBS,
        PODS,
        peers.job_controller,
        partial(load.child, JOBS),
    ),
    Loop(
        "training-operator",
        f"Kubeflow training-operator {peers.TRAINING_OPERATOR.version}: PyTorchJob → Pod",
        peers.user(peers.TRAINING_OPERATOR.name),
        PYTORCH_JOBS,
        PODS,
        peers.TrainingOperator,
        load.pytorch_job,
        leftovers=(SERVICES,),
        source=peers.TRAINING_OPERATOR,
    ),
    Loop("training", "**ours: TrainingJob → Job**", USER, TRAINING_JOBS, JOBS, start_ours, load.training_job),
    Loop(
        "argo-rollouts",
        f"Argo Rollouts {peers.ARGO_ROLLOUTS.version}: Rollout → ReplicaSet",
        peers.user(peers.ARGO_ROLLOUTS.name),
        ROLLOUTS,
        REPLICA_SETS,
        peers.argo_rollouts,
        load.rollout,
        source=peers.ARGO_ROLLOUTS,
    ),
    Loop(
        "serving",
        "**ours: InferenceService → Deployment**, a version each",
        USER,
        INFERENCE_SERVICES,
        DEPLOYMENTS,
        start_ours,
        load.inference_service,
        _own_versions,
        SERVING_LEFTOVERS,
    ),
    Loop(
        "serving-shared",
        "**ours: InferenceService → Deployment**, one version served by all",
        USER,
        INFERENCE_SERVICES,
        DEPLOYMENTS,
        start_ours,
        _of_shared_model,
        _shared_version,
        SERVING_LEFTOVERS,
    ),
)
