"""Prefixes of a real store are scored by Jobs: what they write is what the service answers, whatever becomes of their pods."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from tests.support.cluster import Cluster, secret
from tests.support.lines import inference_service, table, training_job

MODEL = "rows"
COLUMNS = ("x", "z", "colour")
OBJECTS, ROWS = 300, 5
BAD = ("17", 4)
"""Object, and the row of it, from 1, that has a text for a number."""
SECONDS = 120


def entry(cluster: Cluster, name: str, form: str, prefix: str = "", **more: Any) -> dict[str, Any]:
    """Return an entry of spec.batch that scores s3://BUCKET/PREFIX/, of the entry's name unless it is given."""
    return {
        "name": name,
        "input": {"uri": f"s3://{cluster.bucket}/{prefix or name}", "format": form},
        "output": {"uri": f"s3://{cluster.bucket}/scored/{name}", "columns": ["id", *COLUMNS]},
        "store": {"endpoint": cluster.kube.status["s3"]["endpoint_in_cluster"], "secretRef": {"name": "keys"}},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        **more,
    }


def given(first: int, rows: int) -> pd.DataFrame:
    """Return rows like those of the training data, but that all of them are red."""
    numbers = range(first, first + rows)
    frame = pd.DataFrame({"id": [f"row {n:04}" for n in numbers], "z": [(n * 17 % 50) / 5 for n in numbers]})
    return frame.assign(x=[None if n % 25 == 7 else (n * 37 % 100) / 10 for n in numbers], colour="red")


def upload(cluster: Cluster) -> None:
    """Put csv objects, of which one has a bad row, and two of JSON lines and of parquet."""
    for number in range(OBJECTS):
        lines = given(number * ROWS, ROWS).to_csv(index=False).splitlines(keepends=True)
        if str(number) == BAD[0]:
            lines[BAD[1]] = lines[BAD[1]].split(",")[0] + ",many,1.0,red\n"
        cluster.put(f"new/{number}.csv", "".join(lines))
    for number in range(2):
        frame = given(number * 300, 300)
        cluster.put(f"daily/{number}.jsonl", frame.to_json(orient="records", lines=True))
        content = io.BytesIO()
        frame.to_parquet(content, index=False)
        cluster.s3.put_object(Bucket=cluster.bucket, Key=f"columns/{number}.parquet", Body=content.getvalue())


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    cluster.put("data/part.csv", table())
    upload(cluster)
    endpoint = cluster.kube.status["s3"]["endpoint_in_cluster"]
    entries = [
        entry(cluster, "new", "csv", onBadRow="Skip", partitions=2),
        entry(cluster, "strict", "csv", "new", partitions=2),
        entry(cluster, "daily", "jsonl", schedule={"cron": "* * * * *"}),
        entry(cluster, "columns", "parquet"),
        entry(cluster, "keyless", "jsonl", "daily", store={"endpoint": endpoint, "secretRef": {"name": "later"}}),
    ]
    service = inference_service(MODEL, replicas=1, monitoring={}, batch=entries)
    cluster.apply(training_job(cluster, MODEL), service)
    cluster.wait_stable(MODEL)
    asked(cluster, "keyless")
    asked(cluster, "strict")
    return cluster


