"""From models to structural schemas: what cannot be said is refused with its path, and nothing is without a bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import Field

from modelmill.api.base import Part, StatusPart
from modelmill.api.schema import SchemaError, definitions, structural

Label = Annotated[str, Field(max_length=8)]


class Inner(Part):
    """A part."""

    label: Label = Field(description="A label.")


class Bare(Part):
    """A part with a field that says nothing of itself."""

    label: Label


class Described(Part):
    """All that a schema can say."""

    inner: Inner = Field(description="A part.")
    many: list[Inner] = Field(default_factory=list, max_length=3, description="Parts.")
    by_name: dict[str, Label] = Field(description="A map.", json_schema_extra={"maxProperties": 2})
    either: int | Label = Field(description="A number or a text.")
    count: int | None = Field(default=None, ge=0, description="A number.")
    on: bool = Field(default=False, description="A switch.")


def test_a_model_becomes_a_structural_schema() -> None:
    label = {"type": "string", "maxLength": 8}
    inner = {
        "type": "object",
        "description": "A part.",
        "properties": {"label": {**label, "description": "A label."}},
        "required": ["label"],
    }
    assert structural(Described) == {
        "type": "object",
        "description": "All that a schema can say.",
        "properties": {
            "inner": inner,
            "many": {"type": "array", "maxItems": 3, "description": "Parts.", "items": inner},
            "byName": {
                "type": "object",
                "maxProperties": 2,
                "description": "A map.",
                "additionalProperties": label,
            },
            "either": {"description": "A number or a text.", "x-kubernetes-int-or-string": True, "maxLength": 8},
            "count": {"type": "integer", "format": "int64", "minimum": 0, "description": "A number."},
            "on": {"type": "boolean", "default": False, "description": "A switch."},
        },
        "required": ["inner", "byName", "either"],
    }


def refused(annotation: Any) -> str:
    class Wrong(Part):
        """A part that no schema can say."""

        inner: Inner = Field(description="A part.")
        wrong: annotation = Field(description="What is wrong.")

    with pytest.raises(SchemaError) as raised:
        structural(Wrong)
    return str(raised.value)


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (float, "Wrong.wrong has type 'number'"),
        (list[float], "Wrong.wrong[] has type 'number'"),
        (dict[str, float], "Wrong.wrong.* has type 'number'"),
        (Any, "Wrong.wrong has type None"),
        (str | bool, "Wrong.wrong is a union"),
        (Inner | str, "Wrong.wrong is a union"),
        (Bare, "Wrong.wrong.label has no description"),
        (list[Bare], "Wrong.wrong[].label has no description"),
    ],
)
def test_what_a_structural_schema_cannot_say_is_named(annotation: Any, told: str) -> None:
    assert refused(annotation) == told


def test_a_dataclass_of_a_status_is_a_schema_too() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Told(StatusPart):
        """A part of a status."""

        some_text: Annotated[Label | None, Field(description="A text.")] = None

    assert structural(Told)["properties"] == {
        "someText": {"type": "string", "maxLength": 8, "description": "A text."},
    }


UNBOUNDED: Mapping[str, str] = {
    ".metadata": "the API server's own",
    ".apiVersion": "the API server's own",
    ".kind": "the API server's own",
}
"""Paths that may be without a bound, and why."""


def unbounded(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of every text without maxLength or enum, list without maxItems and map without maxProperties."""
    if path in UNBOUNDED:
        return
    kind = schema.get("type")
    if (kind == "string" or "x-kubernetes-int-or-string" in schema) and not schema.keys() & {"maxLength", "enum"}:
        yield path
    if kind == "array":
        if "maxItems" not in schema:
            yield path
        yield from unbounded(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        if "maxProperties" not in schema:
            yield path
        yield from unbounded(schema["additionalProperties"], f"{path}.*")
    if kind == "object" and "properties" not in schema and "additionalProperties" not in schema:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from unbounded(child, f"{path}.{name}")


@pytest.mark.parametrize("crd", definitions(), ids=lambda crd: crd["spec"]["names"]["kind"])
def test_every_field_has_a_bound(crd: dict[str, Any]) -> None:
    assert list(unbounded(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])) == []


def test_a_field_without_a_bound_would_be_found() -> None:
    class Loose(Part):
        """A part without bounds."""

        text: str = Field(description="A text.")
        texts: list[Label] = Field(description="A list.")
        inner: dict[str, list[str]] = Field(description="A map.")
        either: int | str = Field(description="Either.")

    assert list(unbounded(structural(Loose))) == [".text", ".texts", ".inner", ".inner.*", ".inner.*[]", ".either"]
