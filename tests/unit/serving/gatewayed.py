"""A gateway in front of the simulated service: it takes an HTTPRoute some time after it changed, and sends requests by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from modelmill.engine.interface import Patch
from modelmill.kube.labels import REVISION_LABEL
from modelmill.kube.objects import Manifest, Resource
from modelmill.kube.resources import HTTP_ROUTES, SERVICES
from modelmill.workloads.pod_status import is_ready
from tests.unit.serving.simulated import World, revision_of

PARENT = {"name": "gateway", "namespace": "edge"}
OWN = {"mode": "GatewayAPI", "parentRefs": [PARENT], "hostnames": ["cars.example.com"]}
THEIRS = {"mode": "GatewayAPI", "routeRef": {"name": "front"}}


def backends(stable: int | None = None, canary: int | None = None, *others: Any) -> list[dict[str, Any]]:
    """Return backendRefs of both Services; None for a weight that is not given."""
    pairs = (("cars", stable), ("cars-canary", canary))
    weighed = [{"name": name, "port": 80} | ({} if weight is None else {"weight": weight}) for name, weight in pairs]
    return [*weighed, *others]


def route(*rules: Any, name: str = "front", **meta: Any) -> dict[str, Any]:
    """Return an HTTPRoute of the user's."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "ml", "uid": f"{name}-uid", "resourceVersion": "7", **meta},
        "spec": {"parentRefs": [PARENT], "rules": list(rules)},
    }


class Gatewayed(World):
    """lag: seconds that the gateway takes. installed: whether there are HTTPRoutes at all. refuses: words of a refusal.

    got: requests by version in the last second. tested: versions that answer those with the header.
    given: the weights that the gateway sends by.
    """

    def __init__(self, traffic: dict[str, Any] = OWN, **more: Any) -> None:
        super().__init__(traffic=traffic, **more)
        self.lag = 0
        self.installed = True
        self.refuses = ""
        self.got: Counter[str] = Counter()
        self.tested: set[str] = set()
        self.given = (100, 0)
        self._told = False
        self._changed: dict[str, tuple[Any, int]] = {}

    @property
    def routes(self) -> dict[str, dict[str, Any]]:
        return self.children[HTTP_ROUTES]

    @property
    def weights(self) -> tuple[int, int]:
        """The weights of the route's last rule."""
        (one,) = self.routes.values()
        rules = one["spec"]["rules"]
        weights = {each["name"]: each.get("weight", 1) for each in (rules[-1]["backendRefs"] if rules else ())}
        return weights.get("cars", 0), weights.get("cars-canary", 0)

    def watched(self, resource: Resource, namespace: str) -> bool:
        return self.installed or resource != HTTP_ROUTES

    def owned(self, resource: Resource, namespace: str, uid: str) -> Sequence[Manifest]:
        return [one for one in super().owned(resource, namespace, uid) if one["metadata"].get("uid") != "front-uid"]

    def _apply(self, child: Manifest) -> None:
        assert self.installed or child["kind"] != "HTTPRoute"
        super()._apply(child)
        self._told |= self.control()

    def patch(self, patch: Patch) -> None:
        super().patch(patch)
        self._told |= self.control()

    def kubelet(self, limit: int = 99) -> bool:
        changed, self._told = self._told, False
        return any([super().kubelet(limit), self.control(), changed])

    def control(self) -> bool:
        """Be the gateway's controller; tell whether a status changed."""
        changed = False
        for name, one in list(self.routes.items()):
            spec, since = self._changed.get(name, (None, self.time))
            generation = one["metadata"].get("generation", 0)
            if spec != one["spec"] or not generation:
                generation, since, changed = generation + 1, self.time, True
                self._changed[name] = (one["spec"], since)
                self.routes[name] = {**one, "metadata": {**one["metadata"], "generation": generation}}
            if self.time - since < self.lag:
                continue
            status = self._status(generation)
            if status != one.get("status"):
                self.routes[name] = {**self.routes[name], "status": status}
                changed = True
            if not self.refuses and any(self.weights):
                self.given = self.weights
        return changed

    def _status(self, generation: int) -> dict[str, Any]:
        word = "False" if self.refuses else "True"
        said = {"status": word, "reason": "Why", "message": self.refuses, "observedGeneration": generation}
        conditions = [{"type": kind, **said} for kind in ("Accepted", "ResolvedRefs")]
        return {"parents": [{"parentRef": PARENT, "controllerName": "test", "conditions": conditions}]}

    def behind(self, service: str) -> list[dict[str, Any]]:
        """Return the ready pods that a Service selects."""
        selector = (self.children[SERVICES].get(service) or {}).get("spec", {}).get("selector", {})
        only = selector.get(REVISION_LABEL)
        return [pod for pod in self.pods if is_ready(pod) and only in (None, revision_of(pod))]

    def _with_header(self) -> list[dict[str, Any]]:
        """Return the pods that answer requests with the header x-canary."""
        rules = self.routes["cars"]["spec"]["rules"] if "cars" in self.routes else []
        (backend,) = rules[0]["backendRefs"] if len(rules) == 2 else [{"name": "cars"}]
        return self.behind(backend["name"])

    def _serve(self) -> None:
        self.got = Counter()
        self.tested = {pod["metadata"]["labels"]["modelmill.dev/model-version"] for pod in self._with_header()}
        stable, canary = self.given
        for number in range(self.rate):
            to_canary = (number * canary) // (stable + canary) != ((number + 1) * canary) // (stable + canary)
            pods = self.behind("cars-canary" if to_canary else "cars")
            if not pods:
                self.lost += 1
                continue
            pod = pods[number % len(pods)]
            version = pod["metadata"]["labels"]["modelmill.dev/model-version"]
            self.got[version] += 1
            code = "500" if version in self.errors else "200"
            self.traffic.codes.setdefault(pod["metadata"]["uid"], Counter())[code] += 1
            self._mirror(pod)

    def check(self) -> None:
        """What must hold after every reconciliation."""
        status, spec = self.status, self.parent["spec"]
        if spec["rollout"]["traffic"]["mode"] == "Replicas" or spec.get("suspend") or not spec["replicas"]:
            super().check()
            return
        stable, canary = status.get("stable"), status.get("canary")
        if stable is None or self.refuse_status:
            return
        wanted = {revision_of(one): one["spec"]["replicas"] for one in self.deployments.values()}
        counted = "autoscaling" in spec
        assert counted or wanted[stable["revision"]] == spec["replicas"], "the stable version gave up pods"
        ready = Counter(revision_of(pod) for pod in self.pods if is_ready(pod))
        only = self.service["spec"]["selector"].get(REVISION_LABEL)
        assert only in (None, stable["revision"])
        assert only is not None or not ready[stable["revision"]]
        chosen = self.children[SERVICES]["cars-canary"]["spec"]["selector"].get(REVISION_LABEL)
        if canary is None or status["phase"] == "RollingBack":
            assert chosen in (None, stable["revision"]), "what is not rolled out is reached"
        if canary is None:
            return
        if chosen == canary["revision"]:
            assert ready[chosen], "traffic to a candidate that is not ready"
            if canary["replicas"] and self.routes and self.installed and not status.get("failedRevision"):
                assert self.weights[1] <= canary["weight"]
        if (
            "cars" in self.routes
            and canary.get("routedTime")
            and status["phase"] == "RollingOut"
            and canary["ready"] >= canary["replicas"]
        ):
            assert canary["actualWeight"] in (0, canary["weight"])
