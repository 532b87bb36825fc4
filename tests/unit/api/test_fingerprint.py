"""Hashes stay the same from release to release: a name or a change would be invented otherwise."""

from __future__ import annotations

from modelmill.api.base import Store
from modelmill.api.fingerprint import short_hash
from modelmill.api.training_job import TrainingJobSpec
from tests.support import objects as o


def spec() -> TrainingJobSpec:
    return TrainingJobSpec.model_validate(o.training_job()["spec"])


def test_of_plain_data() -> None:
    # printf '["cars",1,null]' | sha256sum
    assert short_hash("cars", 1, None) == "7f0c09ebeb"
    assert short_hash({"a": 1, "b": [2]}) == short_hash({"b": [2], "a": 1})
    assert short_hash("a", "b") != short_hash("ab") != short_hash("b", "a")
    assert short_hash("ä") == short_hash("\u00e4")


def test_of_what_a_run_trains() -> None:
    """The fields of TrainingJob.trained_hash: another value here trains every model of every user again."""
    read = spec()
    assert short_hash(read.data, read.train, read.store.uri, read.store.endpoint) == "f194aa9494"


def test_a_default_that_is_written_out_is_no_change() -> None:
    written = o.training_job()["spec"]
    written["data"]["holdout"]["strategy"] = "Random"
    written["data"]["features"] = {"exclude": []}
    assert short_hash(TrainingJobSpec.model_validate(written)) == short_hash(spec())


def test_a_changed_value_is_a_change() -> None:
    assert short_hash(Store(uri="s3://a")) != short_hash(Store(uri="s3://b"))
    assert short_hash(Store(uri="s3://a")) != short_hash(Store(uri="s3://a", region="eu"))
