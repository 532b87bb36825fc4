"""Copies of data in a real S3 store: made by a run, read by trials and by a run that makes the version again."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts import result
from modelmill.contracts.snapshot import document_key, object_key
from tests.integration.trainer.s3_runs import MakeRun, put_cars, s3_run
from tests.support.stages import BUCKET, Run, Store, car_data
from tests.unit.store.loopback import Answer, Asked, Bucket, serving


def copied(make_run: MakeRun, store: Store) -> tuple[Run, result.StageResult]:
    """Return a run that published and kept its data, whose source is gone then."""
    put_cars(store)
    run = s3_run(make_run, store, data=car_data(f"s3://{BUCKET}/cars/", copy=True), gates=[])
    ending = run.all()
    for key in store.keys("cars/"):
        store.client.delete_object(Bucket=BUCKET, Key=key)
    return run, ending


def snapshot(ending: result.StageResult) -> dict[str, Any]:
    assert ending.data is not None
    return car_data(f"s3://{BUCKET}/cars/", snapshot=ending.data.digest)


def test_a_version_is_made_again_after_its_source_was_deleted(make_run: MakeRun, store: Store) -> None:
    _, first = copied(make_run, store)
    assert first.data is not None
    assert first.data.copied
    assert first.artifact is not None
    origin = {"name": "fuel-economy-1", "uri": first.artifact.uri, "digest": first.artifact.digest}
    before = store.keys("models/")
    assert f"models/{document_key(first.data.digest)}" in before
    ending = s3_run(make_run, store, data=snapshot(first), gates=[], reproduces=origin).all()
    assert ending.outcome == result.REPRODUCED
    assert ending.reproduction == result.Reproduction("fuel-economy-1", True, first.metrics)
    assert store.keys("models/") == before


@pytest.mark.parametrize("trial", [{"index": 0, "folds": 3}, {"index": 1, "fraction": 0.25}])
def test_a_trial_reads_the_copy_and_stores_nothing(make_run: MakeRun, store: Store, trial: dict[str, Any]) -> None:
    _, first = copied(make_run, store)
    before = store.keys()
    run = s3_run(make_run, store, data=snapshot(first), gates=[], trial=trial)
    ended = run.through("fetch", "train", "score")
    assert ended.result is not None
    assert (ended.result.outcome, ended.result.artifact) == (result.SCORED, None)
    assert 0 < ended.result.metrics["r2"] < 1
    assert store.keys() == before


def test_a_copy_that_was_damaged_in_the_store_ends_the_run_with_its_mend(make_run: MakeRun, store: Store) -> None:
    _, first = copied(make_run, store)
    (key, *_) = store.keys("models/data/objects/")
    content = store.get(f"s3://{BUCKET}/{key}")
    store.put(key, content[:-1] + b"9")
    ended = s3_run(make_run, store, data=snapshot(first), gates=[]).stage("fetch")
    assert ended.code != 0
    assert ended.result is not None
    assert ended.result.reason == "SnapshotDamaged"
    assert "bring it back" in ended.result.reasons[0]


@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET"])
def test_a_store_that_fails_once_at_each_copy_is_asked_again(make_run: MakeRun, store: Store, method: str) -> None:
    bucket, struck = (
        Bucket(objects={"cars/a.csv": b"Weight,mpg\n" + b"".join(b"%d,%d\n" % (n, n % 9) for n in range(60))}),
        set(),
    )

    def answer(asked: Asked) -> Answer:
        if asked.key.startswith("models/data/") and asked.method == method and asked.key not in struck:
            struck.add(asked.key)
            return Answer(503)
        return bucket(asked)

    data = {"uri": f"s3://{BUCKET}/cars/", "format": "csv", "target": "mpg", "copy": True}
    with serving(answer) as other:
        run = make_run(store={"uri": f"s3://{BUCKET}/models", "endpoint": other.endpoint}, data=data)
        run.through("fetch")
    (stored,) = [key for key in bucket.objects if key.startswith("models/data/objects/")]
    assert len(struck) == (1 if method == "HEAD" else 2)
    assert bucket.objects[stored] == bucket.objects["cars/a.csv"]
    assert stored.removeprefix("models/") == object_key(stored[-64:])
