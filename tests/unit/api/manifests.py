"""Manifests that the schema of a CustomResourceDefinition takes, made up by Hypothesis."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from modelmill.api.schema import definitions

Schema = Mapping[str, Any]
TEXT = st.characters(exclude_categories=["Cs"])
LONGEST = 300
"""A text is no longer than this, whatever the schema allows: Hypothesis gives up on much larger examples."""


@functools.cache
def schema_of(kind: str) -> Schema:
    """Return the openAPIV3Schema of one of our kinds."""
    (crd,) = [one for one in definitions() if one["spec"]["names"]["kind"] == kind]
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Return values that the structural schema takes; its CEL rules are not looked at."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(-(2**63), 2**63 - 1) | _texts(schema)
    kind = schema["type"]
    if kind == "object":
        return _objects(schema)
    if kind == "array":
        size = {"min_size": schema.get("minItems", 0), "max_size": min(schema["maxItems"], 3)}
        keys = schema.get("x-kubernetes-list-map-keys")
        listed = schema.get("x-kubernetes-list-type")
        unique = (lambda item: item) if listed == "set" else (lambda item: tuple(item[key] for key in keys))
        return st.lists(values(schema["items"]), **size, unique_by=unique if listed in ("set", "map") else None)
    if kind == "integer":
        return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1))
    return st.booleans() if kind == "boolean" else _texts(schema)


def normalized(schema: Schema, value: Any) -> Any:
    """Return the value without what is empty, and with the defaults that the API server would put in."""
    if isinstance(value, list):
        return [normalized(schema["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties")
    if properties is None:
        return {name: normalized(schema["additionalProperties"], item) for name, item in value.items()}
    defaults = {name: child["default"] for name, child in properties.items() if "default" in child}
    filled = {name: normalized(properties[name], item) for name, item in (defaults | value).items()}
    return {name: item for name, item in filled.items() if item not in ({}, [])}


def _objects(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in schema:
        most = min(schema["maxProperties"], 2)
        return st.dictionaries(st.text(TEXT, max_size=10), values(schema["additionalProperties"]), max_size=most)
    required = set(schema.get("required", ()))
    fields = {name: values(child) for name, child in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789+05:30"])
    shortest, longest = schema.get("minLength", 0), min(schema.get("maxLength", LONGEST), LONGEST)
    if "pattern" not in schema:
        return st.text(TEXT, min_size=shortest, max_size=longest)
    return _matching(schema["pattern"], shortest, longest)


@functools.cache
def _matching(pattern: str, shortest: int, longest: int) -> st.SearchStrategy[str]:
    # In Python `$` matches before a line's end as well, in RE2 it does not. Beyond ASCII classes take minutes to build.
    texts = st.from_regex(pattern.removesuffix("$") + r"\Z", alphabet=st.characters(codec="ascii"))
    return texts.filter(lambda text: shortest <= len(text) <= longest)
