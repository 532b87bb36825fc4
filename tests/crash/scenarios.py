"""What people do, a function for each: they wait for what they see, never for how the operator got there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.contracts import names, result, stage
from modelmill.contracts.batch import BatchResult, encode_result
from modelmill.contracts.look import Seen, encode_seen
from modelmill.contracts.names import EXIT_FINAL, EXIT_RETRY
from modelmill.kube import labels
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.objects import Manifest, Resource
from modelmill.kube.resources import (
    CONFIG_MAPS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    JOBS,
    POD_MONITORS,
    PODS,
    PROMETHEUS_RULES,
)
from modelmill.monitoring.alertmanager import Notice
from modelmill.monitoring.intake import merged
from tests.crash.memory_api import Object
from tests.crash.surroundings import Ending
from tests.crash.world import World
from tests.support import objects as o
from tests.support.every_setting import EVERY_SETTING, RUNTIME

ANALYSIS = {"intervalSeconds": 5, "minRequests": 20, "checks": [{"metric": "ErrorRatio", "maximum": "0.01"}]}
DRIFT = {"drift": {"psiThreshold": "0.2"}}
STEPS = [{"weight": 50}, {"pauseSeconds": 10}]


@dataclass(frozen=True)
class Scenario:
    """What is done, and how the training pods end meanwhile.

    within: seconds that it may take without faults. What waits for a timer that nobody set waits for the look at everything.
    hasty: whether people act in the middle of a run, so that they meet another run when the operator is away for its length.
    keeps: kinds whose objects say what is nowhere else.
    """

    name: str
    play: Callable[[World], Awaitable[None]]
    endings: Callable[[Object, int], Ending]
    within: int
    hasty: bool = False
    keeps: frozenset[Resource] = frozenset()


def digest_of(job: Manifest) -> str:
    number = int(job["metadata"]["labels"][labels.RUN_LABEL])
    return "sha256:" + f"{number:x}" * 64


def publishes(job: Object, _pod: int, outcome: str = result.PUBLISHED) -> Ending:
    """Every run publishes, on data of its own; every drift report is written."""
    if labels.REPORT_LABEL in job["metadata"]["labels"]:
        return Ending(None, names.STAGE_DRIFT_REPORT)
    digest = digest_of(job)
    told = result.StageResult(
        outcome=outcome,
        artifact=result.Artifact(f"s3://models/prod/ml/cars/{digest[7:19]}/", digest, 1234, "onnx"),
        data=result.DataFacts(digest, 100, 20),
        metrics={"r2": 0.91},
        gates=("r2 0.91 >= 0.95",) if outcome == result.GATE_FAILED else (),
    )
    return Ending(told)


def gates_fail(job: Object, pod: int) -> Ending:
    return publishes(job, pod, result.GATE_FAILED)


def first_pod_fails(job: Object, pod: int) -> Ending:
    return Ending(None, names.STAGE_TRAIN, 1) if pod == 0 else publishes(job, pod)


def data_rejected(_job: Object, _pod: int) -> Ending:
    told = result.StageResult(result.DATA_REJECTED, "TargetMissing", ("spec.data.target: no column mpg",))
    return Ending(told, names.STAGE_FETCH, EXIT_FINAL)


DATA = result.DataFacts("sha256:" + "d" * 64, 100, 20, copied=True)


def trials_end(job: Object, pod: int) -> Ending:
    """Trials are measured by their parameter; the pod of the second one is lost once, and the third one fails."""
    said = job["metadata"]["labels"]
    if said.get(labels.STEP_LABEL) == "data":
        return Ending(None, names.STAGE_FETCH, message=result.encode_data(DATA))
    if said.get(labels.STEP_LABEL) != "trial":
        return publishes(job, pod)
    told = stage_of(job)
    if told.trial is None or told.estimator is None:
        raise AssertionError(f"{job['metadata']['name']} is not told its trial")
    if (told.trial.index, told.trial.attempt) == (1, 1):
        return Ending(None, names.STAGE_FETCH, EXIT_RETRY, "the store is down")
    if told.trial.index == 2:
        return Ending(None, names.STAGE_TRAIN, 1, "ValueError: alpha")
    return scored(job, pod)


def scored(job: Object, pod: int) -> Ending:
    """Every trial goes well; of the data and publish Jobs as `trials_end`."""
    if job["metadata"]["labels"].get(labels.STEP_LABEL) != "trial":
        return trials_end(job, pod)
    told = stage_of(job)
    if told.trial is not None and told.trial.pod:
        trials = (result.TrialResult(one.index, measured(one.parameters)) for one in told.trial.pod)
        return Ending(result.StageResult(result.SCORED, trials=tuple(trials)), names.STAGE_SCORE)
    metrics = measured(told.estimator.parameters) if told.estimator is not None else {}
    return Ending(result.StageResult(result.SCORED, data=DATA, metrics=metrics), names.STAGE_SCORE)


def measured(parameters: Mapping[str, Any]) -> dict[str, float]:
    return {"r2": 1.0 - abs(float(parameters["alpha"]) - 2.0) / 10.0}


def pods_end(job: Object, pod: int) -> Ending:
    """Of pods of several trials the first is lost once, and in the second one trial crashes it, together and alone."""
    if job["metadata"]["labels"].get(labels.STEP_LABEL) != "trial":
        return trials_end(job, pod)
    trial = stage_of(job).trial
    if trial is not None and trial.pod and (trial.index, trial.attempt) == (0, 1):
        return Ending(None, names.STAGE_FETCH, EXIT_RETRY, "the store is down")
    if trial is not None and GUILTY in (trial.index, *(one.index for one in trial.pod)):
        return Ending(None, names.STAGE_TRAIN, 139)
    return scored(job, pod)


GUILTY = 4


def stage_of(job: Object) -> stage.StageSpec:
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return stage.decode(next(one["value"] for one in env if one["name"] == names.ENV_STAGE))


def imports_end(_job: Object, pod: int) -> Ending:
    """The first pod does not reach the store; the next one imports."""
    if pod == 0:
        return Ending(None, names.STAGE_IMPORT, EXIT_RETRY, "the store is down")
    artifact = result.Artifact("s3://models/prod/ml/cars/imported/", "sha256:" + "e" * 64, 1234, "xgboost")
    told = result.StageResult(result.IMPORTED, artifact=artifact, signature="regression; 1 input: x0 FP64")
    return Ending(told, names.STAGE_IMPORT)


def foreign_version(name: str) -> Object:
    made = o.model_version(name)
    kept = {field: made["spec"][field] for field in ("model", "store", "approval")}
    source = {"uri": "s3://elsewhere/cars.ubj", "format": "xgboost"}
    meta = {"name": name, "namespace": "ml", "labels": made["metadata"]["labels"]}
    return {**made, "metadata": meta, "spec": {**kept, "source": source, "deletionPolicy": "Delete"}}


def training_job(name: str = "cars", **spec: Any) -> Object:
    made = o.training_job(**spec)
    made["metadata"] = {"name": name, "namespace": "ml"}
    return made


def inference_service(name: str = "cars", **spec: Any) -> Object:
    made = o.inference_service(
        **{
            "replicas": 2,
            "rollout": {"strategy": "Canary", "steps": STEPS, "analysis": ANALYSIS},
            "monitoring": {"drift": {"psiThreshold": "0.2"}, "retrain": {"trainingJob": "cars", "alerts": ["Drift"]}},
            **spec,
        }
    )
    made["metadata"] = {"name": name, "namespace": "ml"}
    return made


def alert(world: World, identity: str = "a1") -> None:
    """Let Alertmanager tell of drift, again and again until the intake could record it."""
    fires(world, identity, timestamp(world.clock()), {"alertname": "ModelmillFeatureDrift", "feature": "hp"})


def fires(world: World, identity: str, began: str, about: Mapping[str, str]) -> None:
    """Let Alertmanager tell of an alert about the service."""
    found = world.api.find(INFERENCE_SERVICES, "cars")
    assert found is not None
    labels_of = {"namespace": "ml", "inferenceservice": "cars", **about}
    notice = Notice(True, identity, began, labels_of, {})
    alerts, outcomes = merged("InferenceService", found, [notice])
    assert outcomes in (["recorded"], ["repeated"]), outcomes
    world.api.replace_status(INFERENCE_SERVICES, {**found, "status": {**(found.get("status") or {}), "alerts": alerts}})


def serves(world: World, version: str) -> bool:
    status = world.status(INFERENCE_SERVICES, "cars")
    return status.get("phase") == "Stable" and (status.get("stable") or {}).get("version") == version


async def whole_life(world: World) -> None:
    """Train, serve, an alert, train again, canary, promotion, and the deletion of everything."""
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service())
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    alert(world)
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    await world.settle()


async def everything_deleted(world: World) -> None:
    await whole_life(world)
    for resource in (INFERENCE_SERVICES, TRAINING_JOBS):
        world.api.delete(resource, "ml", "cars")
    for version in world.api.of(MODEL_VERSIONS):
        world.api.delete(MODEL_VERSIONS, "ml", version["metadata"]["name"])
    await world.until(lambda: not world.api.of(MODEL_VERSIONS), "the versions are gone")


async def one_run(world: World) -> None:
    world.api.create(TRAINING_JOBS, training_job())
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the run ends")


async def data_prepared(world: World) -> None:
    """A run whose data are prepared, again after its first pod has failed there."""
    prepare = {"container": {"image": "rows:1"}}
    world.api.create(TRAINING_JOBS, training_job(prepare=prepare))
    await world.until(lambda: world.api.find(MODEL_VERSIONS, "cars-1"), "the version")


async def script_mended(world: World) -> None:
    """A script that lacks a library ends the run at once; a person mends it and asks for another run."""
    world.api.create(TRAINING_JOBS, training_job(train={"script": {"configMapRef": {"name": "train-script"}}}))
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the run fails")
    last = world.status(TRAINING_JOBS, "cars")["lastRun"]
    assert (last["cause"], last["attempts"]) == ("MissingLibrary", 1)
    asked_for(world, "mended")
    await world.until(lambda: world.api.of(MODEL_VERSIONS), "a version")


def library_missing_at_first(job: Object, pod: int) -> Ending:
    if job["metadata"]["labels"][labels.RUN_LABEL] != "1":
        return publishes(job, pod)
    told = result.StageResult(result.FAILED, "MissingLibrary", ("the script imports torch",))
    return Ending(told, names.STAGE_TRAIN, EXIT_FINAL)


def prepare_fails_once(job: Object, pod: int) -> Ending:
    return Ending(None, names.STAGE_PREPARE, 1, "ValueError: line 3") if pod == 0 else publishes(job, pod)


async def canary_taken_back(world: World) -> None:
    world.surroundings.errors.add("cars-2")
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service())
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    alert(world)
    await world.until(
        lambda: world.status(INFERENCE_SERVICES, "cars").get("failedRevision"), "the canary is taken back"
    )
    await world.until(
        lambda: not world.status(INFERENCE_SERVICES, "cars").get("canary"), "the first version serves alone"
    )


async def two_jobs_of_one_model(world: World) -> None:
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(TRAINING_JOBS, training_job("other"))
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the run ends")
    world.api.delete(TRAINING_JOBS, "ml", "cars")


async def deleted_in_the_run(world: World) -> None:
    world.api.create(TRAINING_JOBS, training_job())
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").keys() & {"currentRun", "lastRun"}, "a run")
    world.api.delete(TRAINING_JOBS, "ml", "cars")
    await world.settle()
    world.api.create(TRAINING_JOBS, training_job())
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the namesake's run ends")


async def back_for_an_alert(world: World) -> None:
    """Labels say that a version is worse, and the one before comes back; they say so of that one too, which stays."""
    monitoring = {**DRIFT, "engine": "Prometheus", "rollback": {"onErrors": True}}
    rollout = {"strategy": "Canary", "steps": STEPS}
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=rollout, monitoring=monitoring))
    for version in ("cars-1", "cars-2"):
        published(world, version)
        await world.until(partial(serves, world, version), f"{version} serves")
    worse(world, "cars-2")
    await world.until(partial(came_back, world, "AlertFired"), "the second is taken back")
    worse(world, "cars-1")
    await world.until(partial(came_back, world, "cars-1 is itself what was gone back to"), "the first one stays")
    published(world, "cars-3")
    await world.until(lambda: serves(world, "cars-3"), "the third version serves")


async def back_before_a_run(world: World) -> None:
    """The operator itself finds that a version is worse: the one before comes back, and only when that is worse, too, a run."""
    quality = {"maximum": "0.2", "windowSeconds": 600}
    retrain = {"trainingJob": "cars", "alerts": ["Quality"]}
    drift = {"windowSeconds": 600, "forSeconds": 0}
    monitoring = {"engine": "Embedded", "drift": drift, "quality": quality, "rollback": {}, "retrain": retrain}
    pages = world.surroundings.values
    pages.told = pages.labelled = True
    pages.worse.add("cars-2")
    alerts = {"enabled": True, "minNewRows": 0}
    world.api.create(TRAINING_JOBS, training_job(triggers={"alerts": alerts}, retrain={"cooldownSeconds": 0}))
    rollout = {"strategy": "Canary", "steps": STEPS}
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=rollout, monitoring=monitoring))
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    asked_for(world, "second")
    await world.until(partial(came_back, world, "AlertFired"), "the second is taken back")
    await world.until(partial(judged, world, "QualityDegraded", "NotWorse"), "the first is judged anew")
    assert not world.api.find(MODEL_VERSIONS, "cars-3"), "a run began for what was taken back"
    pages.worse.add("cars-1")
    await world.until(lambda: serves(world, "cars-3"), "the version of the run serves")
    await world.until(lambda: not _alerts(world) and was_fine(world), "all is well")


def was_fine(world: World) -> bool:
    """Tell whether the revision that serves has been judged, and had not drifted."""
    status = world.status(INFERENCE_SERVICES, "cars")
    return bool(status["monitoring"].get("fineRevision") == status["stable"]["revision"])


def judged(world: World, kind: str, reason: str) -> bool:
    conditions = world.status(INFERENCE_SERVICES, "cars").get("conditions") or ()
    return any((one["type"], one["reason"]) == (kind, reason) for one in conditions)


def came_back(world: World, why: str) -> bool:
    status = world.status(INFERENCE_SERVICES, "cars")
    told = [one["message"] for one in status.get("conditions") or () if one["type"] == "RolledBack"]
    return (
        status.get("phase") == "RolledBack"
        and status["stable"]["version"] == "cars-1"
        and any(why in one for one in told)
    )


def worse(world: World, version: str) -> None:
    """Let an alert fire about the quality of the version that serves, a minute after it was promoted."""
    promoted = next(
        one["startTime"] for one in world.status(INFERENCE_SERVICES, "cars")["history"] if one["outcome"] == "Serving"
    )
    began = timestamp(parse_timestamp(promoted) + timedelta(minutes=1))
    fires(world, f"worse {version}", began, {"alertname": "ModelmillQuality", "model_version": version})


async def service_deleted_in_the_canary(world: World) -> None:
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service())
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    alert(world)
    await world.until(lambda: world.status(INFERENCE_SERVICES, "cars").get("canary"), "a canary")
    world.api.delete(INFERENCE_SERVICES, "ml", "cars")


async def store_edited_in_the_run(world: World) -> None:
    """The version is where its run published it; the next run publishes to the new store."""
    created = world.api.create(TRAINING_JOBS, training_job())
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").keys() & {"currentRun", "lastRun"}, "a run")
    store = {**created["spec"]["store"], "endpoint": "http://other:7070", "secretRef": {"name": "other"}}
    world.api.patch(TRAINING_JOBS, "ml", "cars", {"spec": {"store": store}})
    await world.until(lambda: world.api.find(MODEL_VERSIONS, "cars-2"), "the version of the new store")
    first, second = (world.api.get(MODEL_VERSIONS, "ml", name)["spec"]["store"] for name in ("cars-1", "cars-2"))
    assert first == created["spec"]["store"], "the first version has the address or the keys of another store"
    assert second == store


async def stopped_and_started(world: World) -> None:
    """A version comes while a service is suspended, and is rolled out afterwards; scaled to zero and back, the same serves."""
    world.api.create(INFERENCE_SERVICES, inference_service(monitoring=DRIFT))
    published(world, "cars-1")
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    await _stopped(world, {"suspend": True}, "Suspended")
    published(world, "cars-2")
    await world.until(partial(stage_is, world, "cars-2", "Approved"), "the second version")
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"suspend": False}})
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    revision = world.status(INFERENCE_SERVICES, "cars")["stable"]["revision"]
    await _stopped(world, {"replicas": 0}, "ScaledToZero")
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"replicas": 2}})
    await world.until(lambda: serves(world, "cars-2"), "it serves again")
    assert world.status(INFERENCE_SERVICES, "cars")["stable"]["revision"] == revision


async def traffic_by_routes(world: World) -> None:
    """A version by the weights of a route that is made; then a bad one by those of a person's, which is taken back."""
    # An outage of ten minutes is not to be what ends the rollout.
    by_weights = {"strategy": "Canary", "steps": STEPS, "analysis": ANALYSIS, "progressDeadlineSeconds": 1800}
    parents = [{"name": "gateway", "namespace": "edge"}]
    own = {"mode": "GatewayAPI", "parentRefs": parents}
    rollout = {**by_weights, "traffic": own}
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=rollout, monitoring={}))
    published(world, "cars-1")
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    published(world, "cars-2")
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    backends = [{"name": name, "port": 80} for name in ("cars", "cars-canary")]
    front = {"metadata": {"name": "front", "namespace": "ml"}, "spec": {"parentRefs": parents}}
    front["spec"]["rules"] = [{"backendRefs": backends}]
    world.api.create(HTTP_ROUTES, front)
    theirs = {"mode": "GatewayAPI", "parentRefs": None, "routeRef": {"name": "front"}}
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"rollout": {"traffic": theirs}}})
    world.surroundings.errors.add("cars-3")
    published(world, "cars-3")
    await world.until(lambda: world.status(INFERENCE_SERVICES, "cars").get("failedRevision"), "the third is taken back")
    await world.until(lambda: not world.status(INFERENCE_SERVICES, "cars").get("canary"), "the second serves alone")
    assert [one["metadata"]["name"] for one in world.api.of(HTTP_ROUTES)] == ["front"]


