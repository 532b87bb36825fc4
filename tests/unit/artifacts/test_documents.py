"""JSON of a stranger is read in time that follows its length."""

from __future__ import annotations

import json

import pytest

from modelmill.artifacts import ArtifactInvalid
from modelmill.artifacts.documents import parse_document


def test_the_last_of_many_names_that_is_there_twice_is_found_at_once() -> None:
    """Counting each name in turn took half a minute for these, and would take days for a document of the size that is read."""
    names = ",".join(f'"{at}":1' for at in range(50_000))
    with pytest.raises(ArtifactInvalid, match="'49999' is there twice"):
        parse_document(f'{{{names},"49999":2}}'.encode(), "profile.json")


@pytest.mark.parametrize("coding", ["utf-16", "utf-32", "utf-8-sig", "latin-1"])
def test_only_utf_8_is_read(coding: str) -> None:
    """In another coding a half of a letter is a quotation mark, which hides brackets from the look at the depth."""
    with pytest.raises(ArtifactInvalid, match="x is not valid JSON"):
        parse_document(json.dumps({"é": "∀"}, ensure_ascii=False).replace("∀", "ü").encode(coding), "x")
