"""Short hashes of plain data and models: names and change detection."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def short_hash(*parts: Any) -> str:
    """Return 10 hex digits of the SHA-256 of plain data or models; defaults of a model do not count.

    Leaving defaults out keeps the hash of an old object when a later release adds a field.
    """
    plain = [
        part.model_dump(mode="json", by_alias=True, exclude_defaults=True) if isinstance(part, BaseModel) else part
        for part in parts
    ]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]