async def _stopped(world: World, spec: Mapping[str, Any], phase: str) -> None:
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": spec})
    await world.until(partial(phase_is, world, phase), phase)
    await world.until(lambda: not serving_pods(world), "its pods are gone")


def serving_pods(world: World) -> list[Object]:
    return [pod for pod in world.api.of(PODS) if labels.SERVICE_LABEL in pod["metadata"]["labels"]]


async def settings_changed(world: World) -> None:
    """Every setting that nobody must permit, then one that is not permitted, then none."""
    settings = {name: value for name, value in RUNTIME.items() if name not in ("allowPython", "trustedTypes")}
    direct = {"strategy": "Direct"}
    world.api.create(TRAINING_JOBS, training_job())
    told = {name: EVERY_SETTING[name] for name in ("payloadLog", "feedback")}
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=direct, runtime=settings, **told))
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"runtime": {"allowPython": True}}})

    def refused() -> bool:
        told = world.status(INFERENCE_SERVICES, "cars").get("conditions") or ()
        return any(one["reason"] == "ModelCodeNotPermitted" for one in told)

    await world.until(refused, "the word that an administrator did not say")
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"runtime": None, "payloadLog": None, "feedback": None}})
    await world.until(lambda: not refused() and serves(world, "cars-1"), "it serves as usual")


