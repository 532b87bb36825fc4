"""What holds of every rollout, looked at from outside of the plan: at each plan, and at the requests of each second.

In memory: `test_invariants` plays random events on these worlds, for every strategy and both traffic modes; what else proves an
invariant is named. On the cluster: `tests/e2e/test_invariants.py`, counted from the requests to a real gateway.

| Invariant | Here | On the cluster |
|---|---|---|
| 1 only a ready track has weight | `World.check`, `_answers` | no request fails |
| 2 the stable track gives up pods only for ready ones | `World.check`, `_answers` (12) | no request fails; its pods stay |
| 3 a rollback takes weights, waits, then takes pods | `_deletions`, `_ends` | after its end no answer of it; none fails |
| 4 the spec is never written | `reconcile`, `patch` | metadata.generation counts the person's edits |
| 5 what failed is not tried again until something changes | `_begins`; convergence | no answer of it until `retry` |
| 6 a change in the middle begins anew against the stable track | `_begins`, `_ends` | the stable version stays |
| 7 thresholds stay armed in a pause | `test_pause_disarms_nothing` | tests/e2e/test_bad_versions.py, in their pauses |
| 8 a promotion keeps the candidate's pods | `_promotion` | the uids of its pods |
| 9 a restart goes on from the status | "restart", "restart at rest" | the operator is killed among the other events |
| 10 actualWeight is what is given, and told where it is off | `_shares` | the share of the requests in each step |
| 11 a step's time begins when the gateway has its weight | `_step` | nobody is asked for more than its step's weight |
| 12 where one copy is healthy, somebody answers | `_answers` | no request fails |
| 13 replicas that an autoscaler counts are not written | `_apply`, where autoscaled | test_autoscaled |
| 14 of a route of the user's only two weights change | `patch` | tests/e2e/test_gateway.py |
| 15 for an alert a version is left once, for one that is there | `_goes_back` | |
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

from modelmill.api.resources import INFERENCE_SERVICES
from modelmill.engine.interface import Patch, Plan
from modelmill.kube.conditions import parse_timestamp
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import HTTP_ROUTES
from modelmill.serving.rollout.tracks import DRAIN_SECONDS
from modelmill.workloads.pod_status import is_ready
from tests.support import objects as o
from tests.unit.serving.gatewayed import Gatewayed
from tests.unit.serving.simulated import World, condition, revision_of

GOES_ON = ("RollingOut", "Paused")


def said(status: dict[str, Any], name: str) -> Any:
    """Return the text of a person that was answered."""
    return (status.get("answered") or {}).get(name)


def weight_in(status: dict[str, Any], step: int) -> int:
    """Return the weight of a step of the rollout as it is done, percent."""
    weights = [one["weight"] for one in status["effective"]["steps"][: step + 1] if "weight" in one]
    return int(weights[-1]) if weights else 0


class Observed(World):
    """A world in which every invariant is looked at.

    doubted: versions that were to be left for an alert. taken_back: those of them that were.
    """

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self.doubted: set[str] = set()
        self.taken_back: set[str] = set()

    @property
    def stopped(self) -> bool:
        """Whether the service is to have no pods."""
        return bool(self.parent["spec"].get("suspend")) or not self.parent["spec"]["replicas"]

    def reached(self) -> set[str]:
        """Return the revisions whose pods answer requests of clients."""
        return {revision_of(pod) for pod in self.selected()}

    def ready(self, revision: str) -> int:
        """Return how many pods of the revision are ready."""
        return sum(is_ready(pod) and revision_of(pod) == revision for pod in self.pods)

    def reconcile(self) -> Plan:
        spec, before = copy.deepcopy(self.parent["spec"]), self.status
        deployments, reached = dict(self.deployments), self.reached()
        made = super().reconcile()
        assert self.parent["spec"] == spec
        assert not [one for one in made.apply if one["kind"] == INFERENCE_SERVICES.kind]
        if not self.stopped:
            self._deletions(deployments, reached)
        if self.status is not before and before.get("stable") and self.status.get("stable"):
            self._moved(before, self.status, deployments)
        return made

    def _goes_back(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """A way back for an alert begins: only from rest, from each version once, and to one that can serve."""
        back, was = after.get("rollback") or {}, before.get("rollback") or {}
        if "alert" not in back or back["time"] == was.get("time"):
            return
        left, alerts = before["stable"]["version"], self.parent["status"].get("alerts") or ()
        assert was == {}, "what was gone back to is left"
        assert before["phase"] in ("Stable", "RolledBack")
        assert "canary" not in before
        assert not self.stopped
        assert {one["kind"] for one in alerts if one.get("version") == left} & {"Quality", "Errors"}
        assert "DataQuality" not in {one["kind"] for one in alerts}
        assert left not in self.doubted, "a version is taken back twice"
        assert back["version"] not in self.taken_back, "it goes back to what was taken back"
        there = [one for one in self.versions if one["metadata"]["name"] == back["version"]]
        assert there, "it goes back to what is gone"
        assert there[0]["spec"]["approval"] != "Rejected"
        assert self.parent["spec"]["model"].get("follow")
        self.doubted.add(left)

    def _deletions(self, deployments: dict[str, Manifest], reached: set[str]) -> None:
        gone = {revision_of(one) for name, one in deployments.items() if name not in self.deployments}
        assert not [one for one in gone & reached if self.ready(one)], "pods were taken while they got requests"

    def _moved(self, before: dict[str, Any], after: dict[str, Any], deployments: dict[str, Manifest]) -> None:
        self._goes_back(before, after)
        candidate, now = before.get("canary"), after.get("canary")
        if now is not None and candidate is None:
            self._begins(before, now)
        if now is not None and candidate is not None:
            assert now["revision"] == candidate["revision"], "a candidate was exchanged in the middle"
            if {before["phase"], after["phase"]} <= set(GOES_ON):
                assert now["weight"] >= candidate["weight"], "a weight fell back"
                self._step(before, after)
        if now is None and candidate is not None and before["phase"] == "RollingBack" and not self.stopped:
            self._ends(before["stable"], candidate)
        if after["stable"]["revision"] != before["stable"]["revision"]:
            self.taken_back |= {
                one["version"] for one in after["history"][:2] if one["outcome"] == "RolledBack"
            } & self.doubted
            served = {
                one["revision"] for one in before.get("history") or () if one["outcome"] in ("Serving", "Replaced")
            }
            if before["stable"]["revision"] in served:
                assert candidate is not None
                self._promotion(candidate, after["stable"], deployments)

    def _begins(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        if now["revision"] != before.get("failedRevision"):
            return
        asked = self.parent["metadata"].get("annotations") or {}
        retries = asked.get("modelmill.dev/retry") != before.get("retriedAnnotation")
        back = asked.get("modelmill.dev/rollback") != said(before, "rollback")
        assert retries or back, "what failed is tried again"

    def _ends(self, stable: dict[str, Any], candidate: dict[str, Any]) -> None:
        waited = (o.later(self.time) - parse_timestamp(candidate["stepTime"])).total_seconds()
        # The service, or its autoscaler, may have come to want fewer since the status was written.
        has = self.deployments[f"cars-{stable['revision']}"]["spec"].get("replicas", 0)
        whole = self.ready(stable["revision"]) >= min(stable["replicas"], self.parent["spec"]["replicas"], has)
        assert whole or waited >= DRAIN_SECONDS or not self.ready(candidate["revision"]), "it did not wait"

    def _promotion(self, candidate: dict[str, Any], stable: dict[str, Any], deployments: dict[str, Manifest]) -> None:
        assert stable["revision"] == candidate["revision"], "another version serves than was rolled out"
        name = f"cars-{stable['revision']}"
        old, new = deployments[name], self.deployments[name]
        assert old["metadata"]["uid"] == new["metadata"]["uid"]
        assert old["spec"]["template"] == new["spec"]["template"]
        assert new["spec"]["replicas"] >= min(self.ready(stable["revision"]), old["spec"]["replicas"])

    def _step(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """A step is left; by a gateway not before it has its weight."""

    def _serve(self) -> None:
        counted = {uid: codes.total() for uid, codes in self.traffic.codes.items()}
        lost = self.lost
        super()._serve()
        answers: Counter[str] = Counter()
        for pod in self.pods:
            uid = pod["metadata"]["uid"]
            answers[revision_of(pod)] += self.traffic.codes.get(uid, Counter()).total() - counted.get(uid, 0)
        if self.status.get("stable") is not None and not self.stopped:
            self._answers(+answers, lost)
            self._shares(answers)

    def _answers(self, answers: Counter[str], lost: int) -> None:
        status = self.status
        stable, candidate = status["stable"], status.get("canary")
        assert self.lost == lost or not any(map(is_ready, self.pods)), "nobody answered, and pods are ready"
        if not self.ready(stable["revision"]):
            return
        weighed = candidate is not None and candidate["weight"] and status["phase"] in GOES_ON
        assert set(answers) <= {stable["revision"], *([candidate["revision"]] if candidate and weighed else [])}

    def _shares(self, answers: Counter[str]) -> None:
        candidate, phase = self.status.get("canary"), self.status["phase"]
        if candidate is None or phase not in GOES_ON or not self.rate or not self.settled():
            return
        share, actual = 100 * answers[candidate["revision"]] / self.rate, candidate["actualWeight"]
        assert abs(share - actual) <= 100 * len(self.pods) / self.rate + 1
        divided = self.parent["spec"]["rollout"].get("traffic", {}).get("mode") != "GatewayAPI" and not self.autoscalers
        stands = candidate["ready"] == candidate["replicas"] and 0 < candidate["weight"] < 100
        if divided and stands and abs(actual - candidate["weight"]) > 1:
            assert "by pods" in condition(self, "Reconciling")[2]

    def settled(self) -> bool:
        """Whether what shares the requests out is what was asked for."""
        return True

    def kubelet(self, limit: int = 99) -> bool:
        """Be the autoscalers' controller too: the pods are within the bounds, but where there are none."""
        for name, one in self.autoscalers.items():
            spec = self.deployments[name]["spec"] if name in self.deployments else {}
            if spec.get("replicas"):
                spec["replicas"] = min(max(spec["replicas"], one["spec"]["minReplicas"]), one["spec"]["maxReplicas"])
        return super().kubelet(limit)

    def _apply(self, child: Manifest) -> None:
        old = self.deployments.get(child["metadata"]["name"])
        if child["kind"] == "Deployment" and old is not None and child["metadata"]["name"] in self.autoscalers:
            has = old["spec"].get("replicas")
            assert not has or self.stopped or child["spec"].get("replicas", has) == has, "an autoscaler's pods were set"
        super()._apply(child)

    def patch(self, patch: Patch) -> None:
        assert (patch.resource, patch.name) == (HTTP_ROUTES, "front")
        before = without_weights(self.children[HTTP_ROUTES]["front"]["spec"])
        super().patch(patch)
        assert without_weights(self.children[HTTP_ROUTES]["front"]["spec"]) == before


class ObservedGateway(Observed, Gatewayed):
    """The same behind a gateway."""

    def reached(self) -> set[str]:
        services = [name for name, weight in zip(("cars", "cars-canary"), self.given, strict=True) if weight]
        return {revision_of(pod) for name in services for pod in self.behind(name)}

    def settled(self) -> bool:
        return self.installed and not self.refuses and len(self.routes) == 1 and self.given == self.weights

    def reconcile(self) -> Plan:
        self._gave = self.given
        return super().reconcile()

    def _step(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        left, now = before["canary"]["step"], after["canary"]["step"]
        by_hand = any(said(before, name) != said(after, name) for name in ("promote", "promoteFull"))
        if now > left and not by_hand and after["canary"].get("skipsSteps") is None:
            weight = weight_in(before, left)
            assert self._gave == (100 - weight, weight), "a step was left whose weight the gateway had not taken"


def without_weights(spec: dict[str, Any]) -> Any:
    """Return the spec of a route without the weights of the two Services."""
    copied = copy.deepcopy(spec)
    for rule in copied["rules"]:
        for backend in rule["backendRefs"]:
            if backend["name"] in ("cars", "cars-canary"):
                backend.pop("weight", None)
    return copied
