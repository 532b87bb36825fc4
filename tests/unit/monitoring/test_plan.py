from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.monitoring import Monitoring
from modelmill.api.objects import read_inference_service
from modelmill.contracts.counts import COUNTS_KEY, LABEL, decode
from modelmill.engine.parts import Contribution
from modelmill.kube.conditions import timestamp
from modelmill.kube.objects import Manifest
from modelmill.monitoring.engine import EMBEDDED, PROMETHEUS, Engine
from modelmill.monitoring.evaluating import Memory, evaluate
from modelmill.monitoring.part import FIELDS, monitoring_part, plan
from modelmill.monitoring.stack import Stack
from tests.support import objects as o
from tests.support.made_aside import applied
from tests.unit.monitoring.conftest import REVISION, VERSION
from tests.unit.monitoring.counted import TRACK, Pages, Watch, pod, rows

JOB = "fuel-economy-training"


def planned(parent: Manifest, job: Manifest | None = None, engine: Engine = PROMETHEUS) -> Contribution:
    service = read_inference_service(parent)
    rules = Stack().children(service, None, ()) if engine == PROMETHEUS and service.spec.monitoring is not None else ()
    return plan(service, engine, o.NOW, job, rules=rules)


def status_after(parent: Manifest, result: Contribution) -> dict[str, Any]:
    """Return the status as the engine composes it."""
    assert result.status is not None
    return {name: value for name, value in parent["status"].items() if name not in FIELDS} | dict(result.status)


def training_job(**triggers: Any) -> dict[str, Any]:
    job = o.training_job(triggers=triggers)
    job["metadata"]["name"] = JOB
    return job


def alert(ident: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "id": ident,
        "name": "ModelmillFeatureDrift",
        "kind": "Drift",
        "startsAt": "2026-11-20T20:52:25Z",
        "feature": "Horsepower",
        "version": "fuel-economy-1",
        "value": "2.310",
        **more,
    }


def condition(result: Contribution, kind: str) -> tuple[str, str, str]:
    (found,) = [one for one in result.conditions if one.type == kind]
    return found.status, found.reason, found.message


def test_without_monitoring_there_is_nothing_to_do(service: Any) -> None:
    parent = service(alerts=[alert()])
    del parent["spec"]["monitoring"]
    result = planned(parent)
    assert result.apply == (), "None would keep the rules of before"
    assert not result.conditions
    assert status_after(parent, result) == {
        "phase": "Stable",
        "stable": parent["status"]["stable"],
        "monitoring": {"state": "NotConfigured"},
        "drift": "off",
    }


def test_before_a_version_serves(service: Any) -> None:
    result = planned(service(version=None))
    assert list(applied(result)) == []
    assert condition(result, "MonitoringReady")[:2] == ("False", "NoStableVersion")
    assert condition(result, "DriftDetected")[:2] == ("Unknown", "NoStableVersion")
    assert result.status is not None
    assert result.status["drift"] == "-"


def test_while_no_pod_is_ready_nothing_is_measured(service: Any) -> None:
    parent = service()
    parent["status"]["stable"]["ready"] = 0
    result = planned(parent)
    assert result.status is not None
    assert result.status["drift"] == "-"
    status, reason, message = condition(result, "DriftDetected")
    assert (status, reason) == ("Unknown", "NoReadyPods")
    assert message == "nothing is measured while no pod of fuel-economy-1 is ready"
    assert applied(result), "the rules are there before the first request"


def test_an_alert_stays_while_no_pod_is_ready(service: Any) -> None:
    parent = service(alerts=[alert()])
    parent["status"]["stable"]["ready"] = 0
    result = planned(parent)
    assert result.status is not None
    assert result.status["drift"] == "alert"
    assert condition(result, "DriftDetected")[:2] == ("True", "Drift")


