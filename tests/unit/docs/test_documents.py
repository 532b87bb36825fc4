"""The tables of docs/reference/artifacts.md name each field of the documents, and which of them may be left out."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from modelmill.contracts import artifact
from tests.support.programs import ROOT

PAGE = (ROOT / "docs" / "reference" / "artifacts.md").read_text()
SECTION = PAGE.split("\n## The documents\n", 1)[1].split("\n## ", 1)[0]
TABLES = {
    "**`manifest.json`**": artifact.Manifest,
    "Of a file:": artifact.File,
    "Of the signature:": artifact.Signature,
    "Of a tensor:": artifact.Tensor,
    "**`profile.json`**": artifact.Profile,
    "Of a distribution,": artifact.FeatureProfile,
    "**`golden.json`**": artifact.Golden,
}


def fields(begin: str) -> dict[str, str]:
    """Return the fields of the table behind these words, each with its type."""
    table = SECTION.split(f"\n{begin}", 1)[1].split("\n| Field | Type | Meaning |\n", 1)[1].split("\n\n", 1)[0]
    found = {}
    for names, kind in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), kind)
    return found


@pytest.mark.parametrize(("begin", "form"), TABLES.items(), ids=[form.__name__ for form in TABLES.values()])
def test_a_table_has_the_fields_of_its_form(begin: str, form: Any) -> None:
    assert set(fields(begin)) == {field.name for field in dataclasses.fields(form)}


FILE = {"name": "model.onnx", "size": 1, "sha256": "0" * 64}
INPUT = {"name": "x", "datatype": "FP64", "shape": [-1], "kind": "numeric", "nullable": True, "classes": []}
SIGNATURE = {"task": "regression", "inputs": [INPUT], "outputs": [INPUT], "ignored": ["y"]}
MANIFEST = {
    "v": 1, "format": "onnx", "files": [FILE], "signature": SIGNATURE, "metrics": {}, "lineage": {},
    "created": "2026-01-31T12:00:00Z", "model": "m", "version": "m-1",
}  # fmt: skip
BINS = {
    "kind": "numeric", "ratios": [1.0], "edges": [], "categories": [], "missing_ratio": 0.0, "other_ratio": 0.0,
    "importance": 0.0,
}  # fmt: skip
PROFILE = {"v": 1, "features": {"x": BINS}, "prediction": None, "rows": 1, "target": None}
GOLDEN = {"v": 1, "inputs": {"x": [1.0]}, "outputs": {"predict": [1.0]}, "absolute": 1e-4, "relative": 1e-4}


def manifest_with(**changed: Any) -> dict[str, Any]:
    return {**MANIFEST, "signature": {**SIGNATURE, **changed}}


READ: dict[str, tuple[dict[str, Any], Callable[[Any], Any], Callable[[bytes], Any]]] = {
    "**`manifest.json`**": (MANIFEST, lambda one: one, artifact.parse_manifest),
    "Of a file:": (FILE, lambda one: {**MANIFEST, "files": [one]}, artifact.parse_manifest),
    "Of the signature:": (SIGNATURE, lambda one: {**MANIFEST, "signature": one}, artifact.parse_manifest),
    "Of a tensor:": (INPUT, lambda one: manifest_with(inputs=[one]), artifact.parse_manifest),
    "**`profile.json`**": (PROFILE, lambda one: one, artifact.parse_profile),
    "Of a distribution,": (BINS, lambda one: {**PROFILE, "features": {"x": one}}, artifact.parse_profile),
    "**`golden.json`**": (GOLDEN, lambda one: one, artifact.parse_golden),
}


@pytest.mark.parametrize("begin", READ)
def test_what_may_be_left_out_is_said_to_have_a_default(begin: str) -> None:
    whole, placed, parse = READ[begin]
    for name, kind in fields(begin).items():
        part = json.dumps(placed({key: value for key, value in whole.items() if key != name})).encode()
        if "default" in kind:
            parse(part)
        elif (begin, name) != ("Of a distribution,", "ratios"):  # read as none, which fits no distribution
            with pytest.raises(ValueError, match=name if name != "v" else "version"):
                parse(part)
