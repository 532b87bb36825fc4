"""The ConfigMap with the rules of one InferenceService, for a Prometheus whose loader takes ConfigMaps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from modelmill.api.objects import InferenceService
from modelmill.kube.labels import MANAGED_BY, MANAGED_BY_LABEL, RULES_LABEL, SERVICE_LABEL
from modelmill.monitoring.rules.scope import Rule

RULES_SUFFIX = "-modelmill-rules"


def rules_name(service: str) -> str:
    """Return the name of the object with the rules of an InferenceService."""
    return f"{service}{RULES_SUFFIX}"


def build_config_map(service: InferenceService, group: Rule) -> dict[str, Any]:
    """Return the ConfigMap with a group of rules."""
    namespace, name = service.namespace, service.name
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": rules_name(name),
            "namespace": namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, RULES_LABEL: "true", SERVICE_LABEL: name},
        },
        # The dot is in no namespace, so that two services never share a file when all are put into one folder.
        "data": {f"{namespace}.{name}.yaml": "\n".join(_yaml({"groups": [group]}, "")) + "\n"},
    }


def _yaml(value: Mapping[str, Any], pad: str) -> Iterator[str]:
    """Yield the lines of a YAML mapping of texts, mappings and lists of mappings.

    A dumper takes longer than all the rest of a plan. Texts are in the form of JSON, which YAML's double quotes understand.
    """
    for name, item in value.items():
        if isinstance(item, str):
            yield f"{pad}{name}: {json.dumps(item)}"
        elif isinstance(item, dict):
            yield f"{pad}{name}:"
            yield from _yaml(item, pad + "  ")
        else:
            yield f"{pad}{name}:"
            for one in item:
                first, *rest = _yaml(one, pad + "  ")
                yield f"{pad}- {first[len(pad) + 2 :]}"
                yield from rest