def test_quiet(service: Any) -> None:
    result = planned(service())
    assert [child["metadata"]["name"] for child in applied(result)] == ["fuel-economy-modelmill-rules"]
    assert result.status == {"monitoring": {"state": "Unknown", "engine": "Prometheus"}, "drift": "-"}
    status, reason, message = condition(result, "MonitoringReady")
    assert (status, reason) == ("True", "RulesWritten")
    assert "fuel-economy-modelmill-rules" in message
    assert condition(result, "DriftDetected")[:2] == ("Unknown", "NotMeasured")


def test_the_operator_that_raises_alerts_itself_writes_no_rules(service: Any) -> None:
    result = planned(service(), engine=EMBEDDED)
    assert applied(result) == []
    assert condition(result, "MonitoringReady")[:2] == ("True", "Embedded")


def test_drift_is_told_in_the_words_of_the_alerts_and_what_happens(service: Any) -> None:
    alerts = [alert("a", feature="Year", value="0.300"), alert("b"), alert("c", feature="Origin", value="no number")]
    retrain = {"trainingJob": "fuel-economy-training", "alerts": ["Drift"]}
    result = planned(service({"psiThreshold": "0.25"}, retrain=retrain, alerts=alerts))
    told = result.status["monitoring"]
    assert (told["state"], told["worstFeature"], told["value"]) == ("Alert", "Year", "0.300")
    assert "kubectl get trainingjobs" not in told.get("next", "")
    assert result.status["drift"] == "alert"
    status, reason, message = condition(result, "DriftDetected")
    assert (status, reason) == ("True", "Drift")
    assert message.startswith("ModelmillFeatureDrift of Year: 0.300; ModelmillFeatureDrift of Horsepower: 2.310; ")
    assert "fuel-economy-1 keeps serving" in message
    assert message.endswith("kubectl -n ml describe trainingjobs.modelmill.dev fuel-economy-training")


@pytest.mark.parametrize(
    ("retrain", "told"), [(None, "not set"), ({"trainingJob": "x", "alerts": ["Quality"]}, "lacks Drift")]
)
def test_drift_says_when_nothing_retrains(service: Any, retrain: dict[str, Any] | None, told: str) -> None:
    message = condition(planned(service(retrain=retrain, alerts=[alert()])), "DriftDetected")[2]
    assert "nothing is retrained" in message
    assert told in message


def test_alerts_of_a_version_that_no_longer_serves_are_dropped(service: Any) -> None:
    alerts = [alert("old", version="fuel-economy-0"), {**alert("own"), "kind": "Quality"}]
    del alerts[1]["version"]
    parent = service(alerts=alerts)
    result = planned(parent)
    assert status_after(parent, result)["alerts"] == [alerts[1]]
    assert result.status["drift"] == "-"
    assert result.status["monitoring"]["state"] == "Alert"
    assert condition(result, "DriftDetected")[0] == "Unknown"
    assert condition(result, "QualityDegraded")[:2] == ("True", "Quality")


def labelled(watch: Watch, wrong: int, right: int) -> None:
    """Let a pod tell labels of the version that is watched beside its rows."""
    watch.pages.tell("a", rows(400, 400), {TRACK[1]: {(LABEL, "wrong"): wrong, (LABEL, "correct"): right}})


async def looked(parent: Manifest, watch: Watch, **since: float) -> Contribution:
    seen = await watch.look(400)
    found = evaluate(watch.monitoring, seen.history, None, Memory(since=since), watch.now.timestamp())
    return plan(read_inference_service(parent), EMBEDDED, watch.now, observed=seen, found=found)


def recorded(type_: str, status: str) -> dict[str, Any]:
    moment = "2026-01-02T03:04:05Z"
    return {"type": type_, "status": status, "reason": "Quality", "message": "", "lastTransitionTime": moment}