async def autoscaled(world: World) -> None:
    """An autoscaler counts the pods while a version is rolled out; then it is taken away."""
    bounds = {"minReplicas": 2, "maxReplicas": 6, "targetCPUUtilizationPercentage": 80}
    world.surroundings.load = 4
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service(autoscaling=bounds))
    await world.until(lambda: serves(world, "cars-1") and len(serving_pods(world)) == 4, "as many pods as are needed")
    asked_for(world, "second")
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    await world.until(lambda: len(serving_pods(world)) == 4, "as many pods as are needed")
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"autoscaling": None, "replicas": 3}})
    await world.until(lambda: not world.api.of(HORIZONTAL_POD_AUTOSCALERS), "no autoscaler")
    await world.until(lambda: len(serving_pods(world)) == 3, "as many pods as the spec says")


async def monitoring_taken_away(world: World) -> None:
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service(monitoring={"engine": "Prometheus"}))
    kinds = (PROMETHEUS_RULES, POD_MONITORS)
    await world.until(lambda: all(map(world.api.of, kinds)) and serves(world, "cars-1"), "the rules are there")
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"monitoring": None}})
    await world.until(lambda: not any(map(world.api.of, kinds)), "the rules are gone")


async def drift_found(world: World) -> None:
    """The operator itself finds a drift, and a run follows; its version was never asked what it was trained on."""
    retrain = {"trainingJob": "cars", "alerts": ["Drift"]}
    monitoring = {"engine": "Embedded", "drift": {"windowSeconds": 600, "forSeconds": 0}, "retrain": retrain}
    world.surroundings.values.told = True
    world.api.create(TRAINING_JOBS, training_job(triggers={"alerts": {"enabled": True}}))
    world.api.create(INFERENCE_SERVICES, inference_service(monitoring=monitoring))
    await world.until(lambda: _told(world).get("state") == "OK", "it is judged and fine")
    world.surroundings.values.drifted = True
    await world.until(lambda: [one["kind"] for one in _alerts(world)] == ["Drift"], "the drift is found")
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    await world.until(lambda: [one["kind"] for one in _alerts(world)] == ["Skew"], "it was never fine")
    world.surroundings.values.drifted = False
    await world.until(lambda: _told(world).get("state") == "OK" and not _alerts(world), "all is well")
    await world.until(lambda: not reporting(world), "the Jobs of reports are gone")


