"""Objects that the API server refuses, and why: the tests of the CRDs and of the API server in memory share them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from hack.bench import load

Body = dict[str, Any]
Change = dict[str, Any]
REMOVED = object()


def changed(body: Body, change: Change) -> Body:
    """Return the object with values at dotted paths of its spec set, or removed."""
    body = copy.deepcopy(body)
    for path, value in change.items():
        *parents, last = path.split(".")
        part = body["spec"]
        for name in parents:
            part = part.setdefault(name, {})
        if value is REMOVED:
            part.pop(last, None)
        else:
            part[last] = value
    return body


PREPARE = {"container": {"image": "a/b:1"}}
ALPHA = {"name": "alpha", "float": {"low": "0.01", "high": "10"}}
SHARE: dict[str, Any] = {"validation": {"fraction": "0.2"}}
KIND = {"name": "kind", "categorical": {"choices": ["a", 16]}}
TRAINING: dict[str, tuple[Change, str]] = {
    "model absent": ({"model": REMOVED}, "spec.model"),
    "model a number": ({"model": 5}, "spec.model"),
    "model with a capital": ({"model": "Cars"}, "spec.model"),
    "model too long": ({"model": "a" * 45}, "spec.model"),
    "store without uri": ({"store": {"endpoint": "http://s3"}}, "spec.store.uri"),
    "store of another scheme": ({"store.uri": "ftp://models"}, "spec.store.uri"),
    "endpoint without scheme": ({"store.endpoint": "s3.store:7070"}, "spec.store.endpoint"),
    "secret without name": ({"store.secretRef": {}}, "spec.store.secretRef.name"),
    "unknown format": ({"data.train.format": "xlsx"}, "spec.data.train.format"),
    "target absent": ({"data.target": REMOVED}, "spec.data.target"),
    "fraction and uri": ({"data.holdout.uri": "s3://data/holdout/"}, "exclude each other"),
    "neither fraction nor uri": ({"data.holdout": {"strategy": "Random"}}, "set fraction"),
    "fraction a number": ({"data.holdout.fraction": 0.2}, "spec.data.holdout.fraction"),
    "fraction of everything": ({"data.holdout.fraction": "1"}, "between 0 and 1"),
    "latest without column": ({"data.holdout.strategy": "Latest"}, "strategy Latest needs column"),
    "unknown strategy": ({"data.holdout.strategy": "Oldest"}, "spec.data.holdout.strategy"),
    "window of nothing": ({"data.window": {"column": "Year", "last": "0"}}, "spec.data.window.last"),
    "window of no rows": ({"data.window": {"rows": 0}}, "spec.data.window.rows"),
    "window of an age without unit": ({"data.window": {"objectsNewerThan": "7"}}, "spec.data.window.objectsNewerThan"),
    "schema with a column twice": (
        {"data.schema": {"columns": [{"name": "x"}, {"name": "x"}]}},
        "spec.data.schema.columns[1]: Duplicate value",
    ),
    "schema with an unknown type": ({"data.schema": {"columns": [{"name": "x", "type": "int"}]}}, "columns[0].type"),
    "schema with an unknown verdict": ({"data.schema": {"onViolation": "Ignore"}}, "spec.data.schema.onViolation"),
    "two ways to train": ({"train.container": {"image": "a/b:1"}}, "spec.train"),
    "no way to train": ({"train": {}}, "spec.train"),
    "container without image": ({"train": {"container": {"command": ["x"]}}}, "spec.train.container.image"),
    "image of nothing": ({"train": {"container": {"image": ""}}}, "spec.train.container.image"),
    "image with a space": ({"train": {"container": {"image": "a/b:1 "}}}, "spec.train.container.image"),
    "parameter a number": ({"train.sklearn.parameters": {"alpha": 0.5}}, "spec.train.sklearn.parameters"),
    "primary absent": ({"evaluation.primary": REMOVED}, "spec.evaluation.primary"),
    "unknown direction": ({"evaluation.primary.direction": "Up"}, "spec.evaluation.primary.direction"),
    "gate without bound": ({"evaluation.gates": [{"metric": "r2"}]}, "spec.evaluation.gates[0]"),
    "gate without metric": ({"evaluation.gates": [{"minimum": "1"}]}, "spec.evaluation.gates[0]"),
    "gate with text for a bound": ({"evaluation.gates": [{"metric": "r2", "minimum": "high"}]}, "gates[0].minimum"),
    "a script and an estimator": (
        {"train.script": {"configMapRef": {"name": "a"}}},
        "set exactly one of sklearn, container and script",
    ),
    "a script of no ConfigMap": ({"train": {"script": {"configMapRef": {}}}}, "spec.train.script.configMapRef.name"),
    "a script of a path": (
        {"train": {"script": {"configMapRef": {"name": "a", "key": "a/b.py"}}}},
        "spec.train.script.configMapRef.key",
    ),
    "a search of a script": (
        {"train": {"script": {"configMapRef": {"name": "a"}}}, "tuning": {"parameters": [ALPHA], "maxTrials": 3}},
        "tuning and train.script exclude each other",
    ),
    "new data by rows and objects": (
        {"triggers": {"newData": {"minNewRows": 1, "minNewObjects": 1}}},
        "set exactly one of minNewRows and minNewObjects",
    ),
    "new data of any number": ({"triggers": {"newData": {}}}, "set exactly one of minNewRows and minNewObjects"),
    "new data each second": ({"triggers": {"newData": {"minNewRows": 1, "everySeconds": 1}}}, "newData.everySeconds"),
    "a container that goes on": (
        {"train": {"container": {"image": "a/b:1"}, "warmStart": True}},
        "warmStart needs sklearn",
    ),
    "a search that goes on": (
        {"train.warmStart": True, "tuning": {"parameters": [ALPHA], "maxTrials": 3}},
        "tuning and train.warmStart exclude each other",
    ),
    "a prepare stage of nothing": ({"prepare": {}}, "spec.prepare.container"),
    "a prepare stage with a search": (
        {"prepare": {"container": {"image": "a/b:1"}}, "tuning": {"parameters": [ALPHA], "maxTrials": 3}},
        "prepare and tuning exclude each other",
    ),
    "a prepare stage with a hold-out apart": (
        {"prepare": {"container": {"image": "a/b:1"}}, "data.holdout": {"uri": "s3://data/held/"}},
        "prepare needs data.holdout.fraction",
    ),
    "a prepare stage and rows to count": (
        {"prepare": {"container": {"image": "a/b:1"}}, "triggers": {"newData": {"minNewRows": 1}}},
        "use triggers.newData.minNewObjects",
    ),
    "negative retries": ({"runPolicy": {"backoffLimit": -1}}, "spec.runPolicy.backoffLimit"),
    "unknown approval": ({"versions": {"approval": "Maybe"}}, "spec.versions.approval"),
    "no parameters": ({"tuning": {"parameters": [], "maxTrials": 3}}, "spec.tuning.parameters"),
    "no number of trials": ({"tuning": {"parameters": [ALPHA]}}, "spec.tuning.maxTrials"),
    "a parameter twice": ({"tuning": {"parameters": [ALPHA, ALPHA], "maxTrials": 3}}, "spec.tuning.parameters"),
    "a name that is no variable's": (
        {"tuning": {"parameters": [{**ALPHA, "name": "learning-rate"}], "maxTrials": 3}},
        "spec.tuning.parameters[0].name",
    ),
    "a choice twice": (
        {"tuning": {"parameters": [{"name": "a", "categorical": {"choices": ["x", "x"]}}], "maxTrials": 3}},
        "spec.tuning.parameters[0].categorical.choices",
    ),
    "unknown algorithm": (
        {"tuning": {"parameters": [ALPHA], "maxTrials": 3, "algorithm": {"name": "Luck"}}},
        "spec.tuning.algorithm.name",
    ),
}

SERVING: dict[str, tuple[Change, str]] = {
    "follow and version": ({"model.version": "cars-1"}, "spec.model"),
    "follow and alias": (
        {"model.alias": "champion"},
        "set exactly one of follow (Approved), version (pinned) and alias",
    ),
    "alias with a capital": ({"model": {"name": "cars", "alias": "Champion"}}, "spec.model.alias"),
    "neither follow nor version": ({"model": {"name": "cars"}}, "spec.model"),
    "unknown follow": ({"model.follow": "Latest"}, "spec.model.follow"),
    "negative replicas": ({"replicas": -1}, "spec.replicas"),
    "replicas as text": ({"replicas": "two"}, "spec.replicas"),
    "unknown strategy": ({"rollout.strategy": "YOLO"}, "spec.rollout.strategy"),
    "step with both fields": ({"rollout.steps": [{"weight": 10, "pauseSeconds": 5}]}, "spec.rollout.steps[0]"),
    "step with neither field": ({"rollout.steps": [{}]}, "spec.rollout.steps[0]"),
    "weight over 100": ({"rollout.steps": [{"weight": 101}]}, "spec.rollout.steps[0].weight"),
    "check without bound": ({"rollout.analysis": {"checks": [{"metric": "ErrorRatio"}]}}, "analysis.checks[0]"),
    "unknown check": ({"rollout.analysis": {"checks": [{"metric": "Luck", "maximum": "1"}]}}, "checks[0].metric"),
    "threshold a number": ({"monitoring.drift.psiThreshold": 0.2}, "spec.monitoring.drift.psiThreshold"),
    "payload log in a folder": ({"payloadLog": {"uri": "file:///logs"}}, "spec.payloadLog.uri"),
    "prefix in a folder": (
        {
            "batch": [
                {
                    "name": "new",
                    "input": {"uri": "file:///data", "format": "csv"},
                    "output": {"uri": "s3://data/scored"},
                    "store": {},
                }
            ]
        },
        "spec.batch[0].input.uri",
    ),
    "sampled beyond everything": ({"payloadLog": {"uri": "s3://logs", "sampleRatio": "2"}}, "sampleRatio must be"),
    "feedback without key": ({"feedback": {}}, "spec.feedback.keySecretRef"),
    "unknown batching": ({"runtime.batching": "Sometimes"}, "spec.runtime.batching"),
    "no time for a request": ({"runtime.timeouts": {"requestSeconds": 0}}, "spec.runtime.timeouts.requestSeconds"),
    "drift of no share": ({"monitoring.drift.minShare": "0"}, "minShare must be above 0"),
    "drift of every window": ({"monitoring.drift.psiThreshold": "0"}, "psiThreshold must be above 0"),
    "back for no alert": ({"monitoring.rollback": {"onQuality": False}}, "set onQuality or onErrors"),
    "back within no time": ({"monitoring.rollback": {"withinSeconds": 0}}, "spec.monitoring.rollback.withinSeconds"),
    "quality of no error": ({"monitoring.quality.maximum": "0"}, "maximum must be above 0"),
    "an age of no time": ({"monitoring.staleness": {"maxAgeSeconds": 0}}, "spec.monitoring.staleness.maxAgeSeconds"),
    "retrain without job": ({"monitoring.retrain": {"alerts": ["Drift"]}}, "spec.monitoring.retrain.trainingJob"),
    "retrain by an unknown alert": (
        {"monitoring.retrain": {"trainingJob": "cars", "alerts": ["Boredom"]}},
        "spec.monitoring.retrain.alerts",
    ),
}

VERSION: dict[str, tuple[Change, str]] = {
    "digest too short": ({"artifact.digest": "sha256:ab"}, "spec.artifact.digest"),
    "unknown format": ({"format": "pickle"}, "spec.format"),
    "unknown approval": ({"approval": "Sure"}, "spec.approval"),
    "artifact absent": ({"artifact": REMOVED}, "give one of artifact"),
    "artifact and source": ({"source": {"uri": "s3://a/m.onnx", "format": "onnx"}}, "give one of artifact"),
    "artifact without its format": ({"format": REMOVED}, "beside artifact the fields format"),
    "artifact without metrics": ({"metrics": REMOVED}, "beside artifact the fields format"),
    "source with a format beside it": (
        {"artifact": REMOVED, "source": {"uri": "s3://a/m.onnx", "format": "onnx"}},
        "beside source leave out format",
    ),
    "source of an unknown format": (
        {"artifact": REMOVED, "source": {"uri": "s3://a/m.pkl", "format": "pickle"}},
        "spec.source.format",
    ),
    "alias that looks like a version": ({"aliases": ["champion", "cars-7"]}, "must not look like a version"),
    "alias twice": ({"aliases": ["champion", "champion"]}, "spec.aliases"),
    "alias with a space": ({"aliases": ["the best"]}, "spec.aliases[0]"),
    "trained at no time": ({"trained": "yesterday"}, "spec.trained"),
}

FROZEN: dict[str, Change] = {
    "digest": {"artifact.digest": "sha256:" + "b" * 64},
    "uri": {"artifact.uri": "s3://elsewhere/cars/"},
    "store": {"store.endpoint": "http://other:7070"},
    "metrics": {"metrics": {"r2": "0.99"}},
    "format": {"format": "skops"},
    "bytes": {"bytes": 1},
    "model": {"model": "trucks"},
    "source": {"source": {"uri": "s3://a/m.onnx", "format": "onnx"}},
    "gates": {"gates": ["r2 0.9 >= 0.7"]},
    "failed gates": {"failedGates": ["r2 0.4 is below 0.7"]},
}


CONTAINER = {"container": {"image": "a/b:1", "env": [{"name": "MODELMILL_INPUT", "value": "x"}]}}
ANALYSIS = {"checks": [{"metric": "ErrorRatio", "maximum": "0.1"}]}


def job(spec: Mapping[str, Any], name: str = "cars") -> Body:
    body = load.training_job("default", "cars")
    return {**body, "metadata": {**body["metadata"], "name": name}, "spec": {**body["spec"], **spec}}


def service(spec: Mapping[str, Any], name: str = "cars") -> Body:
    body = load.inference_service("default", "cars")
    return {**body, "metadata": {**body["metadata"], "name": name}, "spec": {**body["spec"], **spec}}


def scoring(**more: Any) -> Body:
    entry = {"name": "new", "input": {"uri": "s3://data/new", "format": "csv"}, "output": {"uri": "s3://data/scored"}}
    entry["store"] = {"endpoint": "http://s3.store:7070"}
    return service({"batch": [{**entry, **more}]})


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
EXPRESSION = {"key": "disk", "operator": "In"}


def running(runtime: Mapping[str, Any]) -> Body:
    return service({"runtime": runtime})


def placed(placement: Mapping[str, Any]) -> Body:
    return running({"podTemplate": placement})


def near(pods: Mapping[str, Any]) -> Body:
    return placed({"affinity": {"podAffinity": {REQUIRED: [{"labelSelector": pods, "topologyKey": "zone"}]}}})


def version(spec: Mapping[str, Any]) -> Body:
    body = load.model_version("default", "cars")
    return {**body, "spec": {**body["spec"], **spec}}


def bare_version(*without: str, **spec: Any) -> Body:
    body = version(spec)
    return {**body, "spec": {name: value for name, value in body["spec"].items() if name not in without}}


def held_out(**holdout: Any) -> Body:
    return job({"data": {**job({})["spec"]["data"], "holdout": holdout}})


def windowed(**window: Any) -> Body:
    return job({"data": {**job({})["spec"]["data"], "window": window}})


def with_schema(**column: Any) -> Body:
    return job({"data": {**job({})["spec"]["data"], "schema": {"columns": [column]}}})


def gated(gate: Mapping[str, Any]) -> Body:
    return job({"evaluation": {**job({})["spec"]["evaluation"], "gates": [gate]}})


def tuned(*parameters: Any, **more: Any) -> Body:
    return job({"tuning": {"parameters": parameters or [ALPHA], "maxTrials": 3, **more}})


def beside_tuning(spec: Mapping[str, Any]) -> Body:
    return job({**spec, "tuning": {"parameters": [ALPHA], "maxTrials": 3}})


def prepared(**data: Any) -> Body:
    return job({"prepare": PREPARE, "data": {**job({})["spec"]["data"], **data}})


def automatic(estimator: str = "Auto", **tuning: Any) -> Body:
    return job({"train": {"sklearn": {"estimator": estimator}}, "tuning": {"space": "Auto", "maxTrials": 3, **tuning}})


def digested() -> Body:
    body = tuned()
    return {**body, "spec": {**body["spec"], "data": {**body["spec"]["data"], "snapshot": "Digest"}}}


def of_container(tuning: Mapping[str, Any]) -> Body:
    return job(
        {"train": {"container": {"image": "a/b:1"}}, "tuning": {"parameters": [ALPHA], "maxTrials": 3, **tuning}}
    )


def when(parameter: str) -> Mapping[str, Any]:
    return {"when": {"parameter": parameter, "equals": "a"}}


def hanging(parameter: str, equals: Any) -> Mapping[str, Any]:
    return {**ALPHA, "when": {"parameter": parameter, "equals": equals}}


def long_named_version() -> Body:
    body = load.model_version("default", "cars")
    return {**body, "metadata": {**body["metadata"], "name": "c" * 64}}


def checked(**check: Any) -> Body:
    """Return an InferenceService whose analysis has this check alone."""
    return service({"rollout": {"steps": [{"weight": 50}], "analysis": {"checks": [check]}}})


CPU = {"targetCPUUtilizationPercentage": 80}


def shadowed(*checks: Body, **shadow: Any) -> Body:
    analysis = {"analysis": {"checks": list(checks)}} if checks else {}
    return service({"rollout": {"strategy": "Shadow", "shadow": shadow, **analysis}})


CREATED: Mapping[str, Callable[[], Body]] = {
    "metadata.name must be at most 44 characters of a-z": lambda: service({}, "9cars"),
    "set exactly one of follow (Approved), version (pinned) and alias": lambda: service({"model": {"name": "cars"}}),
    "an alias must not look like a version of the model": lambda: version({"aliases": ["cars-2"]}),
    "strategy Direct takes neither steps nor analysis": lambda: service(
        {"rollout": {"strategy": "Direct", "steps": [{"weight": 50}]}}
    ),
    "analysis needs a step with a weight below 100": lambda: service(
        {"rollout": {"steps": [{"weight": 100}], "analysis": ANALYSIS}}
    ),
    "parentRefs, hostnames and routeRef need mode GatewayAPI": lambda: service(
        {"rollout": {"traffic": {"parentRefs": [{"name": "gateway"}]}}}
    ),
    "mode GatewayAPI takes either parentRefs": lambda: service({"rollout": {"traffic": {"mode": "GatewayAPI"}}}),
    "minimumSurge is for mode Replicas": lambda: service(
        {"rollout": {"traffic": {"mode": "GatewayAPI", "routeRef": {"name": "front"}, "minimumSurge": 1}}}
    ),
    "headerRoute needs traffic.parentRefs": lambda: service(
        {"rollout": {"steps": [{"headerRoute": {"name": "x-canary", "value": "yes"}}, {"weight": 50}]}}
    ),
    "hostnames are those of the route that is made": lambda: service(
        {"rollout": {"traffic": {"mode": "GatewayAPI", "routeRef": {"name": "front"}, "hostnames": ["a.example.com"]}}}
    ),
    "the weights of the steps must not become smaller": lambda: service(
        {"rollout": {"steps": [{"weight": 50}, {"pauseSeconds": 5}, {"weight": 20}]}}
    ),
    "a step has exactly one of weight, pauseSeconds": lambda: service({"rollout": {"steps": [{}]}}),
    "strategy BlueGreen takes no steps": lambda: service(
        {"rollout": {"strategy": "BlueGreen", "steps": [{"weight": 10}]}}
    ),
    "strategy Shadow takes no steps": lambda: service({"rollout": {"strategy": "Shadow", "steps": [{"weight": 10}]}}),
    "shadow is for strategy Shadow": lambda: service({"rollout": {"shadow": {}}}),
    "check Disagreement needs strategy Shadow": lambda: service(
        {"rollout": {"analysis": {"checks": [{"metric": "Disagreement", "maximum": "0.1"}]}}}
    ),
    "Disagreement is with the stable version already": lambda: shadowed(
        {"metric": "Disagreement", "maximum": "0.1", "maxRatioToStable": "2"}
    ),
    "strategy Shadow is measured by ErrorRatio": lambda: shadowed({"metric": "PredictionPSI", "maximum": "0.1"}),
    "sampleRatio of a shadow must be above 0": lambda: shadowed(sampleRatio="0"),
    "relative and absolute must be 0 or more": lambda: shadowed(tolerance={"relative": "-0.1"}),
    "blueGreen is for strategy BlueGreen": lambda: service({"rollout": {"blueGreen": {}}}),
    "analysis needs prePromotionSeconds or postPromotionSeconds": lambda: service(
        {
            "rollout": {
                "strategy": "BlueGreen",
                "blueGreen": {"postPromotionSeconds": 0},
                "analysis": {"checks": [{"metric": "ErrorRatio", "maximum": "0.1"}]},
            }
        }
    ),
    "setCanaryReplicas is the first step, once": lambda: service(
        {"rollout": {"steps": [{"weight": 10}, {"setCanaryReplicas": 2}]}}
    ),
    "output.uri must not lie in input.uri": lambda: scoring(output={"uri": "s3://data/new/scored"}),
    "parallelism must not be above partitions": lambda: scoring(partitions=2, parallelism=3),
    "minReplicas must not be above maxReplicas": lambda: service(
        {"autoscaling": {"minReplicas": 3, "maxReplicas": 2, **CPU}}
    ),
    "autoscaling needs a target": lambda: service({"autoscaling": {"maxReplicas": 2}}),
    "a check needs maximum, minimum, maxRatioToStable or minRatioToStable": lambda: checked(metric="ErrorRatio"),
    "a check has either metric or prometheus": lambda: checked(maximum="1"),
    "maxRatioToStable, minRatioToStable and minSamples are for metrics": lambda: checked(
        prometheus={"query": "1"}, maximum="1", minSamples=5
    ),
    "in $( ) a query may have namespace": lambda: checked(
        prometheus={"query": "up{a='$(namespace)$(secret)'}"}, maximum="1"
    ),
    "minimum and minRatioToStable are bounds of Accuracy": lambda: checked(metric="ErrorRatio", minimum="0.1"),
    "Accuracy is the better the higher it is": lambda: checked(metric="Accuracy", minimum="0.9", maximum="1"),
    "PredictionPSI compares with the stable version already": lambda: checked(
        metric="PredictionPSI", maximum="0.2", maxRatioToStable="2"
    ),
    "metadata.name may have at most 63 characters": long_named_version,
    "give one of artifact": lambda: bare_version("artifact", "format", "bytes", "trained", "primary", "metrics"),
    "beside artifact the fields": lambda: bare_version("format"),
    "beside source leave out": lambda: bare_version(
        "artifact", "bytes", "trained", "primary", "metrics", source={"uri": "s3://a/m.onnx", "format": "onnx"}
    ),
    "metadata.name may have at most 44 characters": lambda: job({}, "c" * 45),
    "set fraction (a share of data.train) or uri": lambda: held_out(strategy="Random"),
    "fraction and uri exclude each other": lambda: held_out(fraction="0.2", uri="s3://data/holdout/"),
    "strategy Latest needs column": lambda: held_out(fraction="0.2", strategy="Latest"),
    "fraction must be between 0 and 1": lambda: held_out(fraction="0"),
    "set exactly one of last, rows and objectsNewerThan": lambda: windowed(rows=5, last="5", column="Year"),
    "last needs column": lambda: windowed(last="30d"),
    "objectsNewerThan goes by the times": lambda: windowed(objectsNewerThan="7d", column="Year"),
    "minimum and maximum are bounds of numbers": lambda: with_schema(name="x", type="text", minimum="0"),
    "minimum must not be above maximum": lambda: with_schema(name="x", minimum="2", maximum="1e0"),
    "maxMissingRatio must be from 0 to 1": lambda: with_schema(name="x", maxMissingRatio="1.1"),
    "set exactly one of sklearn, container and script": lambda: job({"train": {}}),
    "warmStart needs sklearn": lambda: job({"train": {"container": {"image": "a/b:1"}, "warmStart": True}}),
    "tuning and train.warmStart exclude each other": lambda: beside_tuning(
        {"train": {"sklearn": {"estimator": "sklearn.linear_model.SGDRegressor"}, "warmStart": True}}
    ),
    "set exactly one of minNewRows and minNewObjects": lambda: job({"triggers": {"newData": {}}}),
    "prepare and tuning exclude each other": lambda: beside_tuning({"prepare": PREPARE}),
    "prepare needs data.holdout.fraction": lambda: prepared(holdout={"uri": "s3://data/holdout/"}),
    "prepare makes the rows": lambda: job({"prepare": PREPARE, "triggers": {"newData": {"minNewRows": 1}}}),
    "tuning and train.script exclude each other": lambda: beside_tuning(
        {"train": {"script": {"configMapRef": {"name": "a"}}}}
    ),
    "names that begin with MODELMILL_ are reserved": lambda: job({"train": CONTAINER}),
    "a gate has either metric or versusChampion": lambda: gated({"metric": "r2", "minimum": "0", "versusChampion": {}}),
    "a search has one objective": lambda: tuned(objective={"metric": "r2,mae", "direction": "Maximize"}),
    "low must not be above high": lambda: tuned({"name": "a", "float": {"low": "1e3", "high": "10"}}),
    "log needs low above 0": lambda: tuned({"name": "a", "float": {"low": "0", "high": "1", "log": True}}),
    "log needs low of at least 1": lambda: tuned({"name": "a", "int": {"low": 0, "high": 1, "log": True}}),
    "log and step exclude each other": lambda: tuned(
        {"name": "a", "float": {"low": "1", "high": "2", "log": True, "step": "1"}}
    ),
    "step must be above 0": lambda: tuned({"name": "a", "float": {"low": "1", "high": "2", "step": "0"}}),
    "step is too small for the range": lambda: tuned(
        {"name": "a", "float": {"low": "0", "high": "1", "step": "1e-20"}}
    ),
    "set exactly one of float, int and categorical": lambda: tuned({"name": "a"}),
    "set exactly one of folds and fraction": lambda: tuned(validation={"strategy": "Random"}),
    "parallelTrials must not be above maxTrials": lambda: tuned(parallelTrials=4),
    "publish BestTrial needs validation.fraction": lambda: tuned(publish="BestTrial"),
    "tuning.publish BestTrial needs train.sklearn": lambda: of_container({"publish": "BestTrial", **SHARE}),
    "trialsPerPod must not be above parallelTrials": lambda: tuned(parallelTrials=2, trialsPerPod=3),
    "tuning.trialsPerPod above 1 needs train.sklearn": lambda: of_container({"parallelTrials": 2, "trialsPerPod": 2}),
    "algorithm Grid needs a step for each float": lambda: tuned(algorithm={"name": "Grid"}),
    "when needs a categorical parameter of this list": lambda: tuned(KIND, hanging("kind", "c")),
    "when goes two steps deep at most": lambda: tuned(
        KIND,
        {**KIND, "name": "b", **when("kind")},
        {**KIND, "name": "c", **when("b")},
        {**KIND, "name": "d", **when("c")},
    ),
    "names that differ in capitals only": lambda: tuned(ALPHA, {**ALPHA, "name": "Alpha"}),
    "seedTrials may name parameters of this search": lambda: tuned(seedTrials=[{"beta": "1"}]),
    "a value of seedTrials is outside": lambda: tuned(seedTrials=[{"alpha": "11"}]),
    "mae, rmse, mape, log_loss are better": lambda: tuned(objective={"metric": "mae", "direction": "Maximize"}),
    "this metric is better when it is greater": lambda: job(
        {"evaluation": {"primary": {"metric": "r2", "direction": "Minimize"}}}
    ),
    "the minute of cron must be 0 to 59": lambda: job({"triggers": {"schedule": {"cron": "60 3 * * *"}}}),
    "the hour of cron must be 0 to 23": lambda: job({"triggers": {"schedule": {"cron": "0 24 * * *"}}}),
    "the day of the month of cron must be": lambda: job({"triggers": {"schedule": {"cron": "0 3 0 * *"}}}),
    "the month of cron must be 1 to 12": lambda: job({"triggers": {"schedule": {"cron": "0 3 * 13 *"}}}),
    "the day of the week of cron must be": lambda: job({"triggers": {"schedule": {"cron": "0 3 * * Monday"}}}),
    "set exactly one of parameters and space": lambda: tuned(space="Auto"),
    "seedTrials needs parameters": lambda: automatic(seedTrials=[{"alpha": "1"}]),
    "algorithm Grid needs parameters": lambda: automatic(algorithm={"name": "Grid"}),
    "train.sklearn.estimator Auto is found by a search": lambda: job({"train": {"sklearn": {"estimator": "Auto"}}}),
    "tuning.space Auto needs train.sklearn": lambda: automatic("sklearn.linear_model.Lars"),
    "train.sklearn.estimator Auto follows from the metric": lambda: automatic(
        objective={"metric": "profit", "direction": "Maximize"}
    ),
    "tuning.validation.folds needs train.sklearn": lambda: of_container({"validation": {"folds": 3}}),
    "tuning.pruning needs a pod for each trial": lambda: tuned(
        pruning={"name": "Median"}, parallelTrials=2, trialsPerPod=2, **SHARE
    ),
    "percentile is for name Percentile": lambda: tuned(pruning={"name": "Percentile"}, **SHARE),
    "percentile must be between 0 and 100": lambda: tuned(pruning={"name": "Percentile", "percentile": "100"}, **SHARE),
    "tuning.pruning with train.sklearn needs tuning.validation.fraction": lambda: tuned(pruning={"name": "Median"}),
    "a search needs data.snapshot Copy": digested,
    "the parameter estimator needs categorical choices": lambda: tuned(
        {"name": "estimator", "categorical": {"choices": ["Ridge"]}}
    ),
    "minShare must be above 0 and at most 1": lambda: service({"monitoring": {"drift": {"minShare": "1.5"}}}),
    "psiThreshold must be above 0 and at most 100": lambda: service({"monitoring": {"drift": {"psiThreshold": "-1"}}}),
    "set onQuality or onErrors": lambda: service({"monitoring": {"rollback": {"onQuality": False}}}),
    "maximum must be above 0": lambda: service({"monitoring": {"quality": {"maximum": "0"}}}),
    "sampleRatio must be above 0 and at most 1": lambda: service(
        {"payloadLog": {"uri": "s3://logs", "sampleRatio": "0"}}
    ),
    "without an image of your own env takes": lambda: running({"env": [{"name": "LD_PRELOAD"}]}),
    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY": lambda: running(
        {"image": "a/b:1", "env": [{"name": "AWS_SECRET_ACCESS_KEY"}]}
    ),
    "priorityClassName must not begin with system-": lambda: placed({"priorityClassName": "system-node-critical"}),
    "minDomains needs whenUnsatisfiable": lambda: placed(
        {
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}
            ]
        }
    ),
    "of nodes In and NotIn need values": lambda: placed(
        {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [EXPRESSION]}]}}}}
    ),
    "of pods In and NotIn need values": lambda: near({"matchExpressions": [EXPRESSION]}),
    "a key of matchLabels is no name of a label": lambda: near({"matchLabels": {"a b": "x"}}),
    "a metric gate needs minimum or maximum": lambda: gated({"metric": "r2"}),
}
"""Beginning of each rule's message, and an object that violates it and no other."""
