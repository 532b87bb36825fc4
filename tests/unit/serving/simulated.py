"""A small model of what surrounds the plan: Deployment controller, kubelet, Service, traffic, and a clock that is told."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter

from modelmill import app
from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.objects import read_inference_service
from modelmill.api.references import OF_VERSIONS
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.api.schema import structural
from modelmill.contracts import result
from modelmill.contracts import shadow as contract
from modelmill.engine.interface import Patch, Plan
from modelmill.engine.parts import Composed
from modelmill.kube.conditions import find, parse_timestamp, timestamp
from modelmill.kube.labels import REVISION_LABEL
from modelmill.kube.objects import Key, Manifest, Resource
from modelmill.kube.resources import PODS, REPLICA_SETS
from modelmill.measuring.prometheus import Prometheus, Server
from modelmill.measuring.samples import Sample
from modelmill.monitoring.part import monitoring_part
from modelmill.monitoring.reading import Reading
from modelmill.serving.measure import Measurer, Queries
from modelmill.serving.part import Serving, serving_part, view_of
from modelmill.serving.rollout.position import Position, position_of
from modelmill.serving.view import View
from modelmill.workloads.containers import Image
from modelmill.workloads.pod_status import is_ready
from tests.support import objects as o
from tests.support.schema import unknown_fields

T = TypeVar("T")
INF = float("inf")
ENVIRONMENT = {"MODELMILL_TRAINER_IMAGE": "trainer:1", "MODELMILL_SERVER_IMAGE": "server:1"}
(SERVING,) = [row for row in app.controllers(app.config_from(ENVIRONMENT)) if row.resource == INFERENCE_SERVICES]
KINDS = {child.resource.kind: child.resource for child in SERVING.children if child.applied}
STATUS_SCHEMA = structural(InferenceServiceStatus)
STATUS = TypeAdapter(InferenceServiceStatus)

ANALYSIS: dict[str, Any] = {
    "intervalSeconds": 5,
    "minRequests": 20,
    "checks": [{"metric": "ErrorRatio", "maximum": "0.01"}],
    "failureLimit": 0,
}
STEPS: list[dict[str, int]] = [{"weight": 25}, {"pauseSeconds": 10}, {"weight": 50}, {"pauseSeconds": 10}]


def revision_of(obj: Manifest) -> str:
    """Return the revision that a child says it belongs to."""
    return str(obj["metadata"]["labels"].get(REVISION_LABEL, ""))


def now_of(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something")


class Traffic:
    """Counters of the pods, in the place of the scraper.

    silent: no pod answers. mute: uids of pods that do not. blank: they answer without figures. late: it takes longer.
    scrapes: how many pods were asked.
    """

    def __init__(self) -> None:
        self.codes: dict[str, Counter[str]] = {}
        self.mirrored: dict[str, Counter[tuple[str, str]]] = {}
        self.silent = False
        self.mute: set[str] = set()
        self.blank = False
        self.late = False
        self.scrapes = 0

    def forget(self, key: Key) -> None:
        pass

    async def counted(self, key: Key, pods: Sequence[Manifest]) -> dict[str, Sample] | None:
        if self.late:
            return None
        self.scrapes += len(pods)
        if self.silent:
            return {}
        if self.blank:
            return {pod["metadata"]["uid"]: Sample() for pod in pods}
        answering = [pod["metadata"]["uid"] for pod in pods if pod["metadata"]["uid"] not in self.mute]
        return {uid: self._sample(uid) for uid in answering}

    def _sample(self, uid: str) -> Sample:
        codes = self.codes.setdefault(uid, Counter())
        return Sample(
            {"200": 0.0, **{code: float(n) for code, n in codes.items()}},
            {0.1: float(codes.total()), INF: float(codes.total())},
            mirrored={key: float(n) for key, n in self.mirrored.get(uid, Counter()).items()},
        )


class Silent:
    """In the place of what asks pods for their counts: none answers."""

    def forget(self, key: Key) -> None:
        pass

    async def counted(self, key: Key, pods: Sequence[Manifest]) -> dict[str, Reading] | None:
        return {}


class World:
    """One InferenceService. `run` is driven by events and timers only: a plan that forgets its timer hangs.

    broken: versions whose pods end with a message. slow: versions whose pods start but never become ready. errors: versions
    that answer 500. hung: that never answer as a shadow. off: that answer otherwise than the others. rate: requests per second.
    room: pods that the nodes take.
    """

    def __init__(self, replicas: int = 4, versions: tuple[str, ...] = ("cars-1",), **rollout: Any) -> None:
        settings = {"steps": STEPS, "analysis": ANALYSIS, **rollout}
        spec = {
            "model": {"name": "cars", "follow": "Approved"},
            "replicas": replicas,
            "rollout": {name: value for name, value in settings.items() if value is not None},
        }
        self.parent: dict[str, Any] = {
            "apiVersion": "modelmill.dev/v1alpha1",
            "kind": "InferenceService",
            "metadata": {"name": "cars", "namespace": "ml", "uid": "is-uid", "generation": 1, "resourceVersion": "1"},
            "spec": spec,
        }
        self.time = 0
        self.versions: list[dict[str, Any]] = []
        self._versions_made = 0
        for name in versions:
            self.add(name)
        self.children: dict[Resource, dict[str, dict[str, Any]]] = {resource: {} for resource in KINDS.values()}
        self.training_jobs: list[dict[str, Any]] = []
        self.pods: list[dict[str, Any]] = []
        self.broken: set[str] = set()
        self.slow: set[str] = set()
        self.errors: set[str] = set()
        self.hung: set[str] = set()
        self.off: set[str] = set()
        self.rate = 40
        self.room = 99
        self.refuse_status = False
        self.traffic = Traffic()
        self.prometheus: Queries = Prometheus(Server())
        self.image = Image("server:1", "IfNotPresent")
        self.model_code: tuple[str, ...] = ()
        self.start_operator()
        self.events: list[str] = []
        self.messages: list[str] = []
        self.writes: Counter[str] = Counter()
        self.lost = 0
        self._pods_made = 0
        self._counted = False
        self._had: dict[str, int] = {}
        self._wake: float | None = 0

    @property
    def deployments(self) -> dict[str, dict[str, Any]]:
        return self.children[KINDS["Deployment"]]

    @property
    def budgets(self) -> dict[str, dict[str, Any]]:
        return self.children[KINDS["PodDisruptionBudget"]]

    @property
    def autoscalers(self) -> dict[str, dict[str, Any]]:
        return self.children[KINDS["HorizontalPodAutoscaler"]]

    @property
    def service(self) -> dict[str, Any]:
        return self.children[KINDS["Service"]].get("cars", {})

    @property
    def measurer(self) -> Measurer:
        return self.serving_code.measurer

    @property
    def status(self) -> dict[str, Any]:
        return self.parent.get("status") or {}

    def add(self, name: str) -> None:
        self.versions.append(o.model_version(name, created=timestamp(o.later(self._versions_made - 10_000))))
        self._versions_made += 1
        self._wake = 0

    def reject(self, name: str) -> None:
        (version,) = [one for one in self.versions if one["metadata"]["name"] == name]
        version["spec"]["approval"] = "Rejected"
        self._wake = 0

    def claim(self, name: str, alias: str, since: str | None) -> None:
        """Let a version claim an alias since a time; None takes its claims away."""
        (version,) = [one for one in self.versions if one["metadata"]["name"] == name]
        version["spec"]["aliases"] = [alias] if since else []
        version["status"] = {"claims": [{"alias": alias, "since": since, "version": name}] if since else []}
        self._wake = 0

    def serving(self) -> World:
        self.run(5)
        assert self.status["phase"] == "Stable"
        return self

    def say(self, name: str, text: str | None = None) -> None:
        """Set an annotation of a person to a new text."""
        annotations = self.parent["metadata"].setdefault("annotations", {})
        annotations[f"modelmill.dev/{name}"] = text or f"at {self.time}"
        self._wake = 0

    def start_operator(self) -> None:
        part = serving_part(self.image, self.traffic, self.prometheus, self.model_code)
        assert isinstance(part.contribute, Serving)
        self.serving_code = part.contribute
        ours = {one.name: one for one in (part, monitoring_part(Silent()))}
        others = [one for one in SERVING.parts if one.name not in ours]
        self.operator = Composed([*ours.values(), *others])

    def restart_operator(self, image: str | None = None) -> None:
        if image is not None:
            self.image = Image(image, "IfNotPresent")
        self.start_operator()
        self._wake = 0

    # What the plan asks of the cache, as in `engine.plan.World`.

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        return next((one for one in self.list(resource) if one["metadata"]["name"] == name), None)

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Manifest]:
        ours = {MODEL_VERSIONS: self.versions, TRAINING_JOBS: self.training_jobs}
        # Tests change them in place; what the cache holds is never changed in place.
        return copy.deepcopy(ours[resource]) if resource in ours else list(self.children[resource].values())

    def labelled(self, resource: Resource, namespace: str, label: str, value: str) -> Sequence[Manifest]:
        return [one for one in self.list(resource) if one["metadata"]["labels"].get(label) == value]

    def watched(self, resource: Resource, namespace: str) -> bool:
        return True

    def found_by(self, resource: Resource, namespace: str, index: str, value: str) -> Sequence[Manifest]:
        return [one for one in self.list(resource) if value in OF_VERSIONS[index](one)]

    def owned(self, resource: Resource, namespace: str, uid: str) -> Sequence[Manifest]:
        if resource == REPLICA_SETS:
            return [{"metadata": {"name": uid, "uid": uid}}]
        if resource == PODS:
            return [pod for pod in self.pods if pod["owner"] == uid]
        return list(self.children.get(resource, {}).values())

    def run(self, seconds: int) -> None:
        """Let the time pass, second by second; the operator wakes for changes and for its own timers."""
        for _ in range(seconds):
            self.settle()
            self.time += 1
            self._serve()

    def settle(self) -> None:
        """Do what is to be done in this second."""
        for _ in range(30):
            if self._wake is None or self._wake > self.time:
                if not self.kubelet():
                    return
                self._wake = self.time
            self.reconcile()
        raise AssertionError(f"it never comes to rest: {self.status}")

    def view(self) -> View:
        return view_of(read_inference_service(self.parent), self, self.image, o.later(self.time))

    def position(self) -> Position:
        candidate = self.view().status.canary
        assert candidate is not None
        return position_of(self.view(), candidate)

    def reconcile(self) -> Plan:
        """Carry one plan out as the executor does: children, deletions, status, events."""
        self._counted = bool(self.autoscalers)
        self._had = {revision_of(one): one["spec"].get("replicas", 0) for one in self.deployments.values()}
        made = now_of(self.operator(self.parent, self, o.later(self.time)))
        before = self.status
        for patch in made.patch:
            self.patch(patch)
        for child in made.apply:
            self._apply(child)
        for gone in made.delete:
            tracks = (before.get("stable") or {}, before.get("canary") or {})
            names = {f"cars-{track.get('revision')}" for track in tracks if gone.resource == KINDS["Deployment"]}
            assert gone.name not in names, "deleted while in a track"
            self.writes[gone.resource.kind] += 1
            self.children[gone.resource].pop(gone.name)
        self._wake = None if made.requeue_after is None else self.time + made.requeue_after // 1
        written = made.status is not None and made.status != before
        if written and self.refuse_status:
            self._wake = self.time
        else:
            if written:
                self._write(made)
            for child in (child for aside in made.aside for child in aside.apply):
                self._apply(child)
        self.check()
        return made

    def _write(self, made: Plan) -> None:
        assert made.status is not None
        assert not list(unknown_fields(made.status, STATUS_SCHEMA, "status"))
        STATUS.validate_python(made.status)
        self.writes["status"] += 1
        self.parent = {**self.parent, "status": dict(made.status)}
        self.events += [event.reason for event in made.events]
        self.messages += [event.message for event in made.events]

    def _apply(self, child: Manifest) -> None:
        name = child["metadata"]["name"]
        home = self.children[KINDS[child["kind"]]]
        old = home.get(name)
        if old is not None and all(old.get(part) == child[part] for part in child if part != "metadata"):
            return
        self.writes[child["kind"]] += 1
        uid = f"{name}-{self.writes.total()}"
        made = timestamp(o.later(self.time))
        kept = old["metadata"] if old else {"uid": uid, "namespace": "ml", "creationTimestamp": made}
        if old is not None and "replicas" not in child.get("spec", {}) and "replicas" in old.get("spec", {}):
            child = {**child, "spec": {**child["spec"], "replicas": old["spec"]["replicas"]}}
        home[name] = {**child, "metadata": {**kept, **child["metadata"]}, "status": (old or {}).get("status", {})}

    def patch(self, patch: Patch) -> None:
        """Change an object of somebody else."""
        old = self.children[patch.resource][patch.name]
        assert old["metadata"]["resourceVersion"] == patch.version
        self.writes[patch.resource.kind] += 1
        after = {name: {**old[name], **part} for name, part in patch.body.items()}
        self.children[patch.resource][patch.name] = {**old, **after}

    def kubelet(self, limit: int = 99) -> bool:
        """Make the pods what their Deployments want, at most `limit` new ones; tell whether anything changed."""
        before = [(pod["metadata"]["uid"], str(pod["status"])) for pod in self.pods]
        owners = {one["metadata"]["uid"]: one for one in self.deployments.values()}
        self.pods = [pod for pod in self.pods if pod["owner"] in owners]
        for uid, deployment in owners.items():
            mine = [pod for pod in self.pods if pod["owner"] == uid]
            wanted = deployment["spec"]["replicas"]
            for extra in sorted(mine, key=is_ready)[: max(0, len(mine) - wanted)]:
                self.pods.remove(extra)
            for _ in range(min(limit, wanted - len(mine))):
                self.pods.append(self._pod(deployment))
        for pod in self.pods:
            self._start(pod)
        for uid, deployment in owners.items():
            self._available(deployment, [pod for pod in self.pods if pod["owner"] == uid])
        return before != [(pod["metadata"]["uid"], str(pod["status"])) for pod in self.pods]

    def _pod(self, deployment: dict[str, Any]) -> dict[str, Any]:
        self._pods_made += 1
        moment = timestamp(o.later(self.time))
        pod = o.pod(f"{deployment['metadata']['name']}-{self._pods_made}", [], [], "Pending", moment)
        pod["metadata"]["labels"] = deployment["spec"]["template"]["metadata"]["labels"]
        pod["owner"] = deployment["metadata"]["uid"]
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": moment}]
        return pod

    def _start(self, pod: dict[str, Any]) -> None:
        if pod["status"]["phase"] == "Pending":
            if sum(one["status"]["phase"] == "Running" for one in self.pods) >= self.room:
                no_node = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
                pod["status"]["conditions"] = [pod["status"]["conditions"][0], no_node]
                return
            pod["status"]["phase"] = "Running"
            pod["status"]["conditions"] = pod["status"]["conditions"][:1]
        version = pod["metadata"]["labels"]["modelmill.dev/model-version"]
        broken = version in self.broken
        set_ready(pod, not broken and version not in self.slow, self.time)
        failure = result.encode(result.StageResult("Failed", "GoldenMismatch", ("row 3 differs",)))
        pod["status"]["containerStatuses"] = [o.ended("server", 3, failure) if broken else o.running("server")]

    def _available(self, deployment: dict[str, Any], pods: list[dict[str, Any]]) -> None:
        word = "True" if sum(map(is_ready, pods)) >= deployment["spec"]["replicas"] else "False"
        old = (deployment["status"].get("conditions") or [{}])[0]
        if old.get("status") != word:
            moment = timestamp(o.later(self.time))
            deployment["status"] = {"conditions": [{"type": "Available", "status": word, "lastTransitionTime": moment}]}

    def selected(self) -> list[dict[str, Any]]:
        """Return the pods that get traffic."""
        only = (self.service.get("spec") or {}).get("selector", {}).get("modelmill.dev/revision")
        return [pod for pod in self.pods if is_ready(pod) and only in (None, revision_of(pod))]

    def _serve(self) -> None:
        pods = self.selected()
        for number in range(self.rate):
            if not pods:
                self.lost += 1
                continue
            labels = (pod := pods[number % len(pods)])["metadata"]["labels"]
            code = "500" if labels["modelmill.dev/model-version"] in self.errors else "200"
            self.traffic.codes.setdefault(pod["metadata"]["uid"], Counter())[code] += 1
            self._mirror(pod)

    def _mirror(self, pod: dict[str, Any]) -> None:
        """Do what a server does that was told of a shadow: every request is mirrored."""
        told = self.children[KINDS["ConfigMap"]].get("cars-shadow")
        volumes = self.deployments[pod_deployment(pod)]["spec"]["template"]["spec"]["volumes"]
        if told is None or "shadow" not in [one["name"] for one in volumes]:
            return
        shadow = contract.decode(told["data"]["shadow.json"])
        preview = self.children[KINDS["Service"]]["cars-preview"]["spec"]["selector"]["modelmill.dev/revision"]
        asked = [one for one in self.pods if revision_of(one) == preview and is_ready(one)]
        counts = self.traffic.mirrored.setdefault(pod["metadata"]["uid"], Counter())
        if not asked:
            counts[shadow.revision, "unreachable"] += 1
        elif shadow.version in self.hung:
            counts[shadow.revision, "timeout"] += 1
        elif shadow.version in self.errors:
            counts[shadow.revision, "5xx"] += 1
        else:
            counts.update([(shadow.revision, "2xx"), (shadow.revision, "compared")])
            counts.update([(shadow.revision, "disagreed")] * (shadow.version in self.off))

    def check(self) -> None:
        """What must hold after every reconciliation."""
        status, spec = self.status, self.parent["spec"]
        stable, canary = status.get("stable"), status.get("canary")
        if stable is None or self.refuse_status:
            return
        wanted = {revision_of(one): one["spec"]["replicas"] for one in self.deployments.values()}
        owners = {one["metadata"]["uid"] for one in self.deployments.values()}
        ready = Counter(revision_of(pod) for pod in self.pods if is_ready(pod) and pod["owner"] in owners)
        if spec.get("suspend") or not spec["replicas"]:
            assert canary is None
            assert wanted[stable["revision"]] == 0
            assert status.get("previous") is None
            return
        assert wanted[stable["revision"]] >= 1
        only = self.service["spec"]["selector"].get("modelmill.dev/revision")
        switched = (
            canary is not None and canary["weight"] == 100 and spec.get("rollout", {}).get("strategy") == "BlueGreen"
        )
        assert only in (None, stable["revision"], *([canary["revision"]] if switched else []))
        if only is not None and ready.total():
            assert ready[only], "traffic goes to a revision without ready pods"
        told = self.children[KINDS["ConfigMap"]].get("cars-shadow")
        assert told is None or (canary is not None and canary["weight"] == 0 and only in (None, stable["revision"]))
        if "autoscaling" in spec or self._counted:
            return
        if canary is None:
            assert wanted[stable["revision"]] == spec["replicas"]
            return
        # At weight 100 the stable track is not made greater: a candidate that gets all the traffic is about to take its place.
        kept = canary["weight"] == 100 and wanted[stable["revision"]] >= self._had.get(stable["revision"], 0)
        assert kept or spec["replicas"] - wanted[stable["revision"]] <= ready[canary["revision"]]
        if canary["weight"] == 0 and wanted.get(canary["revision"], 0) > 0:
            assert only == stable["revision"] or not ready[stable["revision"]]
            assert wanted[stable["revision"]] == spec["replicas"]
        if canary["weight"]:
            assert status.get("failedRevision") is None
            if spec.get("rollout", {}).get("strategy") == "BlueGreen":
                assert wanted[stable["revision"]] == spec["replicas"]
                assert canary["actualWeight"] == (100 if only == canary["revision"] else 0)
                return
            share = ready[canary["revision"]] / max(1, ready[canary["revision"]] + ready[stable["revision"]])
            # Nothing before the pods that spec.rollout.traffic.minimumSurge adds to the stable version are ready.
            assert canary["actualWeight"] == (round(100 * share) if only is None else 0)


def pod_deployment(pod: dict[str, Any]) -> str:
    """Return the name of the Deployment that a pod is of."""
    return f"cars-{revision_of(pod)}"


def set_ready(pod: dict[str, Any], ready: bool, time: int) -> None:
    """Give the pod's condition Ready a value, as the kubelet does."""
    condition = pod["status"]["conditions"][0]
    word = "True" if ready else "False"
    if condition["status"] != word:
        condition |= {"status": word, "lastTransitionTime": timestamp(o.later(time))}


def seconds_between(earlier: str, later: str) -> float:
    """Return the time between two timestamps of the status, s."""
    return (parse_timestamp(later) - parse_timestamp(earlier)).total_seconds()


def condition(world: World, kind: str) -> tuple[str, str, str]:
    found = find(world.status, kind)
    assert found is not None
    return found["status"], found["reason"], found["message"]