def runs(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    told = cluster.status("InferenceService", MODEL).get("batch") or ()
    return next((list(one.get("runs") or ()) for one in told if one["name"] == name), [])


def asked(cluster: Cluster, name: str) -> dict[str, Any]:
    """Ask for a run of the entry, and return it when it has begun."""
    cluster.kube.annotate("InferenceService", MODEL, cluster.namespace, batch=name)
    found: list[dict[str, Any]] = cluster.wait(f"a run of {name}", lambda: runs(cluster, name), 30)
    return found[0]


def ended(cluster: Cluster, name: str, phase: str = "Succeeded") -> dict[str, Any]:
    """Return the last run of the entry when it has ended."""

    def over() -> dict[str, Any] | None:
        last = (runs(cluster, name) or [{}])[0]
        return last if last.get("phase") in ("Succeeded", "Failed") else None

    run: dict[str, Any] = cluster.wait(f"the end of {name}", over, SECONDS)
    assert run["phase"] == phase, run
    return run


def pods(cluster: Cluster, run: dict[str, Any]) -> list[dict[str, Any]]:
    return cluster.list("Pod", f"batch.kubernetes.io/job-name={run['name']}")


def keys(cluster: Cluster, prefix: str) -> dict[str, Any]:
    """Return when each object below the prefix was written."""
    pages = cluster.s3.get_paginator("list_objects_v2").paginate(Bucket=cluster.bucket, Prefix=prefix)
    return {
        item["Key"].removeprefix(prefix): item["LastModified"] for page in pages for item in page.get("Contents", ())
    }


def content(cluster: Cluster, key: str) -> bytes:
    body: bytes = cluster.s3.get_object(Bucket=cluster.bucket, Key=key)["Body"].read()
    return body


def results(cluster: Cluster, run: dict[str, Any]) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the manifest of a run, and the rows of all its results, whose digests are as it says."""
    folder = run["output"].removeprefix(f"s3://{cluster.bucket}/")
    assert run["manifest"] == f"{run['output']}/manifest.json"
    manifest = json.loads(content(cluster, f"{folder}/manifest.json"))
    source = manifest["spec"]["input"].removeprefix(f"s3://{cluster.bucket}/")
    read = {
        "csv": lambda body: pd.read_csv(body, keep_default_na=False, na_values={"x": [""]}),
        "jsonl": lambda body: pd.read_json(body, lines=True),
        "parquet": pd.read_parquet,
    }[manifest["spec"]["format"]]
    frames = []
    for one in manifest["objects"]:
        assert hashlib.sha256(content(cluster, f"{source}/{one['name']}")).hexdigest() == one["sha256"]
        made = content(cluster, f"{folder}/{one['result']['name']}")
        assert (hashlib.sha256(made).hexdigest(), len(made)) == (one["result"]["sha256"], one["result"]["size"])
        frames.append(read(io.BytesIO(made)))
    assert len(keys(cluster, f"{folder}/rows/")) == len(frames)
    return manifest, pd.concat(frames, ignore_index=True)


def answers(cluster: Cluster, frame: pd.DataFrame) -> Sequence[float]:
    """Return what the live service answers for the rows of a result."""
    types = {"x": "FP64", "z": "FP64", "colour": "BYTES"}
    inputs = [
        {
            "name": name,
            "shape": [len(frame), 1],
            "datatype": types[name],
            "data": [None if value != value else value for value in frame[name].tolist()],
        }
        for name in COLUMNS
    ]
    code, answer = cluster.ask(MODEL, f"/v2/models/{MODEL}/infer", {"inputs": inputs})
    assert code == 200, answer
    told: list[float] = answer["outputs"][0]["data"]
    return told


def same(cluster: Cluster, frame: pd.DataFrame) -> None:
    """Fail unless the predictions are the live service's of the same rows."""
    assert list(frame.columns) == ["id", *COLUMNS, "predict"]
    assert frame["predict"].tolist() == pytest.approx(answers(cluster, frame), rel=1e-12)


def test_two_pods_share_a_prefix_and_one_that_is_deleted_is_followed_by_one_that_goes_on(served: Cluster) -> None:
    run = asked(served, "new")
    folder = run["output"].removeprefix(f"s3://{served.bucket}/")
    done = served.wait("some objects to be done", lambda: keys(served, f"{folder}/objects/"), 60)
    victim = next(pod for pod in pods(served, run) if pod["status"]["phase"] == "Running")
    before = keys(served, f"{folder}/rows/"), set(done)
    served.kube.run(
        "kubectl", "delete", "pod", victim["metadata"]["name"], "-n", served.namespace, "--grace-period=0", "--force"
    )
    run = ended(served, "new")
    replaced = [pod["metadata"]["uid"] for pod in pods(served, run)]
    assert len(replaced) == 2
    assert victim["metadata"]["uid"] not in replaced
    manifest, frame = results(served, run)
    plan = json.loads(content(served, f"{folder}/plan.json"))["objects"]
    after = keys(served, f"{folder}/rows/")
    told = [plan[int(name.removesuffix(".json"))]["name"] for name in before[1]]
    assert 0 < len(told) < OBJECTS
    assert all(after[name] == before[0][name] for name in told), "what was done is not done again"
    assert (run["objects"], run["rows"], run["rejected"], run["partitionsDone"]) == (OBJECTS, OBJECTS * ROWS - 1, 1, 2)
    assert [(one["object"], one["row"], one["column"]) for one in manifest["rejections"]] == [
        (f"{BAD[0]}.csv", BAD[1], "z")
    ]
    assert (manifest["version"], manifest["artifact"]) == (run["version"], run["digest"])
    left_out = f"row {int(BAD[0]) * ROWS + BAD[1] - 1:04}"
    assert sorted(frame["id"]) == [text for text in given(0, OBJECTS * ROWS)["id"] if text != left_out]
    same(served, frame)
    assert run["driftedFeature"] == "colour"
    assert float(run["psi"]) == pytest.approx(manifest["drift"]["colour"]["psi"], rel=1e-3)
    assert manifest["drift"]["z"]["psi"] < 0.2 < manifest["drift"]["colour"]["psi"]
    reasons = {event["reason"] for event in served.list("Event")}
    assert {"BatchStarted", "BatchSucceeded", "BatchDrift"} <= reasons


def test_the_clock_begins_runs_until_the_entry_is_suspended(served: Cluster) -> None:
    served.wait("a run of the schedule", lambda: runs(served, "daily"), 90)
    whole = served.get("InferenceService", MODEL)["spec"]["batch"]
    stopped = [{**one, "suspend": True} if one["name"] == "daily" else one for one in whole]
    served.patch("InferenceService", MODEL, {"spec": {"batch": stopped}})
    run = ended(served, "daily")
    assert (run["trigger"], run["rows"], run["objects"]) == ("Schedule", 600, 2)
    _, frame = results(served, run)
    assert frame["id"].tolist() == given(0, 600)["id"].tolist()
    same(served, frame)


def test_a_bad_row_ends_the_run_of_all_its_pods_and_is_named(served: Cluster) -> None:
    run = ended(served, "strict", "Failed")
    where = f"s3://{served.bucket}/new/{BAD[0]}.csv, data row {BAD[1]}: "
    assert run["message"].startswith(f"RowRejected: {where}"), run
    assert "manifest.json" not in keys(served, run["output"].removeprefix(f"s3://{served.bucket}/") + "/")


def test_a_run_waits_for_its_keys_and_goes_on_when_they_come(served: Cluster) -> None:
    def waits() -> Any:
        message = str(runs(served, "keyless")[0].get("message"))
        return "goes on by itself" in message and message

    told = served.wait("what it waits for", waits, 60)
    assert 'secret "later" not found' in told
    (pod,) = pods(served, runs(served, "keyless")[0])
    store = served.kube.status["s3"]
    served.apply(secret("later", store["access_key"], store["secret_key"]))
    run = ended(served, "keyless")
    assert [one["metadata"]["uid"] for one in pods(served, run)] == [pod["metadata"]["uid"]]
    same(served, results(served, run)[1])


def test_a_service_without_pods_scores_too(served: Cluster) -> None:
    expected = answers(served, given(0, 600))
    served.patch("InferenceService", MODEL, {"spec": {"suspend": True}})
    served.wait("no server", lambda: not served.list("Pod", "app.kubernetes.io/name=modelmill-server"), 90)
    asked(served, "columns")
    _, frame = results(served, ended(served, "columns"))
    assert frame["id"].tolist() == given(0, 600)["id"].tolist()
    assert frame["predict"].tolist() == pytest.approx(expected, rel=1e-12)
