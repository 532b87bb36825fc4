"""What a person cannot say about a pod: each field is refused when it is asked for strictly, and dropped when it is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from hack.bench import load
from tests.integration.engine.rbac.conftest import OURS, SUBJECTS
from tests.support.asking import Asking

pytestmark = pytest.mark.integration

PATH = f"/apis/modelmill.dev/v1alpha1/namespaces/{OURS}"
OF_THE_POD: dict[str, Any] = {
    "hostPID": True,
    "hostIPC": True,
    "hostNetwork": True,
    "hostUsers": True,
    "hostAliases": [{"ip": "169.254.169.254", "hostnames": ["s3.store"]}],
    "hostname": "kubernetes",
    "nodeName": "control-plane",
    "serviceAccountName": "cluster-admin",
    "automountServiceAccountToken": True,
    "runtimeClassName": "unconfined",
    "schedulerName": "mine",
    "shareProcessNamespace": True,
    "dnsConfig": {"nameservers": ["192.0.2.1"]},
    "volumeClaimTemplates": [],
    "readinessGates": [{"conditionType": "x"}],
    "overhead": {"cpu": "1"},
    "securityContext": {"runAsUser": 0, "sysctls": [{"name": "kernel.msgmax", "value": "1"}]},
    "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
    "initContainers": [{"name": "mine", "image": "mine"}],
    "containers": [{"name": "mine", "image": "mine"}],
    "ephemeralContainers": [{"name": "mine", "image": "mine"}],
}
OF_THE_CONTAINER: dict[str, Any] = {
    "securityContext": {"privileged": True, "procMount": "Unmasked", "capabilities": {"add": ["SYS_ADMIN"]}},
    "envFrom": [{"secretRef": {"name": "other"}}],
    "volumeMounts": [{"name": "holdout", "mountPath": "/x"}],
    "volumeDevices": [{"name": "sda", "devicePath": "/dev/sda"}],
    "lifecycle": {"postStart": {"exec": {"command": ["sh"]}}},
    "livenessProbe": {"httpGet": {"host": "169.254.169.254", "port": 80}},
    "ports": [{"containerPort": 22, "hostPort": 22}],
    "restartPolicy": "Always",
    "resizePolicy": [],
    "stdin": True,
    "terminationMessagePath": "/etc/passwd",
    "workingDir": "/proc",
    "imagePullPolicy": "Never",
}
TERMS = "requiredDuringSchedulingIgnoredDuringExecution"
GIVEN: dict[str, Any] = {
    "env": [{"name": "TZ"}],
    "imagePullSecrets": [{"name": "own"}],
    "payloadLog": {"uri": "s3://logs"},
    "secretRef": {"name": "own"},
    "keySecretRef": {"name": "own"},
    TERMS: [{"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"}],
}
"""What is around a field, where the object does not have it."""
PLACES = [
    *(("trainingjobs", f"spec.podTemplate.{name}", value) for name, value in OF_THE_POD.items()),
    *(("trainingjobs", f"spec.train.container.{name}", value) for name, value in OF_THE_CONTAINER.items()),
    *(("inferenceservices", f"spec.runtime.{name}", value) for name, value in OF_THE_POD.items()),
    *(
        ("inferenceservices", f"spec.runtime.podTemplate.{name}", value)
        for name, value in OF_THE_POD.items()
        if name != "serviceAccountName"
    ),
    *(
        (kind, f"{path}.affinity.podAntiAffinity.{TERMS}[0].{name}", value)
        for kind, path in (("trainingjobs", "spec.podTemplate"), ("inferenceservices", "spec.runtime.podTemplate"))
        for name, value in (("namespaces", ["theirs"]), ("namespaceSelector", {}))
    ),
    ("inferenceservices", "spec.runtime.podTemplate.imagePullSecrets[0].namespace", "kube-system"),
    ("inferenceservices", "spec.payloadLog.secretRef.namespace", "kube-system"),
    ("inferenceservices", "spec.feedback.keySecretRef.namespace", "kube-system"),
    ("inferenceservices", "spec.runtime.env[0].valueFrom", {"secretKeyRef": {"name": "other", "key": "x"}}),
    ("trainingjobs", "spec.store.secretRef.namespace", "kube-system"),
    ("trainingjobs", "spec.train.container.env[0].valueFrom", {"secretKeyRef": {"name": "other", "key": "x"}}),
]
VALUES = [
    ("trainingjobs", f"spec.store.{field}", name)
    for field in ("secretRef.name", "serviceAccountName")
    for name in ("other/s", "../s", "..%2fs", "S", "s ", "", "a" * 254, "s\n", "$(HOME)", "ⅳ")
]


def made(kind: str, path: str, value: Any) -> dict[str, Any]:
    """Return an object with a value at a dotted path."""
    body = (load.training_job if kind == "trainingjobs" else load.inference_service)(OURS, "cars")
    body = copy.deepcopy(body)
    if ".container" in path:
        body["spec"]["train"] = {"container": {"image": "a/b:1", "env": [{"name": "A", "value": "b"}]}}
    *above, last = path.replace("[0]", ".0").split(".")
    place: Any = body
    for name in above:
        place = place[int(name)] if name.isdigit() else place.setdefault(name, copy.deepcopy(GIVEN.get(name, {})))
    place[last] = value
    return body


def names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from names(one)
    elif isinstance(value, list):
        for one in value:
            yield from names(one)


@pytest.mark.parametrize(("kind", "path", "value"), PLACES, ids=[f"{kind}-{path}" for kind, path, _ in PLACES])
def test_a_field_that_is_not_ours_to_give_is_refused_or_dropped(
    asking: Asking, kind: str, path: str, value: Any
) -> None:
    body = made(kind, path, value)
    strict = asking.ask(SUBJECTS["admin"], "POST", f"{PATH}/{kind}?fieldValidation=Strict", body)
    assert strict.code in (400, 422)
    assert path in strict.message
    dropped = asking.ask(SUBJECTS["admin"], "POST", f"{PATH}/{kind}?fieldValidation=Ignore", body)
    assert dropped.code == 201, dropped.message
    spec = {name: part for name, part in dropped.body["spec"].items() if name != "store" or "store" in path}
    assert path.rpartition(".")[2] not in set(names(spec))


@pytest.mark.parametrize(("kind", "path", "value"), VALUES, ids=[f"{path}-{value!r}" for _, path, value in VALUES])
def test_a_name_that_leads_elsewhere_is_refused(asking: Asking, kind: str, path: str, value: str) -> None:
    answer = asking.ask(SUBJECTS["admin"], "POST", f"{PATH}/{kind}", made(kind, path, value))
    assert answer.code == 422
    assert path in answer.message


HOSTILE = (
    "{{7*7}}",
    "{0.__class__}",
    "%s%n",
    "$(MODELMILL_STAGE)",
    "${HOME}",
    "`id`",
    "$(id)",
    "';--",
    '"} or vector(1) #',
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_that_another_language_would_run_is_kept_as_it_stands(asking: Asking, text: str) -> None:
    body = made("trainingjobs", "spec.train.container.args", [text])
    body["spec"]["data"]["target"] = text
    kept = asking.ask(SUBJECTS["admin"], "POST", f"{PATH}/trainingjobs", body)
    assert kept.code == 201
    assert json.dumps(kept.body).count(json.dumps(text)) >= 2


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["metadata.name", "spec.model"])
def test_a_name_is_a_name(asking: Asking, field: str, text: str) -> None:
    answer = asking.ask(SUBJECTS["admin"], "POST", f"{PATH}/trainingjobs", made("trainingjobs", field, text))
    assert answer.code == 422
    assert field in answer.message