@pytest.mark.parametrize("before", ["True", "Unknown", "False"])
async def test_quality_that_was_told_goes_on_being_told(service: Any, before: str) -> None:
    parent = service()
    assert [one for one in planned(parent).conditions if one.type == "QualityDegraded"] == []
    parent["status"]["conditions"] = [recorded("QualityDegraded", before)]
    result = planned(parent)
    assert condition(result, "QualityDegraded")[:2] == ("Unknown", "NotMeasured")
    assert [one.reason for one in result.events] == ["QualityDegradedUnknown"] * (before == "True")
    parent["spec"]["monitoring"]["quality"] = {"maximum": "0.2"}
    watch = Watch(Pages(), Monitoring.model_validate(parent["spec"]["monitoring"]), [pod("a")])
    watch.pages.tell("a", rows(400, 400))
    status, reason, message = condition(await looked(parent, watch), "QualityDegraded")
    assert (status, reason) == ("Unknown", "InsufficientData")
    assert parent["status"]["stable"]["version"] in message


async def test_labels_that_are_worse_are_not_said_to_be_fine_before_the_alert(service: Any) -> None:
    parent = service()
    parent["spec"]["monitoring"]["quality"] = {"maximum": "0.2"}
    watch = Watch(Pages(), Monitoring.model_validate(parent["spec"]["monitoring"]), [pod("a")])
    labelled(watch, 100, 100)
    result = await looked(parent, watch)
    assert condition(result, "QualityDegraded")[:2] == ("False", "Pending")
    labelled(watch, 100, 2000)
    result = await looked(parent, watch)
    assert condition(result, "QualityDegraded")[:2] == ("False", "NotWorse")


@pytest.mark.parametrize("wrong", [0, 100])
async def test_quality_is_not_said_to_be_fine_while_the_data_are_suspect(service: Any, wrong: int) -> None:
    parent = service()
    parent["spec"]["monitoring"]["quality"] = {"maximum": "0.2"}
    watch = Watch(Pages(), Monitoring.model_validate(parent["spec"]["monitoring"]), [pod("a")])
    labelled(watch, wrong, 200)
    seen = await watch.look(400)
    moment = watch.now.timestamp()
    found = evaluate(watch.monitoring, seen.history, None, Memory(problem=moment - 60), moment)
    result = plan(read_inference_service(parent), EMBEDDED, watch.now, observed=seen, found=found)
    assert condition(result, "QualityDegraded")[:2] == ("Unknown", "DataSuspect")


async def test_no_rows_are_told_of_the_time_that_is_known_only(service: Any) -> None:
    """After a promotion the pods may have answered just before they were counted."""
    parent = service()
    watch = Watch(Pages(), Monitoring.model_validate(parent["spec"]["monitoring"]), [pod("a", o.later(-86_400))])
    watch.pages.tell("a", rows(400, 400))
    window = watch.monitoring.drift.window_seconds
    for look in range(13):
        seen = await watch.look(window / 12 if look else 0)
        found = evaluate(watch.monitoring, seen.history, None, Memory(), watch.now.timestamp())
        result = plan(read_inference_service(parent), EMBEDDED, watch.now, observed=seen, found=found)
        status, reason, message = condition(result, "DriftDetected")
        assert (status, reason) == ("Unknown", "NoData")
        words = "since its rows are counted" if look < 11 else f"within {window} s"
        assert f"no row came to {VERSION} {words}" in message


@pytest.mark.parametrize(("before", "told"), [("True", True), ("Unknown", True), ("False", False)])
async def test_after_an_alert_errors_are_told_until_they_are_judged(service: Any, before: str, *, told: bool) -> None:
    parent = service()
    parent["status"]["conditions"] = [recorded("ErrorsHigh", before)]
    found = [(one.status, one.reason) for one in planned(parent).conditions if one.type == "ErrorsHigh"]
    assert found == [("Unknown", "NotMeasured")] * told
    watch = Watch(Pages(), Monitoring.model_validate({}), [pod("a")])
    watch.pages.tell("a", rows(400, 400))
    found = [(one.status, one.reason) for one in (await looked(parent, watch)).conditions if one.type == "ErrorsHigh"]
    assert found == [("Unknown", "InsufficientData")] * told


