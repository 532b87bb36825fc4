"""Containers: requests that fill gaps, fields that only the operator decides."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.api.placement import Toleration
from modelmill.api.pods import PodTemplate, Resources
from modelmill.workloads.containers import Container, Image, build_container, build_resources
from modelmill.workloads.pods import Pod, build_pod

DEFAULTS = {"cpu": "100m", "memory": "384Mi"}
IMAGE = Image("tool:1", "IfNotPresent")


@pytest.mark.parametrize(
    ("said", "built"),
    [
        ({}, {"requests": DEFAULTS}),
        ({"requests": {"cpu": "2"}}, {"requests": {"cpu": "2", "memory": "384Mi"}}),
        ({"limits": {"memory": "128Mi"}}, {"requests": {"cpu": "100m"}, "limits": {"memory": "128Mi"}}),
        ({"requests": {"nvidia": "1"}}, {"requests": {**DEFAULTS, "nvidia": "1"}}),
    ],
)
def test_defaults_fill_what_nothing_is_said_about(said: dict[str, Any], built: dict[str, Any]) -> None:
    assert build_resources(Resources.model_validate(said), DEFAULTS) == built


def test_what_the_operator_decides_cannot_be_given() -> None:
    with pytest.raises(ValueError, match="securityContext"):
        build_container(Container(name="a", image=IMAGE, requests=DEFAULTS, server_fields={"securityContext": {}}))


def test_image_keeps_its_entrypoint_when_no_command_is_given() -> None:
    built = build_container(Container(name="a", image=IMAGE, requests=DEFAULTS))
    assert "command" not in built
    assert "args" not in built


def test_variables_keep_their_order_and_the_store_comes_last() -> None:
    built = build_container(Container(name="a", image=IMAGE, requests=DEFAULTS, env={"B": "1", "A": "$(B)"}))
    assert built["env"] == [{"name": "B", "value": "1"}, {"name": "A", "value": "$(B)"}]


def test_tolerations_are_written_as_kubernetes_reads_them() -> None:
    template = PodTemplate(tolerations=[Toleration(key="gpu", operator="Exists")])
    pod = build_pod(Pod(containers=[Container(name="a", image=IMAGE, requests=DEFAULTS)], template=template))
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]


def test_pods_of_a_server_are_spread_and_have_time_to_end() -> None:
    container = Container(name="a", image=IMAGE, requests=DEFAULTS)
    pod = build_pod(Pod(containers=[container], grace_seconds=40, spread_over={"a": "b"}, service_account="reader"))
    assert pod["terminationGracePeriodSeconds"] == 40
    assert pod["topologySpreadConstraints"][0]["labelSelector"] == {"matchLabels": {"a": "b"}}
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("reader", False)
    assert "initContainers" not in pod
