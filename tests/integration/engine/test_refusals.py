"""What the API server refuses is told on the object, and done when it is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from hack.bench import load
from modelmill.kube.conditions import find
from tests.support.api_server import Cluster, Start
from tests.support.operated import JOBS, run_started

pytestmark = pytest.mark.integration


def no_jobs(namespace: str) -> list[dict[str, Any]]:
    """Return an admission policy against Jobs in the namespace, with its binding."""
    kind = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    policy = {
        **kind,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "no Jobs on Sundays"}],
        },
    }
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {
        **kind,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "validationActions": ["Deny"], "matchResources": selector},
    }
    return [policy, binding]


def test_a_refusal_is_told_on_the_object_and_mended_when_it_ends(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    cluster.apply(*no_jobs(namespace))

    def refused() -> bool:
        try:
            cluster.refused(load.child(JOBS, namespace, "probe"))
        except AssertionError:
            return False  # the API server has not taken up the policy yet
        return True

    cluster.eventually(refused, "the policy")
    try:
        operator = start()
        cluster.apply(load.training_job(namespace, "cars"))

        def told() -> list[str]:
            events = cluster.items("events.events.k8s.io", namespace)
            return [one["note"] for one in events if one["reason"] == "Invalid" and one["regarding"]["name"] == "cars"]

        assert "no Jobs on Sundays" in cluster.eventually(told, "a Warning about the TrainingJob")[0]
        status = cluster.eventually(lambda: cluster.status("trainingjobs", namespace, "cars"), "a status")
        for kind, word in (("Ready", "False"), ("Stalled", "True")):
            seen = find(status, kind)
            assert seen is not None
            assert (seen["status"], seen["reason"]) == (word, "Invalid")
            assert "no Jobs on Sundays" in seen["message"]
        assert operator.alive()
        assert cluster.items("jobs", namespace) == []
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            cluster.kubectl("delete", kind, namespace)
    assert run_started(cluster, namespace)["number"] == 1
    stalled = find(cluster.status("trainingjobs", namespace, "cars"), "Stalled")
    assert stalled is not None
    assert stalled["status"] == "False"
