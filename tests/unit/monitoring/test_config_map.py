from __future__ import annotations

from typing import Any

import yaml

from modelmill.api.objects import read_inference_service
from modelmill.monitoring.rules.config_map import build_config_map
from modelmill.monitoring.rules.group import build_group


def config_map(parent: dict[str, Any]) -> dict[str, Any]:
    service = read_inference_service(parent)
    group = build_group(service, None, "runbooks")
    assert group is not None
    return build_config_map(service, group)


def test_the_config_map(service: Any) -> None:
    rules = config_map(service())
    assert rules["metadata"] == {
        "name": "fuel-economy-modelmill-rules",
        "namespace": "ml",
        "labels": {
            "app.kubernetes.io/managed-by": "modelmill",
            "modelmill.dev/prometheus-rules": "true",
            "modelmill.dev/inference-service": "fuel-economy",
        },
    }
    assert list(rules["data"]) == ["ml.fuel-economy.yaml"]
    assert config_map(service()) == rules
    group = build_group(read_inference_service(service()), None, "runbooks")
    assert yaml.safe_load(rules["data"]["ml.fuel-economy.yaml"]) == {"groups": [group]}


def test_files_of_two_services_have_two_names(service: Any) -> None:
    one = config_map(service(namespace="a-b", name="c"))
    other = config_map(service(namespace="a", name="b-c"))
    assert one["data"].keys().isdisjoint(other["data"])


def test_nothing_without_monitoring_or_stable_version(service: Any) -> None:
    unmonitored = service()
    del unmonitored["spec"]["monitoring"]
    assert build_group(read_inference_service(unmonitored), None, "runbooks") is None
    assert build_group(read_inference_service(service(version=None)), None, "runbooks") is None
