"""What the schema takes can be read, and what was read is written back as it was."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelmill.api import objects
from modelmill.kube.objects import ObjectInvalid
from tests.support import objects as o
from tests.unit.api.manifests import normalized, schema_of, values

READERS = {
    "TrainingJob": (objects.read_training_job, o.training_job()),
    "ModelVersion": (objects.read_model_version, o.model_version("cars-1")),
    "InferenceService": (objects.read_inference_service, o.inference_service()),
}


@functools.cache
def drawn(kind: str, part: str) -> st.SearchStrategy[dict[str, Any]]:
    return values(schema_of(kind)["properties"][part])


generous = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kind", READERS)
@generous
@given(data=st.data())
def test_a_status_that_the_schema_takes_is_written_back_as_it_was(kind: str, data: st.DataObject) -> None:
    read, manifest = READERS[kind]
    schema = schema_of(kind)["properties"]["status"]
    status = data.draw(drawn(kind, "status"))
    assert objects.status_manifest(read({**manifest, "status": status}).status) == normalized(schema, status)


@pytest.mark.parametrize("kind", READERS)
@generous
@given(data=st.data())
def test_a_spec_that_the_schema_takes_can_be_read(kind: str, data: st.DataObject) -> None:
    read, manifest = READERS[kind]
    spec = data.draw(drawn(kind, "spec"))
    typed = read({**manifest, "spec": spec}).spec
    assert typed.model_dump(mode="json", by_alias=True, exclude_unset=True) == spec


@pytest.mark.parametrize("kind", READERS)
def test_an_object_without_status_has_the_defaults(kind: str) -> None:
    read, manifest = READERS[kind]
    schema = schema_of(kind)["properties"]["status"]
    for status in ({}, None):
        assert objects.status_manifest(read({**manifest, "status": status}).status) == normalized(schema, {})


@pytest.mark.parametrize("kind", READERS)
def test_fields_of_another_release_are_passed_over(kind: str) -> None:
    read, manifest = READERS[kind]
    strange = {**manifest, "spec": {**manifest["spec"], "new": 1}, "status": {"newer": {"a": 1}}}
    assert "newer" not in objects.status_manifest(read(strange).status)


@pytest.mark.parametrize(
    ("kind", "part", "field"),
    [
        ("TrainingJob", {"spec": {"model": 5}}, "spec."),
        ("TrainingJob", {"spec": None}, "spec."),
        ("TrainingJob", {"status": {"runs": [{"number": 0}]}}, "status.runs.0."),
        ("ModelVersion", {"status": {"stage": "Lost"}}, "status.stage"),
        ("ModelVersion", {"status": "lost"}, "status"),
        ("InferenceService", {"spec": {"model": {"name": "Cars"}}}, "spec.model.name"),
        ("InferenceService", {"status": {"canary": {}}}, "status.canary."),
    ],
)
def test_what_cannot_be_read_is_named(kind: str, part: dict[str, Any], field: str) -> None:
    read, manifest = READERS[kind]
    with pytest.raises(ObjectInvalid) as raised:
        read({**manifest, **part})
    assert raised.value.field.startswith(field)
    assert str(raised.value).startswith(raised.value.field)
    assert "\n" not in str(raised.value)


def test_those_that_cannot_be_read_do_not_hide_the_others() -> None:
    broken = {**o.model_version("cars-2"), "spec": {}}
    readable = objects.readable_model_versions([o.model_version("cars-1"), broken, o.model_version("cars-3")])
    assert [version.name for version in readable] == ["cars-1", "cars-3"]
    assert objects.readable_training_jobs([{**o.training_job(), "spec": {}}]) == []
    assert objects.readable_inference_services([{**o.inference_service(), "status": {"stable": 1}}]) == []


def test_metadata_is_read_with_its_defaults() -> None:
    meta = objects.read_meta({"metadata": {"name": "cars", "labels": None}})
    assert (meta.namespace, meta.generation, meta.labels, meta.finalizers) == ("", 1, {}, ())
    assert not meta.deleting
    assert objects.read_meta({"metadata": {"name": "cars", "deletionTimestamp": "2026-01-02T03:04:05Z"}}).deleting
