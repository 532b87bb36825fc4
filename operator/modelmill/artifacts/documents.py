"""JSON of a stranger: UTF-8 (RFC 8259, 8.1), bounded in size and depth, each name once."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from modelmill.artifacts.limits import LIMITS, ArtifactInvalid, Limits, require_size

_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def check_json(path: Path, limits: Limits = LIMITS) -> None:
    """Raise ArtifactInvalid unless a file is a JSON object within the limits."""
    require_size(path, limits.document)
    parse_document(path.read_bytes(), path.name, limits)


def parse_document(content: bytes, name: str, limits: Limits = LIMITS) -> dict[str, Any]:
    """Return a JSON object. Raises ArtifactInvalid naming the document `name`."""
    require_depth(content, name, limits.depth)
    try:
        document = json.loads(content.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ArtifactInvalid(f"{name} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise ArtifactInvalid(f"{name} is JSON, but no object")
    return document


def require_depth(content: bytes, name: str, most: int) -> None:
    """Raise ArtifactInvalid when brackets outside of texts are nested deeper than `most`, or are never closed."""
    depth = 0
    for found in _MARKS.finditer(content):
        mark = found.group()
        if mark in b"[{":
            depth += 1
            if depth > most:
                raise ArtifactInvalid(f"{name} is nested deeper than {most}")
        elif mark in b"]}":
            depth -= 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{twice!r} is there twice")
    return made
