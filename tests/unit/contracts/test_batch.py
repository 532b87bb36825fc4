"""What crosses from the operator to a batch pod and back, and how objects are shared out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.batch import (
    BatchPlan,
    BatchResult,
    BatchSpec,
    PlannedObject,
    decode_result,
    decode_spec,
    encode_result,
    encode_spec,
    parse_plan,
)
from modelmill.contracts.result import MAX_BYTES

SPEC = BatchSpec("r", "s3://data/new", "s3://data/scored/r", "csv", ("id",), "Skip", 3)


def test_a_spec_comes_as_it_was_sent() -> None:
    assert decode_spec(encode_spec(SPEC)) == SPEC


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"run":"r","input":"a","output":"b","format":"xml"}', encode_spec(SPEC).replace("3", "0")]
)
def test_what_is_no_spec_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_spec(text)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=60), st.integers(1, 9))
def test_every_object_has_one_partition_and_the_loads_are_even(sizes: list[int], partitions: int) -> None:
    spec = BatchSpec("r", "s3://a", "s3://b", "csv", partitions=partitions)
    plan = BatchPlan(spec, "v", "d", tuple(PlannedObject(f"{place}", size) for place, size in enumerate(sizes)))
    shares = [plan.partition(index) for index in range(partitions)]
    assert sorted(place for share in shares for place in share) == list(range(len(sizes)))
    loads = [sum(sizes[place] for place in share) for share in shares]
    assert max(loads) <= sum(sizes) / partitions + max(sizes) + len(sizes), "greedy by size (Graham 1969)"
    assert parse_plan(plan.document()) == plan


@given(st.text(max_size=4000), st.text(max_size=4000), st.lists(st.text(max_size=2000), max_size=5))
def test_a_result_fits_into_a_termination_message(manifest: str, feature: str, rejections: list[str]) -> None:
    text = encode_result(BatchResult(1, 2, 3, 4, manifest, feature, 0.5, tuple(rejections)))
    assert len(text.encode()) <= max(MAX_BYTES, 4096)
    told = decode_result(text)
    assert told is not None
    assert (told.partition, told.objects, told.rows, told.rejected, told.psi) == (1, 2, 3, 4, 0.5)
    assert bool(told.manifest) == bool(manifest)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"v":1}', '{"v":1,"batch":{}}', '{"v":2,"batch":{}}',
        encode_result(BatchResult(0, 1, 2, 3)).replace('"rows":2', '"rows":-2'),
        encode_result(BatchResult(0, 1, 2, 3)).replace('"psi":null', '"psi":"x"'),
        encode_result(BatchResult(0, 1, 2, 3)).replace('"manifest":""', '"manifest":[1]'),
    ],
)  # fmt: skip
def test_another_message_is_no_result(text: str) -> None:
    assert decode_result(text) is None
