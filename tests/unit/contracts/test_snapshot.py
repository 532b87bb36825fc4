"""The document of a copy of training data."""

from __future__ import annotations

import json

import pytest

from modelmill.contracts.artifact import digest
from modelmill.contracts.snapshot import Snapshot, SnapshotObject, document_key, object_key, parse_document

SHA = "ab" * 32
SNAPSHOT = Snapshot((SnapshotObject("a/ü.csv", 12, SHA),), (SnapshotObject("b.csv", 0, SHA),))


def test_everything_comes_back() -> None:
    assert parse_document(SNAPSHOT.document()) == SNAPSHOT


def test_where_things_lie() -> None:
    assert object_key(SHA) == f"data/objects/sha256-{SHA}"
    found = digest(SNAPSHOT.document())
    assert document_key(found) == f"data/snapshots/{found.replace(':', '-')}.json"


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../x", "sha256:" + "A" * 64, "md5:" + "a" * 64])
def test_what_is_no_digest_leads_nowhere(digest: str) -> None:
    with pytest.raises(ValueError, match="is no digest of data"):
        document_key(digest)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b"null", b"[" * 100_000,
        b'{"train": [], "holdout": []}',
        b'{"train": [{"name": "a", "size": 1}], "holdout": []}',
        json.dumps({"train": [{"name": "a", "size": 1, "sha256": "../../keys"}], "holdout": []}).encode(),
        json.dumps({"train": [{"name": "a", "size": -1, "sha256": SHA}], "holdout": []}).encode(),
        json.dumps({"train": [{"name": "a", "size": True, "sha256": SHA}], "holdout": []}).encode(),
        json.dumps({"train": [{"name": 7, "size": 1, "sha256": SHA}], "holdout": []}).encode(),
        json.dumps({"train": ["a"], "holdout": []}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        parse_document(content)
