"""The operator: the one place that wires kinds, watches and reconcilers together. Run with `python -m modelmill.app`."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelmill import __version__
from modelmill.api import kinds
from modelmill.engine import metrics
from modelmill.engine.errors import LoginError
from modelmill.engine.kinds import JOBS, PODS
from modelmill.engine.plan import Controller, Resource, Watch
from modelmill.engine.run import Settings, run
from modelmill.registry import reconciler as registry
from modelmill.training import reconciler as training

TRAINING_JOBS = Resource(*kinds.TRAINING_JOB)
MODEL_VERSIONS = Resource(*kinds.MODEL_VERSION)
INFERENCE_SERVICES = Resource(*kinds.INFERENCE_SERVICE)
OURS = f"{kinds.MANAGED_BY_LABEL}={kinds.MANAGED_BY}"


@dataclass(frozen=True, slots=True)
class Config:
    """What the environment of the operator's pod says.

    alert_token_file: file with the bearer token of POST /alerts; without one the endpoint refuses everything.
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
    ours = [Watch(one) for one in (TRAINING_JOBS, MODEL_VERSIONS, INFERENCE_SERVICES)]
    children = [Watch(one, OURS) for one in (JOBS, PODS)]
    return [*ours, *children]


def controllers(config: Config) -> Sequence[Controller]:
    """Return the table of controllers: what each owns, and which other changes concern it."""
    return [
        Controller(
            "trainingjob",
            TRAINING_JOBS,
            training.TrainingJobReconciler(config.trainer_image),
            owns=[JOBS],
            maps={PODS: training.keys_of_pod, INFERENCE_SERVICES: training.keys_of_service},
        ),
        Controller(
            "modelversion",
            MODEL_VERSIONS,
            registry.reconcile,
            maps={INFERENCE_SERVICES: registry.keys_of_service},
        ),
    ]


def main() -> int:
    """Run the operator until SIGTERM; return the exit code."""
    try:
        config = config_from(os.environ)
    except KeyError as error:
        print(f"modelmill: environment variable {error.args[0]} is not set", file=sys.stderr)
        return 2
    metrics.BUILD.labels(__version__).set(1)
    try:
        run(controllers(config), watches(), config.settings)
    except LoginError as error:
        print(f"modelmill: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
