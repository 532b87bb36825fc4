"""The types of fields: what they take, and what hostile values they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from modelmill.api import base
from modelmill.api.pods import Quantity

TAKEN: list[tuple[Any, list[str]]] = [
    (base.Decimal, ["0", "-1", "0.2", "1e5", "1.5E-10", "123456789012345.123456789012345e+99"]),
    (base.Name, ["a", "0", "a-b", "a" * 63]),
    (base.ModelName, ["a", "cars-2", "a" * 44]),
    (base.Uri, ["s3://b", "s3://b/p/", "file:///data", "s3://b/Grüße/a%20b", "s3://" + "b" * 1019]),
    (base.Digest, ["sha256:" + "0a" * 32]),
    (Quantity, ["1", "500m", "1.5Gi", "128974848"]),
]
REFUSED: list[tuple[Any, list[Any]]] = [
    (
        base.Decimal,
        ["", "n/a", "nan", "inf", "1e", ".5", "+1", "1,5", "0x10", "1_000", " 1", "1\n", "1e100", "1" * 16, "\u0661"],
    ),
    (base.Name, ["", "-a", "a-", "A", "a.b", "a_b", "a/b", "..", "a\n", "a" * 64, "ä"]),
    (base.ModelName, ["", "1a", "a-", "Cars", "a.b", "a\n", "a" * 45]),
    (
        base.Uri,
        ["", "s3://", "http://b", "S3://b", "s3://a b", "s3://b?x", "s3://b#x", "s3://b\n", " s3://b", "s3:///\t"],
    ),
    (base.Uri, ["s3://" + "b" * 1020]),
    (base.Digest, ["", "sha256:ab", "sha512:" + "0a" * 32, "sha256:" + "0A" * 32, "sha256:" + "0a" * 32 + "\n"]),
    (Quantity, ["", "-1", "1g", "1 Gi", "Gi", "1e3"]),
    (base.Word, ["x" * 65]),
    (base.Text, ["x" * 1025]),
    (base.Message, ["x" * 4097]),
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TAKEN for text in texts])
def test_taken(kind: Any, text: str) -> None:
    assert TypeAdapter(kind).validate_python(text) == text


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, found in REFUSED for value in found])
def test_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize("value", [None, 1, 0.2, True, ["a"], {"a": 1}])
def test_only_text_is_text(value: Any) -> None:
    for kind in (base.Decimal, base.Name, base.Uri, base.Word, base.Digest):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(value)


@given(st.text(max_size=45))
def test_a_decimal_is_a_finite_number(text: str) -> None:
    try:
        TypeAdapter(base.Decimal).validate_python(text)
    except ValidationError:
        return
    assert abs(float(text)) < 1e115


def test_a_part_reads_both_spellings_and_cannot_be_changed() -> None:
    ref = {"name": "keys"}
    store = base.Store.model_validate({"uri": "s3://b", "secretRef": ref, "ofAnotherRelease": 1})
    assert store == base.Store.model_validate({"uri": "s3://b", "secret_ref": ref})
    assert base.Store.model_validate({"uri": "s3://b", "secretRef": ref, "serviceAccountName": ""}) == store
    with pytest.raises(ValidationError):
        store.uri = "s3://c"
