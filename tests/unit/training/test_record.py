"""What is kept of a run that ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelmill.api.model_version import ModelVersionSpec
from modelmill.contracts import result
from modelmill.kube.conditions import find
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, complete, finished, plan, started, status_of, view

NOTES = ("columns left out: signup_date (dates), comment (free text)", "only 3 rows are new to both")


def test_notes_are_in_the_record_and_in_the_condition_about_the_data() -> None:
    status = finished(o.published(notes=NOTES))["status"]
    assert status["lastRun"]["notes"] == list(NOTES)
    valid = find(status, "DataValid")
    assert valid is not None
    for note in NOTES:
        assert note in valid["message"]


def test_notes_of_any_length_and_number_can_be_written() -> None:
    parent, manifest = started()
    notes = tuple(f"{number} " + "x" * 1500 for number in range(2))
    kept = status_of(complete(parent, manifest, o.published(notes=notes)))["lastRun"]["notes"]
    assert all(len(note) <= 1024 for note in kept)
    many = tuple(str(number) for number in range(40))
    assert len(status_of(complete(parent, manifest, o.published(notes=many)))["lastRun"]["notes"]) <= 16


def test_report_is_where_the_artifact_is() -> None:
    record = finished()["status"]["lastRun"]
    assert record["report"] == "s3://models/prod/ml/cars/sha256-aa/report.html"


OTHER_ROWS = "sha256:" + "e" * 64


def test_rejected_version_has_a_report_too_and_a_failed_run_none() -> None:
    assert "report" in finished(o.published(result.GATE_FAILED))["status"]["lastRun"]
    failed = finished(result.StageResult(result.FAILED, "StoreAuthFailed", ("no",)))["status"]["lastRun"]
    assert "report" not in failed


def test_version_keeps_its_metrics_on_the_rows_of_the_comparison() -> None:
    parent, manifest = started()
    for challenger in ({"r2": 0.5}, {}):
        facts = result.ChampionFacts("cars-0", {"r2": 0.6}, rows=7, challenger=challenger)
        (version,) = complete(parent, manifest, o.published(champion=facts)).create
        kept = version["spec"]["champion"]
        assert kept == {
            "version": "cars-0",
            "metrics": {"r2": "0.6"},
            **({"challenger": {"r2": "0.5"}} if challenger else {}),
        }


@pytest.mark.parametrize("window", ["", "the rows with Year above 1977 (the last 5): 50 of 130 rows"])
def test_version_says_which_part_of_the_data_it_was_trained_on(window: str) -> None:
    parent, manifest = started()
    facts = result.DataFacts(o.DIGEST, 40, 10, window=window)
    (version,) = complete(parent, manifest, replace(o.published(), data=facts)).create
    assert version["spec"]["lineage"].get("dataWindow") == (window or None)


@pytest.mark.parametrize("prepared", ["", OTHER_ROWS, "forged"])
def test_version_says_which_rows_were_made_of_its_data_and_by_which_script(prepared: str) -> None:
    parent, manifest = started()
    facts = result.DataFacts(o.DIGEST, 40, 10, prepared=prepared, script=prepared)
    (version,) = complete(parent, manifest, replace(o.published(), data=facts)).create
    told = prepared if prepared == OTHER_ROWS else None
    lineage = version["spec"]["lineage"]
    assert (lineage.get("preparedDigest"), lineage.get("scriptDigest")) == (told, told)


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (None, None),
        (result.WarmStart("cars-0"), {"version": "cars-0"}),
        (result.WarmStart(reason="there is no approved version to begin from"), ...),
        (result.WarmStart("c" * 99), {"version": "c" * 62 + "…"}),
    ],
)
def test_version_says_what_its_training_began_from(begun: result.WarmStart | None, said: Any) -> None:
    parent, manifest = started()
    (version,) = complete(parent, manifest, replace(o.published(), warm_start=begun)).create
    wanted = {"reason": "there is no approved version to begin from"} if said is ... else said
    assert version["spec"]["lineage"].get("warmStart") == wanted
    ModelVersionSpec.model_validate(version["spec"])


@pytest.mark.parametrize("recorded", [True, False], ids=["in the run", "before the run is recorded"])
def test_a_version_is_reached_as_the_run_that_published_it(recorded: bool) -> None:
    """The store of the spec may be edited while the run publishes to the one that its Job was made with."""
    parent, manifest = started()
    if not recorded:
        parent = o.with_status(parent, {})
    before = dict(parent["spec"]["store"])
    parent["spec"] = {**parent["spec"], "store": {"uri": "s3://elsewhere/", "secretRef": {"name": "other-keys"}}}
    if not recorded:
        name = manifest["metadata"]["name"]
        begun = plan(view(parent, jobs={name: o.job(manifest)}), IMAGE)
        assert begun.create == ()
        parent = o.with_status(parent, status_of(begun))
    (version,) = complete(parent, manifest, o.published()).create
    assert version["spec"]["store"] == before


@pytest.mark.parametrize("text", [None, "", "{", '{"uri": 3}', "null"])
def test_a_job_that_does_not_say_its_store_has_that_of_the_spec(text: str | None) -> None:
    """One of an earlier release, or one that somebody edited."""
    parent, manifest = started()
    annotations = {name: value for name, value in manifest["metadata"]["annotations"].items() if "store" not in name}
    if text is not None:
        annotations["modelmill.dev/store"] = text
    manifest["metadata"] = {**manifest["metadata"], "annotations": annotations}
    (version,) = complete(parent, manifest, o.published()).create
    assert version["spec"]["store"] == parent["spec"]["store"]


def earlier(name: str, digest: str = o.DIGEST) -> dict[str, Any]:
    made = o.model_version(name)
    lineage = {"trainingJob": "cars", "run": 1, "runUid": "u-1", "reason": "Spec", "dataRows": 9, "holdoutRows": 2}
    made["spec"]["lineage"] = {**lineage, "dataDigest": digest}
    return made


OTHER = "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("versions", "same_as"),
    [
        ([], None),
        ([earlier("cars-9")], "cars-9"),
        ([earlier("cars-9", OTHER)], None),
        ([earlier("cars-10"), earlier("cars-9", OTHER)], "cars-10"),
        ([earlier("cars-10", OTHER), earlier("cars-9")], None),
        ([o.model_version("cars-10"), earlier("cars-9")], "cars-9"),
        ([earlier("cars-12")], None),
    ],
    ids=["first", "same", "other", "newest", "not the one before", "one made by hand", "itself"],
)
@pytest.mark.parametrize("outcome", [result.PUBLISHED, result.GATE_FAILED])
def test_version_on_the_data_of_the_one_before_says_so(
    versions: list[dict[str, Any]], same_as: str | None, outcome: str
) -> None:
    parent = o.with_status(o.training_job(), finished()["status"])
    parent["status"]["lastRun"]["number"] = 11
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    begun = plan(view(parent), IMAGE)
    manifest = dict(begun.create[0])
    name = manifest["metadata"]["name"]
    message = result.encode(o.published(outcome, notes=NOTES))
    pods = {name: [o.pod("p", [], [o.ended("publish", 0, message)], "Succeeded")]}
    jobs = {name: o.job(manifest, o.condition("Complete"))}
    running = o.with_status(parent, status_of(begun))
    status = status_of(plan(view(running, jobs=jobs, pods=pods, versions=versions), IMAGE))
    notes = status["lastRun"]["notes"]
    assert status["lastRun"]["number"] == 12
    assert notes[-2:] == list(NOTES)
    told = [note for note in notes if note not in NOTES]
    assert told == ([f"the data are those that {same_as} was trained on"] if same_as else [])


def test_a_version_whose_gates_failed_without_a_word_says_that() -> None:
    parent, manifest = started()
    (version,) = complete(parent, manifest, o.published(result.GATE_FAILED)).create
    assert version["spec"]["failedGates"] == ["the run does not say which"]
    assert version["spec"]["approval"] == "Rejected"


DRIFT = ("dates are older than in the data of cars-1: Year up to 1979-01-01 (was 1982-01-01)", "162 rows, 406 before")


def test_drift_of_the_data_is_in_the_record_the_condition_and_an_event() -> None:
    parent, manifest = started()
    made = complete(parent, manifest, o.published(drift=DRIFT))
    status = status_of(made)
    assert status["lastRun"]["drift"] == list(DRIFT)
    valid = find(status, "DataValid")
    assert valid is not None
    assert (valid["status"], valid["reason"]) == ("True", "Drifted")
    assert valid["message"].startswith("; ".join(DRIFT))
    (event,) = [one for one in made.events if one.reason == "DataDrifted"]
    assert (event.type, event.message) == ("Warning", f"run 1: {'; '.join(DRIFT)}")
    assert [one.reason for one in complete(parent, manifest, o.published()).events] == ["RunPublished"]


def test_rejected_data_say_which_columns_are_wrong() -> None:
    reasons = ("columns are missing that were in the data of cars-1: Horsepower (number)",)
    status = finished(result.StageResult(result.DATA_REJECTED, "SchemaViolated", reasons))["status"]
    valid = find(status, "DataValid")
    assert valid is not None
    assert (valid["status"], valid["reason"]) == ("False", "SchemaViolated")
    assert reasons[0] in valid["message"]
    assert status["lastRun"]["outcome"] == "DataRejected"


def test_drift_of_any_length_and_number_can_be_written() -> None:
    parent, manifest = started()
    long = tuple(f"{number} " + "\u202ex" * 1500 for number in range(40))
    kept = status_of(complete(parent, manifest, o.published(drift=long)))["lastRun"]["drift"]
    assert 0 < len(kept) <= 16
    assert all(text.isprintable() and len(text) <= 1024 for text in kept)