def _told(world: World) -> Object:
    return dict(world.status(INFERENCE_SERVICES, "cars").get("monitoring") or {})


def _alerts(world: World) -> Sequence[Object]:
    return world.status(INFERENCE_SERVICES, "cars").get("alerts") or ()


async def shadowed(world: World) -> None:
    """A version is compared and promoted, the next one is compared and taken back."""
    rollout = {"strategy": "Shadow", "shadow": {"seconds": 40}}
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=rollout, monitoring={}))
    published(world, "cars-1")
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    published(world, "cars-2")
    await world.until(lambda: world.api.find(CONFIG_MAPS, "cars-shadow"), "the second version is compared")
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    world.surroundings.off = {"cars-3"}
    published(world, "cars-3")
    await world.until(lambda: world.status(INFERENCE_SERVICES, "cars").get("failedRevision"), "it is taken back")
    await world.until(lambda: not world.api.find(CONFIG_MAPS, "cars-shadow"), "nothing is mirrored")


async def canary_replaced(world: World) -> None:
    """A candidate that makes way for a newer version half-way serves no more. The scenario ends in the next canary."""
    steps = [{"weight": 50}, {"pauseSeconds": 86_400}]
    rollout = {"strategy": "Canary", "steps": steps}
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=rollout, monitoring=DRIFT))
    published(world, "cars-1")
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    for version in ("cars-2", "cars-3"):
        published(world, version)
        await world.until(partial(stage_is, world, version, "Serving"), f"{version} is the candidate")
    await world.until(partial(stage_is, world, "cars-2", "Approved"), "the candidate of before serves no more")


