"""Whatever objects a schema takes, a plan is made of them without an exception, and its status is one that the schema takes."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelmill import app
from modelmill.engine.cache import Cache
from modelmill.engine.parts import Composed
from modelmill.engine.table import Controller
from tests.crash.admission import misfits, schemas
from tests.crash.world import CONFIG
from tests.support import objects as o
from tests.unit.api.manifests import schema_of, values

APPROVALS = ("Pending", "Approved", "Rejected")
MADE = {
    "TrainingJob": o.training_job(),
    "ModelVersion": o.model_version("cars-1"),
    "InferenceService": o.inference_service(),
}


@functools.cache
def specs(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    return values(schema_of(kind)["properties"]["spec"])


NUMBERS = st.sampled_from(["nan", "-inf", "1e999", "1_0", "", "n/a", "null", "9" * 60, "0x1", "0.5"])


TEXTS = st.fixed_dictionaries({"r2": NUMBERS, "alpha": NUMBERS})


def of_one_model(kind: str, spec: dict[str, Any], texts: dict[str, str], approval: str) -> dict[str, Any]:
    """Return a spec of the model cars with texts where numbers are usual."""
    usual = MADE[kind]["spec"]
    spec = {**spec, "model": usual["model"]}
    if kind == "ModelVersion":
        return {**spec, "metrics": texts, "primary": usual["primary"], "approval": approval}
    if "sklearn" in spec.get("train", ()):
        return {**spec, "train": {"sklearn": {"estimator": "sklearn.svm.SVC", "parameters": texts}}}
    return spec


def world(objects: dict[str, dict[str, Any]], table: dict[str, Controller]) -> Cache:
    found = {watch.resource: watch for watch in app.watches(list(table.values()))}
    cache = Cache(
        {resource: watch.index_labels for resource, watch in found.items()},
        indexes={resource: watch.indexes for resource, watch in found.items()},
    )
    for kind, manifest in objects.items():
        cache.put(table[kind].resource, manifest)
    return cache


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=TEXTS, approval=st.sampled_from(APPROVALS), odd=st.sampled_from([None, *MADE]), data=st.data())
def test_every_object_has_a_plan_whose_status_the_schema_takes(
    texts: dict[str, str], approval: str, odd: str | None, data: st.DataObject
) -> None:
    """The three kinds in one namespace, one after the other and from their statuses once more: each sees the others.

    odd: the kind whose spec is any; the two others have usual ones.
    """
    table = {row.resource.kind: row for row in app.controllers(CONFIG)}
    objects = {}
    for kind, manifest in MADE.items():
        spec = data.draw(specs(kind)) if kind == odd else manifest["spec"]
        objects[kind] = {**manifest, "spec": of_one_model(kind, spec, texts, approval)}
    for kind in (*table, *table):
        parent = objects[kind]
        made = asyncio.run(Composed(table[kind].parts)(parent, world(objects, table), o.NOW))
        objects[kind] = {**parent, "status": made.status} if made.status is not None else parent
        schema = schemas()[parent["apiVersion"], kind]["properties"]["status"]
        assert misfits(objects[kind].get("status", {}), schema, "status") == []
