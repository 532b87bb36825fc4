"""Looks at data in a real S3 store: what a run has read is known by its ETag, and what came since is counted."""

from __future__ import annotations

import time

import pandas as pd

from modelmill.contracts.look import Seen, decode_seen
from tests.integration.trainer.s3_runs import MakeRun, put_cars, s3_run
from tests.support.stages import BUCKET, Store, car_data, cars

LONG_AGO, ROWS = 1_000_000_000.0, 1000


def look(make_run: MakeRun, store: Store, since: float = LONG_AGO, min_rows: int | None = ROWS) -> Seen:
    """Look from a pod of its own, as it is made between runs."""
    ended = s3_run(make_run, store, look={"since": since, "min_rows": min_rows}).stage("look")
    assert ended.code == 0, ended.err
    seen = decode_seen(ended.message)
    assert seen is not None
    return seen


def test_what_came_since_a_run_read_the_data_is_counted(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    assert s3_run(make_run, store, listed=True).stage("fetch").code == 0
    before = look(make_run, store)
    assert (before.objects, before.new, before.rows, before.removed) == (4, 0, 0, 0)
    frame = cars()
    year = frame[frame["Year"] == 1973]
    store.put("cars/1973.csv", year.to_csv(index=False))  # the same bytes again
    assert look(make_run, store) == before
    more = frame[frame["Year"] == 1974]
    store.put("cars/1974.csv", more.to_csv(index=False))
    store.put("cars/1973.csv", pd.concat([year, more.head(3)]).to_csv(index=False))
    store.client.delete_object(Bucket=BUCKET, Key="cars/1970.csv")
    after = look(make_run, store)
    assert (after.objects, after.new, after.rows, after.removed) == (4, 2, len(more) + 3, 1)
    assert look(make_run, store, min_rows=None).rows is None
    assert after.digest != before.digest


def test_without_a_memory_the_time_of_an_object_counts(make_run: MakeRun, store: Store) -> None:
    put_cars(store)
    assert look(make_run, store, since=time.time() + 60).new == 0
    assert look(make_run, store, since=LONG_AGO, min_rows=None).new == 4


def test_a_look_that_fails_says_why(make_run: MakeRun, store: Store) -> None:
    data = car_data("s3://nowhere/cars/")
    ended = s3_run(make_run, store, data=data, look={"since": LONG_AGO}).stage("look")
    assert ended.code != 0
    assert ended.result is not None
    assert ended.result.reason == "BucketNotFound"