async def by_persons_words(world: World) -> None:
    """A switch waits for a person, who goes back by one word, and takes the next version back before it is switched to."""
    blue_green = {"autoPromotion": False, "postPromotionSeconds": 10}
    rollout = {"strategy": "BlueGreen", "blueGreen": blue_green, "scaleDownDelaySeconds": 20}
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=rollout, monitoring={}))
    published(world, "cars-1")
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    published(world, "cars-2")
    await world.until(partial(paused_at, world, "cars-2"), "the second version waits")
    await thought(world)
    say(world, labels.RESUME_ANNOTATION, "go")
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    say(world, labels.ROLLBACK_ANNOTATION, "previous")
    await world.until(lambda: serves(world, "cars-1"), "the first version serves again")
    published(world, "cars-3")
    await world.until(partial(paused_at, world, "cars-3"), "the third version waits")
    await thought(world)
    say(world, labels.ABORT_ANNOTATION, "no")
    await world.until(partial(phase_is, world, "RolledBack"), "the third version is taken back")
    assert world.status(INFERENCE_SERVICES, "cars")["stable"]["version"] == "cars-1"


async def chance_may_explain_it(world: World) -> None:
    """A canary whose measurements stay inconclusive waits for a person, who promotes it."""
    half = {"metric": "ErrorRatio", "maximum": "0.5"}
    analysis = {**ANALYSIS, "checks": [half], "inconclusiveLimit": 2}
    world.surroundings.doubtful.add("cars-2")
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(
        INFERENCE_SERVICES, inference_service(rollout={"strategy": "Canary", "steps": STEPS, "analysis": analysis})
    )
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    asked_for(world, "second")
    await world.until(partial(paused_at, world, "cars-2"), "the second version waits")
    assert world.status(INFERENCE_SERVICES, "cars")["canary"]["paused"] == "Inconclusive"
    say(world, labels.PROMOTE_FULL_ANNOTATION, "it is good")
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")


def published(world: World, name: str) -> None:
    """Publish a version as a run did elsewhere, so that a scenario about serving has no writes of training."""
    made = o.model_version(name)
    kept = {field: made["metadata"][field] for field in ("name", "namespace", "labels")}
    run = {"trainingJob": "elsewhere", "run": 1, "runUid": f"elsewhere-{name}", "reason": "Spec"}
    lineage = {**run, "dataDigest": o.DIGEST, "dataRows": 100, "holdoutRows": 20}
    world.api.create(MODEL_VERSIONS, {**made, "metadata": kept, "spec": {**made["spec"], "lineage": lineage}})


async def thought(world: World) -> None:
    """Let a person think for longer than what an operator sees at its start is old: a word is answered once."""
    for _ in range(30):
        await world.second()


def phase_is(world: World, phase: str) -> bool:
    return bool(world.status(INFERENCE_SERVICES, "cars").get("phase") == phase)


def paused_at(world: World, version: str) -> bool:
    status = world.status(INFERENCE_SERVICES, "cars")
    return status.get("phase") == "Paused" and status["canary"]["version"] == version


def say(world: World, annotation: str, text: str) -> None:
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"metadata": {"annotations": {annotation: text}}})


