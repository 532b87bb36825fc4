"""ModelVersion: protected while it is served, and what `kubectl get` shows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelmill.api.objects import readable_model_versions
from modelmill.api.references import OF_SERVICES
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.app import NothingThere, watches
from modelmill.engine.cache import Cache
from modelmill.engine.interface import Plan
from modelmill.engine.parts import Composed
from modelmill.kube.conditions import find
from modelmill.kube.labels import IN_USE_FINALIZER
from modelmill.registry.part import keys_of_service, registry_part
from modelmill.workloads.containers import Image
from tests.support import objects as o

LINEAGE = {
    "trainingJob": "cars",
    "run": 1,
    "runUid": "cars-uid-1",
    "reason": "Spec",
    "dataDigest": o.DIGEST,
    "dataRows": 100,
    "holdoutRows": 20,
}


def service(
    stable: str | None,
    canary: str | None = None,
    weight: int = 0,
    name: str = "svc",
    ready: tuple[int, int] = (2, 1),
) -> dict[str, Any]:
    """Return an InferenceService. ready: pods that are ready, of the stable version and of the canary."""
    status: dict[str, Any] = {}
    if stable:
        status["stable"] = {"version": stable, "ready": ready[0]}
    if canary:
        status["canary"] = {"version": canary, "actualWeight": weight, "ready": ready[1]}
    metadata = {"name": name, "namespace": "ml", "uid": f"{name}-uid", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {}, "status": status}


def planned(version: dict[str, Any], *services: dict[str, Any]) -> Plan:
    cache = Cache(indexes={INFERENCE_SERVICES: OF_SERVICES})
    for one in services:
        cache.put(INFERENCE_SERVICES, one)
    return asyncio.run(Composed([registry_part(Image("trainer:1"), None, NothingThere())])(version, cache, o.NOW))


def test_unserved_version_may_go() -> None:
    made = planned(o.model_version("cars-1"), service("cars-2"))
    assert made.finalizer is False
    assert made.status is not None
    assert made.status["serving"] == "-"
    deletable = find(made.status, "Deletable")
    assert deletable is not None
    assert deletable["status"] == "True"


@pytest.mark.parametrize(
    ("served", "text"),
    [(service("cars-1"), "100%"), (service("cars-2", "cars-1", 25), "25%"), (service("cars-1", "cars-2", 25), "75%")],
)
def test_served_version_is_held_and_shows_its_share(served: dict[str, Any], text: str) -> None:
    made = planned(o.model_version("cars-1"), served)
    assert made.finalizer is True
    assert made.status is not None
    assert made.status["serving"] == text
    assert made.status["stage"] == "Serving"
    assert made.status["servedBy"] == [f"svc {text}"]


@pytest.mark.parametrize(
    "deploys",
    [
        service("cars-1", ready=(0, 0)),
        service("cars-2", "cars-1", ready=(2, 0)),
        service("cars-1", "cars-2", ready=(0, 1)),
    ],
)
def test_version_without_a_ready_pod_is_deployed_and_held_but_does_not_serve(deploys: dict[str, Any]) -> None:
    made = planned(o.model_version("cars-1"), deploys)
    assert made.finalizer is True
    assert made.status is not None
    assert made.status["stage"] == "Deploying"
    assert made.status["serving"] == "0%"
    assert made.status["servedBy"] == ["svc 0%"]
    deletable = find(made.status, "Deletable")
    assert deletable is not None
    assert (deletable["status"], deletable["reason"]) == ("False", "Deploying")
    assert deletable["message"] == "InferenceService svc deploys it, no pod of it is ready"


def test_version_of_a_stopped_service_is_kept_and_held() -> None:
    stopped = service("cars-1", ready=(0, 0))
    stopped["status"]["phase"] = "Suspended"
    made = planned(o.model_version("cars-1"), stopped)
    assert made.finalizer is True
    assert made.status is not None
    assert made.status["stage"] == "Approved"
    deletable = find(made.status, "Deletable")
    assert deletable is not None
    assert (deletable["status"], deletable["reason"]) == ("False", "Kept")
    assert deletable["message"] == "InferenceService svc keeps it without pods until it is started again"


def test_deletion_of_what_is_being_deployed_is_held_too() -> None:
    version = deleted(o.model_version("cars-1"), IN_USE_FINALIZER)
    made = planned(version, service("cars-1", ready=(0, 0)))
    assert made.finalizer is None
    assert [event.reason for event in made.events] == ["DeletionHeld"]
    assert "svc deploys it" in made.events[0].message


def test_candidate_takes_all_requests_while_no_other_pod_is_ready() -> None:
    made = planned(o.model_version("cars-2"), service("cars-1", "cars-2", 0, ready=(0, 1)))
    assert made.status is not None
    assert (made.status["stage"], made.status["serving"]) == ("Serving", "100%")


def test_services_that_serve_and_services_that_deploy_are_told_apart() -> None:
    made = planned(o.model_version("cars-1"), service("cars-1"), service("cars-1", name="new", ready=(0, 0)))
    assert made.status is not None
    assert (made.status["stage"], made.status["serving"]) == ("Serving", "100%")
    message = (find(made.status, "Deletable") or {})["message"]
    assert message == "InferenceService svc (100%) serves it; InferenceService new deploys it, no pod of it is ready"


@pytest.mark.parametrize("ready", [None, "two", True, -1, [1]])
def test_a_count_of_pods_in_no_known_form_is_none(ready: Any) -> None:
    strange = service("cars-1")
    strange["status"]["stable"]["ready"] = ready
    made = planned(o.model_version("cars-1"), strange)
    assert made.finalizer is True
    assert made.status is not None
    assert made.status["stage"] == "Deploying"


def test_deletion_waits_for_the_service_and_says_by_whom() -> None:
    version = o.model_version("cars-1")
    version["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    held = planned(version, service("cars-1"))
    assert held.finalizer is None
    assert [event.reason for event in held.events] == ["DeletionHeld"]
    assert held.status is not None
    deletable = find(held.status, "Deletable")
    assert deletable is not None
    assert "svc (100%)" in deletable["message"]
    version["status"] = held.status
    assert planned(version, service("cars-1")).events == []
    assert planned(version).finalizer is False


@pytest.mark.parametrize(("approval", "status"), [("Approved", "True"), ("Pending", "False"), ("Rejected", "False")])
def test_approval_is_a_condition(approval: str, status: str) -> None:
    made = planned(o.model_version("cars-1", approval))
    assert made.status is not None
    approved = find(made.status, "Approved")
    assert approved is not None
    assert approved["status"] == status
    assert made.status["stage"] == approval


def test_delta_is_against_the_champion_of_the_time() -> None:
    version = o.model_version("cars-2")
    version["spec"]["champion"] = {"version": "cars-1", "metrics": {"r2": "0.85"}}
    made = planned(version)
    assert made.status is not None
    assert made.status["metric"] == "r2=0.9"
    assert made.status["delta"] == "+0.05"


def test_delta_is_on_the_rows_that_both_were_measured_on() -> None:
    version = o.model_version("cars-2")
    version["spec"]["champion"] = {"version": "cars-1", "metrics": {"r2": "0.85"}, "challenger": {"r2": "0.8"}}
    made = planned(version)
    assert made.status is not None
    assert made.status["delta"] == "-0.05"


def test_a_service_that_cannot_be_read_whole_holds_its_version_all_the_same() -> None:
    strange = service("cars-1")
    strange["spec"] = {"model": "of another release"}
    strange["status"]["stable"]["replicas"] = "two"
    assert planned(o.model_version("cars-1"), strange).finalizer is True


def test_a_version_on_both_tracks_has_the_share_of_both() -> None:
    made = planned(o.model_version("cars-1"), service("cars-1", "cars-1", 25))
    assert made.status is not None
    assert made.status["servedBy"] == ["svc 100%"]


def test_a_version_that_cannot_be_read_may_be_deleted() -> None:
    version = o.model_version("cars-1")
    version["spec"]["format"] = "of another release"
    told = planned(version).status
    assert told is not None
    assert [(one["type"], one["status"], one["reason"]) for one in told["conditions"]] == [
        ("Ready", "False", "SpecInvalid"),
        ("Stalled", "True", "SpecInvalid"),
    ]
    version["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert planned(version, service("cars-1")).finalizer is None
    assert planned(version).finalizer is False


def test_a_service_concerns_the_versions_that_it_wants_and_gave_up() -> None:
    serving = service("cars-2", "cars-3", 10)
    given_up = {"version": "cars-1", "outcome": "RolledBack"}
    serving["status"]["history"] = [{"version": "cars-2"}, given_up, {"version": "cars-0"}, "of another release"]
    assert [key.name for key in keys_of_service(serving, Cache())] == ["cars-1", "cars-2", "cars-3"]


def test_a_metric_that_is_no_number_is_shown_as_it_is() -> None:
    version = o.model_version("cars-2")
    version["spec"]["champion"] = {"version": "cars-1", "metrics": {"r2": "0.85"}}
    for text, shown in (("n/a", "r2=n/a"), ("nan", "r2=nan"), ("1e999", "r2=1e999"), ("a\nb", "r2=a b"), ("", "r2=")):
        version["spec"]["metrics"] = {"r2": text}
        made = planned(version)
        assert made.status is not None
        assert made.status["metric"] == shown
        assert "delta" not in made.status


def test_the_longest_names_fit_the_columns() -> None:
    version = o.model_version("cars-2")
    metric = "m" * 64
    version["spec"] |= {
        "primary": {"metric": metric, "direction": "Maximize"},
        "metrics": {metric: "-1.234567e-05"},
        "lineage": {**LINEAGE, "trainingJob": "t" * 64, "run": 12},
    }
    made = planned(version)
    assert made.status is not None
    assert made.status["metric"].endswith("…=-1.235e-05")
    assert made.status["source"].endswith("… run 12 (Spec)")
    assert len(made.status["metric"]) == len(made.status["source"]) == 64


def test_more_services_than_the_list_holds_are_counted() -> None:
    services = [service("cars-1", "cars-2", number % 50, name=f"shop-{number:03}") for number in range(100)]
    made = planned(o.model_version("cars-2"), *services)
    assert made.status is not None
    assert len(made.status["servedBy"]) == 64
    assert made.status["servedBy"][0] == "shop-049 49%"
    deletable = find(made.status, "Deletable")
    assert deletable is not None
    assert deletable["message"].startswith("InferenceService shop-049 (49%), shop-099 (49%), ")
    assert deletable["message"].endswith(" and 92 more serve it")


def test_a_version_that_a_batch_run_scores_with_is_held_until_that_is_over() -> None:
    scoring = service("cars-2")
    run = {"version": "cars-1", "phase": "Running"}
    scoring["status"]["batch"] = [{"name": "nightly", "runs": [run, {"version": "cars-0", "phase": "Succeeded"}]}]
    made = planned(deleted(o.model_version("cars-1"), IN_USE_FINALIZER), scoring)
    assert made.finalizer is not False
    assert made.status is not None
    deletable = find(made.status, "Deletable")
    assert deletable is not None
    assert (deletable["status"], deletable["reason"]) == ("False", "DeletionHeld")
    assert deletable["message"] == (
        "InferenceService svc scores a prefix with it; it will be deleted when that is over"
    )
    told = planned(o.model_version("cars-1"), scoring).status
    assert told is not None
    assert (told["stage"], told["serving"]) == ("Approved", "-")
    assert (find(told, "Deletable") or {})["reason"] == "Scoring"
    run["phase"] = "Failed"
    assert planned(deleted(o.model_version("cars-1"), IN_USE_FINALIZER), scoring).finalizer is False


def test_a_name_that_no_label_can_carry_is_told_and_not_served() -> None:
    version = o.model_version("c" * 64)
    told = planned(version).status
    assert told is not None
    ready = find(told, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "SpecInvalid")
    assert ready["message"].startswith("metadata.name: may have at most 63 characters")
    assert readable_model_versions([version, o.model_version("c" * 63)])[0].name == "c" * 63


def deleted(version: dict[str, Any], *finalizers: str) -> dict[str, Any]:
    metadata = {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": list(finalizers)}
    return {**version, "metadata": {**version["metadata"], **metadata}}


def test_a_version_in_deletion_says_so_and_who_holds_it() -> None:
    made = planned(deleted(o.model_version("cars-1"), IN_USE_FINALIZER), service("cars-1"))
    assert made.status is not None
    assert made.status["stage"] == "Deleting"
    ready = find(made.status, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("True", "DeletionHeld")
    assert ready["message"] == (
        "InferenceService svc (100%) serves it; it will be deleted when another version has replaced it"
    )


def test_a_version_that_somebody_else_holds_says_by_which_finalizer() -> None:
    made = planned(deleted(o.model_version("cars-1"), IN_USE_FINALIZER, "backup.example.org/copied"))
    assert made.finalizer is False
    assert made.status is not None
    assert made.status["stage"] == "Deleting"
    ready = find(made.status, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("True", "Deleting")
    assert "backup.example.org/copied" in ready["message"]
    assert IN_USE_FINALIZER not in ready["message"]


def test_nothing_is_written_to_a_version_that_goes_at_once() -> None:
    made = planned({**deleted(o.model_version("cars-1"), IN_USE_FINALIZER), "status": {"stage": "Serving"}})
    assert made.finalizer is False
    assert made.status == {"stage": "Serving"}


def test_the_report_of_a_run_is_named() -> None:
    version = o.model_version("cars-1")
    assert "report" not in (planned(version).status or {})
    version["spec"]["lineage"] = LINEAGE
    for uri in ("s3://models/prod/ml/cars/sha256-aa", "s3://models/prod/ml/cars/sha256-aa/"):
        version["spec"]["artifact"]["uri"] = uri
        assert (planned(version).status or {})["report"] == "s3://models/prod/ml/cars/sha256-aa/report.html"


FAILED = "r2 0.4 is below 0.7"


def rejected_by_its_gates(approval: str, *writers: tuple[str, str]) -> dict[str, Any]:
    version = o.model_version("cars-2", approval)
    version["spec"] |= {"gates": [FAILED, "mae 2 <= 3"], "failedGates": [FAILED], "lineage": LINEAGE}
    version["metadata"]["managedFields"] = [
        {
            "manager": manager,
            "operation": "Update",
            "time": time,
            "fieldsV1": {"f:spec": {"f:approval": {}, "f:model": {}}},
        }
        for manager, time in writers
    ]
    return version


def test_a_rejected_version_says_which_gates_failed() -> None:
    made = planned(rejected_by_its_gates("Rejected", ("modelmill", "2026-01-01T00:00:00Z")))
    assert made.status is not None
    approved = find(made.status, "Approved")
    assert approved is not None
    assert approved["message"] == f"its gates failed: {FAILED}"
    assert made.status["gates"] == "Failed"
    assert find(made.status, "GateOverridden") is None
    assert made.events == []


def test_a_version_that_a_person_rejected_blames_no_gate() -> None:
    made = planned(o.model_version("cars-2", "Rejected"))
    assert made.status is not None
    approved = find(made.status, "Approved")
    assert approved is not None
    assert "no gate failed" in approved["message"]
    assert "gates" not in made.status


def test_approving_what_its_gates_rejected_is_told_with_who_did_it() -> None:
    version = rejected_by_its_gates("Approved", ("kubectl-patch", "2026-01-02T00:00:00Z"))
    made = planned(version)
    words = f"approved by kubectl-patch at 2026-01-02T00:00:00Z although its gates failed: {FAILED}"
    assert made.status is not None
    overridden, ready = find(made.status, "GateOverridden"), find(made.status, "Ready")
    assert overridden is not None
    assert ready is not None
    assert (overridden["status"], overridden["reason"], overridden["message"]) == ("True", "GateOverridden", words)
    assert (ready["status"], ready["reason"], ready["message"]) == ("True", "GateOverridden", words)
    assert made.status["gates"] == "Overridden"
    assert [(event.type, event.reason, event.message) for event in made.events] == [
        ("Warning", "GateOverridden", words)
    ]
    assert planned({**version, "status": made.status}).events == []


def test_who_overrode_the_gates_stays_though_the_manager_writes_again() -> None:
    version = rejected_by_its_gates("Approved", ("kubectl-patch", "2026-01-02T00:00:00Z"))
    version["status"] = planned(version).status
    version["metadata"]["managedFields"][0]["time"] = "2026-01-03T00:00:00Z"
    assert planned(version).status == version["status"]
    version["metadata"]["generation"] = 3
    told = planned(version)
    assert told.status is not None
    assert "2026-01-03" in (find(told.status, "GateOverridden") or {})["message"]
    assert told.events == []


def test_who_overrode_the_gates_may_be_unknown() -> None:
    made = planned(rejected_by_its_gates("Approved"))
    assert made.status is not None
    assert (find(made.status, "GateOverridden") or {})["message"].startswith("approved although its gates failed: ")


def test_taking_the_approval_back_ends_the_override() -> None:
    version = rejected_by_its_gates("Approved", ("kubectl-patch", "2026-01-02T00:00:00Z"))
    version["status"] = planned(version).status
    version["spec"]["approval"] = "Rejected"
    made = planned(version)
    assert made.status is not None
    assert find(made.status, "GateOverridden") is None
    assert made.status["gates"] == "Failed"


def test_gates_that_passed_are_shown() -> None:
    version = o.model_version("cars-2")
    version["spec"] |= {"gates": ["r2 0.9 >= 0.7"], "lineage": LINEAGE}
    made = planned(version)
    assert made.status is not None
    assert made.status["gates"] == "Passed"
    assert find(made.status, "GateOverridden") is None


def test_of_the_managed_fields_of_a_version_only_the_approval_is_kept() -> None:
    (watch,) = [watch for watch in watches([]) if watch.resource == MODEL_VERSIONS]
    cache = Cache(reduced={watch.resource: watch.reduced})
    version = rejected_by_its_gates("Approved", ("kubectl-patch", "2026-01-02T00:00:00Z"))
    status = {"f:status": {"f:stage": {}}}
    version["metadata"]["managedFields"].append(
        {"manager": "modelmill", "operation": "Update", "subresource": "status", "fieldsV1": status}
    )
    cache.put(MODEL_VERSIONS, version)
    kept = cache.get(MODEL_VERSIONS, "ml", "cars-2")
    assert kept is not None
    assert len(version["metadata"]["managedFields"]) == 2
    assert [(one["manager"], one["fieldsV1"]) for one in kept["metadata"]["managedFields"]] == [
        ("kubectl-patch", {"f:spec": {"f:approval": {}}})
    ]
    assert planned(dict(kept)).status == planned(version).status


def ready_of(made: Plan) -> tuple[str, str, str]:
    assert made.status is not None
    told = find(made.status, "Ready")
    assert told is not None
    return told["status"], told["reason"], told["message"]


def from_a_run(name: str, approval: str = "Approved") -> dict[str, Any]:
    version = o.model_version(name, approval)
    version["spec"]["lineage"] = LINEAGE
    return version


def reporting(used: dict[str, Any], reason: str, message: str, status: str = "False") -> dict[str, Any]:
    told = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return {**used, "status": {**used["status"], "conditions": [{"type": "Stalled", "status": "True"}, told]}}


def test_only_what_a_run_published_was_read_back() -> None:
    assert ready_of(planned(from_a_run("cars-1")))[:2] == ("True", "Published")
    status, reason, message = ready_of(planned(o.model_version("cars-1")))
    assert (status, reason) == ("True", "NotVerified")
    assert message == "made by hand: no run read its artifact back; it is verified when a service fetches it"
    assert ready_of(planned(o.model_version("cars-1"), service("cars-1", ready=(0, 0))))[1] == "NotVerified"


def test_what_was_made_by_hand_is_verified_once_a_pod_serves_it() -> None:
    version = o.model_version("cars-1")
    made = planned(version, service("cars-1"))
    assert ready_of(made) == ("True", "Verified", "made by hand; a pod that served it had fetched and verified it")
    version["status"] = made.status
    assert ready_of(planned(version))[1] == "Verified"


@pytest.mark.parametrize("make", [o.model_version, from_a_run])
@pytest.mark.parametrize("reason", ["DigestMismatch", "ArtifactMissing", "ArtifactCorrupt"])
def test_an_artifact_that_a_service_cannot_load_is_not_ready(make: Any, reason: str) -> None:
    tries = reporting(service("cars-1", ready=(0, 0)), reason, "cars-1: 0 of 1 pods ready: manifest.json has digest x")
    told = ready_of(planned(make("cars-1"), service("cars-1", name="other", ready=(0, 0)), tries))
    assert told == ("False", reason, "InferenceService svc: cars-1: 0 of 1 pods ready: manifest.json has digest x")


LOADING = ["ModelLoadFailed", "GoldenMismatch", "ModelTooSlow", "Crashed"]


def in_phase(used: dict[str, Any], phase: str) -> dict[str, Any]:
    return {**used, "status": {**used["status"], "phase": phase}}


def ended(used: dict[str, Any], *history: tuple[str, str, str], time: str = "2026-09-01T00:00:00Z") -> dict[str, Any]:
    told = [
        {"version": name, "outcome": outcome, "message": message, "endTime": time} for name, outcome, message in history
    ]
    return {**used, "status": {**used["status"], "history": told}}


@pytest.mark.parametrize("reason", LOADING)
def test_a_model_that_a_service_cannot_load_is_not_ready(reason: str) -> None:
    tries = reporting(service("cars-1", ready=(0, 0)), reason, "cars-1: 0 of 1 pods ready: row 3 differs")
    told = ready_of(planned(o.model_version("cars-1"), in_phase(tries, "Deploying")))
    assert told == ("False", reason, "InferenceService svc: cars-1: 0 of 1 pods ready: row 3 differs")


@pytest.mark.parametrize("reason", [*LOADING, "DigestMismatch"])
@pytest.mark.parametrize("outcome", ["RolledBack", "Superseded"])
def test_a_version_that_was_taken_back_because_it_cannot_be_loaded_is_not_ready(outcome: str, reason: str) -> None:
    used = ended(service("cars-1"), ("cars-2", outcome, f"{reason}: row 3 differs"), ("cars-2", "Replaced", "older"))
    made = planned(from_a_run("cars-2"), used)
    assert ready_of(made) == ("False", reason, "InferenceService svc took it back: row 3 differs")
    assert made.finalizer is False
    assert made.status is not None
    assert made.status["stage"] == "Approved"


@pytest.mark.parametrize(
    "used",
    [
        # It was loaded once: the pods, not the version, are at fault, or it is a matter of requests.
        [in_phase(reporting(service("cars-1", ready=(0, 0)), "Crashed", "SIGSEGV"), "Stable")],
        # Another service's pods have loaded it.
        [
            in_phase(reporting(service("cars-1", ready=(0, 0)), "ModelTooSlow", "100 s"), "Deploying"),
            service("cars-1", name="other"),
        ],
        [in_phase(reporting(service("cars-1", ready=(0, 0)), "ConfigInvalid", "python is off"), "Deploying")],
        [ended(service("cars-2"), ("cars-1", "RolledBack", "AnalysisFailed: ErrorRatio 0.5 > 0.01"))],
        [ended(service("cars-2"), ("cars-1", "RolledBack", "GoldenMismatch"))],
        [ended(service("cars-2"), ("cars-1", "Replaced", "GoldenMismatch: x"))],
        [ended(service("cars-2"), ("cars-1", "Replaced", "by cars-2"), ("cars-1", "RolledBack", "GoldenMismatch: x"))],
        # It is being tried again.
        [ended(service("cars-2", "cars-1", ready=(2, 0)), ("cars-1", "RolledBack", "GoldenMismatch: x"))],
        [ended(service("cars-2"), ("cars-3", "RolledBack", "GoldenMismatch: x"))],
        # It was an older version of the same name.
        [ended(service("cars-2"), ("cars-1", "RolledBack", "GoldenMismatch: x"), time="2025-01-01T00:00:00Z")],
        [ended(service("cars-2"), ("cars-1", "RolledBack", "GoldenMismatch: x")), service("cars-1", name="other")],
        [
            {
                **service("cars-2"),
                "status": {"history": [None, {"version": "cars-1", "outcome": "RolledBack", "message": 1}]},
            }
        ],
    ],
)
def test_what_a_service_says_of_itself_leaves_the_version_ready(used: list[dict[str, Any]]) -> None:
    assert ready_of(planned(from_a_run("cars-1"), *used))[:2] == ("True", "Published")


@pytest.mark.parametrize(
    "used",
    [
        reporting(service("cars-1", ready=(0, 0)), "Unschedulable", "no node takes the pod"),
        reporting(service("cars-1", ready=(1, 0)), "DigestMismatch", "1 of 2 pods ready"),
        reporting(service("cars-2", "cars-1", ready=(0, 0)), "DigestMismatch", "cars-2: 0 of 2 pods ready"),
        reporting(service("cars-1", "cars-2", ready=(0, 0)), "DigestMismatch", "may be of either"),
        reporting(service("cars-1", ready=(0, 0)), "DigestMismatch", "of another time", status="True"),
        {**service("cars-1"), "status": {"stable": {"version": "cars-1"}, "conditions": ["lost", {"type": []}]}},
        {**service("cars-1"), "status": {"stable": {"version": "cars-1"}, "conditions": "lost"}},
    ],
)
def test_what_says_nothing_of_the_artifact_leaves_the_version_ready(used: dict[str, Any]) -> None:
    assert ready_of(planned(from_a_run("cars-1"), used))[:2] == ("True", "Published")


@pytest.mark.parametrize("make", [o.model_version, from_a_run])
@pytest.mark.parametrize(
    ("ready", "share", "who"),
    [
        ((2, 0), "100%", "InferenceService svc (100%) serves it"),
        ((0, 0), "0%", "InferenceService svc deploys it, no pod of it is ready"),
    ],
)
def test_rejected_version_that_is_still_used_shows_both(
    make: Any, ready: tuple[int, int], share: str, who: str
) -> None:
    made = planned(make("cars-1", "Rejected"), service("cars-1", ready=ready))
    assert made.finalizer is True
    assert made.status is not None
    assert (made.status["stage"], made.status["serving"]) == ("Rejected", share)
    told = f"rejected, and still used until another approved version replaces it: {who}"
    assert ready_of(made) == ("True", "StillServed", told)
    approved, deletable = find(made.status, "Approved"), find(made.status, "Deletable")
    assert approved is not None
    assert deletable is not None
    assert (approved["status"], approved["reason"]) == ("False", "Rejected")
    assert deletable["message"] == who


def test_rejected_version_that_nobody_uses_is_kept() -> None:
    made = planned(from_a_run("cars-1", "Rejected"), service("cars-2"))
    assert ready_of(made)[:2] == ("True", "Kept")
