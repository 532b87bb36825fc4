"""The operator: the one place that wires kinds, watches and reconcilers together. Run with `python -m modelmill.app`."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from modelmill import __version__
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.engine import metrics
from modelmill.engine.client import Client
from modelmill.engine.errors import LoginError
from modelmill.engine.events import events_about
from modelmill.engine.parts import Composed
from modelmill.engine.plan import Controller, Plan, Reconciler, Watch, World
from modelmill.engine.run import Routes, Settings, run
from modelmill.kube import labels
from modelmill.kube.conditions import merge
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import CONFIG_MAPS, DEPLOYMENTS, JOBS, POD_DISRUPTION_BUDGETS, PODS, SERVICES
from modelmill.monitoring.intake import AlertIntake
from modelmill.monitoring.plan import fragment
from modelmill.registry import reconciler as registry
from modelmill.serving import reconciler as serving
from modelmill.serving.scrape import Scraper
from modelmill.training import reconciler as training
from modelmill.workloads.containers import Image

MANAGED_FIELDS = "metadata.managedFields"
MONITORING_CONDITIONS = ("DriftDetected", "MonitoringReady")
OURS = f"{labels.MANAGED_BY_LABEL}={labels.MANAGED_BY}"


@dataclass(frozen=True, slots=True)
class Config:
    """What the environment of the operator's pod says.

    alert_token_file: file with the bearer token of POST /alerts; without one there is no such endpoint.
    """

    trainer_image: str
    server_image: str
    image_pull_policy: str
    alert_token_file: str | None
    settings: Settings


def config_from(environment: Mapping[str, str]) -> Config:
    """Return the configuration. Raises KeyError with the name of a variable that is missing."""
    namespaces = [name.strip() for name in environment.get("MODELMILL_NAMESPACES", "").split(",") if name.strip()]
    return Config(
        trainer_image=environment["MODELMILL_TRAINER_IMAGE"],
        server_image=environment["MODELMILL_SERVER_IMAGE"],
        image_pull_policy=environment.get("MODELMILL_IMAGE_PULL_POLICY", "IfNotPresent"),
        alert_token_file=environment.get("MODELMILL_ALERT_TOKEN_FILE"),
        settings=Settings(
            namespaces=namespaces,
            lease_namespace=environment.get("MODELMILL_LEASE_NAMESPACE", "default"),
            identity=environment.get("MODELMILL_POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
            port=int(environment.get("MODELMILL_PORT", "8080")),
        ),
    )


def watches() -> Sequence[Watch]:
    """Return the kinds that are kept in the cache; children only when they carry our label."""
    return [
        Watch(TRAINING_JOBS, index_fields=[training.MODEL_FIELD], unread=[MANAGED_FIELDS]),
        Watch(MODEL_VERSIONS, index_labels=[labels.MODEL_LABEL], unread=[MANAGED_FIELDS]),
        Watch(INFERENCE_SERVICES, unread=[MANAGED_FIELDS]),
        Watch(PODS, OURS, index_labels=[labels.SERVICE_LABEL], unread=["spec", MANAGED_FIELDS]),
        Watch(JOBS, OURS, unread=["spec", MANAGED_FIELDS]),
        # With managedFields: they tell of changes by another hand.
        *(Watch(one, OURS) for one in (DEPLOYMENTS, SERVICES, POD_DISRUPTION_BUDGETS, CONFIG_MAPS)),
    ]


def controllers(config: Config, client: Client) -> Sequence[Controller]:
    """Return the table of controllers: what each owns, and which other changes concern it."""
    return [
        Controller(
            "trainingjob",
            TRAINING_JOBS,
            Composed(
                [training.part(Image(config.trainer_image, config.image_pull_policy), partial(events_about, client))]
            ),
            owns=[JOBS],
            maps={
                PODS: training.keys_of_pod,
                INFERENCE_SERVICES: training.keys_of_service,
                TRAINING_JOBS: training.keys_of_same_model,
                MODEL_VERSIONS: training.keys_of_version,
            },
        ),
        Controller(
            "modelversion",
            MODEL_VERSIONS,
            registry.reconcile,
            maps={INFERENCE_SERVICES: registry.keys_of_service},
        ),
        Controller(
            "inferenceservice",
            INFERENCE_SERVICES,
            monitored(serving.InferenceServiceReconciler(config.server_image, config.image_pull_policy, Scraper())),
            owns=[DEPLOYMENTS, SERVICES, POD_DISRUPTION_BUDGETS, CONFIG_MAPS],
            maps={PODS: serving.keys_of_pod, MODEL_VERSIONS: serving.keys_of_version},
        ),
    ]


def monitored(reconcile: Reconciler) -> Reconciler:
    """Return the reconciler of serving with what monitoring adds to its plan: rules, alerts and two conditions."""

    async def both(parent: Manifest, world: World, now: datetime) -> Plan:
        plan = await reconcile(parent, world, now)
        if plan.status is None or "deletionTimestamp" in parent["metadata"]:
            return plan
        part = fragment({**parent, "status": plan.status})
        status = part.merged_into(plan.status)
        generation = int(parent["metadata"].get("generation", 1))
        others = [one for one in status["conditions"] if one["type"] not in MONITORING_CONDITIONS]
        before = (parent.get("status") or {}).get("conditions") or ()
        status["conditions"] = [*others, *merge(before, part.conditions, generation, now)]
        return replace(plan, apply=[*plan.apply, *part.apply], status=status)

    return both


def routes(config: Config, client: Client) -> Routes:
    """Return what the operator answers beside its probes: the webhook of Alertmanager, when there is a token for it."""
    if config.alert_token_file is None:
        return ()
    intake = AlertIntake(client, Path(config.alert_token_file), config.settings.namespaces)
    return (("POST", "/alerts", intake.handle),)


def main() -> int:
    """Run the operator until SIGTERM; return the exit code."""
    try:
        config = config_from(os.environ)
    except KeyError as error:
        print(f"modelmill: environment variable {error.args[0]} is not set", file=sys.stderr)
        return 2
    metrics.BUILD.labels(__version__).set(1)
    try:
        run(partial(controllers, config), watches(), config.settings, partial(routes, config))
    except LoginError as error:
        print(f"modelmill: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