async def test_no_alert_of_the_operator_is_older_than_the_promotion_on_record(service: Any) -> None:
    """While the promotion could not be written the pods were read already."""
    parent = service()
    parent["spec"]["monitoring"]["quality"] = {"maximum": "0.2"}
    track = {"version": VERSION, "revision": REVISION, "outcome": "Serving"}
    parent["status"]["history"] = [{**track, "startTime": timestamp(o.later(60))}]
    watch = Watch(Pages(), Monitoring.model_validate(parent["spec"]["monitoring"]), [pod("a")])
    labelled(watch, 100, 100)
    for began, told in ((o.NOW, o.later(60)), (o.later(90), o.later(90))):
        result = await looked(parent, watch, Quality=began.timestamp())
        assert result.status is not None
        assert [one["startsAt"] for one in result.status["alerts"]] == [timestamp(told)]


async def test_alerts_that_were_sent_do_not_push_out_those_that_the_operator_finds(service: Any) -> None:
    parent = service()
    parent["spec"]["monitoring"]["quality"] = {"maximum": "0.2"}
    parent["status"]["alerts"] = [alert(f"sent-{number}", kind="Errors") for number in range(32)]
    watch = Watch(Pages(), Monitoring.model_validate(parent["spec"]["monitoring"]), [pod("a")])
    labelled(watch, 100, 100)
    result = await looked(parent, watch, Quality=o.NOW.timestamp())
    assert result.status is not None
    kinds = [one["kind"] for one in result.status["alerts"]]
    assert (kinds[0], len(kinds)) == ("Quality", 32)
    assert condition(result, "QualityDegraded")[0] == "True"
    assert condition(result, "MonitoringReady")[:2] == ("False", "TooManyAlerts")
    parent["status"]["alerts"] = parent["status"]["alerts"][:23]
    result = await looked(parent, watch, Quality=o.NOW.timestamp())
    assert condition(result, "MonitoringReady")[:2] == ("True", "Embedded")