async def search(world: World) -> None:
    """Trials, two at a time, of which one is lost and one fails."""
    world.api.create(TRAINING_JOBS, training_job(tuning=o.tuning(parallelTrials=2)))
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the search ends")


async def search_in_pods(world: World) -> None:
    """Trials, three in a pod: one pod is lost, and one is crashed by one of its trials, which are made again alone."""
    tuning = o.tuning(parallelTrials=6, trialsPerPod=3, maxTrials=8)
    world.api.create(TRAINING_JOBS, training_job(tuning=tuning))
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the search ends")


async def space_changed_in_the_search(world: World) -> None:
    world.api.create(TRAINING_JOBS, training_job(tuning=o.tuning(maxTrials=1)))
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").keys() & {"currentRun", "lastRun"}, "a run")
    await world.until(lambda: world.api.of(CONFIG_MAPS), "a ledger")
    other = [{"name": "alpha", "float": {"low": "1", "high": "3"}}]
    world.api.patch(TRAINING_JOBS, "ml", "cars", {"spec": {"tuning": {"parameters": other}}})
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun", {}).get("version"), "a version")


async def alias_moved(world: World) -> None:
    """The service goes where its alias goes, and back when the newer claim is taken back."""
    model = {"name": "cars", "alias": "champion"}
    world.api.create(INFERENCE_SERVICES, inference_service(model=model, monitoring=DRIFT))
    published(world, "cars-1")
    claim(world, "cars-1", "champion")
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    published(world, "cars-2")
    claim(world, "cars-2", "champion")
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    await world.until(lambda: not world.status(MODEL_VERSIONS, "cars-1").get("aliases"), "the first version is told")
    claim(world, "cars-2")
    await world.until(lambda: serves(world, "cars-1"), "the first version serves again")


def claim(world: World, version: str, *aliases: str) -> None:
    world.api.patch(MODEL_VERSIONS, "ml", version, {"spec": {"aliases": list(aliases)}})


async def by_the_clock(world: World) -> None:
    """A run when the schedule says so, and none when there is no schedule any more."""
    world.api.create(
        TRAINING_JOBS, training_job(triggers={"schedule": {"cron": "*/15 * * * *", "timeZone": "Asia/Seoul"}})
    )
    await world.until(lambda: world.api.find(MODEL_VERSIONS, "cars-2"), "the version of the schedule")
    world.api.patch(TRAINING_JOBS, "ml", "cars", {"spec": {"triggers": {"schedule": None}}})
    await world.until(lambda: "nextScheduleTime" not in world.status(TRAINING_JOBS, "cars"), "the schedule is gone")


def rows_come(job: Object, pod: int) -> Ending:
    """Each look finds as many rows as are wanted."""
    if job["metadata"]["labels"].get(labels.STEP_LABEL) != "look":
        return publishes(job, pod)
    told = stage_of(job)
    look = told.look
    assert look is not None
    recent = None if look.after is None else 1
    seen = Seen(f"sha256:{told.run:x}{'0' * 63}", 3, 1, 0, look.min_rows, look.after, recent, look.recent_rows)
    return Ending(None, names.STAGE_LOOK, message=encode_seen(seen))


def looks_find(job: Object, pod: int) -> Ending:
    """The first two looks fail and find too little; the third one finds enough, which the next run reads."""
    if job["metadata"]["labels"].get(labels.STEP_LABEL) != "look":
        return publishes(job, pod)
    told = stage_of(job)
    if told.look is None:
        raise AssertionError(f"{job['metadata']['name']} is not told what to look for")
    minutes = int((job_time(job) - told.look.since) // 60)
    if minutes < 3:
        failed = result.StageResult(result.FAILED, "StoreUnavailable", ("the store is down",))
        return Ending(failed, names.STAGE_LOOK, EXIT_RETRY)
    seen = Seen(f"sha256:{told.run:x}{'0' * 63}", 3, 1 if minutes < 6 or told.run > 1 else 2, 0)
    return Ending(None, names.STAGE_LOOK, message=encode_seen(seen))


SCORES = {
    "name": "new",
    "input": {"uri": "s3://data/new", "format": "csv"},
    "output": {"uri": "s3://data/scored"},
    "store": {"endpoint": "http://s3:7070", "secretRef": {"name": "keys"}},
}


def batch_ends(job: Object, pod: int) -> Ending:
    """The first pod of a batch run does not reach the store; the next one scores."""
    if labels.BATCH_LABEL not in job["metadata"]["labels"]:
        return publishes(job, pod)
    if pod == 0:
        return Ending(None, names.STAGE_BATCH, EXIT_RETRY, "the store is down")
    told = BatchResult(0, 2, 900, 1, "s3://data/scored/manifest.json", "hp", 0.31, ("a.csv, data row 3: …",))
    return Ending(None, names.STAGE_BATCH, message=encode_result(told))


def scored_runs(world: World, phase: str) -> int:
    told = world.status(INFERENCE_SERVICES, "cars").get("batch") or [{}]
    return sum(run["phase"] == phase for run in told[0].get("runs") or ())


async def prefix_scored(world: World) -> None:
    """A person asks for a run, and then the schedule does."""
    world.api.create(TRAINING_JOBS, training_job())
    entry = {**SCORES, "ttlSecondsAfterFinished": 0}
    world.api.create(INFERENCE_SERVICES, inference_service(batch=[entry]))
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    word = {"metadata": {"annotations": {labels.BATCH_ANNOTATION: "new=1"}}}
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", word)
    await world.until(lambda: scored_runs(world, "Succeeded") == 1, "the run that was asked for ends")
    clock = {**entry, "schedule": {"cron": "*/15 * * * *"}}
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"batch": [clock]}})
    await world.until(lambda: scored_runs(world, "Succeeded") == 2, "the run of the schedule ends")
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"batch": [entry]}})
    await world.settle()


