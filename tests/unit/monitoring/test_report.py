"""Drift reports: asked for once, one at a time, followed, told; pure plans played with a service, its Jobs and a clock."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from modelmill.api.objects import read_inference_service, read_model_version
from modelmill.contracts import names
from modelmill.contracts.drift_report import ReportSpec, decode
from modelmill.contracts.result import FAILED, StageResult, encode
from modelmill.contracts.verdict import Limits
from modelmill.engine.parts import Contribution
from modelmill.kube.conditions import timestamp
from modelmill.monitoring.report import DEADLINE, JOB_KEPT, PAUSE, View, plan
from modelmill.workloads.containers import Image
from tests.support import objects as o
from tests.support.made_aside import created

DRIFT = {"drift": {"psiThreshold": "0.25", "minRows": 200}, "quality": {"maximum": "2.5", "minLabels": 50}}


class Played:
    """A service, the Jobs of its reports and their pods, and the time."""

    def __init__(self, **spec: Any) -> None:
        self.service = o.inference_service(**{"monitoring": DRIFT, **spec})
        self.stable: dict[str, Any] | None = {
            "version": "cars-1", "digest": o.DIGEST, "revision": "r", "replicas": 1, "ready": 1,
        }  # fmt: skip
        self.status: dict[str, Any] = {}
        self.alerts: list[dict[str, Any]] = []
        self.version: dict[str, Any] | None = o.model_version("cars-1")
        self.jobs: dict[str, Any] = {}
        self.pods: dict[str, Any] = {}
        self.now = o.NOW
        self.events: list[str] = []
        self.last = Contribution()

    def step(self, times: int = 1) -> Contribution:
        for _ in range(times):
            status = {**self.status, "alerts": self.alerts, **({"stable": self.stable} if self.stable else {})}
            view = View(
                read_inference_service({**self.service, "status": status}),
                read_model_version(self.version) if self.version else None,
                self.jobs,
                self.pods,
                Image("trainer:1"),
                self.now,
            )
            made = self.last = plan(view)
            self.status = json.loads(json.dumps(made.status))
            for body in created(made):
                body["metadata"]["creationTimestamp"] = timestamp(self.now)
                self.jobs[body["metadata"]["name"]] = o.job(body)
            for gone in made.delete:
                del self.jobs[gone.name]
            self.events += [event.reason for event in made.events]
        return self.last

    def wait(self, time: timedelta) -> None:
        self.now += time

    def ask(self, text: str) -> None:
        self.service["metadata"]["annotations"] = {"modelmill.dev/report": text}

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = self.status.get("report", {})
        return found

    @property
    def phase(self) -> str:
        return str(self.report["job"]["phase"])

    def end(self, kind: str = "Complete", told: StageResult | None = None) -> None:
        name = self.report["job"]["name"]
        self.jobs[name]["status"] = {"conditions": [o.condition(kind, "", self.now)]}
        if told is not None:
            pod = o.pod("p", [], [o.ended(names.STAGE_DRIFT_REPORT, 3, encode(told))], "Failed")
            self.pods[name] = [pod]


def environment(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value") for one in container["env"]}


def test_nothing_is_told_that_nobody_asked_for() -> None:
    played = Played()
    played.step(3)
    assert (played.status, played.jobs, played.last.requeue_after) == ({}, {}, None)


def test_a_word_makes_one_page() -> None:
    played = Played()
    played.ask("before the meeting")
    first = played.step()
    assert not created(first), "it is put on record before its Job is made"
    assert (played.phase, played.report["annotation"]) == ("Pending", "before the meeting")
    played.step(3)
    (job,) = played.jobs.values()
    told = environment(job)
    uri = f"s3://models/prod/reports/ml/cars/{o.NOW:%Y%m%dt%H%M%Sz}.html"
    assert decode(told[names.ENV_REPORT]) == ReportSpec(
        namespace="ml",
        service="cars",
        version="cars-1",
        uri=uri,
        reason="modelmill.dev/report: before the meeting",
        created=timestamp(o.NOW),
        limits=Limits(0.25, 0.3, 200),
        maximum=2.5,
        min_labels=50,
    )
    assert told[names.ENV_ARTIFACT_DIGEST] == o.DIGEST
    played.end()
    played.wait(timedelta(seconds=5))
    played.step(3)
    assert (played.report["uri"], played.report["time"]) == (uri, timestamp(o.NOW))
    assert played.events == ["DriftReport"]
    assert len(played.jobs) == 1


def test_the_pod_has_the_counts_and_the_keys_of_the_version_and_no_more() -> None:
    played = Played()
    played.ask("1")
    played.step(2)
    (job,) = played.jobs.values()
    pod = job["spec"]["template"]["spec"]
    sources = [one["projected"]["sources"] for one in pod["volumes"] if "projected" in one]
    assert sources == [[{"configMap": {"name": "cars-modelmill-counts", "optional": True}}]]
    (container,) = pod["containers"]
    keys = [one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one]
    assert keys == ["keys", "keys"]
    assert pod["automountServiceAccountToken"] is False
    assert "modelmill.dev/inference-service" not in job["metadata"]["labels"], "no Service may find these pods"


def test_the_same_word_acts_once_and_another_one_again() -> None:
    played = Played()
    played.ask("1")
    played.step(3)
    played.ask("2")
    played.wait(timedelta(seconds=5))
    played.step(3)
    assert len(played.jobs) == 1, "one at a time"
    played.end()
    played.step(4)
    assert (len(played.jobs), played.report["annotation"]) == (2, "2")
    played.end()
    played.step(4)
    assert played.events == ["DriftReport", "DriftReport"]


@pytest.mark.parametrize("kind", ["Drift", "Skew", "DataQuality"])
def test_an_episode_makes_one_page(kind: str) -> None:
    played = Played()
    played.alerts = [o.alert("a1", kind)]
    played.step(3)
    assert played.report["alerts"] == ["a1"]
    played.end()
    played.wait(2 * PAUSE)
    played.step(3)
    assert played.events == ["DriftReport"]
    played.alerts = []
    played.step(2)
    assert "alerts" not in played.report, "what does not fire is forgotten"
    played.alerts = [o.alert("a2", kind)]
    played.step(3)
    played.end()
    played.step()
    assert played.events == ["DriftReport", "DriftReport"]


@pytest.mark.parametrize("kind", ["Quality", "Staleness", "Errors"])
def test_other_alerts_make_none(kind: str) -> None:
    played = Played()
    played.alerts = [o.alert("a1", kind)]
    played.step(3)
    assert not played.jobs


def test_many_alerts_make_one_page_and_those_that_come_soon_after_another_one_later() -> None:
    played = Played()
    played.alerts = [o.alert(f"a{number}", "DataQuality", feature=f"f{number}") for number in range(6)]
    played.step(3)
    assert played.report["job"]["reason"].endswith("DataQuality f3 and 2 more")
    played.end()
    played.alerts += [o.alert("b1"), o.alert("b2")]
    played.wait(JOB_KEPT)
    played.step(3)
    assert not played.jobs
    assert played.last.requeue_after == (PAUSE - JOB_KEPT).total_seconds()
    played.wait(PAUSE)
    played.step(3)
    assert played.report["alerts"] == [*(f"a{number}" for number in range(6)), "b1", "b2"]
    assert [decode(environment(job)[names.ENV_REPORT]).reason for job in played.jobs.values()][-1] == (
        "alerts fire: Drift, Drift"
    )


def test_what_an_alert_waits_for_is_told_until_it_is_over_or_has_its_page() -> None:
    played = Played()
    played.alerts = [o.alert("a0")]
    played.step(3)
    played.end()
    played.wait(timedelta(seconds=20))
    played.step()
    assert "message" not in played.report
    due = timestamp(o.NOW + PAUSE)
    for _ in range(2):
        played.alerts += [o.alert("a1", feature="hp")]
        played.step()
        words = f"a report waits until {due}, 10 minutes after the one before: alerts fire: Drift hp"
        assert played.report["message"] == words
        before = played.report
        played.wait(timedelta(minutes=1))
        played.step()
        assert played.report == before, "a wait is told once"
        played.alerts.pop()
        played.step()
        assert "message" not in played.report, "nobody waits any more"
    assert played.events == ["DriftReport", "DriftReportSkipped", "DriftReportSkipped"]
    played.alerts += [o.alert("a1", feature="hp")]
    played.step()
    played.wait(PAUSE)
    played.step(2)
    assert played.report["job"]["reason"] == "alerts fire: Drift hp"
    assert "message" not in played.report


def test_the_page_of_an_alert_does_not_wait_for_one_that_a_person_asked_for() -> None:
    """The alert may be over before the pause is."""
    played = Played()
    played.ask("before the meeting")
    played.step(3)
    played.end()
    played.step()
    unit = o.alert("a1", feature="hp") | {"kind": "DataQuality", "value": "unit"}
    played.alerts = [unit, unit | {"id": "a2", "value": "out_of_range"}]
    played.wait(timedelta(seconds=20))
    played.step()
    assert played.phase == "Pending"
    assert played.report["job"]["reason"] == "alerts fire: DataQuality hp (unit), DataQuality hp (out_of_range)"


def test_a_word_does_not_wait_for_the_pause_and_answers_the_alerts_as_well() -> None:
    played = Played()
    played.alerts = [o.alert("a1")]
    played.step(3)
    played.end()
    played.step()
    played.alerts += [o.alert("a2")]
    played.ask("now")
    played.wait(timedelta(seconds=2))
    played.step(2)
    assert played.phase == "Pending"
    assert played.report["alerts"] == ["a1", "a2"]


def test_without_monitoring_a_word_is_refused_once() -> None:
    played = Played(monitoring=None)
    del played.service["spec"]["monitoring"]
    played.ask("1")
    played.step(3)
    assert "spec.monitoring is not set" in played.report["message"]
    assert played.events == ["DriftReportFailed"]


def test_a_page_waits_for_a_version_that_serves() -> None:
    played = Played()
    played.stable, stable = None, played.stable
    played.ask("1")
    played.step(2)
    assert played.report == {"message": "a report waits: no version serves yet"}
    played.service["metadata"]["annotations"] = {}
    played.step()
    assert played.report == {}, "nobody waits any more"
    played.ask("1")
    played.stable = stable
    played.step(2)
    assert len(played.jobs) == 1


@pytest.mark.parametrize("early", [True, False])
def test_a_version_that_is_gone_is_told(early: bool) -> None:
    played = Played()
    played.ask("1")
    if not early:
        played.step()
    played.version = None
    played.step(3)
    assert played.report["message"].startswith("VersionNotFound: cars-1")
    assert (played.events, played.jobs) == (["DriftReportFailed"], {})


def test_a_failure_is_told_with_its_reason() -> None:
    played = Played()
    played.ask("1")
    played.step(3)
    played.end("Failed", StageResult(FAILED, "StoreAuthFailed", ("s3://models refuses the keys",)))
    played.step(3)
    assert played.phase == "Failed"
    assert played.report["message"].startswith("StoreAuthFailed: s3://models refuses the keys; ask for another one")
    assert "uri" not in played.report
    assert played.events == ["DriftReportFailed"]


def test_the_page_before_stays_known_while_another_one_fails() -> None:
    played = Played()
    played.ask("1")
    played.step(3)
    played.end()
    played.step()
    before = played.report["uri"]
    played.ask("2")
    played.wait(timedelta(seconds=30))
    played.step(3)
    played.end("Failed")
    played.step()
    assert played.report["uri"] == before
    assert played.report["message"].startswith("JobFailed")


def test_a_job_that_is_deleted_is_made_again_until_the_deadline() -> None:
    played = Played()
    played.ask("1")
    played.step(3)
    name = played.report["job"]["name"]
    played.jobs.clear()
    played.step(2)
    assert list(played.jobs) == [name]
    played.wait(DEADLINE)
    played.step()
    assert played.report["message"].startswith(f"DeadlineExceeded: Job {name} did not end in time")


def test_jobs_go_when_their_result_is_on_record() -> None:
    played = Played()
    played.ask("1")
    played.step(3)
    played.end()
    played.step()
    assert played.jobs
    played.step()
    assert played.last.requeue_after == JOB_KEPT.total_seconds()
    played.wait(JOB_KEPT)
    played.step()
    assert not played.jobs


def test_the_job_of_a_page_before_goes_and_one_that_an_old_status_does_not_know_stays() -> None:
    played = Played()
    played.ask("1")
    played.step(3)
    played.end()
    old = json.loads(json.dumps(played.status))
    played.step()
    played.ask("2")
    played.wait(timedelta(minutes=1))
    played.step(3)
    played.end()
    newest = played.report["job"]["name"]
    played.status = old
    played.service["metadata"]["annotations"] = {}
    played.step()
    assert newest in played.jobs
    played.wait(DEADLINE)
    played.step(2)
    assert not played.jobs


def test_monitoring_that_is_taken_away_ends_what_was_not_begun() -> None:
    played = Played()
    played.ask("1")
    played.step()
    del played.service["spec"]["monitoring"]
    played.step(2)
    assert (played.phase, played.jobs) == ("Failed", {})


def test_names_of_jobs_are_short_whatever_the_service_is_called() -> None:
    played = Played()
    played.service["metadata"]["name"] = "s" * 63
    played.ask("1")
    played.step(2)
    (name,) = played.jobs
    assert len(name) <= 57, "a dash and five letters follow in the names of pods"
