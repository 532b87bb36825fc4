"""What Kubernetes refuses of the objects that the operator makes: metadata, and what a person may say of pods.

Source: k8s.io/kubernetes/pkg/apis/core/validation and k8s.io/apimachinery/pkg/api/validation, 1.34. An image with
spaces around it is taken in a template, and refused of the pods made from it, which nothing does here. The real API server is
asked the rows of tests/support/refused_pods.py too, by tests/integration/engine/test_memory_admission.py.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_DNS_LABEL = re.compile(_LABEL)
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_WORD = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUFFIXES = {"": 1, "m": Fraction(1, 1000), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SUFFIXES |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_MOST = 2**63 - 1
_NANO = 10**9
_STANDARD = ("cpu", "memory", "ephemeral-storage")
MOST_ANNOTATIONS = 256 * 1024
MOST_OF_AN_OBJECT = 3 * 1024 * 1024 // 2
"""Bytes of a request that etcd takes."""
LONGEST_VARIABLE = 128 * 1024
"""Bytes of one variable or argument that Linux takes, its NUL counted (execve(2), MAX_ARG_STRLEN)."""


def refusals(obj: Mapping[str, Any]) -> Iterator[str]:
    """Yield why Kubernetes refuses the object: `path: reason`."""
    kind, meta = obj["kind"], obj["metadata"]
    yield from _name(kind, meta["name"])
    yield from _metadata(meta, "metadata")
    if len(json.dumps(obj).encode()) > MOST_OF_AN_OBJECT:
        yield f"{kind}: etcdserver: request is too large"
    if kind in ("Job", "Deployment"):
        template = obj["spec"]["template"]
        yield from _metadata(template["metadata"], "spec.template.metadata")
        yield from _pod(template["spec"], "spec.template.spec")


def unrunnable(obj: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a container of the object's pods could never be started, though Kubernetes takes it."""
    if obj["kind"] not in ("Job", "Deployment"):
        return
    spec = obj["spec"]["template"]["spec"]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        texts = {one["name"]: f"{one['name']}={one.get('value', '')}" for one in container.get("env", ())}
        texts |= {f"argument {number}": text for number, text in enumerate(container.get("args", ()))}
        for name, text in texts.items():
            if len(text.encode()) >= LONGEST_VARIABLE:
                yield f"container {container['name']}: {name} has {len(text.encode())} bytes"


def _name(kind: str, name: str) -> Iterator[str]:
    longest, form = {"Service": (63, _DNS_1035), "Job": (63, _SUBDOMAIN)}.get(kind, (253, _SUBDOMAIN))
    if len(name) > longest or not form.fullmatch(name):
        yield f"metadata.name: Invalid value: {name!r}"


def _metadata(meta: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, value in (meta.get("labels") or {}).items():
        if not _is_qualified(name):
            yield f"{path}.labels: Invalid value: {name!r}"
        if not _is_label_value(value):
            yield f"{path}.labels.{name}: Invalid value: {value!r}"
    annotations = meta.get("annotations") or {}
    yield from (
        f"{path}.annotations: Invalid value: {name!r}" for name in annotations if not _is_qualified(name.lower())
    )
    if sum(len(name.encode()) + len(value.encode()) for name, value in annotations.items()) > MOST_ANNOTATIONS:
        yield f"{path}.annotations: Too long"


def _pod(spec: Mapping[str, Any], path: str) -> Iterator[str]:
    account = spec.get("serviceAccountName", "")
    if account and not _is_subdomain(account):
        yield f"{path}.serviceAccountName: Invalid value: {account!r}"
    for name, value in (spec.get("nodeSelector") or {}).items():
        if not _is_qualified(name) or not _is_label_value(value):
            yield f"{path}.nodeSelector: Invalid value: {name!r}: {value!r}"
    for number, toleration in enumerate(spec.get("tolerations", ())):
        yield from (f"{path}.tolerations[{number}].{problem}" for problem in _toleration(toleration))
    for group in ("initContainers", "containers"):
        for number, container in enumerate(spec.get(group, ())):
            yield from _container(container, f"{path}.{group}[{number}]")


def _toleration(one: Mapping[str, Any]) -> Iterator[str]:
    key, operator, value = one.get("key", ""), one.get("operator", "Equal") or "Equal", one.get("value", "")
    if key and not _is_qualified(key):
        yield f"key: Invalid value: {key!r}"
    if not key and operator != "Exists":
        yield "operator: Invalid value: must be Exists when `key` is empty"
    if operator == "Exists" and value:
        yield "operator: Invalid value: value must be empty when `operator` is 'Exists'"
    if operator == "Equal" and not _is_label_value(value):
        yield f"operator: Invalid value: {value!r}"
    if "tolerationSeconds" in one and one.get("effect") != "NoExecute":
        yield "effect: Invalid value: effect must be 'NoExecute' when `tolerationSeconds` is set"


def _container(container: Mapping[str, Any], path: str) -> Iterator[str]:
    if not _DNS_LABEL.fullmatch(container["name"]) or len(container["name"]) > 63:
        yield f"{path}.name: Invalid value: {container['name']!r}"
    if not container["image"]:
        yield f"{path}.image: Required value"
    for number, variable in enumerate(container.get("env", ())):
        name = variable["name"]
        if not name or not all(" " <= char <= "~" and char != "=" for char in name):
            yield f"{path}.env[{number}].name: Invalid value: {name!r}"
        secret = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if secret is not None and not _is_subdomain(secret["name"]):
            yield f"{path}.env[{number}].valueFrom.secretKeyRef.name: Invalid value: {secret['name']!r}"
    yield from _resources(container.get("resources") or {}, f"{path}.resources")


def _resources(resources: Mapping[str, Mapping[str, str]], path: str) -> Iterator[str]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for group, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if not _is_resource(name):
                yield f"{path}.{group}[{name}]: Invalid value: {name!r}"
            elif not _is_native(name) and _quantity(amount) % 1:
                yield f"{path}.{group}[{name}]: Invalid value: {amount!r}: must be an integer"
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is not None and _quantity(amount) > _quantity(limit):
            yield f"{path}.requests: Invalid value: {amount!r}: must be less than or equal to {name} limit of {limit}"
        elif not _is_native(name) and (limit is None or _quantity(limit) != _quantity(amount)):
            yield f"{path}.limits: Required value: Limit must be set for non overcommitable resources"


def _quantity(text: str) -> Fraction:
    """Return an amount as it is stored: in whole billionths, rounded up; of a binary one no more than an int64 has."""
    number = re.match(r"[0-9.]+", text)
    assert number is not None, text
    suffix = text[number.end() :]
    amount = Fraction(math.ceil(Fraction(number[0]) * _SUFFIXES[suffix] * _NANO), _NANO)
    return min(amount, Fraction(_MOST)) if suffix.endswith("i") else amount


def _is_resource(name: str) -> bool:
    if "/" not in name:
        return name in _STANDARD
    # Quotas put `requests.` before the name.
    return _is_qualified(name) and (
        _is_native(name) or (not name.startswith("requests.") and _is_qualified(f"requests.{name}"))
    )


def _is_native(name: str) -> bool:
    """Tell whether a resource is one of Kubernetes' own, of which parts may be had, and more than there is."""
    return "/" not in name or "kubernetes.io/" in name


def _is_subdomain(text: str) -> bool:
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def _is_qualified(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return len(name) <= 63 and _WORD.fullmatch(name) is not None and (not slash or _is_subdomain(prefix))


def _is_label_value(text: str) -> bool:
    return len(text) <= 63 and (not text or _WORD.fullmatch(text) is not None)