def report_ends(job: Object, pod: int) -> Ending:
    """The first pod of a drift report does not reach the store; the next one writes the page."""
    if labels.REPORT_LABEL in job["metadata"]["labels"] and pod == 0:
        return Ending(None, names.STAGE_DRIFT_REPORT, EXIT_RETRY, "the store is down")
    return publishes(job, pod)


def page_written(world: World, word: str | None = None) -> bool:
    """Tell whether the page that was asked for last is written, by this word of a person, or by an alert."""
    report = world.status(INFERENCE_SERVICES, "cars").get("report") or {}
    return report.get("annotation") == word and "uri" in report and report["job"]["phase"] == "Succeeded"


async def drift_reported(world: World) -> None:
    """An alert has a page written, and then a person; the Jobs go."""
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service(monitoring=DRIFT))
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    alert(world)
    await world.until(partial(page_written, world), "the page that the alert asks for")
    word = {"metadata": {"annotations": {labels.REPORT_ANNOTATION: "again"}}}
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", word)
    await world.until(partial(page_written, world, "again"), "the page that a person asks for")
    await world.until(lambda: not reporting(world), "the Jobs are gone")
    await world.settle()


def reporting(world: World) -> list[Object]:
    return [job for job in world.api.of(JOBS) if labels.REPORT_LABEL in job["metadata"]["labels"]]


def job_time(job: Object) -> float:
    return parse_timestamp(job["metadata"]["creationTimestamp"]).timestamp()


async def new_data(world: World) -> None:
    """A run when looks have found enough, and none for what that run has read; the Jobs of looks do not stay."""
    triggers = {"newData": {"everySeconds": 60, "minNewObjects": 2}}
    world.api.create(TRAINING_JOBS, training_job(triggers=triggers))
    await world.until(lambda: world.api.find(MODEL_VERSIONS, "cars-2"), "the version of the new data")
    assert world.status(TRAINING_JOBS, "cars")["trigger"] == "Data"
    await world.until(partial(looked_after, world, 2), "a look after that run")
    assert not world.api.find(MODEL_VERSIONS, "cars-3")
    world.api.patch(TRAINING_JOBS, "ml", "cars", {"spec": {"triggers": {"newData": None}}})
    await world.until(lambda: "lastLook" not in world.status(TRAINING_JOBS, "cars"), "the trigger is gone")
    await world.until(partial(no_look, world), "no look is left")


