"""The operator: the one place that wires kinds, watches and reconcilers together. Run with `python -m modelmill.app`."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from modelmill import __version__
from modelmill.api import references
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.batch import part as batch
from modelmill.contracts.names import HTTP_PORT
from modelmill.engine import metrics
from modelmill.engine.client import Client
from modelmill.engine.errors import LoginError, NotFound
from modelmill.engine.interface import Reads, Watch, World
from modelmill.engine.process import Routes, Settings, run
from modelmill.engine.table import MANAGED_FIELDS, OURS, Concern, Controller, watches_of
from modelmill.kube import labels
from modelmill.kube.objects import Key, Manifest, Resource
from modelmill.kube.resources import CORE_EVENTS, HTTP_ROUTES, PODS, REPLICA_SETS
from modelmill.measuring import prometheus
from modelmill.measuring.scrape import PageScraper, Scraper
from modelmill.monitoring import part as monitoring
from modelmill.monitoring import reading, stack
from modelmill.monitoring import report_part as reports_on
from modelmill.monitoring.intake import PATH as ALERTS_PATH
from modelmill.monitoring.intake import AlertIntake
from modelmill.registry import part as registry
from modelmill.serving import network as serving_network
from modelmill.serving import part as serving
from modelmill.serving.upgrade import Upgrades
from modelmill.training import network as training_network
from modelmill.training import part as training
from modelmill.training.search import intake as reporting
from modelmill.training.turns import Turns
from modelmill.tuning.reports import Reports
from modelmill.tuning.sampler import Sampler, SamplerProcess
from modelmill.workloads import refusals
from modelmill.workloads.containers import Image
from modelmill.workloads.network import Network


@dataclass(frozen=True, slots=True)
class Config:
    """What the environment of the operator's pod says.

    alert_token_file: file with the bearer token of POST /alerts; without one there is no such endpoint.
    report_url: where trials of searches report, as their pods reach it.
    network: what NetworkPolicies of the pods are made from; None for none. prometheus: where queries of analyses go.
    model_code: namespaces in which models may run code of their own in their servers; `*` for all.
    max_concurrent_rollouts: services that take the server's image of a new release at a time by themselves; 0 for none.
    max_concurrent_retrains: runs that nobody asked for, in progress at a time; 0 for none.
    stack: what is known of the Prometheus of the cluster, for monitoring.
    """

    trainer_image: str
    server_image: str
    image_pull_policy: str
    alert_token_file: str | None
    report_url: str
    network: Network | None
    model_code: Sequence[str]
    prometheus: prometheus.Server
    settings: Settings
    max_concurrent_rollouts: int = 1
    max_concurrent_retrains: int = 5
    stack: stack.Stack = field(default_factory=stack.Stack)


def config_from(environment: Mapping[str, str]) -> Config:
    """Return the configuration. Raises KeyError with the name of a variable that is missing, ValueError for a wrong value."""
    network = None
    if environment.get("MODELMILL_NETWORK_POLICIES") == "true":
        ports = [int(port) for port in _listed(environment, "MODELMILL_STORE_PORTS")]
        network = Network(ports, _listed(environment, "MODELMILL_STORE_CIDRS"))
    settings = Settings(
        namespaces=_listed(environment, "MODELMILL_NAMESPACES"),
        lease_namespace=environment.get("MODELMILL_LEASE_NAMESPACE", "default"),
        lease_name=environment.get("MODELMILL_LEASE_NAME", "modelmill-operator"),
        identity=environment.get("MODELMILL_POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        port=int(environment.get("MODELMILL_PORT", "8080")),
    )
    # The chart gives the Service the name of the Lease.
    service = f"http://{settings.lease_name}.{settings.lease_namespace}.svc:{HTTP_PORT}"
    url = (environment.get("MODELMILL_SERVICE_URL") or service).rstrip("/")
    return Config(
        trainer_image=environment["MODELMILL_TRAINER_IMAGE"],
        server_image=environment["MODELMILL_SERVER_IMAGE"],
        image_pull_policy=environment.get("MODELMILL_IMAGE_PULL_POLICY", "IfNotPresent"),
        alert_token_file=environment.get("MODELMILL_ALERT_TOKEN_FILE"),
        report_url=url + reporting.PATH,
        network=network,
        model_code=_listed(environment, "MODELMILL_MODEL_CODE_NAMESPACES"),
        prometheus=_prometheus(environment),
        settings=settings,
        max_concurrent_rollouts=int(environment.get("MODELMILL_MAX_CONCURRENT_ROLLOUTS", "1")),
        max_concurrent_retrains=int(environment.get("MODELMILL_MAX_CONCURRENT_RETRAINS", "5")),
        stack=_stack(environment, url),
    )


def _stack(environment: Mapping[str, str], url: str) -> stack.Stack:
    runbooks = environment.get("MODELMILL_RUNBOOK_URL") or stack.RUNBOOKS
    if "{{" in runbooks:
        raise ValueError("MODELMILL_RUNBOOK_URL must not have {{ in it, which begins a template of Prometheus")
    pairs = [one.partition("=") for one in _listed(environment, "MODELMILL_MONITORING_LABELS")]
    alerts_url = f"{url}{ALERTS_PATH}" if environment.get("MODELMILL_ALERT_TOKEN_FILE") else ""
    return stack.Stack(runbooks, {name: value for name, _, value in pairs}, alerts_url)


def _prometheus(environment: Mapping[str, str]) -> prometheus.Server:
    url = environment.get("MODELMILL_PROMETHEUS_URL", "")
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("MODELMILL_PROMETHEUS_URL must begin with http:// or https://")
    return prometheus.Server(url, environment.get("MODELMILL_PROMETHEUS_NAMESPACE_PARAMETER", ""))


def _listed(environment: Mapping[str, str], name: str) -> list[str]:
    return [word.strip() for word in environment.get(name, "").split(",") if word.strip()]


def watches(table: Sequence[Controller]) -> Sequence[Watch]:
    """Return the kinds that are kept in the cache: those of the table, and what the table does not say."""
    return watches_of(
        table,
        [
            Watch(
                MODEL_VERSIONS,
                index_labels=[labels.MODEL_LABEL],
                indexes=references.OF_VERSIONS,
                reduced=registry.reduced,
            ),
            Watch(TRAINING_JOBS, indexes=references.OF_JOBS, unread=[MANAGED_FIELDS]),
            Watch(INFERENCE_SERVICES, indexes=references.OF_SERVICES, unread=[MANAGED_FIELDS]),
            Watch(PODS, OURS, unread=["spec", MANAGED_FIELDS]),
            Watch(
                CORE_EVENTS,
                field_selector=refusals.SELECTOR,
                indexes=refusals.INDEXES,
                reduced=refusals.reduced,
                bookmarks=False,
            ),
            # Also those of others, whose weights may be asked for.
            Watch(HTTP_ROUTES, optional=True),
            *(Watch(kind, OURS, optional=True) for kind in stack.KINDS),
            Watch(REPLICA_SETS, OURS, unread=["spec", "status", MANAGED_FIELDS]),
        ],
    )


class NothingThere:
    """An API server without objects: for a table that is only looked at. The methods of `engine.interface.Reads`."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """Raise NotFound."""
        raise NotFound(404, "NotFound", f"{resource.plural} {name}")

    async def list(self, *_: object, **__: object) -> tuple[Sequence[Manifest], str]:
        """Return an empty list."""
        return (), ""


def controllers(
    config: Config, reads: Reads | None = None, sampler: Sampler | None = None, reports: Reports | None = None
) -> Sequence[Controller]:
    """Return the table: the parts of each kind with their children, and which other changes concern it.

    reads: the API server; one without objects when the table is only looked at. sampler: suggests the trials of searches; a
    process of its own, which begins with the first search. reports: what trials report.
    """
    reads = reads or NothingThere()
    reports = reports or Reports(config.report_url)
    server = Image(config.server_image, config.image_pull_policy)
    upgrades = Upgrades(server.name, config.max_concurrent_rollouts)
    turns = Turns(config.max_concurrent_retrains)
    queries = prometheus.Prometheus(config.prometheus)
    trainer = Image(config.trainer_image, config.image_pull_policy)
    operator = config.settings.lease_namespace
    of_runs = [training_network.network_part(config.network, operator)] if config.network is not None else []
    of_servers = [serving_network.network_part(config.network)] if config.network is not None else []
    return [
        Controller(
            "trainingjob",
            TRAINING_JOBS,
            [*of_runs, training.training_part(trainer, reads, sampler or SamplerProcess(), reports, turns)],
            concerns={
                PODS: Concern(training.keys_of_pod),
                CORE_EVENTS: training.REFUSALS,
                INFERENCE_SERVICES: training.SERVICES,
                MODEL_VERSIONS: training.VERSIONS,
                TRAINING_JOBS: training.others(turns),
            },
        ),
        Controller(
            "modelversion",
            MODEL_VERSIONS,
            [registry.registry_part(trainer, config.network, reads)],
            concerns={
                INFERENCE_SERVICES: registry.SERVICES,
                MODEL_VERSIONS: registry.CLAIMS,
                PODS: Concern(registry.keys_of_pod),
            },
        ),
        Controller(
            "inferenceservice",
            INFERENCE_SERVICES,
            [
                *of_servers,
                serving.serving_part(server, Scraper(), queries, config.model_code, upgrades),
                monitoring.monitoring_part(PageScraper(reading.read, reading.needed_lines), config.stack),
                reports_on.report_part(trainer),
                batch.batch_part(server, reads, config.model_code),
            ],
            concerns={
                PODS: Concern(_services_of_pod),
                CORE_EVENTS: Concern(batch.keys_of_refusal, needed=False),
                REPLICA_SETS: serving.REPLICA_SETS_OF_PODS,
                HTTP_ROUTES: Concern(serving.keys_of_route),
                MODEL_VERSIONS: serving.VERSIONS,
                TRAINING_JOBS: monitoring.RETRAINING,
                INFERENCE_SERVICES: upgrades.concern(),
            },
        ),
    ]


def _services_of_pod(pod: Manifest, world: World) -> Sequence[Key]:
    """Return the InferenceServices that a pod is of: as a server, of a batch run, of a drift report."""
    return [*serving.keys_of_pod(pod, world), *batch.keys_of_pod(pod, world), *reports_on.keys_of_pod(pod, world)]


def routes(config: Config, reports: Reports, client: Client) -> Routes:
    """Return what the operator answers beside its probes: reports of trials, and Alertmanager's webhook if it has a token."""
    of_trials = ("POST", reporting.PATH, reporting.ReportIntake(client, reports).handle)
    if config.alert_token_file is None:
        return (of_trials,)
    alerts = AlertIntake(client, Path(config.alert_token_file), config.settings.namespaces)
    return (of_trials, ("POST", ALERTS_PATH, alerts.handle))


def main() -> int:
    """Run the operator until SIGTERM; return the exit code."""
    try:
        config = config_from(os.environ)
    except KeyError as error:
        print(f"modelmill: environment variable {error.args[0]} is not set", file=sys.stderr)
        return 2
    metrics.BUILD.labels(__version__).set(1)
    reports = Reports(config.report_url)
    try:
        run(
            partial(controllers, config, reports=reports),
            watches(controllers(config)),
            config.settings,
            partial(routes, config, reports),
        )
    except LoginError as error:
        print(f"modelmill: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
