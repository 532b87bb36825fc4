"""The Job of one run: init `fetch`, init `train`, main `publish`, over shared folders."""

from __future__ import annotations

from typing import Any

from modelmill.api.fingerprint import short_hash
from modelmill.contracts import names, stage
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.training.builders.stage_spec import stage_spec
from modelmill.training.view import View
from modelmill.workloads.security import container_security, pod_security
from modelmill.workloads.store_access import store_environment

WORK = "/modelmill"
STAGE_REQUESTS = {"cpu": "100m", "memory": "384Mi"}
TRAINED_HASH_ANNOTATION = f"{labels.GROUP}/trained-hash"
CHAMPION_ANNOTATION = f"{labels.GROUP}/champion"


def job_name(view: View, number: int) -> str:
    """Return the deterministic name of the run's Job: a namesake of a deleted TrainingJob has another uid, so another Job."""
    return f"{view.name}-{number}-{short_hash(view.uid)[:6]}"


def build_job(view: View, number: int, version: str, champion: Manifest | None, trainer_image: str) -> dict[str, Any]:
    """Return the Job of run `number`.

    backoffLimit counts failures of the program; a disruption of the pod is not counted, and exit code 3 of a built-in stage
    ends the run at once, since trying again would fail again.
    """
    policy = view.spec.run_policy
    job_labels = {
        labels.TRAINING_JOB_LABEL: view.name,
        labels.RUN_LABEL: str(number),
        labels.MODEL_LABEL: view.spec.model,
        labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
        "app.kubernetes.io/name": "modelmill-trainer",
        "app.kubernetes.io/instance": view.name,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(view, number),
            "namespace": view.namespace,
            "labels": job_labels,
            "annotations": {
                TRAINED_HASH_ANNOTATION: view.trained_hash(),
                CHAMPION_ANNOTATION: champion["metadata"]["name"] if champion is not None else "",
            },
        },
        "spec": {
            "backoffLimit": policy.backoff_limit,
            "activeDeadlineSeconds": policy.active_deadline_seconds,
            "podFailurePolicy": {"rules": _failure_rules(view)},
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"labels": job_labels},
                "spec": _pod(view, number, version, champion, trainer_image),
            },
        },
    }


def _failure_rules(view: View) -> list[dict[str, Any]]:
    """Return the podFailurePolicy: disruptions first, then the stages whose exit code 3 means final."""
    final = [names.STAGE_FETCH, names.STAGE_PUBLISH]
    if view.spec.train.sklearn is not None:
        final.insert(1, names.STAGE_TRAIN)
    rules: list[dict[str, Any]] = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    rules += [
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": name, "operator": "In", "values": [names.EXIT_FINAL]},
        }
        for name in final
    ]
    return rules


def _pod(view: View, number: int, version: str, champion: Manifest | None, image: str) -> dict[str, Any]:
    spec = view.spec
    told = stage.encode(stage_spec(view, number, version, champion))
    common = _environment(view, number)
    reads_store = [*common, {"name": names.ENV_STAGE, "value": told}, *store_environment(spec.store)]
    resources = spec.pod_template.resources.model_dump(exclude_defaults=True)
    stage_resources = resources or {"requests": STAGE_REQUESTS}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": spec.store.service_account_name is not None,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "initContainers": [
            _stage(names.STAGE_FETCH, image, reads_store, stage_resources, ("input", "holdout")),
            _train(view, image, [*common, {"name": names.ENV_STAGE, "value": told}], resources),
        ],
        "containers": [
            _stage(names.STAGE_PUBLISH, image, reads_store, stage_resources, ("input", "holdout", "output"))
        ],
        "volumes": [{"name": name, "emptyDir": {}} for name in ("input", "holdout", "output", "tmp")],
    }
    if spec.store.service_account_name is not None:
        pod["serviceAccountName"] = spec.store.service_account_name
    if spec.pod_template.node_selector:
        pod["nodeSelector"] = dict(spec.pod_template.node_selector)
    if spec.pod_template.tolerations:
        pod["tolerations"] = [one.model_dump(exclude_none=True) for one in spec.pod_template.tolerations]
    return pod


def _train(view: View, image: str, env: list[dict[str, Any]], resources: dict[str, Any]) -> dict[str, Any]:
    container = view.spec.train.container
    if container is None:
        return _stage(names.STAGE_TRAIN, image, env, resources, ("input", "output"))
    own = [{"name": item.name, "value": item.value} for item in container.env]
    contract = [item for item in env if item["name"] != names.ENV_STAGE]
    built = _stage(names.STAGE_TRAIN, container.image, [*contract, *own], resources, ("input", "output"))
    # An image that was not made for us may write where it likes in its own file system.
    built["securityContext"] = container_security(read_only_root=False)
    del built["args"]
    if container.command:
        built["command"] = list(container.command)
    if container.args:
        built["args"] = list(container.args)
    return built


def _stage(
    name: str, image: str, env: list[dict[str, Any]], resources: dict[str, Any], folders: tuple[str, ...]
) -> dict[str, Any]:
    mounts = [{"name": folder, "mountPath": f"{WORK}/{folder}"} for folder in folders]
    built: dict[str, Any] = {
        "name": name,
        "image": image,
        "args": [name],
        "env": env,
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a path in the pod
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if resources:
        built["resources"] = resources
    return built


def _environment(view: View, number: int) -> list[dict[str, Any]]:
    """Return the variables that every stage has, in the order in which they may refer to each other."""
    env = {
        names.ENV_INPUT: f"{WORK}/input",
        names.ENV_OUTPUT: f"{WORK}/output",
        names.ENV_HOLDOUT: f"{WORK}/holdout",
        names.ENV_METRICS: f"{WORK}/output/metrics.json",
        names.ENV_RUN: str(number),
        names.ENV_SEED: "0",
        "HOME": "/tmp",  # noqa: S108 - a path in the pod
    }
    return [{"name": name, "value": value} for name, value in env.items()]