def rows_come_late(job: Object, pod: int) -> Ending:
    """The first looks for the alert fail, later ones find too few rows, and then there are enough."""
    if job["metadata"]["labels"].get(labels.STEP_LABEL) != "look":
        return publishes(job, pod)
    look = stage_of(job).look
    if look is None or look.after is None or look.recent_rows != 100:
        raise AssertionError(f"{job['metadata']['name']} is not told what the alert waits for")
    minutes = int((job_time(job) - look.since) // 60)
    if minutes < 4:
        failed = result.StageResult(result.FAILED, "StoreUnavailable", ("the store is down",))
        return Ending(failed, names.STAGE_LOOK, EXIT_RETRY)
    rows = 40 if minutes < 12 else 120
    seen = Seen(f"sha256:{rows:x}{'0' * 62}", 3, 1, 0, None, look.after, 1, rows)
    return Ending(None, names.STAGE_LOOK, message=encode_seen(seen))


async def alert_waits_for_rows(world: World) -> None:
    """An alert that starts a run when enough rows have come, one for all that it fires afterwards."""
    triggers = {"alerts": {"enabled": True, "minNewRows": 100}}
    retrain = {"cooldownSeconds": 60, "maxConsecutiveFailures": 2}
    world.api.create(TRAINING_JOBS, training_job(triggers=triggers, retrain=retrain))
    world.api.create(INFERENCE_SERVICES, inference_service())
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    alert(world)
    await world.until(partial(holds_for, world, "WaitsForNewData"), "the alert waits for data")
    await world.until(lambda: serves(world, "cars-2"), "the version for the alert serves")
    await world.until(partial(no_look, world), "no look is left")
    assert not world.api.find(MODEL_VERSIONS, "cars-3")


def holds_for(world: World, reason: str) -> bool:
    waiting = world.status(TRAINING_JOBS, "cars").get("pendingTriggers") or []
    made = world.api.find(MODEL_VERSIONS, "cars-2") is not None
    return made or any(one.get("hold") == reason for one in waiting)


def looked_after(world: World, run: int) -> bool:
    look = world.status(TRAINING_JOBS, "cars").get("lastLook") or {}
    return look.get("run") == run and "newObjects" in look


def no_look(world: World) -> bool:
    return not any(job["metadata"]["labels"].get(labels.STEP_LABEL) == "look" for job in world.api.of(JOBS))


def asked_for(world: World, text: str) -> None:
    world.api.patch(TRAINING_JOBS, "ml", "cars", {"metadata": {"annotations": {labels.RUN_ANNOTATION: text}}})


async def old_versions_removed(world: World) -> None:
    """Of three versions that nobody approved, the newest and the one with an alias stay; the third goes with its bytes."""
    versions = {"approval": "Manual", "historyLimit": 1, "deletionPolicy": "Delete"}
    world.api.create(TRAINING_JOBS, training_job(versions=versions))
    await world.until(lambda: world.api.find(MODEL_VERSIONS, "cars-1"), "the first version")
    claim(world, "cars-1", "kept")
    for number in (2, 3):
        asked_for(world, f"{number}")
        await world.until(partial(world.api.find, MODEL_VERSIONS, f"cars-{number}"), "the next version")
    await world.until(lambda: not world.api.find(MODEL_VERSIONS, "cars-2"), "the second version is gone")
    assert world.api.find(MODEL_VERSIONS, "cars-1")
    assert world.api.find(MODEL_VERSIONS, "cars-3")


async def foreign_model(world: World) -> None:
    """A model of another program is imported and served; one that is deleted meanwhile goes, and its Job with it."""
    world.api.create(INFERENCE_SERVICES, inference_service(monitoring=DRIFT))
    world.api.create(MODEL_VERSIONS, foreign_version("cars-old"))
    await world.until(lambda: serves(world, "cars-old"), "the imported version serves")
    await world.until(lambda: not world.api.of(JOBS), "its Job is gone")
    late = {**foreign_version("cars-late"), "spec": {**foreign_version("cars-late")["spec"], "approval": "Pending"}}
    world.api.create(MODEL_VERSIONS, late)
    await world.until(lambda: world.api.of(JOBS), "the Job of the next one")
    world.api.delete(MODEL_VERSIONS, "ml", "cars-late")
    await world.until(lambda: not world.api.find(MODEL_VERSIONS, "cars-late"), "the next one is gone")
    await world.until(lambda: not world.api.of(JOBS), "its Job is gone, too")


async def store_silent(world: World) -> None:
    """A version whose bytes nobody can remove goes all the same."""
    world.surroundings.silent_store = True
    world.api.create(TRAINING_JOBS, training_job(versions={"approval": "Manual", "deletionPolicy": "Delete"}))
    await world.until(partial(held_after_deletion, world, "cars-1"), "the version")
    world.api.delete(MODEL_VERSIONS, "ml", "cars-1")
    await world.until(lambda: not world.api.find(MODEL_VERSIONS, "cars-1"), "the version is gone")


def held_after_deletion(world: World, version: str) -> bool:
    found = world.api.find(MODEL_VERSIONS, version)
    return found is not None and labels.IN_USE_FINALIZER in (found["metadata"].get("finalizers") or ())


def stage_is(world: World, version: str, stage: str) -> bool:
    return world.status(MODEL_VERSIONS, version).get("stage") == stage


SCENARIOS = (
    Scenario("whole life", whole_life, publishes, 720),
    Scenario("everything deleted", everything_deleted, publishes, 720),
    Scenario("first pod fails", one_run, first_pod_fails, 20),
    Scenario("gates fail", one_run, gates_fail, 15),
    Scenario("data rejected", one_run, data_rejected, 10),
    Scenario("canary taken back", canary_taken_back, publishes, 660),
    Scenario("back for an alert", back_for_an_alert, publishes, 160),
    Scenario("back before a run", back_before_a_run, publishes, 1200),
    Scenario("two jobs of one model", two_jobs_of_one_model, publishes, 15),
    Scenario("deleted in the run", deleted_in_the_run, publishes, 80, hasty=True),
    Scenario("service deleted in the canary", service_deleted_in_the_canary, publishes, 640),
    Scenario("store edited in the run", store_edited_in_the_run, publishes, 25),
    Scenario("monitoring taken away", monitoring_taken_away, publishes, 20),
    Scenario("drift found", drift_found, rows_come, 1800),
    Scenario("stopped and started", stopped_and_started, publishes, 200),
    Scenario("persons' words", by_persons_words, publishes, 160),
    Scenario("chance may explain it", chance_may_explain_it, publishes, 160),
    Scenario("autoscaled", autoscaled, publishes, 120),
    Scenario("shadowed", shadowed, publishes, 300),
    Scenario("traffic by routes", traffic_by_routes, publishes, 150),
    Scenario("canary replaced", canary_replaced, publishes, 55),
    Scenario("search", search, trials_end, 40, keeps=frozenset({CONFIG_MAPS})),
    Scenario("search in pods", search_in_pods, pods_end, 40, keeps=frozenset({CONFIG_MAPS})),
    Scenario(
        "space changed in the search",
        space_changed_in_the_search,
        scored,
        120,
        hasty=True,
        keeps=frozenset({CONFIG_MAPS}),
    ),
    Scenario("alias moved", alias_moved, publishes, 90),
    Scenario("old versions removed", old_versions_removed, publishes, 60),
    Scenario("foreign model", foreign_model, imports_end, 120, hasty=True),
    Scenario("settings changed", settings_changed, publishes, 60),
    Scenario("by the clock", by_the_clock, publishes, 700),
    Scenario("data prepared", data_prepared, prepare_fails_once, 40),
    Scenario("script mended", script_mended, library_missing_at_first, 40),
    Scenario("new data", new_data, looks_find, 1800),
    Scenario("alert waits for rows", alert_waits_for_rows, rows_come_late, 2700),
    Scenario("prefix scored", prefix_scored, batch_ends, 1800),
    Scenario("store silent", store_silent, publishes, 960),
    Scenario("drift reported", drift_reported, report_ends, 1800),
)