async def test_ready_pods_that_tell_nothing_are_told(service: Any) -> None:
    parent = service()
    silent = pod("b")
    silent["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    watch = Watch(Pages(), Monitoring.model_validate(parent["spec"]["monitoring"]), [pod("a"), silent, pod("c")])
    watch.pages.tell("a", rows(400, 400))
    told = [condition(await looked(parent, watch), "MonitoringReady")[:2] for _ in range(2)]
    assert told == [("True", "Embedded"), ("False", "PodsSilent")], "once may be an accident"
    watch.pages.tell("b", rows(1, 1))
    assert condition(await looked(parent, watch), "MonitoringReady")[:2] == ("True", "Embedded")


def test_a_restart_takes_nothing_back_that_was_told_of_silent_pods(service: Any) -> None:
    parent = service()
    moment = "2026-01-02T03:04:05Z"
    told = {"type": "MonitoringReady", "status": "False", "reason": "PodsSilent", "message": "2 pods"}
    parent["status"]["conditions"] = [{**told, "lastTransitionTime": moment}]
    assert condition(planned(parent, engine=EMBEDDED), "MonitoringReady") == ("False", "PodsSilent", "2 pods")


def test_the_last_alert_leaves_no_empty_list(service: Any) -> None:
    parent = service(alerts=[alert(version="fuel-economy-0")])
    assert "alerts" not in status_after(parent, planned(parent))


def test_twice_is_the_same_and_fits_the_schema(service: Any) -> None:
    parent = service(alerts=[alert(str(number), feature=f"f{number}") for number in range(32)])
    first = planned(parent)
    again = {**parent, "status": status_after(parent, first)}
    second = planned(again)
    assert json.dumps([applied(first), first.status], sort_keys=True) == json.dumps(
        [applied(second), second.status], sort_keys=True
    )
    assert first.conditions == second.conditions
    TypeAdapter(InferenceServiceStatus).validate_python(again["status"])
    assert "and 28 more" in condition(first, "DriftDetected")[2]


@pytest.mark.parametrize(
    ("job", "reason", "mend"),
    [
        (None, "TrainingJobNotFound", "create it, or name another one"),
        (training_job(), "AlertsNotEnabled", "set its spec.triggers.alerts.enabled to true"),
        (training_job(alerts={"enabled": False}), "AlertsNotEnabled", "spec.triggers.alerts.enabled"),
        (training_job(alerts="yes"), "TrainingJobInvalid", "spec.triggers.alerts"),
    ],
)
def test_loop_that_would_start_nothing_is_told_with_the_mend(service: Any, job: Any, reason: str, mend: str) -> None:
    result = planned(service(retrain={"trainingJob": JOB, "alerts": ["Drift"]}), job)
    status, found, message = condition(result, "MonitoringReady")
    assert (status, found) == ("False", reason)
    assert JOB in message
    assert mend in message
    assert applied(result), "the rules are written all the same"


def test_loop_that_is_closed_is_ready(service: Any) -> None:
    parent = service(retrain={"trainingJob": JOB, "alerts": ["Drift"]})
    result = planned(parent, training_job(alerts={"enabled": True}))
    assert condition(result, "MonitoringReady")[:2] == ("True", "RulesWritten")


def test_rules_go_with_what_is_monitored(service: Any) -> None:
    """The engine removes level children that a part does not want."""
    parent = service()
    del parent["spec"]["monitoring"]
    assert applied(planned(parent)) == []
    part = monitoring_part(None)  # type: ignore[arg-type]
    kinds = ["ConfigMap", "ConfigMap", "PrometheusRule", "PodMonitor", "AlertmanagerConfig"]
    assert [child.resource.kind for child in part.children if child.applied] == kinds


@pytest.mark.parametrize("reason", ["Embedded", "NameConflict", "Forbidden"])
async def test_counts_are_wanted_whole_whatever_was_refused_and_a_change_of_them_is_no_reason_to_try(
    service: Any, reason: str
) -> None:
    """MonitoringReady may be False for another child: what was counted would be lost with a restart."""
    told = {
        "type": "MonitoringReady",
        "status": "False",
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    parent = service()
    parent["status"]["conditions"] = [told]
    watch = Watch(Pages(), Monitoring.model_validate({}), [pod("a")])
    made = []
    for count in (5, 9):
        watch.pages.tell("a", rows(count, count))
        seen = await watch.look(400)
        found = evaluate(watch.monitoring, seen.history, None, Memory(), watch.now.timestamp())
        result = plan(read_inference_service(parent), EMBEDDED, watch.now, observed=seen, found=found)
        (aside,) = result.aside
        assert aside.changing
        made += [decode(one["data"][COUNTS_KEY]) for one in aside.apply]
    assert made[1].rings == seen.history.rings != made[0].rings


async def test_a_revision_that_was_fine_is_known_in_the_status_before_pods_are_read_again(service: Any) -> None:
    parent = service()
    watch = Watch(Pages(), Monitoring.model_validate({}), [pod("a")])
    watch.pages.tell("a", rows(400, 400))
    seen = await watch.look()
    found = evaluate(watch.monitoring, seen.history, None, Memory(), watch.now.timestamp())
    first = plan(read_inference_service(parent), EMBEDDED, watch.now, observed=seen, found=found)
    assert status_after(parent, first)["monitoring"]["fineRevision"] == "r1"
    again = {**parent, "status": status_after(parent, first)}
    restarted = plan(read_inference_service(again), EMBEDDED, watch.now)
    told = status_after(again, restarted)["monitoring"]
    assert (told["state"], told["fineRevision"]) == ("Unknown", "r1")
