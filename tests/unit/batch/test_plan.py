"""Runs of spec.batch: begun once, followed, told; pure plans played with a service, its Jobs and a clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from modelmill.api.objects import read_inference_service, read_model_version
from modelmill.batch.plan import plan
from modelmill.batch.view import View
from modelmill.contracts.batch import BatchResult, decode_spec, encode_result
from modelmill.contracts.result import FAILED, StageResult, encode
from modelmill.engine.parts import Contribution
from modelmill.kube.conditions import timestamp
from modelmill.workloads.containers import Image
from tests.support import objects as o
from tests.support.made_aside import created

ENTRY: dict[str, Any] = {
    "name": "nightly",
    "input": {"uri": "s3://data/new/", "format": "csv"},
    "output": {"uri": "s3://data/scored"},
    "store": {"endpoint": "http://s3:7070", "secretRef": {"name": "data-keys"}},
}
HOURLY = {"schedule": {"cron": "0 * * * *"}}
DONE = BatchResult(0, 3, 900, 0, "s3://data/scored/x/manifest.json", "hp", 0.31)


class Played:
    """A service, its Jobs and pods, and the time."""

    def __init__(self, *entries: Mapping[str, Any], **spec: Any) -> None:
        self.service = o.inference_service(batch=[{**ENTRY, **entry} for entry in entries], **spec)
        self.stable: dict[str, Any] | None = {
            "version": "cars-1", "digest": o.DIGEST, "revision": "r", "replicas": 1, "ready": 1,
        }  # fmt: skip
        self.status: dict[str, Any] = {}
        self.version: dict[str, Any] | None = o.model_version("cars-1")
        self.jobs: dict[str, Any] = {}
        self.pods: dict[str, Any] = {}
        self.refusals: dict[str, str] = {}
        self.foreign: frozenset[str] = frozenset()
        self.model_code = False
        self.now = o.NOW
        self.events: list[str] = []
        self.last = Contribution()

    def step(self, times: int = 1) -> Contribution:
        for _ in range(times):
            status = {**self.status, **({"stable": self.stable} if self.stable else {})}
            view = View(
                read_inference_service({**self.service, "status": status}),
                {"cars-1": read_model_version(self.version)} if self.version else {},
                self.jobs,
                self.pods,
                Image("server:1"),
                self.now,
                self.refusals,
                self.foreign,
                self.model_code,
            )
            made = self.last = plan(view)
            self.status = json.loads(json.dumps(made.status))
            for body in created(made):
                self.jobs[body["metadata"]["name"]] = o.job(body)
            for gone in made.delete:
                del self.jobs[gone.name]
            self.events += [event.reason for event in made.events]
        return self.last

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def ask(self, text: str) -> None:
        self.service["metadata"]["annotations"] = {"modelmill.dev/batch": text}

    def entry(self, name: str = "nightly") -> dict[str, Any]:
        return next(one for one in self.status["batch"] if one["name"] == name)

    def run(self) -> dict[str, Any]:
        return self.entry()["runs"][0]

    def end(self, kind: str = "Complete", result: BatchResult | None = DONE, **failure: Any) -> None:
        name, job = next(iter(self.jobs.items()))
        job["status"] = {"succeeded": 1, "conditions": [o.condition(kind, failure.get("reason", ""), self.now)]}
        if result is not None and kind == "Complete":
            pod = o.pod("p", [], [o.ended("batch", 0, encode_result(result))], "Succeeded")
            self.pods[name] = [pod]
        if "told" in failure:
            self.pods[name] = [o.pod("p", [], [o.ended("batch", 3, encode(failure["told"]))], "Failed")]


def test_nothing_begins_that_nobody_asks_for() -> None:
    played = Played({})
    played.step(3)
    assert not played.jobs
    assert played.status["batch"] == [{"name": "nightly"}]


def test_a_word_begins_one_run_with_the_version_that_serves() -> None:
    played = Played({})
    played.ask("nightly")
    first = played.step()
    assert not created(first), "the run is put on record before its Job is made"
    assert (played.run()["phase"], played.run()["version"]) == ("Pending", "cars-1")
    played.stable = {**(played.stable or {}), "version": "cars-2"}
    played.step(3)
    (job,) = played.jobs.values()
    pod = job["spec"]["template"]["spec"]
    told = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    assert told["MODELMILL_MODEL_VERSION"] == "cars-1"
    spec = decode_spec(told["MODELMILL_BATCH"])
    assert (spec.input, spec.output) == ("s3://data/new/", f"s3://data/scored/{played.run()['name']}")
    assert spec.columns is None
    assert [one["name"] for one in pod["initContainers"]] == ["fetch"]
    assert "modelmill.dev/inference-service" not in job["metadata"]["labels"], "no Service may find these pods"
    assert job["spec"]["completionMode"] == "Indexed"
    played.end()
    played.step(3)
    assert len(played.jobs) == 1
    assert played.events == ["BatchStarted", "BatchSucceeded"]


def test_the_result_is_told() -> None:
    played = Played({}, monitoring={"drift": {"psiThreshold": "0.2"}})
    played.ask("nightly=1")
    played.step(3)
    assert played.status["scoring"] == "nightly 0/1"
    played.end(result=BatchResult(0, 3, 900, 2, "m", "hp", 0.31, ("a.csv, data row 3: input 'hp' has text",)))
    played.step()
    run = played.run()
    assert (run["phase"], run["objects"], run["rows"], run["rejected"]) == ("Succeeded", 3, 900, 2)
    assert (run["driftedFeature"], run["psi"]) == ("hp", "0.31")
    assert run["manifest"] == f"{run['output']}/manifest.json"
    assert run["message"] == "2 rows were left out: a.csv, data row 3: input 'hp' has text"
    assert played.events == ["BatchStarted", "BatchSucceeded", "BatchDrift"]
    assert played.status["scoring"] == "nightly Succeeded"


def test_the_drift_of_few_rows_is_not_told() -> None:
    played = Played({}, monitoring={"drift": {"psiThreshold": "0.2", "minRows": 1000}})
    played.ask("nightly")
    played.step(2)
    played.end()
    played.step()
    assert "psi" not in played.run()
    assert "BatchDrift" not in played.events


def test_a_new_text_acts_once_and_waits_for_the_run_before() -> None:
    played = Played({})
    played.ask("nightly=1")
    played.step(3)
    played.ask("nightly=2")
    played.wait(5)
    played.step(3)
    assert len(played.entry()["runs"]) == 1, "one run of an entry at a time"
    played.end()
    played.step(4)
    assert [run["phase"] for run in played.entry()["runs"]] == ["Running", "Succeeded"]
    assert played.status["batchAnnotation"] == "nightly=2"


def test_an_entry_that_is_not_there_is_told_once() -> None:
    played = Played({})
    played.ask("daily")
    played.step(3)
    assert played.events == ["BatchNotFound"]


def test_the_schedule_begins_a_run_and_missed_times_make_one() -> None:
    played = Played(HOURLY)
    played.step()
    assert played.entry()["nextTime"] == "2026-01-02T04:00:00Z"
    assert played.last.requeue_after == (60 - 4) * 60 - 5
    played.wait(4 * 3600)
    played.step(3)
    assert len(played.entry()["runs"]) == 1
    assert played.run()["trigger"] == "Schedule"
    assert played.entry()["nextTime"] == "2026-01-02T08:00:00Z"


def test_times_while_it_is_suspended_begin_nothing() -> None:
    played = Played({**HOURLY, "suspend": True})
    played.step()
    played.wait(7200)
    played.step()
    assert played.entry()["nextTime"] == "2026-01-02T06:00:00Z"
    played.ask("nightly")
    played.step()
    assert "suspended" in played.entry()["message"]
    del played.service["spec"]["batch"][0]["suspend"]
    played.step(2)
    assert (played.run()["trigger"], len(played.jobs)) == ("Manual", 1)


def test_a_run_waits_for_a_version_that_serves() -> None:
    played = Played({})
    played.stable = None
    played.ask("nightly")
    played.step(2)
    assert "no version serves yet" in played.entry()["message"]
    played.service["spec"]["replicas"] = 0
    played.step()
    assert "give it some until one does" in played.entry()["message"]
    played.stable = Played({}).stable
    played.step(2)
    assert len(played.jobs) == 1


@pytest.mark.parametrize("zone", ["Nowhere/At-All"])
def test_a_schedule_that_never_comes_is_told(zone: str) -> None:
    played = Played({"schedule": {"cron": "0 3 * * *", "timeZone": zone}})
    played.step()
    assert played.entry()["message"] == f"spec.batch[nightly].schedule: the time zone {zone} is not known"


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ({"told": StageResult(FAILED, "RowRejected", ("a.csv, data row 3: …",))}, "RowRejected: a.csv, data row 3"),
        ({"reason": "DeadlineExceeded"}, "DeadlineExceeded: it took longer than spec.batch[nightly]"),
        ({"reason": "BackoffLimitExceeded"}, "JobFailed: BackoffLimitExceeded"),
    ],
)
def test_a_failure_is_told_with_its_reason(failure: dict[str, Any], words: str) -> None:
    played = Played({})
    played.ask("nightly")
    played.step(3)
    played.end("Failed", **failure)
    played.step()
    if failure == {"reason": "BackoffLimitExceeded"}:
        assert (played.run()["phase"], played.last.requeue_after) == ("Running", 5.0), "its pod may still tell why"
        played.wait(31)
        played.step()
    assert played.run()["phase"] == "Failed"
    assert played.run()["message"].startswith(words)
    assert played.events[-1] == "BatchFailed"


def test_a_job_that_is_deleted_ends_its_run_and_is_not_made_again() -> None:
    played = Played({})
    played.ask("nightly")
    played.step(3)
    played.jobs.clear()
    played.step(3)
    assert played.run()["message"].startswith("JobDeleted")
    assert not played.jobs


def test_a_name_that_is_taken_is_told() -> None:
    played = Played({})
    played.ask("nightly")
    played.step()
    played.foreign = frozenset({played.run()["name"]})
    played.step()
    assert played.run()["message"].startswith("JobNameTaken")
    assert not played.jobs


def test_a_version_that_is_gone_before_the_job_is_made_is_told() -> None:
    played = Played({})
    played.ask("nightly")
    played.step()
    played.version = None
    played.step()
    assert played.run()["message"].startswith("VersionNotFound")


def test_a_result_that_is_lost_is_looked_for_and_the_manifest_named() -> None:
    played = Played({})
    played.ask("nightly")
    played.step(3)
    played.end(result=None)
    played.step()
    assert (played.run()["phase"], played.last.requeue_after) == ("Running", 5.0)
    played.wait(31)
    played.step()
    assert played.run()["phase"] == "Succeeded"
    assert "rows" not in played.run()


def test_a_job_that_is_complete_without_a_manifest_has_failed() -> None:
    played = Played({})
    played.ask("nightly")
    played.step(3)
    played.end(result=BatchResult(0, 3, 900, 0))
    played.step()
    assert played.run()["message"].startswith("ManifestMissing")


def test_the_model_is_the_one_that_answers_requests() -> None:
    runtime: dict[str, Any] = {
        "trustedTypes": ["mine.Model", "mine.Scaler"],
        "allowPython": True,
        "env": [{"name": "TZ", "value": "Asia/Seoul"}],
        "podTemplate": {
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "serving", "operator": "Exists"}],
            "imagePullSecrets": [{"name": "registry"}],
            "priorityClassName": "serving",
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}
                    ]
                }
            },
        },
    }
    built = {}
    for permitted in (True, False):
        played = Played({}, runtime=runtime)
        played.model_code = permitted
        played.ask("nightly")
        played.step(2)
        (job,) = played.jobs.values()
        built[permitted] = job["spec"]["template"]["spec"]
    pod = built[True]
    told, untold = (
        {one["name"]: one.get("value") for one in built[one]["containers"][0]["env"]} for one in (True, False)
    )
    assert (told["TZ"], told["MODELMILL_SKOPS_TRUSTED"]) == ("Asia/Seoul", "mine.Model,mine.Scaler")
    assert told["MODELMILL_ALLOW_PYTHON"] == "1"
    assert told.keys() - untold.keys() == {"MODELMILL_SKOPS_TRUSTED", "MODELMILL_ALLOW_PYTHON"}
    assert (pod["nodeSelector"], pod["imagePullSecrets"]) == ({"disk": "fast"}, [{"name": "registry"}])
    assert pod["tolerations"] == [{"key": "serving", "operator": "Exists"}]
    assert not {"affinity", "priorityClassName"} & pod.keys(), "these are about servers"
    played = Played({}, runtime={**runtime, "image": "mine/server:1"})
    played.ask("nightly")
    played.step(2)
    (job,) = played.jobs.values()
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "server:1"
    assert "TZ" not in {one["name"] for one in container["env"]}


def test_jobs_go_when_their_time_is_over_and_with_their_entry() -> None:
    played = Played({"ttlSecondsAfterFinished": 60})
    played.ask("nightly")
    played.step(3)
    played.end()
    played.step()
    assert len(played.jobs) == 1
    assert played.last.requeue_after == 60
    played.wait(60)
    played.step()
    assert not played.jobs
    played.ask("nightly=again")
    played.step(3)
    played.service["spec"]["batch"] = []
    played.step()
    assert not played.jobs
    assert "batch" not in played.status


def test_a_job_goes_only_when_its_result_is_on_record() -> None:
    """Jobs are deleted before the status is written, which the API server may refuse."""
    played = Played({"ttlSecondsAfterFinished": 0})
    played.ask("nightly")
    played.step(3)
    played.end()
    made = played.step()
    assert played.run()["phase"] == "Succeeded"
    assert not made.delete
    assert made.requeue_after == 0.1
    assert len(played.step().delete) == 1


def test_five_runs_are_told() -> None:
    played = Played({})
    for number in range(8):
        played.ask(f"nightly={number}")
        played.wait(60)
        played.step(3)
        played.end()
        played.step()
        played.jobs.clear()
    assert len(played.entry()["runs"]) == 5


def test_what_waits_is_told() -> None:
    played = Played({})
    played.ask("nightly")
    played.step(2)
    (name,) = played.jobs
    played.refusals[name] = "the pod is refused: exceeded quota"
    played.step()
    assert played.run()["message"].startswith("PodsRefused: the pod is refused: exceeded quota; it goes on by itself")
    played.pods[name] = [o.pod("p", [], [o.waiting("batch", "ImagePullBackOff", "no such image")], "Pending")]
    played.step()
    assert played.run()["message"].startswith("ImagePullFailed: container batch")
    assert "no such image; it goes on by itself" in played.run()["message"]


def test_a_run_that_cannot_go_on_makes_way_for_another_one() -> None:
    played = Played({})
    played.ask("nightly=1")
    played.step(3)
    (stuck,) = played.jobs
    missing = o.waiting("batch", "CreateContainerConfigError", 'secret "data-keys" not found')
    played.pods[stuck] = [o.pod("p", [], [missing], "Pending")]
    played.step(2)
    assert played.run()["phase"] == "Running"
    played.service["spec"]["batch"][0]["store"]["secretRef"]["name"] = "other-keys"
    played.step(2)
    assert list(played.jobs) == [stuck], "it may still go on by itself"
    played.ask("nightly=2")
    played.wait(5)
    played.step(3)
    new, old = played.entry()["runs"]
    assert (new["phase"], old["phase"]) == ("Pending", "Failed")
    assert old["message"].startswith("Replaced: another run was asked for; ContainerConfigInvalid: container batch")
    (job,) = played.jobs.values()
    assert job["metadata"]["name"] == new["name"] != stuck
    assert played.events == ["BatchStarted", "BatchFailed", "BatchStarted"]


def test_a_run_of_which_a_pod_works_makes_way_for_none() -> None:
    played = Played({"partitions": 2})
    played.ask("nightly=1")
    played.step(3)
    (name,) = played.jobs
    waits = o.pod("q", [], [o.waiting("batch", "ImagePullBackOff")], "Pending", created="2")
    played.pods[name] = [o.pod("p", [], [o.running("batch")]), waits]
    played.ask("nightly=2")
    played.step(3)
    assert [run["phase"] for run in played.entry()["runs"]] == ["Running"]
    assert played.run()["message"].startswith("ImagePullFailed")


def test_partitions_are_counted() -> None:
    played = Played({"partitions": 8, "parallelism": 3})
    played.ask("nightly")
    played.step(2)
    (job,) = played.jobs.values()
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (8, 3)
    job["status"] = {"succeeded": 5, "active": 3}
    played.step()
    assert (played.run()["partitionsDone"], played.status["scoring"]) == (5, "nightly 5/8")


def test_twice_is_the_same() -> None:
    played = Played(HOURLY, {"name": "other"})
    played.ask("other")
    played.step(3)
    before = played.status
    made = played.step()
    assert played.status == before
    assert not created(made)
    assert not made.events
    assert timestamp(played.now) == timestamp(o.NOW)
