"""Field sets as the API server writes them (taken from a Deployment, a Service and a ConfigMap of Kubernetes 1.34)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from modelmill.engine.ownership import lost_fields
from tests.support.fake_api import remove

APPLIED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "cars",
        "namespace": "ml",
        "labels": {"app": "cars"},
        "finalizers": ["modelmill.dev/in-use"],
        "ownerReferences": [{"uid": "u1", "name": "cars", "controller": True}],
    },
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "cars"}},
        "template": {
            "spec": {
                "nodeSelector": None,
                "containers": [
                    {
                        "name": "server",
                        "image": "img",
                        "args": ["--port", "8080"],
                        "ports": [{"containerPort": 8080, "name": "http"}],
                        "resources": {"limits": {"cpu": "1000m"}},
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }
        },
    },
}

FIELDS: dict[str, Any] = {
    "f:metadata": {
        "f:labels": {"f:app": {}},
        "f:finalizers": {'v:"modelmill.dev/in-use"': {}},
        "f:ownerReferences": {'k:{"uid":"u1"}': {}},
    },
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"server"}': {
                        ".": {},
                        "f:name": {},
                        "f:image": {},
                        "f:args": {},
                        "f:ports": {
                            'k:{"containerPort":8080,"protocol":"TCP"}': {
                                ".": {},
                                "f:containerPort": {},
                                "f:name": {},
                            }
                        },
                        "f:resources": {"f:limits": {"f:cpu": {}}},
                    }
                },
                "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:emptyDir": {}, "f:name": {}}},
            }
        },
    },
}


def child(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    entry = {"manager": "modelmill", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields, **more}
    others = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}}
    return {"metadata": {"managedFields": [others, entry]}}


def test_everything_that_was_applied_is_ours() -> None:
    assert lost_fields(child(FIELDS), APPLIED, "modelmill") == frozenset()


@pytest.mark.parametrize(
    "path",
    [
        ("f:metadata", "f:labels", "f:app"),
        ("f:metadata", "f:finalizers", 'v:"modelmill.dev/in-use"'),
        ("f:metadata", "f:ownerReferences", 'k:{"uid":"u1"}'),
        ("f:spec", "f:replicas"),
        ("f:spec", "f:selector"),
        ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"server"}', "f:image"),
        ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"server"}', "f:args"),
        ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"server"}'),
        (
            "f:spec",
            "f:template",
            "f:spec",
            "f:containers",
            'k:{"name":"server"}',
            "f:ports",
            'k:{"containerPort":8080,"protocol":"TCP"}',
            "f:name",
        ),
        ("f:spec", "f:template", "f:spec", "f:volumes", 'k:{"name":"tmp"}', "f:emptyDir"),
    ],
)
def test_a_field_that_another_took_is_lost(path: tuple[str, ...]) -> None:
    fields = copy.deepcopy(FIELDS)
    remove(fields, path)
    assert len(lost_fields(child(fields), APPLIED, "modelmill")) == 1


def test_entries_of_others_and_of_subresources_do_not_count() -> None:
    assert lost_fields(child(FIELDS, operation="Update"), APPLIED, "modelmill")
    assert lost_fields(child(FIELDS, manager="somebody"), APPLIED, "modelmill")
    assert lost_fields(child(FIELDS, subresource="scale"), APPLIED, "modelmill")
    assert lost_fields({"metadata": {}}, APPLIED, "modelmill") == {("metadata",), ("spec",)}
